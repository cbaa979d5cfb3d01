//! Sockets: who makes them, who connects to whom, who listens, and who tried.

mod refuse;
mod uring;

use sensor_common::{
    Kind, Net,
    filter::{NO_FACTS, ends},
    syscalls, valid,
};

use crate::{
    filter::{Wanted, made, was_refused},
    kernel::{CASTS, Sock, fd_sock, knob},
    record::{Ending, Record, emit_filled, emit_wanted, filtered},
    syscall::{Call, UserAddr, on_end},
};

/// `socket`, when it ends: what was made, or what was asked for in vain.
#[inline(always)]
fn net_socket(call: Call) {
    let call = call.of_socket();
    // On `arm64` the first argument is what it was before a tracer may have put another in its place.
    let facts = if knob!(arm64) == 0 {
        made(call.arg(0) as u32, call.arg(1) as u16, call.arg(2) as u32)
    } else {
        NO_FACTS
    };
    let ending = Ending::from(call);
    emit_wanted::<Net>(Kind::NetSocket, ending, ending.wanted(Kind::NetSocket, facts), |record| {
        let body = record.body::<Net>();
        body.fd = call.result() as i32;
        body.arg = call.arg(1) as u32;
        match fd_sock(call.task, call.result() as i32) {
            Some(sock) => sock.describe(record),
            None => {
                body.family = call.arg(0) as u16;
                // `SOCK_CLOEXEC` and `SOCK_NONBLOCK` stand above the type.
                body.sock_type = call.arg(1) as u16 & 0xf;
                body.protocol = call.arg(2) as u16;
                record.header().valid |= valid::SOCKET;
            }
        }
        Some(())
    });
}

on_end!(sx_net_socket, fx_net_socket, net_socket);

/// `connect` of any family, when it ends: both ends from the socket itself where it is connected (or about to be), the
/// caller's address where it is not.
#[inline(always)]
fn net_connect(call: Call) {
    let call = call.of_socket();
    if was_refused(call.result()) {
        filtered(Kind::NetConnect);
        return;
    }
    let asked = UserAddr { at: call.arg(1), len: call.arg(2) as u32 };
    by_fd(call, Kind::NetConnect, call.arg(0) as i32, |record, sock| {
        if sock.describe_remote(record).is_none() {
            asked.remote(record, sock);
        }
        Some(0)
    });
}

on_end!(sx_net_connect, fx_net_connect, net_connect);

/// `accept` and `accept4`, when they end: both ends of the new connection; the listening end where there is none.
#[inline(always)]
fn net_accept(call: Call) {
    let call = call.of_socket();
    let fd = if call.result() >= 0 { call.result() } else { call.arg(0) as i64 };
    by_fd(call, Kind::NetAccept, fd as i32, |record, sock| {
        if call.result() >= 0 {
            let _ = sock.describe_remote(record);
        }
        Some(if call.number() == syscalls::ACCEPT4 { call.arg(3) as u32 } else { 0 })
    });
}

on_end!(sx_net_accept, fx_net_accept, net_accept);

/// `bind`, when it ends: what the kernel bound, or what the caller asked for in vain.
#[inline(always)]
fn net_bind(call: Call) {
    let call = call.of_socket();
    if was_refused(call.result()) {
        filtered(Kind::NetBind);
        return;
    }
    let asked = UserAddr { at: call.arg(1), len: call.arg(2) as u32 };
    by_fd(call, Kind::NetBind, call.arg(0) as i32, |record, sock| {
        if call.result() < 0 {
            asked.local(record, sock);
        }
        Some(0)
    });
}

on_end!(sx_net_bind, fx_net_bind, net_bind);

/// `listen`, when it ends.
#[inline(always)]
fn net_listen(call: Call) {
    let call = call.of_socket();
    by_fd(call, Kind::NetListen, call.arg(0) as i32, |_, _| Some(call.arg(1) as u32));
}

on_end!(sx_net_listen, fx_net_listen, net_listen);

/// [`record`] of a call on a descriptor.
#[inline(always)]
fn by_fd(call: Call, kind: Kind, fd: i32, more: impl FnOnce(&mut Record, Sock) -> Option<u32>) {
    record(call.into(), kind, fd, || fd_sock(call.task, fd), more);
}

/// Sends a socket record: what all of them have, then what `more` adds. It returns the `arg` of the body.
///
/// What is no socket (`ENOTSOCK`, `EBADF`) still leaves a record with the result.
#[inline(always)]
fn record(
    ending: Ending,
    kind: Kind,
    fd: i32,
    sock: impl Fn() -> Option<Sock>,
    more: impl FnOnce(&mut Record, Sock) -> Option<u32>,
) {
    let peer = |wanted: Wanted| {
        // Elsewhere each read is a helper call: not before the task was asked.
        if !CASTS || looked(kind) != 0 {
            return (wanted, None);
        }
        let sock = sock();
        (sock.map_or(wanted, |sock| wanted.of_peer(sock)), Some(sock))
    };
    emit_filled::<Net, _>(kind, ending, peer, |record, wanted, found| {
        record.body::<Net>().fd = fd;
        let Some(sock) = found.unwrap_or_else(&sock) else { return Some(wanted) };
        sock.describe(record);
        let arg = more(record, sock)?;
        record.body::<Net>().arg = arg;
        Some(wanted.of_socket(record, looked(kind)))
    });
}

/// Which end of a socket rules are asked about: where a connection goes to or comes from, and what waits for it.
#[inline(always)]
pub(crate) const fn looked(kind: Kind) -> u32 {
    match kind {
        Kind::NetBind | Kind::NetListen => ends::OWN_PORT | ends::OWN_NET,
        Kind::NetAccept => ends::OWN_PORT,
        _ => 0,
    }
}
