//! When to look at the files again: at once where somebody asks, a moment after the last change, and now and then without
//! any reason.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
};

use super::watch::Watch;

/// Silence after which a change is taken for complete: editors and `cp -r` need a few milliseconds between steps.
const QUIET: Duration = Duration::from_millis(200);
/// Longest wait for that silence: in a directory that never stands still the rules are still looked at.
const MOST: Duration = Duration::from_secs(2);
/// How often the files are read without any report: network filesystems report nothing, and inotify can be used up.
const POLL: Duration = Duration::from_secs(30);

/// Asks the rules thread to look at the files now. Any thread may; it never blocks.
#[derive(Clone, Debug)]
pub struct Waker {
    asked: Arc<AtomicBool>,
    event: Arc<OwnedFd>,
}

impl Waker {
    /// Nobody waits yet.
    ///
    /// # Errors
    /// Where the system gives no descriptor.
    pub fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { asked: Arc::default(), event: Arc::new(event) })
    }

    /// Asks.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Release);
        // It only fails where so many have asked already that the counter is full.
        let _ = rustix::io::write(&*self.event, &1_u64.to_ne_bytes());
    }

    /// Whether somebody asked since the last call.
    fn take(&self) -> bool {
        let _ = rustix::io::read(&*self.event, &mut [0_u8; 8]);
        self.asked.swap(false, Ordering::Acquire)
    }
}

/// Why a wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody asked.
    Asked,
    /// Files changed, or may have.
    Changed,
}

/// Waits for a reason to look. `watching`: also without being asked; `watch`: what reports changes, if anything does.
pub(super) fn wait(waker: &Waker, watching: bool, watch: Option<&Watch>) -> Why {
    let mut debounce = Debounce::new(watching.then(|| Instant::now() + POLL));
    loop {
        let left = debounce.left(Instant::now());
        if left == Some(Duration::ZERO) {
            return Why::Changed;
        }
        let mut fds = vec![PollFd::new(&*waker.event, PollFlags::IN)];
        fds.extend(watch.map(|watch| PollFd::from_borrowed_fd(watch.as_fd(), PollFlags::IN)));
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        if let Err(error) = poll(&mut fds, timeout.as_ref())
            && error != Errno::INTR
        {
            // It does not happen with descriptors of our own; if it does, the thread must not spin.
            tracing::warn!(%error, "cannot wait for changes of the rules");
            std::thread::sleep(MOST);
        }
        if waker.take() {
            return Why::Asked;
        }
        if watch.is_some_and(Watch::changed) {
            debounce.change(Instant::now());
        }
    }
}

/// Puts changes that follow each other closely together.
#[derive(Debug)]
struct Debounce {
    /// When to look without any change.
    poll: Option<Instant>,
    /// The first and the last change.
    changes: Option<(Instant, Instant)>,
}

impl Debounce {
    const fn new(poll: Option<Instant>) -> Self {
        Self { poll, changes: None }
    }

    fn change(&mut self, now: Instant) {
        let first = self.changes.map_or(now, |(first, _)| first);
        self.changes = Some((first, now));
    }

    /// How long to wait; zero: look now; `None`: until something happens.
    fn left(&self, now: Instant) -> Option<Duration> {
        let due = match self.changes {
            Some((first, last)) => Some((last + QUIET).min(first + MOST)),
            None => self.poll,
        };
        due.map(|due| due.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(50);

    #[test]
    fn changes_that_follow_each_other_are_one() {
        let start = Instant::now();
        let mut debounce = Debounce::new(None);
        assert_eq!(debounce.left(start), None);
        debounce.change(start);
        assert_eq!(debounce.left(start), Some(QUIET));
        debounce.change(start + STEP);
        assert_eq!(debounce.left(start + QUIET), Some(STEP));
        assert_eq!(debounce.left(start + QUIET + STEP), Some(Duration::ZERO));
    }

    #[test]
    fn a_directory_that_never_stands_still_is_looked_at_all_the_same() {
        let start = Instant::now();
        let mut debounce = Debounce::new(None);
        let looked = (0..1000).map(|step| start + STEP * step).find(|now| {
            debounce.change(*now);
            debounce.left(*now) == Some(Duration::ZERO)
        });
        assert_eq!(looked.unwrap() - start, MOST);
    }

    #[test]
    fn without_changes_the_files_are_looked_at_now_and_then() {
        let start = Instant::now();
        let debounce = Debounce::new(Some(start + POLL));
        assert_eq!(debounce.left(start), Some(POLL));
        assert_eq!(debounce.left(start + POLL), Some(Duration::ZERO));
    }

    #[test]
    fn who_asks_is_heard_once_also_before_the_wait() {
        let waker = Waker::new().unwrap();
        waker.ask();
        waker.ask();
        assert_eq!(wait(&waker, false, None), Why::Asked);
        assert!(!waker.take());
    }
}
