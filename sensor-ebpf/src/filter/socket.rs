//! Terms by a socket: what it speaks, to which kind of address, the port and the address of one of its ends.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    helpers::generated::bpf_map_lookup_elem,
    macros::map,
    maps::{HashMap, LpmTrie, lpm_trie},
};
use sensor_common::{
    Header, Net, NetAddr,
    filter::{KindFilter, NetKey, PortKey, ends, facts},
    valid,
};

use super::{
    FILTER_KINDS, fact_terms,
    speech::{V4, family, spoken},
};
use crate::kernel::{AF_INET, AF_INET6, AF_UNIX, Sock};

/// The third word of an address of version 4 as one of version 6 (`::ffff:0:0/96`), in network byte order.
pub(crate) const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

#[map]
static FILTER_NETS: LpmTrie<NetKey, u64> = LpmTrie::with_max_entries(16384, BPF_F_NO_PREALLOC);
#[map]
static FILTER_PORTS: HashMap<PortKey, u64> = HashMap::with_max_entries(16384, BPF_F_NO_PREALLOC);

/// Terms of a record that begins with a [`Net`], as it stands in the scratch memory. `looked`: bits of [`ends`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn filter_socket(slot: u32, terms: u64, scratch: u32, looked: u32) -> u64 {
    let Some(kind) = FILTER_KINDS.get(slot) else { return terms };
    let Some(base) = crate::record::scratch(scratch) else { return terms };
    // SAFETY: the scratch memory is aligned and larger than both; nobody else writes to it.
    let (header, body) = unsafe { (&*base.cast::<Header>(), &*base.add(size_of::<Header>()).cast::<Net>()) };
    let (local, remote) =
        (End::of(header, valid::LOCAL, &body.local), End::of(header, valid::REMOTE, &body.remote));
    let mut terms = terms;
    if header.valid & valid::SOCKET != 0 {
        let own = family(u32::from(body.family));
        let spoken_to = if remote.family == NONE { local.family } else { remote.family };
        let family = if spoken_to == NONE { own } else { spoken_to };
        // What a caller gave in vain to a socket of another kind says nothing.
        if spoken_to == NONE || own == V4 || own == facts::V6 {
            terms = fact_terms(kind, terms, family | spoken(u32::from(body.protocol), body.sock_type));
        }
    }
    // An end that is not there decides nothing.
    let end = if looked & ends::OWN_PORT == 0 { remote } else { local };
    if end.family != NONE {
        terms = port_terms(kind, slot, terms, end.port());
    }
    let end = if looked & ends::OWN_NET == 0 { remote } else { local };
    if end.family != NONE {
        terms = net_terms(kind, slot, terms, end.addr());
    }
    terms
}

/// Terms by what is asked for before there is a record: `what` is the facts and, in its lower half, the port.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn filter_address(slot: u32, terms: u64, what: u32, high: u64, low: u64) -> u64 {
    let Some(kind) = FILTER_KINDS.get(slot) else { return 0 };
    let terms = fact_terms(kind, terms, what >> 16);
    let terms = port_terms(kind, slot, terms, what & 0xffff);
    net_terms(kind, slot, terms, [high as u32, (high >> 32) as u32, low as u32, (low >> 32) as u32])
}

/// The same of a socket's other end as the kernel knows it. Where it does not, the caller's address decides, which comes with
/// the record.
#[inline(always)]
pub(super) fn peer_terms(kind: &KindFilter, slot: u32, terms: u64, sock: Sock) -> u64 {
    let speaks = spoken(u32::from(sock.protocol), sock.socket_type);
    if u32::from(sock.family) == AF_UNIX {
        return fact_terms(kind, terms, facts::UNIX | speaks);
    }
    let mut addr = NetAddr::default();
    if sock.remote(&mut addr).is_none() {
        return terms;
    }
    let end = End::at(&addr);
    let terms = fact_terms(kind, terms, end.family | speaks);
    let terms = port_terms(kind, slot, terms, end.port());
    net_terms(kind, slot, terms, end.addr())
}

/// In place of [`facts::FAMILY`]: there is no address.
const NONE: u32 = u32::MAX;

/// An end of a socket, as it stands in a record: nothing of it is kept, since the verifier of 6.1 loses sight of what is there
/// only where something else is.
#[derive(Clone, Copy)]
struct End<'r> {
    at: &'r NetAddr,
    /// Bits of [`facts::FAMILY`], or [`NONE`].
    family: u32,
}

impl<'r> End<'r> {
    #[inline(always)]
    fn of(header: &Header, bit: u32, at: &'r NetAddr) -> Self {
        if header.valid & bit != 0 { Self::at(at) } else { Self { at, family: NONE } }
    }

    #[inline(always)]
    fn at(at: &'r NetAddr) -> Self {
        let mut end = Self { at, family: NONE };
        if at.family == AF_INET {
            end.family = V4;
        } else if at.family == AF_INET6 {
            let [a, b, c, _] = end.words();
            end.family = if a == 0 && b == 0 && c == MAPPED { V4 } else { facts::V6 };
        }
        end
    }

    #[inline(always)]
    fn words(self) -> [u32; 4] {
        let words = (&raw const self.at.addr).cast::<u32>();
        // SAFETY: an address is four words, and lies at a multiple of four.
        unsafe {
            [
                words.read_volatile(),
                words.add(1).read_volatile(),
                words.add(2).read_volatile(),
                words.add(3).read_volatile(),
            ]
        }
    }

    /// As one of version 6, in network byte order.
    #[inline(always)]
    fn addr(self) -> [u32; 4] {
        let [a, b, c, d] = self.words();
        if self.at.family == AF_INET { [0, 0, MAPPED, a] } else { [a, b, c, d] }
    }

    #[inline(always)]
    fn port(self) -> u32 {
        self.at.port & 0xffff
    }
}

#[inline(always)]
fn port_terms(kind: &KindFilter, slot: u32, terms: u64, port: u32) -> u64 {
    if terms & kind.port.asked == 0 {
        return terms;
    }
    // SAFETY: the daemon writes an entry once, before its set of tables is at work.
    terms & unsafe { FILTER_PORTS.get(PortKey { slot, port }) }.copied().unwrap_or(kind.port.other)
}

#[inline(always)]
fn net_terms(kind: &KindFilter, slot: u32, terms: u64, addr: [u32; 4]) -> u64 {
    if terms & kind.net.asked == 0 {
        return terms;
    }
    let [a, b, c, d] = addr;
    let mut key = MaybeUninit::<lpm_trie::Key<NetKey>>::uninit();
    let words = key.as_mut_ptr().cast::<u32>();
    // SAFETY: the key is six words, all of which are written; an entry is a value of the map.
    unsafe {
        words.write(8 * size_of::<NetKey>() as u32);
        words.add(1).write(slot);
        words.add(2).write(a);
        words.add(3).write(b);
        words.add(4).write(c);
        words.add(5).write(d);
        let entry = bpf_map_lookup_elem((&raw const FILTER_NETS).cast_mut().cast(), key.as_ptr().cast());
        terms & if entry.is_null() { kind.net.other } else { entry.cast::<u64>().read_volatile() }
    }
}

const _: () = assert!(size_of::<lpm_trie::Key<NetKey>>() == 6 * 4);
