//! Body of the DNS record.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{NetAddr, Text};

/// Body of `net_dns`: a datagram to or from port 53.
///
/// Texts: `message`. Its length is that of a size class, the rest of the class is zero: a record that is filled in the ring
/// itself must know its size before it knows the datagram's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Dns {
    /// The end that asks.
    pub local: NetAddr,
    /// The server, as the asking program addresses it where its socket is connected, else as the packet does.
    pub remote: NetAddr,
    /// Number that the kernel gives the asking socket; it is never given again.
    pub cookie: u64,
    /// Bytes of the datagram. The message has at most [`Dns::LONG`] of them.
    pub len: u32,
    /// 0: a query on its way out; 1: an answer on its way in.
    pub answer: u32,
    /// Family of the asking socket.
    pub family: u32,
    /// The datagram.
    pub message: Text,
}

impl Dns {
    /// Size classes of the message in bytes, powers of two. Nearly every query fits the first; the second is the limit of
    /// plain DNS.
    pub const SHORT: usize = 128;
    /// See [`Dns::SHORT`].
    pub const PLAIN: usize = 512;
    /// What fits an Ethernet frame fits this. Of longer datagrams the end is not seen.
    pub const LONG: usize = 2048;
}
