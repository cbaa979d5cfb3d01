//! An event as everything downstream of the decoder speaks of it: owned, typed, complete. It knows neither wire nor
//! kernel, nor rules.

mod call;
mod container;
mod detail;
mod dns;
mod errno;
mod facts;
pub mod flags;
mod pod;
mod process;
mod text;

use std::sync::Arc;

use serde::Serialize;

pub use self::{
    call::{Category, EventType},
    container::{Container, Runtime, place},
    detail::{
        Call, Change, Detail, Dup, Exec, Exit, File, Fork, Layer, Limited, Loss, Lost, Open, Peer, Socket,
        SocketAddr,
    },
    dns::{Dns, HostNames},
    errno::errno_name,
    facts::{Facts, Image, Labels, Lack, Mount, Names, Source, User},
    pod::{Owner, Pod},
    process::{Account, Args, ExeFile, Namespaces, Process, ProcessKey},
    text::{Comm, Text, printable},
};

/// Something that a task did or tried to do, or a gap in what the sensor saw.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// What happened, as rules name it.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// Counts the events of this run from 1.
    pub number: u64,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Nanoseconds since boot, suspended time included.
    pub boot_time: u64,
    /// CPU on which it happened.
    pub cpu: u16,
    /// The system call's result, a negative errno where it failed; 0 where there was no call.
    pub result: i64,
    /// Whether the caller is a 32-bit program.
    pub compat: bool,
    /// Whether it was asked for through `io_uring`; the type is that of the system call that means the same. Only said where
    /// it is so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub io_uring: bool,
    /// What the kernel half did about it at once, where it did anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforced: Option<Enforced>,
    /// Who did it.
    pub task: Task,
    /// The process, as it was after the event (an exec's new image) and before an exit.
    pub process: Arc<Process>,
    /// The container it belongs to; `None` on the host. Its pod stands beside it, as `kubernetes`.
    #[serde(flatten, serialize_with = "place")]
    pub container: Option<Arc<Container>>,
    /// What it did.
    pub detail: Detail,
}

impl Event {
    /// Whether the call was refused or could not be done.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.result < 0
    }
}

/// What the kernel half did about an event before any user code ran on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Enforced {
    /// It refused the action: the caller got `EPERM`.
    Refused,
    /// The daemon did, when the kernel asked it (fanotify).
    #[serde(rename = "refused-by-fanotify")]
    RefusedByFanotify,
    /// It killed the process.
    Killed,
}

/// The calling thread and its credentials, read at the event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Task {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// Parent's process id at the moment of the event.
    pub ppid: u32,
    /// Thread id in the thread's own pid namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vtid: Option<u32>,
    /// Threads of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// Thread's name.
    pub comm: Comm,
    /// Real user id.
    pub uid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Real group id.
    pub gid: u32,
    /// Effective group id.
    pub egid: u32,
    /// User who logged in, kept through `su` and `sudo`; `None` where nobody did or the kernel does not keep it.
    pub loginuid: Option<u32>,
    /// Effective capabilities, bit n = capability n.
    pub cap_effective: Option<u64>,
    /// Inode number of the mount namespace.
    pub mnt_ns: Option<u32>,
    /// Control group key.
    pub cgroup: u64,
    /// The systemd unit that it belongs to, on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Arc<str>>,
    /// The effective user, in a container as its own files have it.
    #[serde(serialize_with = "facts::name")]
    pub user: Option<Arc<User>>,
    /// Name of the effective group.
    pub group: Option<Arc<str>>,
    /// The login user.
    #[serde(serialize_with = "facts::name")]
    pub login_user: Option<Arc<User>>,
}
