//! What every record starts with, and how text follows it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The start of every record: which task did it, when, with which credentials, and how it ended.
///
/// All values are read from the current task at the moment of the event. Host byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// [`crate::Kind`] as a number.
    pub kind: u16,
    /// Bits of [`flags`].
    pub flags: u16,
    /// Bytes of the whole record, header included.
    pub len: u32,
    /// Nanoseconds of `CLOCK_BOOTTIME`.
    pub ts: u64,
    /// Control group key: the cgroup v2 id, or a v1 id with [`Header::CGROUP_V1`] set where the task sits in the v2 root.
    pub cgroup: u64,
    /// Nanoseconds of `CLOCK_BOOTTIME` at which the process started; with `tgid` the key of a process.
    pub start: u64,
    /// Effective capabilities, bit n = capability n.
    pub cap_effective: u64,
    /// The system call's result (a negative errno on failure), 0 for records that do not come from one.
    pub result: i64,
    /// Counts the records offered on this CPU, lost ones included: a jump is a gap.
    pub seq: u32,
    /// CPU on which the record was written.
    pub cpu: u16,
    /// Number of the system call in the table of `x86_64` (also for 32-bit callers), [`Header::NO_SYSCALL`] if there is none.
    pub syscall: u16,
    /// Process id (thread group) in the initial pid namespace.
    pub tgid: u32,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// Process id of the parent at the moment of the event.
    pub ppid: u32,
    /// Which optional fields hold a value: bits of [`valid`].
    pub valid: u32,
    /// Real user id.
    pub uid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Real group id.
    pub gid: u32,
    /// Effective group id.
    pub egid: u32,
    /// Login user id (`u32::MAX`: never set).
    pub loginuid: u32,
    /// Inode number of the mount namespace.
    pub mnt_ns: u32,
    /// Thread id in the thread's own pid namespace.
    pub vtid: u32,
    /// Threads of the process.
    pub threads: u32,
    /// Thread name, NUL-padded.
    pub comm: [u8; 16],
}

impl Header {
    /// Set in [`Header::cgroup`] when the id is one of a v1 hierarchy.
    pub const CGROUP_V1: u64 = 1 << 63;
    /// [`Header::syscall`] of a record that no system call wrote.
    pub const NO_SYSCALL: u16 = u16::MAX;
}

/// Bits of [`Header::flags`].
pub mod flags {
    /// The caller is a 32-bit one.
    pub const COMPAT: u16 = 1;
    /// A socket address was copied from user memory after the call: another thread may have changed it meanwhile.
    pub const UNTRUSTED_ADDR: u16 = 1 << 1;
    /// Not seen happening: read from `/proc` when the sensor started or healed a gap.
    pub const SNAPSHOT: u16 = 1 << 2;
    /// Done through `io_uring`: [`super::Header::syscall`] is the call that means the same.
    pub const IO_URING: u16 = 1 << 3;
    /// The kernel half refused it: the caller got `EPERM`, and what the body tells of did not happen.
    pub const REFUSED: u16 = 1 << 4;
    /// The kernel half killed the process before it ran another instruction.
    pub const KILLED: u16 = 1 << 5;
    /// With [`REFUSED`]: not the kernel half, but the daemon when the kernel asked it. Such a record the daemon writes itself.
    pub const BY_FANOTIFY: u16 = 1 << 6;
}

/// Bits of [`Header::valid`]. A cleared bit means that this kernel (or this call) does not have the value.
pub mod valid {
    /// [`super::Header::loginuid`].
    pub const LOGINUID: u32 = 1;
    /// [`super::Header::mnt_ns`].
    pub const MNT_NS: u32 = 1 << 1;
    /// [`super::Header::cgroup`].
    pub const CGROUP: u32 = 1 << 2;
    /// A [`crate::FileId`] in the body.
    pub const FILE: u32 = 1 << 3;
    /// [`crate::FileId::layer`].
    pub const LAYER: u32 = 1 << 4;
    /// The controlling terminal in the body.
    pub const TTY: u32 = 1 << 5;
    /// Namespace numbers in the body.
    pub const NAMESPACES: u32 = 1 << 6;
    /// The local socket address in the body.
    pub const LOCAL: u32 = 1 << 7;
    /// The remote socket address in the body.
    pub const REMOTE: u32 = 1 << 8;
    /// The file's change and modification times in the body.
    pub const TIMES: u32 = 1 << 9;
    /// Ids in the task's own pid namespace.
    pub const VPID: u32 = 1 << 10;
    /// Socket family, type and protocol in the body.
    pub const SOCKET: u32 = 1 << 11;
    /// [`super::Header::cap_effective`] and the capabilities in the body.
    pub const CAPS: u32 = 1 << 12;
    /// `net_dns`: the header tells of the task that asked. Without it only kind, length, time, CPU and perhaps the
    /// control group hold a value. Other kinds always tell, and never set it.
    pub const TASK: u32 = 1 << 13;
    /// [`super::Header::vtid`].
    pub const VTID: u32 = 1 << 14;
    /// [`super::Header::threads`].
    pub const THREADS: u32 = 1 << 15;
}

/// A piece of text in a body: its bytes follow the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Text {
    /// Bytes that follow, without padding.
    pub len: u16,
    /// Bits of [`text`].
    pub flags: u16,
}

/// Each text's bytes are padded with anything to a multiple of this.
pub const TEXT_ALIGN: usize = 8;

/// Bits of [`Text::flags`].
pub mod text {
    /// The text was longer: this is its beginning (for a path: its end).
    pub const TRUNCATED: u16 = 1;
    /// Copied from user memory after the call: another thread may have changed it meanwhile.
    pub const UNTRUSTED: u16 = 1 << 1;
    /// A path that does not lead to the task's root: outside a chroot, of another mount namespace, or of no mount at all.
    pub const DETACHED: u16 = 1 << 2;
    /// The text could not be read.
    pub const FAULT: u16 = 1 << 3;
}
