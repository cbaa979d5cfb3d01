//! Isolation: groups that are cut off from the network, but for peers that the user names.
//!
//! The programs hang at the root of the unified hierarchy while any group is isolated, and not at all otherwise. A packet is
//! refused by whose *socket* it is: that of the group in which it was made (or one below), as the unified hierarchy has it, or
//! one of the sockets that the daemon found open in the group's processes when the isolation began. Only on hosts where a
//! container is known by a group of cgroup v1 do the latter stand alone; sockets made from then on are noted there one by one.
//! A pod's containers share interfaces and addresses, but no sockets: they are told apart.
//!
//! Not seen: sockets of other families (`AF_PACKET` with `CAP_NET_RAW`, `AF_VSOCK`, `AF_UNIX`). With cgroup v1 also connections
//! that nobody had accepted yet when the isolation began, and sockets that only a message under way or a ring of io_uring held.

mod peer;

use aya_ebpf::{
    EbpfContext,
    bindings::{__sk_buff, BPF_F_NO_PREALLOC},
    helpers::generated::{bpf_get_socket_cookie, bpf_skb_ancestor_cgroup_id},
    macros::{cgroup_skb, cgroup_sock, cgroup_sock_addr, map},
    maps::HashMap,
    programs::{SkBuffContext, SockAddrContext, SockContext},
};
use sensor_common::isolate::{GROUPS, IsolatedGroup, LEVELS, SOCKETS};

use self::peer::Peer;
use crate::{kernel::Task, record::add};

const PASS: i32 = 1;
const REFUSE: i32 = 0;

/// By key of the group.
#[map]
static ISOLATED: HashMap<u64, IsolatedGroup> = HashMap::with_max_entries(GROUPS, BPF_F_NO_PREALLOC);
/// By number (cookie) of a socket: the key of its group. Numbers are not given twice, so one of a closed socket does no harm.
#[map]
static ISOLATED_SOCKS: HashMap<u64, u64> = HashMap::with_max_entries(SOCKETS, BPF_F_NO_PREALLOC);

/// Since 4.10 (whose socket it is since 4.18). Runs in softirq as well, so nothing is asked of the current task.
#[cgroup_skb(egress)]
fn isolate_out(ctx: SkBuffContext) -> i32 {
    packet(ctx.skb.skb, true)
}

/// Since 4.10.
#[cgroup_skb(ingress)]
fn isolate_in(ctx: SkBuffContext) -> i32 {
    packet(ctx.skb.skb, false)
}

/// Since 4.17. Packets are refused anyway; this tells the caller at once (`EPERM`) instead of letting it wait.
#[cgroup_sock_addr(connect4)]
fn isolate_conn4(ctx: SockAddrContext) -> i32 {
    call(&ctx, false)
}

/// Since 4.17.
#[cgroup_sock_addr(connect6)]
fn isolate_conn6(ctx: SockAddrContext) -> i32 {
    call(&ctx, true)
}

/// Since 4.18. A datagram with a destination.
#[cgroup_sock_addr(sendmsg4)]
fn isolate_send4(ctx: SockAddrContext) -> i32 {
    call(&ctx, false)
}

/// Since 4.18.
#[cgroup_sock_addr(sendmsg6)]
fn isolate_send6(ctx: SockAddrContext) -> i32 {
    call(&ctx, true)
}

/// Since 4.10. Notes the sockets of groups that the unified hierarchy does not know. A socket that cannot be noted would not be
/// isolated, so it is not made.
#[cgroup_sock(sock_create)]
fn isolate_socket(ctx: SockContext) -> i32 {
    let Some((key, group, legacy)) = task_group() else { return PASS };
    if !legacy {
        return PASS;
    }
    // SAFETY: the context is the argument.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    if ISOLATED_SOCKS.insert(cookie, key, 0).is_ok() { PASS } else { refuse(group) }
}

#[inline(always)]
fn packet(skb: *mut __sk_buff, out: bool) -> i32 {
    let Some(group) = socket_group(skb) else { return PASS };
    let mut peer = Peer::new();
    if peer.of_packet(skb, out).is_some() && peer.is_allowed() { PASS } else { refuse(group) }
}

#[inline(always)]
fn call(ctx: &SockAddrContext, ipv6: bool) -> i32 {
    let Some((_, group, _)) = task_group() else { return PASS };
    let mut peer = Peer::new();
    peer.of_call(ctx, ipv6);
    if peer.is_allowed() { PASS } else { refuse(group) }
}

#[inline(always)]
fn refuse(group: *mut IsolatedGroup) -> i32 {
    // SAFETY: a value of the map, which the verifier knows.
    add(unsafe { &mut (*group).refused }, 1);
    REFUSE
}

/// The isolated group to which a packet's socket belongs.
#[inline(always)]
fn socket_group(skb: *mut __sk_buff) -> Option<*mut IsolatedGroup> {
    // SAFETY: the context is the argument.
    let cookie = unsafe { bpf_get_socket_cookie(skb.cast()) };
    // SAFETY: the value is read at once.
    if let Some(key) = unsafe { ISOLATED_SOCKS.get(cookie) }
        && let Some(group) = ISOLATED.get_ptr_mut(*key)
    {
        return Some(group);
    }
    for level in 1..=LEVELS {
        // SAFETY: the context is the argument.
        let id = unsafe { bpf_skb_ancestor_cgroup_id(skb, level as i32) };
        if id == 0 {
            break;
        }
        if let Some(group) = ISOLATED.get_ptr_mut(id) {
            return Some(group);
        }
    }
    None
}

/// The isolated group in which the current task is: its key, itself, and whether it is one of cgroup v1.
#[inline(always)]
fn task_group() -> Option<(u64, *mut IsolatedGroup, bool)> {
    let mut group = Task::current().group()?;
    for _ in 0..LEVELS {
        if group.is_root()? {
            break;
        }
        let key = group.key()?;
        if let Some(found) = ISOLATED.get_ptr_mut(key) {
            return Some((key, found, group.is_legacy()));
        }
        group = group.parent()?;
    }
    None
}
