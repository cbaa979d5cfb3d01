//! Bodies of the lifecycle records.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{FileId, Text};

/// Argument bytes that travel inside a [`ProcExec`] record; more are sent ahead of it as [`ProcArgs`].
pub const ARGS_INLINE: usize = 2048;
/// Bytes of one [`ProcArgs`] piece.
pub const ARGS_CHUNK: usize = 8192;
/// Argument (or environment) bytes kept in all; longer lists are cut here and say so.
pub const ARGS_MAX: usize = 32 * 1024;

/// Body of [`crate::Kind::ProcExec`]: the process as its new image finds it, or, with `result < 0`, as it stays.
///
/// Texts, in order: `exe`, `filename`, `interpreter`, `cwd`, `args`, `env`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ProcExec {
    /// `start` of the parent process.
    pub parent_start: u64,
    /// The executable.
    pub file: FileId,
    /// Its change time, nanoseconds since 1970.
    pub ctime: u64,
    /// Its modification time, nanoseconds since 1970.
    pub mtime: u64,
    /// Inheritable capabilities.
    pub cap_inheritable: u64,
    /// Permitted capabilities.
    pub cap_permitted: u64,
    /// Bytes of the whole argument list in the process.
    pub args_len: u32,
    /// Bytes of the whole environment in the process.
    pub env_len: u32,
    /// Process id in the process's own pid namespace.
    pub vpid: u32,
    /// Process group id in the initial pid namespace.
    pub pgid: u32,
    /// Session id in the initial pid namespace.
    pub sid: u32,
    /// Process group id in the process's own pid namespace.
    pub vpgid: u32,
    /// Session id in the process's own pid namespace.
    pub vsid: u32,
    /// Parent's process id in the process's own pid namespace (0: outside it).
    pub vppid: u32,
    /// Controlling terminal as `/proc/PID/stat` encodes it, 0 for none.
    pub tty: u32,
    /// Inode number of the pid namespace.
    pub pid_ns: u32,
    /// Inode number of the network namespace.
    pub net_ns: u32,
    /// Inode number of the user namespace.
    pub user_ns: u32,
    /// Where the executable really lies, as the kernel's dentries say.
    pub exe: Text,
    /// What the caller asked to execute.
    pub filename: Text,
    /// What the kernel loaded for it: for a script, its interpreter.
    pub interpreter: Text,
    /// Working directory.
    pub cwd: Text,
    /// Argument list, NUL between the arguments; the part that no [`ProcArgs`] carried.
    pub args: Text,
    /// Environment, NUL between the variables; only where it was asked for.
    pub env: Text,
}

/// [`ProcArgs::stream`] of the argument list.
pub const STREAM_ARGS: u32 = 0;
/// [`ProcArgs::stream`] of the environment.
pub const STREAM_ENV: u32 = 1;

/// Body of [`crate::Kind::ProcArgs`]. Pieces precede their [`ProcExec`] record, in order, from the same task.
///
/// Texts: `bytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ProcArgs {
    /// [`STREAM_ARGS`] or [`STREAM_ENV`].
    pub stream: u32,
    /// Where in the stream this piece starts.
    pub offset: u32,
    /// The piece.
    pub bytes: Text,
    /// Zero.
    pub reserved: u32,
}

/// Body of [`crate::Kind::ProcFork`]; the header is that of the task that called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ProcFork {
    /// `start` of the new process.
    pub child_start: u64,
    /// `start` of the new process's parent (not the caller with `CLONE_PARENT`).
    pub parent_start: u64,
    /// The part of the clone flags that shows in the new task: `CLONE_VM`, `CLONE_FS`, `CLONE_FILES`, `CLONE_NEW*`.
    pub clone_flags: u64,
    /// Control group key of the new process (`CLONE_INTO_CGROUP` makes it another one).
    pub child_cgroup: u64,
    /// Process id of the new process.
    pub child_tgid: u32,
    /// Process id of its parent.
    pub parent_tgid: u32,
    /// Process id in the new process's own pid namespace.
    pub child_vpid: u32,
    /// Inode number of its pid namespace.
    pub child_pid_ns: u32,
}

/// Body of [`crate::Kind::ProcExit`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ProcExit {
    /// Nanoseconds between the process's start and its end.
    pub lifetime: u64,
    /// Status as `wait` reports it: exit code << 8, or the signal's number, | 0x80 with a core dump.
    pub status: u32,
    /// Zero.
    pub reserved: u32,
}

/// Body of [`crate::Kind::CgroupMkdir`] and [`crate::Kind::CgroupRmdir`].
///
/// Texts: `path`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CgroupDir {
    /// Key of the group, in the form of [`crate::Header::cgroup`].
    pub id: u64,
    /// Path from the root of its hierarchy.
    pub path: Text,
    /// Zero.
    pub reserved: u32,
}
