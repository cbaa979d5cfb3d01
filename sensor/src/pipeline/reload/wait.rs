//! When to look at the files again: at once where somebody asks, a moment after the last change, and now and then without
//! any reason.

use std::{
    io,
    os::fd::OwnedFd,
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

/// How often the files are looked at. A change is at work at most this and [`QUIET`] later.
const LOOK: Duration = Duration::from_secs(1);
/// Silence after which a change is taken for complete: editors and `cp -r` need a few milliseconds between steps.
const QUIET: Duration = Duration::from_millis(200);
/// Longest wait for that silence: in a directory that never stands still the rules are still looked at.
const MOST: Duration = Duration::from_secs(2);
/// How often the files are read although they look the same: two changes within one tick of the filesystem's clock do.
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

/// Waits for a reason to look. `watch`: what to look at without being asked, if anything.
pub(super) fn wait(waker: &Waker, watch: Option<&mut Watch>) -> Why {
    let mut watch = watch;
    let mut pace = Pace::new(Instant::now());
    loop {
        let timeout = watch.as_ref().map(|_| pace.left(Instant::now()));
        let timeout = timeout.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        let mut fds = [PollFd::new(&*waker.event, PollFlags::IN)];
        if let Err(error) = poll(&mut fds, timeout.as_ref())
            && error != Errno::INTR
        {
            // It does not happen with a descriptor of our own; if it does, the thread must not spin.
            tracing::warn!(%error, "cannot wait for changes of the rules");
            std::thread::sleep(MOST);
        }
        if waker.take() {
            return Why::Asked;
        }
        let Some(watch) = watch.as_mut() else { continue };
        let now = Instant::now();
        if pace.left(now) == Duration::ZERO && pace.looked(now, watch.changed()) {
            return Why::Changed;
        }
    }
}

/// When to look, and when what was seen is worth a reading: changes that follow each other closely are one.
#[derive(Debug)]
struct Pace {
    start: Instant,
    next: Instant,
    /// When the first change was seen.
    changed: Option<Instant>,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { start: now, next: now + LOOK, changed: None }
    }

    /// How long until the next look.
    fn left(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    /// Takes what a look found, and says whether to read.
    fn looked(&mut self, now: Instant, changed: bool) -> bool {
        let first = if changed { *self.changed.get_or_insert(now) } else { self.changed.unwrap_or(now) };
        self.next = now + if self.changed.is_some() { QUIET } else { LOOK };
        match self.changed {
            Some(_) => !changed || now.duration_since(first) >= MOST,
            None => now.duration_since(self.start) >= POLL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_follow_each_other_are_one() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.left(start), LOOK);
        assert!(!pace.looked(start + LOOK, false));
        assert!(!pace.looked(start + LOOK * 2, true));
        assert_eq!(pace.left(start + LOOK * 2), QUIET);
        assert!(!pace.looked(start + LOOK * 2 + QUIET, true));
        assert!(pace.looked(start + LOOK * 2 + QUIET * 2, false));
    }

    #[test]
    fn a_directory_that_never_stands_still_is_looked_at_all_the_same() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let read = (0..1000).map(|step| start + QUIET * step).find(|now| pace.looked(*now, true));
        assert_eq!(read.unwrap() - start, MOST);
    }

    #[test]
    fn without_changes_the_files_are_read_now_and_then() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let read = (0..1000).map(|step| start + LOOK * step).find(|now| pace.looked(*now, false));
        assert_eq!(read.unwrap() - start, POLL);
    }

    #[test]
    fn who_asks_is_heard_once_also_before_the_wait() {
        let waker = Waker::new().unwrap();
        waker.ask();
        waker.ask();
        assert_eq!(wait(&waker, None), Why::Asked);
        assert!(!waker.take());
    }
}
