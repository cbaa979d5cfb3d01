//! Connections that must not be made: refused before a packet leaves.

use aya_ebpf::{bindings::bpf_sock_addr, macros::cgroup_sock_addr, programs::SockAddrContext};
use sensor_common::{
    Kind, Net, flags, syscalls, valid,
    verdict::{CONNECT, facts},
};

use crate::{
    filter::Case,
    kernel::{AF_INET, AF_INET6, Task},
    record::emit,
};

const TCP: u32 = 6;
const UDP: u32 = 17;
/// The third word of an address of version 4 as one of version 6 (`::ffff:0:0/96`), in network byte order.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

/// Where the caller wants to.
#[derive(Clone, Copy)]
struct Remote {
    /// As an address of version 6, in network byte order.
    addr: [u32; 4],
    port: u32,
    family: u32,
    sock_type: u16,
    protocol: u32,
}

/// Since 4.17, at the root of the unified hierarchy: `connect` of every socket of version 4, whichever control group.
#[cgroup_sock_addr(connect4)]
fn cg_connect4(ctx: SockAddrContext) -> i32 {
    let at = ctx.sock_addr;
    // SAFETY: the context is valid for as long as the program runs; each word is read by itself.
    let addr = [0, 0, MAPPED, unsafe { (&raw const (*at).user_ip4).read_volatile() }];
    verdict(at, addr, AF_INET)
}

/// The same of version 6, which can lead to an address of version 4 all the same.
#[cgroup_sock_addr(connect6)]
fn cg_connect6(ctx: SockAddrContext) -> i32 {
    let at = ctx.sock_addr;
    // SAFETY: as above.
    let addr = unsafe {
        let words = (&raw const (*at).user_ip6).cast::<u32>();
        [
            words.read_volatile(),
            words.add(1).read_volatile(),
            words.add(2).read_volatile(),
            words.add(3).read_volatile(),
        ]
    };
    let [a, b, c, _] = addr;
    let family = if a == 0 && b == 0 && c == MAPPED { AF_INET } else { AF_INET6 };
    verdict(at, addr, family)
}

/// 1: go on; 0: `EPERM`.
#[inline(always)]
fn verdict(at: *mut bpf_sock_addr, addr: [u32; 4], family: u32) -> i32 {
    let case = Case::of(CONNECT);
    if case.is_none() {
        return 1;
    }
    let task = Task::current();
    // SAFETY: as above.
    let (port, sock_type, protocol) = unsafe {
        (
            (&raw const (*at).user_port).read_volatile(),
            (&raw const (*at).type_).read_volatile(),
            (&raw const (*at).protocol).read_volatile(),
        )
    };
    let port = u32::from(u16::from_be(port as u16));
    let remote = Remote { addr, port, family, sock_type: sock_type as u16, protocol };
    let by_protocol = match protocol {
        TCP => facts::TCP,
        UDP => facts::UDP,
        _ => 0,
    };
    let by_family = if family == AF_INET6 { facts::V6 } else { 0 };
    let case = case.of_comm(task.comm()).of_remote(by_protocol | by_family, addr, port);
    if !case.refuses() {
        return 1;
    }
    tell(remote);
    0
}

/// The record of the connection that would have been.
#[inline(always)]
fn tell(remote: Remote) {
    emit::<Net>(Kind::NetConnect, |record| {
        let body = record.body::<Net>();
        body.fd = -1;
        body.family = remote.family as u16;
        body.sock_type = remote.sock_type;
        body.protocol = remote.protocol as u16;
        body.remote.family = remote.family;
        body.remote.port = remote.port;
        let [a, b, c, d] = remote.addr;
        // SAFETY: the address is 16 bytes, and lies at a multiple of four.
        unsafe {
            let to = (&raw mut body.remote.addr).cast::<u32>();
            if remote.family == AF_INET {
                to.write(d);
            } else {
                to.write(a);
                to.add(1).write(b);
                to.add(2).write(c);
                to.add(3).write(d);
            }
        }
        let header = record.header();
        header.syscall = syscalls::CONNECT as u16;
        header.valid |= valid::SOCKET | valid::REMOTE;
        header.flags |= flags::REFUSED;
        Some(())
    });
}
