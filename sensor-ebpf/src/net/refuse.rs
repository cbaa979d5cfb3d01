//! Addresses that must not be used: a connection or a datagram is refused before a packet leaves, a port before anybody
//! can listen there.
//!
//! All of it since 4.18, at the root of the unified hierarchy, for every socket whichever control group it is in. Missed:
//! sockets of neither TCP nor UDP where they bind (raw ones, SCTP) or send.

use aya_ebpf::{bindings::bpf_sock_addr, macros::cgroup_sock_addr, programs::SockAddrContext};
use sensor_common::{
    Kind, Net, NetAddr, flags, syscalls, valid,
    verdict::{BIND, CONNECT, facts},
};

use crate::{
    filter::Case,
    kernel::{AF_INET, AF_INET6, Task},
    record::{Record, emit},
};

const TCP: u32 = 6;
const UDP: u32 = 17;
/// The third word of an address of version 4 as one of version 6 (`::ffff:0:0/96`), in network byte order.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);
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

/// Which end of the socket an address is.
#[derive(Clone, Copy)]
enum End {
    Local,
    Remote,
}

/// The address that a caller gives, of a socket that is this.
#[derive(Clone, Copy)]
struct Asked {
    /// As an address of version 6, in network byte order.
    addr: [u32; 4],
    port: u32,
    family: u32,
    sock_type: u16,
    protocol: u32,
}

impl Asked {
    #[inline(always)]
    fn v4(at: *mut bpf_sock_addr) -> Self {
        // SAFETY: the context is valid for as long as the program runs; each word is read by itself.
        let addr = unsafe { (&raw const (*at).user_ip4).read_volatile() };
        Self::of(at, [0, 0, MAPPED, addr], AF_INET)
    }

    #[inline(always)]
    fn v6(at: *mut bpf_sock_addr) -> Self {
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
        Self::of(at, addr, if a == 0 && b == 0 && c == MAPPED { AF_INET } else { AF_INET6 })
    }

    #[inline(always)]
    fn of(at: *mut bpf_sock_addr, addr: [u32; 4], family: u32) -> Self {
        // SAFETY: as above.
        let (port, sock_type, protocol) = unsafe {
            (
                (&raw const (*at).user_port).read_volatile(),
                (&raw const (*at).type_).read_volatile(),
                (&raw const (*at).protocol).read_volatile(),
            )
        };
        Self {
            addr,
            port: u32::from(u16::from_be(port as u16)),
            family,
            sock_type: sock_type as u16,
            protocol,
        }
    }

    /// The terms of a class that hold.
    #[inline(always)]
    fn case(self, class: u32) -> Case {
        let case = Case::of(class);
        if case.is_none() {
            return case;
        }
        let by_protocol = match self.protocol {
            TCP => facts::TCP,
            UDP => facts::UDP,
            _ => 0,
        };
        let by_family = if self.family == AF_INET6 { facts::V6 } else { 0 };
        case.of_comm(Task::current().comm()).of_address(by_protocol | by_family, self.addr, self.port)
    }

    /// The record of what would have been.
    #[inline(always)]
    fn tell(self, kind: Kind, call: u32, end: End) {
        emit::<Net>(kind, |record| {
            let body = record.body::<Net>();
            body.fd = -1;
            body.family = self.family as u16;
            body.sock_type = self.sock_type;
            body.protocol = self.protocol as u16;
            let bit = match end {
                End::Local => self.write(record, |body| &mut body.local, valid::LOCAL),
                End::Remote => self.write(record, |body| &mut body.remote, valid::REMOTE),
            };
            let header = record.header();
            header.syscall = call as u16;
            header.valid |= valid::SOCKET | bit;
            header.flags |= flags::REFUSED;
            Some(())
        });
    }

    /// Writes the address, and gives back the bit that says so.
    #[inline(always)]
    fn write(self, record: &mut Record, end: impl FnOnce(&mut Net) -> &mut NetAddr, bit: u32) -> u32 {
        let to = end(record.body::<Net>());
        to.family = self.family;
        to.port = self.port;
        let [a, b, c, d] = self.addr;
        // SAFETY: the address is 16 bytes, and lies at a multiple of four.
        unsafe {
            let to = (&raw mut to.addr).cast::<u32>();
            if self.family == AF_INET {
                to.write(d);
            } else {
                to.write(a);
                to.add(1).write(b);
                to.add(2).write(c);
                to.add(3).write(d);
            }
        }
        bit
    }
}
