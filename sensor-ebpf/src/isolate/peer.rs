//! The other end of a packet or a call, and whether isolated groups may talk to it. It knows no group.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::{__sk_buff, BPF_F_NO_PREALLOC},
    helpers::generated::bpf_skb_load_bytes,
    macros::map,
    maps::{LpmTrie, lpm_trie::Key},
    programs::SockAddrContext,
};
use sensor_common::isolate::{PEER_PREFIX, PEERS, PeerKey};

use crate::kernel::{AF_INET, AF_INET6, field};

/// Protocols whose headers begin with both ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];
/// `::ffff:0:0/96`, the third word.
const MAPPED: u32 = 0xffff_u32.to_be();

#[map]
static ISOLATED_PEERS: LpmTrie<PeerKey, u32> = LpmTrie::with_max_entries(PEERS, BPF_F_NO_PREALLOC);

/// A key of the table of peers as it lies on the stack: bits, family and port, four words of the address.
pub(super) struct Peer {
    words: MaybeUninit<[u32; 6]>,
}

impl Peer {
    /// Of no family.
    #[inline(always)]
    pub(super) fn new() -> Self {
        let mut peer = Self { words: MaybeUninit::uninit() };
        peer.put(0, PEER_PREFIX + 128);
        for word in 1..6 {
            peer.put(word, 0);
        }
        peer
    }

    #[inline(always)]
    fn put(&mut self, word: usize, value: u32) {
        // SAFETY: one of the six words.
        unsafe { self.words.as_mut_ptr().cast::<u32>().add(word).write_volatile(value) };
    }

    /// The other end of a packet. Where its ports do not follow the address's header (IPv6 extensions, later fragments), or
    /// there are none, it has port 0.
    #[inline(always)]
    pub(super) fn of_packet(&mut self, skb: *mut __sk_buff, out: bool) -> Option<()> {
        let head: [u8; 12] = load(skb, 0)?;
        // SAFETY: the address has four words, from the third on.
        let addr = unsafe { self.words.as_mut_ptr().cast::<u32>().add(2) };
        let (family, protocol, ports) = if head[0] >> 4 == 6 {
            load_to(skb, if out { 24 } else { 8 }, addr.cast(), 16)?;
            (AF_INET6, head[6], 40)
        } else {
            load_to(skb, if out { 16 } else { 12 }, addr.cast(), 4)?;
            let first = (u16::from(head[6]) << 8 | u16::from(head[7])) & 0x1fff == 0;
            (AF_INET, if first { head[9] } else { 0 }, u32::from(head[0] & 0xf) * 4)
        };
        let port = if WITH_PORTS.contains(&protocol) {
            let both: u32 = load(skb, ports)?;
            if out { both >> 16 } else { both & 0xffff }
        } else {
            0
        };
        self.put(1, family | port << 16);
        Some(())
    }

    /// Whom a call is about.
    #[inline(always)]
    pub(super) fn of_call(&mut self, ctx: &SockAddrContext, ipv6: bool) {
        let addr = ctx.sock_addr;
        let port = field!(addr, user_port) << 16;
        if !ipv6 {
            self.put(1, AF_INET | port);
            self.put(2, field!(addr, user_ip4));
            return;
        }
        let (a, b, c) = (field!(addr, user_ip6[0]), field!(addr, user_ip6[1]), field!(addr, user_ip6[2]));
        let d = field!(addr, user_ip6[3]);
        // An address of IPv4 that goes through a socket of IPv6.
        if a == 0 && b == 0 && c == MAPPED {
            self.put(1, AF_INET | port);
            self.put(2, d);
            return;
        }
        self.put(1, AF_INET6 | port);
        self.put(2, a);
        self.put(3, b);
        self.put(4, c);
        self.put(5, d);
    }

    /// Whether the user allows it, at its port or at any.
    #[inline(always)]
    pub(super) fn is_allowed(&mut self) -> bool {
        // SAFETY: written by `new` and since.
        let family = unsafe { self.words.as_ptr().cast::<u32>().add(1).read_volatile() } & 0xffff;
        if self.is_listed() {
            return true;
        }
        self.put(1, family);
        self.is_listed()
    }

    #[inline(always)]
    fn is_listed(&self) -> bool {
        // SAFETY: six words are what the key has, and all of them are written.
        ISOLATED_PEERS.get(unsafe { &*self.words.as_ptr().cast::<Key<PeerKey>>() }).is_some()
    }
}

#[inline(always)]
fn load<T: Copy>(skb: *mut __sk_buff, at: u32) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    load_to(skb, at, value.as_mut_ptr().cast(), size_of::<T>() as u32)?;
    // SAFETY: the helper filled it.
    Some(unsafe { value.assume_init() })
}

/// Copies a piece of the packet; `to` has room for `len` bytes.
#[inline(always)]
fn load_to(skb: *mut __sk_buff, at: u32, to: *mut u8, len: u32) -> Option<()> {
    // SAFETY: the caller's destination; the helper checks the packet.
    let failed = unsafe { bpf_skb_load_bytes(skb.cast(), at, to.cast(), len) };
    (failed == 0).then_some(())
}
