//! Isolation: what the kernel programs are told of groups that are cut off from the network, and of peers that stay in reach.
//!
//! These maps can outlive the daemon (they are pinned where the user wants that), so [`crate::ABI_VERSION`] goes up with
//! every change of what follows.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Groups that can be isolated at the same time.
pub const GROUPS: u32 = 4096;
/// Sockets that are known by their number to belong to such groups. When there is no room, an isolated group cannot make new
/// ones.
pub const SOCKETS: u32 = 65_536;
/// Networks that isolated groups may talk to.
pub const PEERS: u32 = 16_384;
/// Groups above the one that a socket or a task is in of which is asked whether they are isolated.
pub const LEVELS: u32 = 16;
/// Bits of [`PeerKey`] before the address: they are always compared.
pub const PEER_PREFIX: u32 = 32;

/// An isolated group; its key is that of [`crate::Header::cgroup`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IsolatedGroup {
    /// Nanoseconds of `CLOCK_BOOTTIME` at which the isolation began.
    pub since: u64,
    /// Packets, connects, sends and sockets that were refused, whatever is sent again included.
    pub refused: u64,
}

/// Of whom isolated groups may hear, and whom they may reach: a key of a longest-prefix table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PeerKey {
    /// `AF_INET` or `AF_INET6`.
    pub family: u16,
    /// The peer's port in network order; 0: any, also where a protocol has none.
    pub port: u16,
    /// The address as it lies in a packet; one of IPv4 in the first word, the others zero.
    pub addr: [u32; 4],
}
