//! Addresses that must not be used: a connection or a datagram is refused before a packet leaves, a port before anybody
//! can listen there.
//!
//! All of it since 4.18, at the root of the unified hierarchy, for every socket whichever control group it is in. Missed:
//! sockets of neither TCP nor UDP where they bind (raw ones, SCTP) or send.

mod asked;

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};
use sensor_common::{
    Kind, syscalls,
    verdict::{BIND, CONNECT, SEND},
};

use self::asked::{Asked, End};

/// What the program says: go on, or `EPERM`.
const GO_ON: i32 = 1;
const REFUSED: i32 = 0;

/// `connect` of every socket of version 4.
#[cgroup_sock_addr(connect4)]
fn cg_connect4(ctx: SockAddrContext) -> i32 {
    connect(Asked::v4(ctx.sock_addr))
}

/// The same of version 6, which can lead to an address of version 4 all the same.
#[cgroup_sock_addr(connect6)]
fn cg_connect6(ctx: SockAddrContext) -> i32 {
    connect(Asked::v6(ctx.sock_addr))
}

/// `bind` of every socket of version 4.
#[cgroup_sock_addr(bind4)]
fn cg_bind4(ctx: SockAddrContext) -> i32 {
    bind(Asked::v4(ctx.sock_addr))
}

/// The same of version 6.
#[cgroup_sock_addr(bind6)]
fn cg_bind6(ctx: SockAddrContext) -> i32 {
    bind(Asked::v6(ctx.sock_addr))
}

/// A datagram that says where it goes, of sockets of version 4, and of version 6 to an address of version 4. A message of many
/// (`sendmmsg`) comes here one by one.
#[cgroup_sock_addr(sendmsg4)]
fn cg_send4(ctx: SockAddrContext) -> i32 {
    send(Asked::v4(ctx.sock_addr))
}

/// The same of version 6.
#[cgroup_sock_addr(sendmsg6)]
fn cg_send6(ctx: SockAddrContext) -> i32 {
    send(Asked::v6(ctx.sock_addr))
}

#[inline(always)]
fn connect(asked: Asked) -> i32 {
    let case = asked.case(CONNECT);
    if case.is_none() || !case.refuses() {
        return GO_ON;
    }
    asked.tell(Kind::NetConnect, syscalls::CONNECT, End::Remote);
    REFUSED
}

/// The port is the one that was asked for: which one the kernel would have picked (0) is not known.
#[inline(always)]
fn bind(asked: Asked) -> i32 {
    let case = asked.case(BIND);
    if case.is_none() || !case.refuses() {
        return GO_ON;
    }
    asked.tell(Kind::NetBind, syscalls::BIND, End::Local);
    REFUSED
}

/// A datagram by itself is a connection for as long as it takes: whom nobody may connect to gets none, and that is told of as
/// the `connect` that it stands for. The call is not: its own end may tell that it failed.
#[inline(always)]
fn send(asked: Asked) -> i32 {
    let case = asked.case(SEND);
    if !case.is_none() && case.refuses() {
        asked.tell(Kind::NetSend, syscalls::SENDTO, End::Remote);
        return REFUSED;
    }
    let case = asked.case(CONNECT);
    if !case.is_none() && case.refuses_unnoted() {
        asked.tell(Kind::NetConnect, syscalls::CONNECT, End::Remote);
        return REFUSED;
    }
    GO_ON
}
