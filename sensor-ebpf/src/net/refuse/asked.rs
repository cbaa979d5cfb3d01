//! The address that a caller gives: what rules say of it, and the record that it is refused with.

use aya_ebpf::bindings::bpf_sock_addr;
use sensor_common::{Kind, Net, NetAddr, filter::facts, flags, valid};

use crate::{
    filter::{Case, MAPPED, spoken},
    kernel::{AF_INET, AF_INET6, Task},
    record::{Record, emit},
};

/// Which end of the socket an address is.
#[derive(Clone, Copy)]
pub(super) enum End {
    Local,
    Remote,
}

/// The address that a caller gives, of a socket that is this.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    /// As an address of version 6, in network byte order.
    addr: [u32; 4],
    port: u32,
    family: u32,
    sock_type: u16,
    protocol: u32,
}

impl Asked {
    #[inline(always)]
    pub(super) fn v4(at: *mut bpf_sock_addr) -> Self {
        // SAFETY: the context is valid for as long as the program runs; each word is read by itself.
        let addr = unsafe { (&raw const (*at).user_ip4).read_volatile() };
        Self::of(at, [0, 0, MAPPED, addr], AF_INET)
    }

    #[inline(always)]
    pub(super) fn v6(at: *mut bpf_sock_addr) -> Self {
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
    pub(super) fn case(self, class: u32) -> Case {
        let case = Case::of(class);
        if case.is_none() {
            return case;
        }
        let by_family = if self.family == AF_INET6 { facts::V6 } else { 0 };
        let facts = by_family | spoken(self.protocol, self.sock_type);
        case.of_comm(Task::current().comm()).of_address(facts, self.addr, self.port)
    }

    /// The record of what would have been.
    #[inline(always)]
    pub(super) fn tell(self, kind: Kind, call: u32, end: End) {
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
