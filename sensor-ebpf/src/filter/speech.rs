//! What sockets speak and to which kind of address, as bits of [`facts`].

use sensor_common::filter::facts;

use crate::kernel::{AF_INET, AF_INET6, AF_UNIX};

const TCP: u32 = 6;
const UDP: u32 = 17;
const STREAM: u16 = 1;
const DATAGRAM: u16 = 2;
/// `SOCK_PACKET`.
const PACKET: u16 = 10;

/// [`facts::FAMILY`]: addresses of version 4.
pub(super) const V4: u32 = 0;

/// What a socket is that was asked for, as bits of [`facts`]. The old way to ask for a packet socket names another family.
#[inline(always)]
pub(crate) fn made(domain: u32, sock_type: u16, protocol: u32) -> u32 {
    let is_packet = domain == AF_INET && sock_type & 0xf == PACKET;
    (if is_packet { facts::OTHER } else { family(domain) }) | spoken(protocol, sock_type)
}

/// The family of a socket, as bits of [`facts`].
#[inline(always)]
pub(super) fn family(domain: u32) -> u32 {
    match domain {
        AF_INET => V4,
        AF_INET6 => facts::V6,
        AF_UNIX => facts::UNIX,
        _ => facts::OTHER,
    }
}

/// What a socket speaks, as bits of [`facts`].
#[inline(always)]
pub(crate) fn spoken(protocol: u32, sock_type: u16) -> u32 {
    match (protocol, sock_type & 0xf) {
        (TCP, _) | (0, STREAM) => facts::TCP,
        (UDP, _) | (0, DATAGRAM) => facts::UDP,
        _ => 0,
    }
}
