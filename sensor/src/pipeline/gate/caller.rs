//! Who asks: a thread that waits in the kernel, by what `/proc` says of it. Of `/proc` nobody is asked.

use std::{
    fs::{self, File},
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::{
            ffi::OsStringExt,
            fs::{FileExt, MetadataExt},
        },
    },
    thread,
    time::{Duration, Instant},
};

use sensor_common::{
    filter::facts::{READ, WRITE},
    syscalls::{self, FIRST_COMPAT, Machine},
};

use crate::probe::HERE;

/// How long a thread may take to lie down, of the time that its answer has: it asks a moment before it sleeps, and until then
/// nothing is known of the call that it is in.
const UNTIL_IT_WAITS: u32 = 4;
/// `creat`'s flags: `O_CREAT | O_WRONLY | O_TRUNC`.
const CREAT_FLAGS: u32 = 0o1101;
const O_ACCMODE: u32 = 3;
/// A call that no table has a name for, and none at all.
const NONE: u32 = u32::MAX;

/// A thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller(pub(super) u32);

/// The call in which a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// It is to be run.
    Exec,
    /// By its number in the table of `x86_64`, with flags as there and the mode for a new file.
    Open { number: u32, flags: u32, mode: u32 },
    /// Through `io_uring`, or on behalf of something else: nothing is known of how.
    Other,
}

impl Call {
    /// Whether what is opened can be read, and whether it can be written: every [`READ`] and [`WRITE`] that may be.
    pub(super) fn access(self) -> Vec<u32> {
        match self {
            Self::Open { flags, .. } => vec![match flags & O_ACCMODE {
                0 => READ,
                1 => WRITE,
                2 => READ | WRITE,
                _ => 0,
            }],
            Self::Exec | Self::Other => vec![0, READ, WRITE, READ | WRITE],
        }
    }
}

impl Caller {
    fn read(self, name: &str) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/{name}", self.0)).ok()
    }

    fn link(self, name: &str) -> Option<Vec<u8>> {
        link(&format!("/proc/{}/{name}", self.0))
    }

    /// A file's path as it sees it. `None` where that is below another root, or not there any more.
    pub(super) fn path(self, file: BorrowedFd<'_>) -> Option<Vec<u8>> {
        let path = link(&format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        if !path.starts_with(b"/") || path.ends_with(b" (deleted)") {
            return None;
        }
        let root = self.link("root")?;
        if root == b"/" {
            return Some(path);
        }
        path.strip_prefix(root.as_slice()).filter(|rest| rest.starts_with(b"/")).map(<[u8]>::to_vec)
    }

    /// The paths of its control groups.
    pub(super) fn groups(self) -> Option<Vec<String>> {
        let text = self.read("cgroup")?;
        let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2).map(str::to_owned));
        let mut paths: Vec<_> = paths.filter(|path| path != "/").collect();
        paths.sort_unstable();
        paths.dedup();
        Some(paths)
    }

    /// The number of its mount namespace.
    pub(super) fn mnt_ns(self) -> Option<u64> {
        fs::metadata(format!("/proc/{}/ns/mnt", self.0)).ok().map(|metadata| metadata.ino())
    }

    /// Its name.
    pub(super) fn comm(self) -> Option<Box<[u8]>> {
        let mut name = fs::read(format!("/proc/{}/comm", self.0)).ok()?;
        if name.last() == Some(&b'\n') {
            name.pop();
        }
        (!name.is_empty()).then(|| name.into())
    }

    /// Whether its effective user is root.
    pub(super) fn is_root(self) -> Option<bool> {
        let euid: u32 = self.status("Uid:")?.split_whitespace().nth(1)?.parse().ok()?;
        Some(euid == 0)
    }

    /// Its process.
    pub(super) fn tgid(self) -> Option<u32> {
        self.status("Tgid:")?.trim().parse().ok()
    }

    fn status(self, key: &str) -> Option<String> {
        let status = self.read("status")?;
        status.lines().find_map(|line| line.strip_prefix(key)).map(str::to_owned)
    }

    /// The call that it is in. `None` where that is not to be had in time: its answer may take as long as `within`.
    pub(super) fn call(self, within: Duration) -> Option<Call> {
        let end = Instant::now() + within / UNTIL_IT_WAITS;
        loop {
            let text = self.read("syscall")?;
            if text.trim_end() != "running" {
                return self.named(&text);
            }
            if Instant::now() >= end {
                return None;
            }
            thread::yield_now();
        }
    }

    fn named(self, text: &str) -> Option<Call> {
        let mut words = text.split_whitespace();
        let number = words.next()?.parse::<u32>().map_or(NONE, by_name);
        let args: Vec<u64> =
            words.map_while(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()).collect();
        let arg = |at: usize| args.get(at).copied().map(|arg| arg as u32);
        let (flags, mode) = match number {
            syscalls::EXECVE | syscalls::EXECVEAT => return Some(Call::Exec),
            syscalls::OPEN => (arg(1)?, arg(2)?),
            syscalls::OPENAT => (arg(2)?, arg(3)?),
            syscalls::CREAT => (CREAT_FLAGS, arg(1)?),
            syscalls::OPEN_BY_HANDLE_AT => (arg(2)?, 0),
            // `struct open_how`: flags and mode, of 64 bits each.
            syscalls::OPENAT2 => {
                let mut how = [0; 16];
                let memory = File::open(format!("/proc/{}/mem", self.0)).ok()?;
                memory.read_exact_at(&mut how, *args.get(2)?).ok()?;
                let [flags, mode] = [how.first_chunk::<8>(), how.last_chunk::<8>()];
                (u64::from_ne_bytes(*flags?) as u32, u64::from_ne_bytes(*mode?) as u32)
            }
            _ => return Some(Call::Other),
        };
        Some(Call::Open { number, flags: portable(HERE, flags), mode })
    }
}

fn link(path: &str) -> Option<Vec<u8>> {
    fs::read_link(path).ok().map(|path| path.into_os_string().into_vec())
}

/// The number that a call has in the table of `x86_64`, if it opens files: a number that does so in two tables means the same
/// in both.
fn by_name(raw: u32) -> u32 {
    if raw >= FIRST_COMPAT {
        return NONE;
    }
    let numbers = syscalls::numbers(HERE);
    let at = |slot: u32| numbers.get(slot as usize).map_or(NONE, |number| u32::from(*number));
    [at(raw), at(FIRST_COMPAT + raw)].into_iter().find(|number| opens(*number)).unwrap_or(NONE)
}

const fn opens(number: u32) -> bool {
    matches!(
        number,
        syscalls::EXECVE
            | syscalls::EXECVEAT
            | syscalls::OPEN
            | syscalls::OPENAT
            | syscalls::OPENAT2
            | syscalls::CREAT
            | syscalls::OPEN_BY_HANDLE_AT
    )
}

/// The flags with the bits of `x86_64`. `arm64` has what says what the name may lead to (`O_DIRECTORY`, `O_NOFOLLOW`) and how the
/// file is read (`O_DIRECT`, `O_LARGEFILE`) in each other's place.
const fn portable(machine: Machine, flags: u32) -> u32 {
    match machine {
        Machine::X86_64 => flags,
        Machine::Arm64 => (flags & !0o740_000) | (flags & 0o140_000) << 2 | (flags & 0o600_000) >> 2,
    }
}

#[cfg(test)]
mod tests;
