//! Questions → answers, in a thread of their own; and another that sees to it that nobody waits longer than may be: it lets go
//! of everything, and from then on nothing is asked any more.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::event::{EventfdFlags, eventfd};

use super::{Asked, Gate};

/// How long the thread sleeps when nobody asks.
const QUIET: Duration = Duration::from_secs(60);

/// Who decides. It must not open a file of a filesystem of which is asked.
pub trait Judge: Send + 'static {
    /// Whether it may be. What it says no to is told it once more by [`Judge::refused`], when the caller has heard it.
    fn allows(&mut self, asked: &Asked) -> bool;

    /// The last question was answered with no.
    fn refused(&mut self);

    /// The last question should have been answered with no, and it was too late: the caller went on.
    fn late(&mut self);
}

/// Why nothing is asked any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetGo {
    /// In words.
    pub why: String,
    /// How many were waiting.
    pub waiting: usize,
}

/// The threads. Dropping it ends them, and lets everybody go on who waits.
#[derive(Debug)]
pub struct Answering {
    line: Arc<Line>,
    threads: Vec<JoinHandle<()>>,
}

/// Those who wait for an answer.
#[derive(Debug)]
struct Line {
    gate: Gate,
    within: Duration,
    waiting: Mutex<Waiters>,
    /// Somebody waits, or it is over.
    changed: Condvar,
    /// Whether nothing is asked any more.
    let_go: AtomicBool,
    over: AtomicBool,
    bell: OwnedFd,
    asked: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiters {
    /// Since when questions are being read: with each the kernel opens a file for us, which may take as long as its filesystem
    /// wants.
    reading: Option<Instant>,
    known: VecDeque<Waiting>,
}

impl Waiters {
    /// How long the first of them waits.
    fn waited(&self) -> Option<Duration> {
        let first = self.known.front().map(|first| first.since);
        first.into_iter().chain(self.reading).min().map(|since| since.elapsed())
    }
}

#[derive(Debug)]
struct Waiting {
    asked: Arc<Asked>,
    since: Instant,
}

impl Answering {
    /// Starts the threads. `within`: how long somebody may wait at most; `let_go` is told if that was not enough.
    ///
    /// # Errors
    /// Where the system gives no gate or no thread.
    pub fn start(
        judge: impl Judge,
        within: Duration,
        let_go: impl FnOnce(LetGo) + Send + 'static,
    ) -> io::Result<Self> {
        let line = Arc::new(Line {
            gate: Gate::open()?,
            within,
            waiting: Mutex::default(),
            changed: Condvar::new(),
            let_go: AtomicBool::new(false),
            over: AtomicBool::new(false),
            bell: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            asked: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let mut answering = Self { line: Arc::clone(&line), threads: Vec::new() };
        let reader = Arc::clone(&line);
        let thread = thread::Builder::new().name("answer".to_owned());
        answering.threads.push(thread.spawn(move || reader.answer_all(judge))?);
        let thread = thread::Builder::new().name("watchdog".to_owned());
        answering.threads.push(thread.spawn(move || line.watch(let_go))?);
        Ok(answering)
    }

    /// Where it is said of what is asked; `None` where nothing is asked any more.
    #[must_use]
    pub fn gate(&self) -> Option<&Gate> {
        (!self.line.let_go.load(Ordering::Acquire)).then_some(&self.line.gate)
    }

    /// How many questions there were, and how many were answered with no.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.line.asked.load(Ordering::Relaxed), self.line.refused.load(Ordering::Relaxed))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let stalled = self.line.let_go.swap(true, Ordering::AcqRel);
        self.line.over.store(true, Ordering::Release);
        if let Err(error) = self.line.gate.ask_nothing() {
            tracing::debug!(%error, "fanotify keeps a mark until its end");
        }
        let _ = rustix::io::write(&self.line.bell, &1_u64.to_ne_bytes());
        drop(self.line.waiting());
        self.line.changed.notify_all();
        // Who did not answer in time perhaps never does.
        if !stalled {
            for thread in self.threads.drain(..) {
                let _ = thread.join();
            }
        }
        // Nobody reads any more; the end of the gate is a yes to all that is left.
        self.line.free_all();
    }
}

impl Line {
    fn waiting(&self) -> MutexGuard<'_, Waiters> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer_all(&self, mut judge: impl Judge) {
        // Whoever asks stands still: nothing here is as urgent.
        let _ = rustix::process::nice(-15);
        while !self.over.load(Ordering::Acquire) {
            let read = self.gate.wait(self.bell.as_fd(), QUIET).and_then(|()| {
                self.waiting().reading = Some(Instant::now());
                self.changed.notify_all();
                self.gate.asked()
            });
            let asked = match read {
                Ok(asked) => asked,
                Err(error) => {
                    // What cannot be read waits for ever: the watchdog cannot read it, either.
                    tracing::error!(%error, "fanotify cannot be read: nothing is refused by it any more");
                    self.let_go.store(true, Ordering::Release);
                    let _ = self.gate.ask_nothing();
                    return;
                }
            };
            self.asked.fetch_add(asked.len() as u64, Ordering::Relaxed);
            let asked: Vec<Arc<Asked>> = asked.into_iter().map(Arc::new).collect();
            let mut waiting = self.waiting();
            if let Some(since) = waiting.reading.take() {
                waiting.known.extend(asked.iter().map(|asked| Waiting { asked: Arc::clone(asked), since }));
            }
            drop(waiting);
            for asked in asked {
                let allow = self.let_go.load(Ordering::Acquire) || judge.allows(&asked);
                match (self.answer(&asked, allow), allow) {
                    (_, true) => {}
                    (true, false) => {
                        self.refused.fetch_add(1, Ordering::Relaxed);
                        judge.refused();
                    }
                    (false, false) => judge.late(),
                }
            }
        }
    }

    /// Answers, unless somebody else did.
    fn answer(&self, asked: &Arc<Asked>, allow: bool) -> bool {
        let mut waiting = self.waiting();
        let known = &mut waiting.known;
        let Some(at) = known.iter().position(|waiting| Arc::ptr_eq(&waiting.asked, asked)) else {
            return false;
        };
        known.remove(at);
        drop(waiting);
        match self.gate.answer(asked, allow) {
            Ok(()) => true,
            Err(error) => {
                // Who waited was killed meanwhile.
                tracing::debug!(%error, "an answer came too late");
                false
            }
        }
    }

    /// Lets everybody go on.
    fn free_all(&self) -> usize {
        let mut count = 0;
        loop {
            let waiting = std::mem::take(&mut self.waiting().known);
            let queued = self.gate.asked().unwrap_or_default();
            if waiting.is_empty() && queued.is_empty() {
                return count;
            }
            count += waiting.len() + queued.len();
            for asked in waiting.iter().map(|waiting| &*waiting.asked).chain(&queued) {
                let _ = self.gate.answer(asked, true);
            }
        }
    }

    /// Looks at who waits, and for how long.
    fn watch(&self, let_go: impl FnOnce(LetGo)) {
        let mut waiting = self.waiting();
        while !self.let_go.load(Ordering::Acquire) {
            waiting = match waiting.waited() {
                None => self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(waited) if waited < self.within => {
                    let left = self.within - waited;
                    self.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => {
                    drop(waiting);
                    self.let_go.store(true, Ordering::Release);
                    let flushed = self.gate.ask_nothing();
                    let count = self.free_all();
                    let within = self.within.as_millis();
                    let why = match flushed {
                        Ok(()) => format!("an answer took longer than {within} ms"),
                        Err(error) => format!("an answer took longer than {within} ms ({error})"),
                    };
                    let_go(LetGo { why, waiting: count });
                    return;
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_question_is_not_read_yet_waits_too() {
        let mut waiters = Waiters::default();
        assert_eq!(waiters.waited(), None);
        let since = Instant::now().checked_sub(Duration::from_secs(7)).unwrap();
        waiters.reading = Some(since);
        assert!(waiters.waited().unwrap() >= Duration::from_secs(7));
    }
}
