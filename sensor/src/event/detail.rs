//! What an event did, by family.

use std::{net::IpAddr, sync::Arc};

use sensor_common::Kind;
use serde::Serialize;

use super::{Args, Dns, HostNames, ProcessKey, Text};

/// What only this family of events has.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "family", rename_all = "lowercase")]
pub enum Detail {
    /// `execve`, `execveat`.
    Exec(Exec),
    /// `fork`, `vfork`, `clone`, `clone3`.
    Fork(Fork),
    /// `procexit`.
    Exit(Exit),
    /// `open`, `openat`, `openat2`, `creat`, `open_by_handle_at`.
    Open(Open),
    /// `unlink`, `rename`, `link`, `symlink`, `mkdir`, `mknod`, `chmod`, `chown`, `mount`, `chroot` and their kin.
    Change(Change),
    /// `socket`, `connect`, `accept`, `accept4`, `bind`, `listen`, `sendto`, `recvfrom` and their kin.
    Socket(Socket),
    /// `dns`.
    Dns(Box<Dns>),
    /// `dup`, `dup2`, `dup3`, `fcntl`.
    Dup(Dup),
    /// Calls whose arguments are numbers.
    Call(Call),
    /// A gap.
    Loss(Loss),
}

/// A new image: what it is stands in the event's process. Where the call failed, the process is the caller's.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Exec {
    /// What was asked for.
    pub filename: Text,
    /// The interpreter that the kernel loaded in place of a script.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub interpreter: Text,
    /// The arguments of a call that failed; those of one that did not are the process's.
    #[serde(skip_serializing_if = "Args::is_empty")]
    pub attempted_args: Args,
}

/// A new process; the event's process is its creator.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Fork {
    /// The new process.
    pub child: ProcessKey,
    /// Its id in its own pid namespace.
    pub child_vpid: Option<u32>,
    /// `CLONE_VM`, `CLONE_FS`, `CLONE_FILES` and `CLONE_NEW*`, as far as they show in the new task.
    pub flags: u64,
}

/// The end of a process.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Exit {
    /// As `wait` reports it.
    pub status: u32,
    /// Nanoseconds from start to end.
    pub lifetime: u64,
}

impl Exit {
    /// What the process passed to `exit`; `None` where a signal ended it.
    #[must_use]
    pub const fn code(&self) -> Option<u8> {
        if self.status & 0x7f == 0 { Some((self.status >> 8) as u8) } else { None }
    }

    /// The signal that ended it.
    #[must_use]
    pub const fn signal(&self) -> Option<u8> {
        match self.status & 0x7f {
            0 => None,
            signal => Some(signal as u8),
        }
    }
}

/// A file that was opened, or could not be.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Open {
    /// The file's path as the kernel resolved it; where the call failed, the asked-for name made absolute, unresolved.
    pub path: Text,
    /// Whether the path leads outside the task's root or its mount namespace.
    pub detached: bool,
    /// What was asked for; `None` where nobody wanted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// The file; `None` where the call failed.
    pub file: Option<File>,
    /// `O_*` as asked for.
    pub flags: u32,
    /// Whether the call made the file.
    pub created: bool,
    /// Mode argument.
    pub mode: u32,
    /// Directory argument, -100 for the working directory.
    pub dirfd: i32,
    /// `openat2`'s resolve flags.
    pub resolve: u64,
}

/// Names that were removed, moved or made, or a file whose mode or owner was changed; or an attempt at it. What the call has
/// no argument for is `None`.
///
/// Paths are the caller's words made absolute: `.` and `..` are resolved by their letters and symlinks not at all, except in
/// the directory at which a relative name starts. Only the path of a call on a descriptor is the kernel's.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Change {
    /// What was removed, moved, linked to, made or changed. `symlink`: what the link holds, as given. Empty where it could
    /// not be read.
    pub path: Text,
    /// The name that `rename`, `link` and `symlink` make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_path: Option<Text>,
    /// The caller's words for `path`; empty for a call on a descriptor.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub name: Text,
    /// The caller's words for `new_path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_name: Option<Text>,
    /// Whether a path leads outside the task's root or its mount namespace.
    pub detached: bool,
    /// The file of a call on a descriptor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<File>,
    /// Directory argument of `path`, -100 for the working directory; `fchmod`, `fchown`: the descriptor.
    pub dirfd: i32,
    /// Directory argument of `new_path`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_dirfd: Option<i32>,
    /// `AT_*`; for `renameat2` `RENAME_*`.
    pub flags: u32,
    /// Mode argument, of `mknod` with the type of file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// New owner, `u32::MAX` to leave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// New group, `u32::MAX` to leave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// `mknod`: device number as `makedev` writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dev: Option<u32>,
    /// `mount`: type of the filesystem; `path` is the source then, which need not be a path, and `new_path` the place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs_type: Option<Text>,
}

/// A file as the kernel identifies it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct File {
    /// Inode number.
    pub ino: u64,
    /// Device number, major << 20 | minor.
    pub dev: u32,
    /// Type and permission bits.
    pub mode: u32,
    /// Links; 0: it has no name any more.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// Where on an overlay it lies.
    pub layer: Layer,
}

/// Place of a file on an overlay filesystem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Not on one, or unknown.
    #[default]
    Other,
    /// As the image brought it.
    Lower,
    /// Written or changed since the container was made.
    Upper,
}

/// A socket and what was done with it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Socket {
    /// Descriptor of the call; for `accept` the new one.
    pub fd: i32,
    /// `AF_INET` …; called `domain` in JSON, where `family` is the detail's own tag.
    #[serde(rename = "domain")]
    pub family: u16,
    /// `SOCK_STREAM` …
    #[serde(rename = "type")]
    pub socket_type: u16,
    /// `IPPROTO_TCP` …
    pub protocol: u16,
    /// Inode number.
    pub ino: u64,
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// Names of this end's address.
    #[serde(skip_serializing_if = "HostNames::is_empty")]
    pub local_names: HostNames,
    /// Names of the other end's address.
    #[serde(skip_serializing_if = "HostNames::is_empty")]
    pub remote_names: HostNames,
    /// Whether [`Socket::remote`] (for `bind`: [`Socket::local`]) was copied from memory that its owner may have
    /// changed meanwhile.
    pub untrusted: bool,
    /// Whether this end accepted the connection or waits for some.
    pub server: bool,
    /// Backlog, accept flags, bytes asked to send or to receive, or `socket`'s type with its flags, by type of event.
    pub arg: u32,
}

/// A descriptor that was made the same as another. Only standard input, output and error are looked at.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Dup {
    /// The new descriptor; where the call failed, the one that was asked for.
    pub fd: i32,
    /// The other one.
    pub old_fd: i32,
    /// `dup3`: flags; `fcntl`: the command.
    pub flags: u32,
    /// The socket that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<Socket>,
    /// The file that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<File>,
    /// Path of the file.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub path: Text,
}

/// A call whose arguments are numbers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Call {
    /// The arguments in the order of the call; see `SysCall` of the wire for those that stand for something else.
    pub args: [i64; 6],
    /// The string that it was given.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub text: Text,
    /// The file behind the descriptor that it was given; its inode number is the namespace's for `setns`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<File>,
    /// Path of that file.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub path: Text,
}

/// One end of a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SocketAddr {
    /// Not known, not set, or of a family without addresses.
    #[default]
    None,
    /// IPv4 or IPv6; a v4-mapped v6 address is given as v4.
    Ip(Peer),
    /// `AF_UNIX`: a path, or an abstract name that starts with `@`.
    Unix(Text),
}

/// Address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// Address.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
}

/// What was lost since the last gap, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// By kind and cause.
    pub lost: Vec<Lost>,
    /// What was held back, by kind and whose it was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limited: Vec<Limited>,
}

/// Records of one kind that were held back, because a control group sent more than it may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limited {
    /// Stem of the kind.
    #[serde(serialize_with = "kind_stem")]
    pub kind: Kind,
    /// The group's key; 0 where more groups were held back than can be counted one by one.
    pub cgroup: u64,
    /// Its container's id, or its systemd unit.
    pub of: Option<Arc<str>>,
    /// How many.
    pub count: u64,
}

impl Loss {
    /// The kinds of which something is missing.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.lost.iter().map(|lost| lost.kind).chain(self.limited.iter().map(|limited| limited.kind))
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.limited.is_empty()
    }
}

/// Records of one kind that were lost for one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Stem of the kind.
    #[serde(serialize_with = "kind_stem")]
    pub kind: Kind,
    /// Refused by a full ring.
    pub ring_full: u64,
    /// Could not be put together.
    pub failed: u64,
}

fn kind_stem<S: serde::Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.stem())
}
