//! DNS: the datagrams that leave for port 53 and those that come back from there.
//!
//! At the root of the unified hierarchy the programs run for every packet of every socket of the machine. All but DNS is let
//! go after one look at the port that the socket is connected to, or, where it is not connected, at the packet's own.
//! Not seen: DNS over TCP (or TLS, or HTTPS), IPv6 packets with extension headers, and queries of unconnected sockets whose
//! port 53 is translated on this machine before they leave (the answers are).

mod packet;

use core::{ffi::c_void, hint::black_box};

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{
        bpf_get_socket_cookie, bpf_skb_ancestor_cgroup_id, bpf_skb_cgroup_id, bpf_skb_load_bytes,
    },
    macros::{cgroup_skb, map},
    maps::LruHashMap,
    programs::SkBuffContext,
};
use sensor_common::{Dns, Header, Kind, Text, valid};

use self::packet::{UDP_HEADER, udp_header};
use crate::{
    kernel::{AF_INET, AF_INET6, Task, field, knob, offset},
    record::{emit_in_place, filtered_in_place},
};

const DNS_PORT: u16 = 53;

/// Sockets of the daemon, whose own lookups are no events. It asks for one name after the other, so few are alive.
#[map]
static OWN_SOCKETS: LruHashMap<u64, u8> = LruHashMap::with_max_entries(64, 0);

/// Since 4.10 (what it reads of the socket since 5.0). A query leaves in the system call of whoever sends it, so the current
/// task is the one that asks; a kernel thread is not, and then nobody is named.
#[cgroup_skb(egress)]
fn net_dns_query(ctx: SkBuffContext) -> i32 {
    look(&ctx, false);
    1
}

/// Since 4.10. An answer comes in softirq in the middle of any task: who waits for it is known by the socket's number, under
/// which the query left.
#[cgroup_skb(ingress)]
fn net_dns_answer(ctx: SkBuffContext) -> i32 {
    look(&ctx, true);
    1
}

/// A datagram, and what the record says of it. `skb` is valid while the program runs.
#[derive(Clone, Copy)]
struct Datagram {
    skb: *mut __sk_buff,
    answer: bool,
    cookie: u64,
    /// Where the message begins, and its length.
    at: u32,
    len: u32,
    ipv6: bool,
    connected: bool,
}

/// A record as it lies in the ring.
#[repr(C)]
struct Packet<const WORDS: usize> {
    header: Header,
    body: Dns,
    message: [u64; WORDS],
}

#[inline(always)]
fn look(ctx: &SkBuffContext, answer: bool) {
    let skb = ctx.skb.skb;
    let port = field!(skb, remote_port);
    let connected = port != 0;
    // The port lies in the field as in the packet.
    if connected && port != u32::from(DNS_PORT).to_be() {
        return;
    }
    let Some((udp, ports, ipv6)) = udp_header(skb) else { return };
    let server = if answer { ports as u16 } else { (ports >> 16) as u16 };
    if !connected && server != DNS_PORT.to_be() {
        return;
    }
    let at = udp + UDP_HEADER;
    let len = field!(skb, len).saturating_sub(at);
    // SAFETY: the context is the argument.
    let cookie = unsafe { bpf_get_socket_cookie(skb.cast()) };
    let task = if answer { None } else { sender() };
    if len == 0 || is_own(task, cookie) {
        filtered_in_place(Kind::NetDns);
        return;
    }
    let datagram = Datagram { skb, answer, cookie, at, len, ipv6, connected };
    if len <= Dns::SHORT as u32 {
        datagram.emit::<{ Dns::SHORT / 8 }>(task.is_some());
    } else if len <= Dns::PLAIN as u32 {
        datagram.emit::<{ Dns::PLAIN / 8 }>(task.is_some());
    } else {
        datagram.emit::<{ Dns::LONG / 8 }>(task.is_some());
    }
}

/// The current task, unless it is one of the kernel's own.
#[inline(always)]
fn sender() -> Option<Task> {
    let task = Task::current();
    let memory: u64 = task.field_value(offset!(task_mm))?;
    (memory != 0).then_some(task)
}

/// Whether it is the daemon that asks, or that is answered.
#[inline(always)]
fn is_own(task: Option<Task>, cookie: u64) -> bool {
    match task {
        Some(task) if task.tgid() == Some(knob!(self_tgid)) => OWN_SOCKETS.insert(cookie, 1, 0).is_ok(),
        Some(_) => false,
        None => OWN_SOCKETS.get_ptr(cookie).is_some(),
    }
}

impl Datagram {
    #[inline(always)]
    fn emit<const WORDS: usize>(self, by_task: bool) {
        emit_in_place(Kind::NetDns, by_task, |packet: &mut Packet<WORDS>| {
            let body = &mut packet.body;
            body.cookie = self.cookie;
            body.len = self.len;
            body.answer = u32::from(self.answer);
            body.family = field!(self.skb, family);
            body.message = Text { len: (WORDS * 8) as u16, flags: 0 };
            body.local.port = field!(self.skb, local_port);
            body.remote.port = u32::from(DNS_PORT);
            self.addresses(body)?;
            packet.header.valid |= valid::LOCAL | valid::REMOTE;
            // The socket's group where nobody is named: on hosts where the unified hierarchy has the containers.
            // SAFETY: the context is the argument.
            if !by_task && unsafe { bpf_skb_ancestor_cgroup_id(self.skb, 1) } != 0 {
                // SAFETY: as above.
                packet.header.cgroup = unsafe { bpf_skb_cgroup_id(self.skb) };
                packet.header.valid |= valid::CGROUP;
            }
            let most = (WORDS * 8) as u32;
            let len = if self.len > most { most } else { self.len };
            // The mask right before the use is what the verifier sees; it leaves 1 to `most`.
            let len = (black_box(len - 1) & (most - 1)) + 1;
            self.load(self.at, (&raw mut packet.message).cast(), len)
        });
    }

    /// Both ends: of a query the packet's source, of an answer its destination is this one. A connected socket says whom it
    /// asks; the packet may have been given another destination since.
    #[inline(always)]
    fn addresses(self, body: &mut Dns) -> Option<()> {
        let (source, destination) = if self.ipv6 { (8, 24) } else { (12, 16) };
        let (local, remote) = if self.answer { (destination, source) } else { (source, destination) };
        let (family, width) = if self.ipv6 { (AF_INET6, 16) } else { (AF_INET, 4) };
        (body.local.family, body.remote.family) = (family, family);
        self.load(local, (&raw mut body.local.addr).cast(), width)?;
        self.load(remote, (&raw mut body.remote.addr).cast(), width)?;
        if !self.connected || self.answer {
            return Some(());
        }
        let words = (&raw mut body.remote.addr).cast::<u32>();
        let put = |word: usize, value: u32| {
            // SAFETY: one of four words in the record, aligned to 8.
            unsafe { words.add(word).write_volatile(value) };
        };
        if self.ipv6 {
            put(0, field!(self.skb, remote_ip6[0]));
            put(1, field!(self.skb, remote_ip6[1]));
            put(2, field!(self.skb, remote_ip6[2]));
            put(3, field!(self.skb, remote_ip6[3]));
        } else {
            put(0, field!(self.skb, remote_ip4));
        }
        Some(())
    }

    /// Copies a piece of the packet; `to` has room for `len` bytes.
    #[inline(always)]
    fn load(self, at: u32, to: *mut c_void, len: u32) -> Option<()> {
        // SAFETY: the caller's destination; the helper checks the packet.
        let failed = unsafe { bpf_skb_load_bytes(self.skb.cast(), at, to, len) };
        (failed == 0).then_some(())
    }
}
