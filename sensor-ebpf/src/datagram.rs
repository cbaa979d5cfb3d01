//! Where datagrams go, and where they come from.

use sensor_common::{Kind, Net, syscalls};

use crate::{
    filter::{forget_refusal, was_refused},
    kernel::{fd_sock, read_user},
    record::{emit_filled, filtered},
    syscall::{Call, UserAddr, on_end},
};

/// `sendto`, `sendmsg` and `sendmmsg` (its first message) with a destination, when they end: that is, datagrams of
/// unconnected sockets. Sends on connected sockets repeat what `connect` said and are not looked at.
#[inline(always)]
fn net_send(call: Call) {
    let call = call.of_socket();
    if was_refused(call.result()) {
        filtered(Kind::NetSend);
        return;
    }
    if call.number() == syscalls::SENDMMSG && call.result() > 0 {
        // Of several messages the first went, and one behind it was refused.
        forget_refusal();
    }
    let (to, size) = if call.number() == syscalls::SENDTO {
        (UserAddr { at: call.arg(4), len: call.arg(5) as u32 }, call.arg(2) as u32)
    } else {
        (UserAddr::of_message(call), 0)
    };
    datagram(call, Kind::NetSend, to, size);
}

on_end!(sx_net_send, fx_net_send, net_send);

/// `recvfrom`, `recvmsg` and `recvmmsg` (its first message) that ask where data came from and are told, when they end: that
/// is, datagrams of unconnected sockets. A call that failed got no data and is not looked at.
#[inline(always)]
fn net_receive(call: Call) {
    let call = call.of_socket();
    let from = if call.number() == syscalls::RECVFROM {
        let len = call.arg(5);
        UserAddr { at: call.arg(4), len: if len == 0 { 0 } else { read_user(len).unwrap_or(0) } }
    } else {
        UserAddr::of_message(call)
    };
    // The kernel sets the length to zero where the other end is known already.
    let told = call.result() >= 0 && from.len != 0;
    let size = if call.number() == syscalls::RECVFROM { call.arg(2) as u32 } else { 0 };
    datagram(call, Kind::NetReceive, UserAddr { at: if told { from.at } else { 0 }, ..from }, size)
}

on_end!(sx_net_receive, fx_net_receive, net_receive);

#[inline(always)]
fn datagram(call: Call, kind: Kind, end: UserAddr, size: u32) {
    if end.at == 0 {
        filtered(kind);
        return;
    }
    emit_filled::<Net, _>(
        kind,
        call,
        |wanted| (wanted, ()),
        |record, wanted, ()| {
            let fd = call.arg(0) as i32;
            record.body::<Net>().fd = fd;
            // What is no socket still leaves a record with the result.
            let Some(sock) = fd_sock(call.task, fd) else { return Some(wanted) };
            sock.describe(record);
            end.remote(record, sock);
            record.body::<Net>().arg = size;
            Some(wanted.of_socket(record, 0))
        },
    );
}
