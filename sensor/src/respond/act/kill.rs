//! The end of a process, or of all that came of it: through a descriptor of the process, once it is sure that it is the one
//! that is meant. A number alone may belong to somebody else by now.

use std::{collections::BTreeMap, fs, io, os::fd::OwnedFd, time::Duration};

use procfs::process::{Process, StatFlags};
use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::timeout,
};

use super::Done;
use crate::{
    event::ProcessKey,
    respond::{
        outcome::{Mechanism, Reason, Result},
        protect::Protected,
    },
};

/// Nanoseconds of one unit in which `/proc` tells when a process was created.
const TICK: u64 = 10_000_000;
/// How long a death is waited for until it is called pending.
const DEATH: Duration = Duration::from_millis(250);
/// Rounds in which the members of a tree are collected: each finds the children of those that the one before has stopped.
const ROUNDS: usize = 64;
/// Processes of one tree; a group of processes that is larger is a container's affair.
const MOST: usize = 16_384;

/// A process that was found and is the one that is meant.
pub(super) struct Found {
    pidfd: OwnedFd,
}

/// Looks at whoever has the number now.
pub(super) fn find(
    key: ProcessKey,
    protected: &Protected,
    in_container: bool,
) -> std::result::Result<Found, Done> {
    let gone = || Done::refused(Reason::Gone);
    let failed = |error: io::Error| Done::failed(Mechanism::Pidfd, &error);
    let number = Pid::from_raw(key.pid.cast_signed()).filter(|pid| pid.as_raw_nonzero().get() > 1);
    let Some(number) = number.filter(|_| key.start > 0) else {
        return Err(Done::refused(Reason::NotPossible));
    };
    let pidfd = match pidfd_open(number, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(Errno::SRCH) => return Err(gone()),
        Err(error) => return Err(failed(error.into())),
    };
    // Last of all: whoever has the number now and was created back then had it all the time, so the descriptor is his.
    let process = Process::new(key.pid.cast_signed()).map_err(|_| gone())?;
    let stat = process.stat().map_err(|_| gone())?;
    let dead = matches!(stat.state, 'Z' | 'X') && stat.num_threads <= 1;
    if stat.starttime != key.start / TICK || dead {
        return Err(gone());
    }
    let of_kernel = StatFlags::from_bits_truncate(stat.flags).contains(StatFlags::PF_KTHREAD);
    let exe = process.exe().map(|exe| exe.to_string_lossy().into_owned()).unwrap_or_default();
    let vital = !in_container && (protected.is_installed_runtime(&exe) || protected.exe_path(&exe));
    if of_kernel || vital || key.pid == protected.own() {
        return Err(Done::refused(Reason::Protected));
    }
    Ok(Found { pidfd })
}

impl Found {
    fn signal(&self, signal: Signal) -> std::result::Result<(), Done> {
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) => Ok(()),
            Err(Errno::SRCH) => Err(Done::refused(Reason::Gone)),
            Err(error) => Err(Done::failed(Mechanism::Pidfd, &error.into())),
        }
    }

    /// Kills it; the death itself is waited for with [`died`].
    pub(super) fn kill(self) -> std::result::Result<OwnedFd, Done> {
        self.signal(Signal::KILL)?;
        Ok(self.pidfd)
    }

    /// Kills one of a tree, all of which are stopped. It may have ended since then: a parent's death can leave an orphaned
    /// process group, and what is stopped in one the kernel hangs up.
    fn end(self) -> Option<OwnedFd> {
        match self.signal(Signal::KILL) {
            Err(done) if done.refused != Some(Reason::Gone) => None,
            Ok(()) | Err(_) => Some(self.pidfd),
        }
    }
}

/// Waits for a death, for a while.
pub(super) async fn died(pidfd: OwnedFd) -> Result {
    let Ok(pidfd) = watch(pidfd) else { return Result::Pending };
    match timeout(DEATH, pidfd.readable()).await {
        Ok(Ok(_)) => Result::Done,
        Ok(Err(_)) | Err(_) => Result::Pending,
    }
}

/// A descriptor that becomes readable with the death of its process.
#[allow(unsafe_code, reason = "the runtime cannot see by a type's name that its descriptor stays the same")]
fn watch(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open for as long as it lives, and always is the same descriptor.
    unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }.map_err(Into::into)
}

/// Kills a process and its descendants that are in the same control group or below it. Each is stopped first: nobody can have
/// children while the others are looked for. Descendants whose parent had ended before are not found, and belong to nobody.
pub(super) fn tree(
    key: ProcessKey,
    protected: &Protected,
    group: Option<&str>,
) -> std::result::Result<Vec<OwnedFd>, Done> {
    let root = find(key, protected, group.is_some())?;
    let place = place(key.pid).ok_or_else(|| Done::refused(Reason::Gone))?;
    root.signal(Signal::STOP)?;
    let mut members = BTreeMap::from([(key.pid, root)]);
    let mut latest = vec![key.pid];
    for _ in 0..ROUNDS {
        let mut new = Vec::new();
        // A child of somebody from an earlier round may be new, too: a stop takes a moment.
        let everybody: Vec<u32> = members.keys().copied().collect();
        for child in everybody.into_iter().flat_map(children) {
            if members.contains_key(&child) || members.len() >= MOST || !belongs(child, &place) {
                continue;
            }
            let Some(start) = start(child) else { continue };
            if let Ok(found) = find(ProcessKey { pid: child, start }, protected, group.is_some())
                && found.signal(Signal::STOP).is_ok()
            {
                members.insert(child, found);
                new.push(child);
            }
        }
        if new.is_empty() && latest.is_empty() {
            break;
        }
        latest = new;
    }
    Ok(members.into_values().filter_map(Found::end).collect())
}

/// The lines of a process's control groups.
fn place(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    Some(text.lines().map(str::to_owned).collect())
}

/// Whether each of its groups is the one given, or below it.
fn belongs(pid: u32, top: &[String]) -> bool {
    let Some(own) = place(pid) else { return false };
    let below = |own: &String, top: &String| {
        own.strip_prefix(top.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || top.ends_with('/'))
    };
    own.len() == top.len() && own.iter().zip(top).all(|(own, top)| below(own, top))
}

fn start(pid: u32) -> Option<u64> {
    Some(Process::new(pid.cast_signed()).ok()?.stat().ok()?.starttime * TICK)
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;
    use crate::config::ProtectConfig;

    fn sleeper() -> (Child, ProcessKey) {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let key = ProcessKey { pid: child.id(), start: start(child.id()).unwrap() };
        (child, key)
    }

    fn refusal(key: ProcessKey, protect: ProtectConfig, own: u32) -> Option<Reason> {
        find(key, &Protected::new(&protect, own), false).err().and_then(|done| done.refused)
    }

    #[test]
    fn whoever_has_the_number_now_must_have_had_it_then() {
        let (mut child, key) = sleeper();
        let found = |key| refusal(key, ProtectConfig::default(), 1);
        assert_eq!(found(key), None);
        // A number that was used again: another process has it, which began at another time.
        for start in [key.start - TICK, key.start + TICK, 5] {
            assert_eq!(found(ProcessKey { start, ..key }), Some(Reason::Gone), "{start}");
        }
        assert_eq!(
            found(ProcessKey { start: 0, ..key }),
            Some(Reason::NotPossible),
            "nothing to compare with"
        );
        child.kill().unwrap();
        // Dead, and not waited for yet.
        while !fs::read_to_string(format!("/proc/{}/stat", key.pid)).unwrap().contains(") Z") {
            std::thread::yield_now();
        }
        assert_eq!(found(key), Some(Reason::Gone));
        child.wait().unwrap();
        assert_eq!(found(key), Some(Reason::Gone));
    }

    #[test]
    fn what_is_protected_is_seen_at_the_moment_of_action_too() {
        let (mut child, key) = sleeper();
        let exes = vec![fs::read_link(format!("/proc/{}/exe", key.pid)).unwrap().display().to_string()];
        assert_eq!(
            refusal(key, ProtectConfig { exes, ..ProtectConfig::default() }, 1),
            Some(Reason::Protected)
        );
        assert_eq!(
            refusal(key, ProtectConfig::default(), key.pid),
            Some(Reason::Protected),
            "the sensor itself"
        );
        child.kill().unwrap();
        child.wait().unwrap();
        let first = ProcessKey { pid: 1, start: 5 };
        assert_eq!(refusal(first, ProtectConfig::default(), 9), Some(Reason::NotPossible));
        // The parent of the kernel's threads, where it can be seen.
        if let Some(start) = start(2).filter(|_| fs::read_link("/proc/2/exe").is_err()) {
            let threads = ProcessKey { pid: 2, start: start.max(1) };
            let refused = refusal(threads, ProtectConfig::default(), 9);
            assert!(matches!(refused, Some(Reason::Protected | Reason::Gone)), "{refused:?}");
        }
    }
}
