//! Bodies of the socket records, and of those of descriptors that may be sockets.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{FileId, Text};

/// One end of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NetAddr {
    /// `AF_INET`: the first four bytes; `AF_INET6`: all; network byte order.
    pub addr: [u8; 16],
    /// Port, host byte order.
    pub port: u32,
    /// `AF_INET`, `AF_INET6` or `AF_UNIX`; another family has no more than this number.
    pub family: u32,
}

/// Body of the `net_*` kinds.
///
/// Texts, in order: `local_path`, `remote_path` (`AF_UNIX`; a leading NUL is an abstract name).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Net {
    /// This end, [`crate::valid::LOCAL`].
    pub local: NetAddr,
    /// The other end, [`crate::valid::REMOTE`].
    pub remote: NetAddr,
    /// Inode number of the socket.
    pub ino: u64,
    /// Descriptor that the call was made on (`accept`: the listening one; the new one is the result).
    pub fd: i32,
    /// `SOCK_STREAM` …
    pub sock_type: u16,
    /// `IPPROTO_TCP` …
    pub protocol: u16,
    /// Socket's family (a v6 socket may carry v4 addresses).
    pub family: u16,
    /// `TCP_ESTABLISHED` … for TCP and `AF_UNIX`.
    pub state: u16,
    /// `listen`: backlog; `accept4`: flags; `send*` and `recvfrom`: bytes asked for; `socket`: type and flags as given.
    pub arg: u32,
    /// `AF_UNIX`: this end's name.
    pub local_path: Text,
    /// `AF_UNIX`: the other end's name.
    pub remote_path: Text,
}

/// Body of [`crate::Kind::FdDup`]: what the new descriptor is, a socket ([`crate::valid::SOCKET`]) or a file
/// ([`crate::valid::FILE`]).
///
/// Texts, in order: those of `socket`, `path`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FdDup {
    /// The socket; its `fd` is the new descriptor, or the one that was asked for, and set in any case.
    pub socket: Net,
    /// The file.
    pub file: FileId,
    /// The descriptor that was duplicated.
    pub old_fd: i32,
    /// `dup3`: flags; `fcntl`: the command.
    pub flags: u32,
    /// Path of the file.
    pub path: Text,
    /// Zero.
    pub reserved: u32,
}
