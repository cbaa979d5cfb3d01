//! What the kernel half cannot refuse on this kernel, refused by fanotify: of containers' filesystems the kernel asks before a
//! program runs or a file is opened, and the terms of a [`Plan`] answer. It knows neither alerts nor sinks: what was refused becomes a record like
//! those of the kernel half.
//!
//! Where it cannot tell something that a term asks for, that term does not hold: what is in doubt goes on.

mod caller;
mod file;
mod judge;
mod marks;

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use rustix::event::{EventfdFlags, eventfd};

use self::{judge::Clerk, marks::Marks};
use super::{
    Plan,
    verdict::{Asked, AskedIn},
};
use crate::{
    event::Container,
    probe::{
        Refusals,
        fanotify::{Answering, LetGo, Questions},
    },
};

/// A control group of a container, and what holds there.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    /// Whose it is.
    pub(super) container: Arc<Container>,
    /// Mount namespaces that are no workload's.
    pub(super) outside: [u32; 2],
    /// The terms that can hold.
    pub(super) terms: AskedIn,
    /// What has to be asked for them.
    pub(super) questions: Questions,
}

/// What answers: terms as bits, and the control groups by their keys.
#[derive(Debug, Default)]
struct Book {
    terms: Asked,
    groups: HashMap<u64, Watched>,
}

/// The gate at work. Dropping it lets everybody go on.
#[derive(Debug)]
pub(super) struct Gate {
    book: Arc<Mutex<Book>>,
    marks: Marks,
    answering: Arc<Answering>,
    records: Receiver<Vec<u8>>,
    let_go: Receiver<LetGo>,
    bell: Arc<OwnedFd>,
}

impl Gate {
    /// Opens a gate at which nothing is asked yet. `within`: how long somebody waits at most.
    ///
    /// # Errors
    /// Where the system does not allow it.
    pub(super) fn open(refusals: Refusals, within: Duration) -> io::Result<Self> {
        let book = Arc::<Mutex<Book>>::default();
        let bell = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let (send, records) = channel();
        let (tell, let_go) = channel();
        let judge = Clerk::new(Arc::clone(&book), refusals, send, Arc::clone(&bell), within);
        let rings = Arc::clone(&bell);
        let answering = Answering::start(judge, within, move |why| {
            let _ = tell.send(why);
            ring(&rings);
        })?;
        let answering = Arc::new(answering);
        let marks = Marks::start(Arc::downgrade(&answering))?;
        Ok(Self { book, marks, answering, records, let_go, bell })
    }

    /// Answers by another plan from now on, in these groups.
    pub(super) fn follow(&self, plan: &Plan, groups: impl Iterator<Item = (u64, Watched)>) {
        let groups: HashMap<u64, Watched> = groups.collect();
        for (key, watched) in &groups {
            self.marks.watch(*key, watched);
        }
        *lock(&self.book) = Book { terms: plan.asked.clone(), groups };
    }

    /// Says what a group is now; `None`: it is no more.
    pub(super) fn place(&self, key: u64, watched: Option<Watched>) {
        match watched {
            Some(watched) => {
                self.marks.watch(key, &watched);
                lock(&self.book).groups.insert(key, watched);
            }
            None => {
                self.marks.forget(key);
                lock(&self.book).groups.remove(&key);
            }
        }
    }

    /// Records of what was refused since the last time.
    pub(super) fn records(&self) -> impl Iterator<Item = Vec<u8>> {
        self.records.try_iter()
    }

    /// Why nothing is refused any more, once.
    pub(super) fn let_go(&self) -> Option<LetGo> {
        self.let_go.try_recv().ok()
    }

    /// Whether it still answers.
    pub(super) fn is_open(&self) -> bool {
        self.answering.gate().is_some()
    }

    /// Questions, and how many were answered with no.
    pub(super) fn counts(&self) -> (u64, u64) {
        self.answering.counts()
    }

    /// Rings when there is something to be taken from here.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Silences the bell. Before taking, so that nothing is missed.
    pub(super) fn hush(&self) {
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
    }
}

fn ring(bell: &OwnedFd) {
    // It only fails where it rings already.
    let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}
