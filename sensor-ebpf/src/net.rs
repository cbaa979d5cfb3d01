//! Sockets: who talks to whom, who listens, and who tried.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use sensor_common::{Header, Kind, Net, NetAddr, flags, syscalls, valid};

use crate::{
    kernel::{AF_UNIX, Sock, fd_sock, read_user, user_ip, user_unix},
    record::{Record, emit_call, filtered},
    syscall::Call,
};

/// A socket address in the caller's memory.
#[derive(Clone, Copy)]
struct UserAddr {
    at: u64,
    len: u32,
}

/// `connect` of any family, when it ends: both ends from the socket itself where it is connected (or about to be), the
/// caller's address where it is not.
#[btf_tracepoint(function = "sys_exit")]
fn sx_net_connect(ctx: BtfTracePointContext) -> i32 {
    let call = Call::new(&ctx);
    let asked = UserAddr { at: call.arg(1), len: call.arg(2) as u32 };
    record(call, Kind::NetConnect, call.arg(0) as i32, |record, sock| {
        if remote(record, sock).is_none() {
            user_remote(record, sock, asked);
        }
        Some(0)
    });
    0
}

/// `accept` and `accept4`, when they end: both ends of the new connection; the listening end where there is none.
#[btf_tracepoint(function = "sys_exit")]
fn sx_net_accept(ctx: BtfTracePointContext) -> i32 {
    let call = Call::new(&ctx);
    let fd = if call.result() >= 0 { call.result() } else { call.arg(0) as i64 };
    record(call, Kind::NetAccept, fd as i32, |record, sock| {
        if call.result() >= 0 {
            let _ = remote(record, sock);
        }
        Some(if call.number() == syscalls::ACCEPT4 { call.arg(3) as u32 } else { 0 })
    });
    0
}

/// `bind`, when it ends: what the kernel bound, or what the caller asked for in vain.
#[btf_tracepoint(function = "sys_exit")]
fn sx_net_bind(ctx: BtfTracePointContext) -> i32 {
    let call = Call::new(&ctx);
    let asked = UserAddr { at: call.arg(1), len: call.arg(2) as u32 };
    record(call, Kind::NetBind, call.arg(0) as i32, |record, sock| {
        if call.result() < 0 {
            user_local(record, sock, asked);
        }
        Some(0)
    });
    0
}

/// `listen`, when it ends.
#[btf_tracepoint(function = "sys_exit")]
fn sx_net_listen(ctx: BtfTracePointContext) -> i32 {
    let call = Call::new(&ctx);
    record(call, Kind::NetListen, call.arg(0) as i32, |_, _| Some(call.arg(1) as u32));
    0
}

/// `sendto`, `sendmsg` and `sendmmsg` (its first message) with a destination, when they end: that is, datagrams of
/// unconnected sockets. Sends on connected sockets repeat what `connect` said and are not looked at.
#[btf_tracepoint(function = "sys_exit")]
fn sx_net_send(ctx: BtfTracePointContext) -> i32 {
    let call = Call::new(&ctx);
    let asked = if call.number() == syscalls::SENDTO {
        UserAddr { at: call.arg(4), len: call.arg(5) as u32 }
    } else {
        // `struct msghdr` begins with the address and its length; `struct mmsghdr` begins with a `msghdr`.
        let message = call.arg(1);
        if call.is_compat() {
            UserAddr {
                at: u64::from(read_user::<u32>(message).unwrap_or(0)),
                len: read_user(message + 4).unwrap_or(0),
            }
        } else {
            UserAddr { at: read_user(message).unwrap_or(0), len: read_user(message + 8).unwrap_or(0) }
        }
    };
    if asked.at == 0 {
        filtered(Kind::NetSend);
        return 0;
    }
    record(call, Kind::NetSend, call.arg(0) as i32, |record, sock| {
        user_remote(record, sock, asked);
        Some(if call.number() == syscalls::SENDTO { call.arg(2) as u32 } else { 0 })
    });
    0
}

/// Sends a socket record: what all of them have, then what `more` adds. It returns the `arg` of the body.
///
/// A descriptor that is no socket (`ENOTSOCK`, `EBADF`) still leaves a record with the result.
#[inline(always)]
fn record(call: Call, kind: Kind, fd: i32, more: impl FnOnce(&mut Record, Sock) -> Option<u32>) {
    emit_call::<Net>(kind, call, |record| {
        record.body::<Net>().fd = fd;
        let Some(sock) = fd_sock(call.task, fd) else { return Some(()) };
        let body = record.body::<Net>();
        body.family = sock.family;
        body.sock_type = sock.socket_type;
        body.protocol = sock.protocol;
        body.state = sock.state;
        body.ino = sock.ino;
        let mut bits = valid::SOCKET;
        if sock.local(&mut body.local).is_some() {
            bits |= valid::LOCAL;
        } else if u32::from(sock.family) == AF_UNIX {
            body.local.family = AF_UNIX;
            if let Some(name) = sock.unix_name(record) {
                record.body::<Net>().local_path = name;
                bits |= valid::LOCAL;
            }
        }
        record.header().valid |= bits;
        let arg = more(record, sock)?;
        record.body::<Net>().arg = arg;
        Some(())
    });
}

/// The other end as the kernel knows it.
#[inline(always)]
fn remote(record: &mut Record, sock: Sock) -> Option<()> {
    if u32::from(sock.family) == AF_UNIX {
        record.body::<Net>().remote.family = AF_UNIX;
        let name = sock.unix_peer_name(record)?;
        record.body::<Net>().remote_path = name;
    } else {
        sock.remote(&mut record.body::<Net>().remote)?;
    }
    record.header().valid |= valid::REMOTE;
    Some(())
}

/// The other end as the caller named it.
#[inline(always)]
fn user_remote(record: &mut Record, sock: Sock, asked: UserAddr) {
    let found = if u32::from(sock.family) == AF_UNIX {
        let name = user_unix(record, asked.at, asked.len);
        let body = record.body::<Net>();
        body.remote.family = AF_UNIX;
        name.map(|name| body.remote_path = name)
    } else {
        user_ip(asked.at, &mut record.body::<Net>().remote)
    };
    untrusted(record.header(), found, valid::REMOTE);
}

/// This end as the caller named it.
#[inline(always)]
fn user_local(record: &mut Record, sock: Sock, asked: UserAddr) {
    let found = if u32::from(sock.family) == AF_UNIX {
        let name = user_unix(record, asked.at, asked.len);
        let body = record.body::<Net>();
        body.local.family = AF_UNIX;
        name.map(|name| body.local_path = name)
    } else {
        let local: &mut NetAddr = &mut record.body::<Net>().local;
        user_ip(asked.at, local)
    };
    untrusted(record.header(), found, valid::LOCAL);
}

#[inline(always)]
fn untrusted(header: &mut Header, found: Option<()>, bit: u32) {
    if found.is_some() {
        header.valid |= bit;
        header.flags |= flags::UNTRUSTED_ADDR;
    }
}
