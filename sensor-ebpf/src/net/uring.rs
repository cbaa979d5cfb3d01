//! Sockets through `io_uring`, since 6.0, as the calls that mean the same. The socket is the request's own: which descriptor
//! it had is not known any more when the operation is completed (`fd` is -1, but for a new connection's).
//!
//! Missed: an `IORING_OP_SEND` with a destination, of which no copy is left, and connections of a multishot accept.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use sensor_common::{Kind, Net, syscalls, valid};

use super::record;
use crate::{
    filter::was_refused,
    kernel::{File, offset, read_user},
    record::{emit_call, filtered},
    syscall::UserAddr,
    uring::Operation,
};

const NO_FD: i32 = -1;

#[btf_tracepoint(function = "io_uring_complete")]
fn ur_net_socket(ctx: BtfTracePointContext) -> i32 {
    let Some(operation) = Operation::completed(&ctx, |_| syscalls::SOCKET) else { return 0 };
    let ending = operation.ending;
    let slot: u32 = operation.get(offset!(socket_slot));
    let asked: u32 = operation.get(offset!(socket_asked_type));
    emit_call::<Net>(Kind::NetSocket, ending, |record| {
        let body = record.body::<Net>();
        body.fd = if slot == 0 { ending.result as i32 } else { NO_FD };
        body.arg = asked;
        let made = if ending.result < 0 { None } else { operation.opened(slot) };
        match made.and_then(File::sock) {
            Some(sock) => sock.describe(record),
            None => {
                body.family = operation.get::<u32>(offset!(socket_domain)) as u16;
                // `SOCK_CLOEXEC` and `SOCK_NONBLOCK` stand above the type.
                body.sock_type = asked as u16 & 0xf;
                body.protocol = operation.get::<u32>(offset!(socket_protocol)) as u16;
                record.header().valid |= valid::SOCKET;
            }
        }
        Some(())
    });
    0
}

#[btf_tracepoint(function = "io_uring_submit_req")]
fn us_net_connect(ctx: BtfTracePointContext) -> i32 {
    let Some(operation) = Operation::submitted(&ctx, |_| syscalls::CONNECT) else { return 0 };
    if operation.is_silent() {
        connect(operation);
    }
    0
}

#[btf_tracepoint(function = "io_uring_complete")]
fn ur_net_connect(ctx: BtfTracePointContext) -> i32 {
    let Some(operation) = Operation::completed(&ctx, |_| syscalls::CONNECT) else { return 0 };
    connect(operation);
    0
}

#[inline(always)]
fn connect(operation: Operation) {
    if was_refused(operation.ending.result) {
        filtered(Kind::NetConnect);
        return;
    }
    let asked =
        UserAddr { at: operation.get(offset!(connect_addr)), len: operation.get(offset!(connect_len)) };
    record(
        operation.ending,
        Kind::NetConnect,
        NO_FD,
        || operation.sock(),
        |record, sock| {
            if sock.describe_remote(record).is_none() {
                asked.remote(record, sock);
            }
            Some(0)
        },
    );
}

#[btf_tracepoint(function = "io_uring_complete")]
fn ur_net_accept(ctx: BtfTracePointContext) -> i32 {
    let Some(operation) = Operation::completed(&ctx, |_| syscalls::ACCEPT4) else { return 0 };
    let ending = operation.ending;
    let slot: u32 = operation.get(offset!(accept_slot));
    let fd = if ending.result >= 0 && slot == 0 { ending.result as i32 } else { NO_FD };
    let sock = || if ending.result < 0 { operation.sock() } else { operation.opened(slot)?.sock() };
    record(ending, Kind::NetAccept, fd, sock, |record, sock| {
        if ending.result >= 0 {
            let _ = sock.describe_remote(record);
        }
        Some(operation.get(offset!(accept_flags)))
    });
    0
}

/// Since 6.11. The address of a `bind` that failed is not at hand.
#[btf_tracepoint(function = "io_uring_complete")]
fn ur_net_bind(ctx: BtfTracePointContext) -> i32 {
    let Some(operation) = Operation::completed(&ctx, |_| syscalls::BIND) else { return 0 };
    if was_refused(operation.ending.result) {
        filtered(Kind::NetBind);
        return 0;
    }
    record(operation.ending, Kind::NetBind, NO_FD, || operation.sock(), |_, _| Some(0));
    0
}

/// Since 6.11.
#[btf_tracepoint(function = "io_uring_complete")]
fn ur_net_listen(ctx: BtfTracePointContext) -> i32 {
    let Some(operation) = Operation::completed(&ctx, |_| syscalls::LISTEN) else { return 0 };
    record(
        operation.ending,
        Kind::NetListen,
        NO_FD,
        || operation.sock(),
        |_, _| Some(operation.get(offset!(listen_backlog))),
    );
    0
}

#[btf_tracepoint(function = "io_uring_submit_req")]
fn us_net_send(ctx: BtfTracePointContext) -> i32 {
    let Some(operation) = Operation::submitted(&ctx, |_| syscalls::SENDMSG) else { return 0 };
    if operation.is_silent() {
        send(operation);
    }
    0
}

#[btf_tracepoint(function = "io_uring_complete")]
fn ur_net_send(ctx: BtfTracePointContext) -> i32 {
    let Some(operation) = Operation::completed(&ctx, |_| syscalls::SENDMSG) else { return 0 };
    send(operation);
    0
}

/// A message with a destination. (`struct msghdr` begins with the address and its length; it is the caller's.)
#[inline(always)]
fn send(operation: Operation) {
    if was_refused(operation.ending.result) {
        filtered(Kind::NetSend);
        return;
    }
    let message: u64 = operation.get(offset!(send_message));
    let asked = UserAddr { at: read_user(message).unwrap_or(0), len: read_user(message + 8).unwrap_or(0) };
    if asked.at == 0 {
        filtered(Kind::NetSend);
        return;
    }
    record(
        operation.ending,
        Kind::NetSend,
        NO_FD,
        || operation.sock(),
        |record, sock| {
            asked.remote(record, sock);
            Some(0)
        },
    );
}
