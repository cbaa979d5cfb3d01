//! A process, as it was at one moment: an image that never changes. An exec makes a new one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde::{Serialize, Serializer, ser::SerializeSeq};

use super::{Comm, File, Text, text::printable};

/// What tells a process from every other since boot: pids are reused, a pid and its start time are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ProcessKey {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Nanoseconds since boot at which the process was created.
    pub start: u64,
}

/// A process's image between two execs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Process {
    /// Which process.
    #[serde(flatten)]
    pub key: ProcessKey,
    /// Who created it, as the creator was then; `None` for the first process of a pid tree, and where the chain was cut.
    #[serde(skip)]
    pub parent: Option<Arc<Process>>,
    /// Process id of the creator.
    pub ppid: u32,
    /// Length of the chain of [`Process::parent`]s.
    #[serde(skip)]
    pub depth: u16,
    /// Name of the main thread when the image started.
    pub comm: Comm,
    /// Where the executable lies, as the kernel resolved it; empty for kernel threads.
    pub exe: Text,
    /// The executable as a file; `None` where it is unknown or there is none.
    pub exe_file: Option<ExeFile>,
    /// The arguments, the first being the program's own name.
    pub args: Args,
    /// The environment, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Args>,
    /// Working directory when the image started.
    pub cwd: Text,
    /// Nanoseconds since boot at which the image started.
    pub exec_time: u64,
    /// Process group.
    pub pgid: u32,
    /// Session.
    pub sid: u32,
    /// Process id in its own pid namespace.
    pub vpid: Option<u32>,
    /// Creator's process id there; 0 where the creator is outside.
    pub vppid: Option<u32>,
    /// Process group there.
    pub vpgid: Option<u32>,
    /// Session there.
    pub vsid: Option<u32>,
    /// Controlling terminal in the encoding of `/proc/PID/stat`; 0: none; `None`: unknown.
    pub tty: Option<u32>,
    /// User who started the image.
    pub uid: u32,
    /// Login user.
    pub loginuid: Option<u32>,
    /// Inheritable capabilities.
    pub cap_inheritable: Option<u64>,
    /// Permitted capabilities.
    pub cap_permitted: Option<u64>,
    /// Namespaces.
    pub namespaces: Option<Namespaces>,
    /// Whether it was seen only in part: after a loss, or because it vanished before it could be read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Whether it is a container runtime's own first step inside a container, which re-executes itself there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub runtime_init: bool,
    /// Counts the image's bytes for as long as anything holds it.
    #[serde(skip)]
    pub account: Account,
}

impl Process {
    /// The creator, its creator and so on, nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(self.parent.as_deref(), |process| process.parent.as_deref())
    }

    /// Bytes that the image holds on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let args = |args: &Args| args.as_bytes().len();
        size_of::<Self>()
            + self.exe.as_bytes().len()
            + self.cwd.as_bytes().len()
            + args(&self.args)
            + self.env.as_ref().map_or(0, args)
    }
}

/// A share of a sum of bytes, given back when it is dropped. Clones of a share add to the same sum.
#[derive(Debug, Default)]
pub struct Account {
    sum: Arc<AtomicUsize>,
    share: usize,
}

impl Account {
    /// A share of `bytes` in the same sum.
    #[must_use]
    pub fn open(&self, bytes: usize) -> Self {
        self.sum.fetch_add(bytes, Ordering::Relaxed);
        Self { sum: Arc::clone(&self.sum), share: bytes }
    }

    /// The sum of all shares.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.sum.load(Ordering::Relaxed)
    }
}

impl Clone for Account {
    fn clone(&self) -> Self {
        self.open(self.share)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.sum.fetch_sub(self.share, Ordering::Relaxed);
    }
}

/// An executable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExeFile {
    /// The file.
    #[serde(flatten)]
    pub file: File,
    /// Change time, nanoseconds since 1970; 0: unknown.
    pub ctime: u64,
    /// Modification time, nanoseconds since 1970; 0: unknown.
    pub mtime: u64,
    /// Whether it lives in memory only (`memfd_create`).
    pub memfd: bool,
}

/// Inode numbers of a process's namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Namespaces {
    /// Process ids.
    pub pid: u32,
    /// Network.
    pub net: u32,
    /// Users.
    pub user: u32,
}

/// An argument list (or an environment): a list, not a string, so `"a b"` stays one argument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    bytes: Box<[u8]>,
    full_len: u32,
}

impl Args {
    /// From the process's own form: each argument ends with a NUL. `full_len` is the length of the whole list in bytes;
    /// where `bytes` is shorter, something was cut.
    #[must_use]
    pub fn from_raw(bytes: impl Into<Box<[u8]>>, full_len: u32) -> Self {
        Self { bytes: bytes.into(), full_len }
    }

    /// From single arguments.
    pub fn from_list<A: AsRef<[u8]>>(args: impl IntoIterator<Item = A>) -> Self {
        let mut bytes = Vec::new();
        for arg in args {
            bytes.extend_from_slice(arg.as_ref());
            bytes.push(0);
        }
        let full_len = bytes.len() as u32;
        Self { bytes: bytes.into(), full_len }
    }

    /// The same list with other texts; what was cut stays missing.
    #[must_use]
    pub fn replaced(&self, args: impl IntoIterator<Item = String>) -> Self {
        let missing = self.full_len.saturating_sub(self.bytes.len() as u32);
        let Self { bytes, full_len } = Self::from_list(args);
        Self { bytes, full_len: full_len + missing }
    }

    /// The arguments in the process's own form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of the whole list, also of what was cut.
    #[must_use]
    pub const fn full_len(&self) -> u32 {
        self.full_len
    }

    /// Whether something is missing at the end.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        (self.bytes.len() as u64) < u64::from(self.full_len)
    }

    /// Whether there is not even a first argument.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let list = self.bytes.strip_suffix(b"\0").unwrap_or(&self.bytes);
        list.split(|byte| *byte == 0).filter(move |_| !self.bytes.is_empty())
    }
}

impl Serialize for Args {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for arg in self.iter() {
            list.serialize_element(&printable(arg))?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_stay_apart_and_empty_ones_stay() {
        let list = |args: &Args| args.iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(
            list(&Args::from_list(["sh", "-c", "echo a b", ""])),
            [&b"sh"[..], b"-c", b"echo a b", b""]
        );
        assert_eq!(list(&Args::default()).len(), 0);
        let cut = Args::from_raw(*b"tail\0-n", 9);
        assert_eq!(list(&cut), [&b"tail"[..], b"-n"]);
        assert!(cut.is_truncated());
    }

    #[test]
    fn ancestors_come_nearest_first() {
        let mut process = Arc::new(Process::default());
        for pid in 1..=3 {
            process = Arc::new(Process {
                key: ProcessKey { pid, start: 0 },
                parent: Some(process),
                ..Process::default()
            });
        }
        assert_eq!(process.ancestors().map(|p| p.key.pid).collect::<Vec<_>>(), [2, 1, 0]);
    }
}
