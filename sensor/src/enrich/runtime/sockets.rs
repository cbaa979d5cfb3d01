//! The thread that talks to runtimes over their sockets: one task for each socket, on one small runtime of its own. A socket
//! that is not there is tried again, one that goes away is connected to again, and both cost nobody anything.

use std::{
    collections::{HashMap, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{Answers, Ask, Found, Options, Order, QUEUE, Source, containerd, docker, hurry};
use crate::event::Facts;

/// How long a runtime is asked for a container that it does not know: its group may be older than its record.
const PATIENCE: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// Longest answer that is waited for.
pub(super) const ANSWER: Duration = Duration::from_secs(2);
/// Containers that are asked for at once, and those that are remembered to be asked for again.
const PARALLEL: usize = 64;
const KNOWN: usize = 8192;
/// Containers that are announced and not started: an answer has at most 64 KiB, as configured, and usually 2.
const ANNOUNCED: usize = 256;

/// Starts the thread; gives a way to each of its tasks.
///
/// # Errors
/// Where the system refuses a thread.
pub(super) fn start(options: &Options, answers: &Answers) -> io::Result<Vec<Sender<Order>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let mut ways = Vec::new();
    let mut tasks = JoinSet::new();
    let mut way = || {
        let (to, from) = channel(QUEUE);
        ways.push(to);
        from
    };
    for socket in &options.containerd {
        tasks.spawn_on(containerd::watch(socket.clone(), way(), answers.clone()), runtime.handle());
    }
    for socket in &options.docker {
        tasks.spawn_on(docker::watch(socket.clone(), way(), answers.clone()), runtime.handle());
    }
    let work = move || {
        hurry();
        runtime.block_on(async { while tasks.join_next().await.is_some() {} });
    };
    thread::Builder::new().name("sockets".into()).stack_size(512 << 10).spawn(work)?;
    Ok(ways)
}

/// What was asked and is not answered, and what may have to be asked again.
#[derive(Debug, Default)]
pub(super) struct Book {
    known: HashMap<u64, (Arc<Ask>, bool)>,
    /// Those still to be asked, in order.
    waiting: VecDeque<u64>,
}

impl Book {
    /// Takes a word of the enricher in.
    pub(super) fn note(&mut self, order: Order) {
        match order {
            Order::Ask(ask) if self.known.len() < KNOWN => {
                self.waiting.push_back(ask.instance);
                self.known.insert(ask.instance, (ask, false));
            }
            Order::Forget(instance) => {
                self.known.remove(&instance);
            }
            Order::Ask(_) | Order::Inside { .. } => {}
        }
    }

    /// Somebody asks for what is known already.
    pub(super) fn note_answered(&mut self, ask: Arc<Ask>) {
        if self.known.len() < KNOWN {
            self.known.insert(ask.instance, (ask, true));
        }
    }

    /// It is answered.
    pub(super) fn answered(&mut self, instance: u64) {
        if let Some((_, answered)) = self.known.get_mut(&instance) {
            *answered = true;
        }
    }

    /// Asks for everything again that has no answer.
    pub(super) fn again(&mut self) {
        let mut open: Vec<u64> =
            self.known.iter().filter(|(_, (_, answered))| !answered).map(|(instance, _)| *instance).collect();
        open.sort_unstable();
        self.waiting = open.into();
    }

    /// Asks again for the containers of this id: something about them changed. `false`: nobody has asked for it yet.
    pub(super) fn changed(&mut self, id: &str) -> bool {
        let before = self.waiting.len();
        let same = self.known.iter().filter(|(_, (ask, _))| *ask.id == *id);
        self.waiting.extend(same.map(|(instance, _)| *instance));
        self.waiting.len() > before
    }

    /// The next to ask for.
    pub(super) fn next(&mut self, busy: usize) -> Option<Arc<Ask>> {
        if busy >= PARALLEL {
            return None;
        }
        // Those that are gone meanwhile are passed over.
        while let Some(instance) = self.waiting.pop_front() {
            if let Some((ask, _)) = self.known.get(&instance) {
                return Some(Arc::clone(ask));
            }
        }
        None
    }
}

/// What is known of containers that nobody has asked for yet: they are announced before they are started.
#[derive(Debug, Default)]
pub(super) struct Announced {
    by_id: HashMap<Box<str>, (Arc<Ask>, Facts)>,
    order: VecDeque<Box<str>>,
}

impl Announced {
    pub(super) fn insert(&mut self, ask: Arc<Ask>, facts: Facts) {
        if self.order.len() >= ANNOUNCED
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.order.push_back(ask.id.clone());
        self.by_id.insert(ask.id.clone(), (ask, facts));
    }

    /// Answers a question. A name that people chose may be there in several namespaces.
    pub(super) fn take(&mut self, ask: &Ask) -> Option<Facts> {
        let (known, _) = self.by_id.get(&ask.id)?;
        let same = ask.id.len() == 64 || known.namespace() == ask.namespace();
        same.then(|| self.by_id.remove(&ask.id)).flatten().map(|(_, facts)| facts)
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.by_id.remove(id);
    }
}

/// Between one try and the next, for as long as an answer is of use.
#[derive(Debug)]
pub(super) struct Patience {
    end: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { end: Instant::now() + PATIENCE, pause: FIRST_PAUSE }
    }

    /// Waits a little, each time longer; `false` where it is too late.
    pub(super) async fn wait(&mut self) -> bool {
        if Instant::now() > self.end {
            return false;
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PATIENCE / 8);
        true
    }
}

/// Says what was found. Where the enricher is behind this waits for it, and with it all sockets: that is the point of a
/// bounded queue.
pub(super) fn tell(answers: &Answers, instance: u64, source: Source, facts: Facts) {
    answers.send(Found { instance, source, facts });
}

/// Waits for a socket to come or to come back, and keeps noting meanwhile; `false` where nobody asks any more.
pub(super) async fn rest(pause: Duration, book: &mut Book, orders: &mut Receiver<Order>) -> bool {
    let end = Instant::now() + pause;
    loop {
        tokio::select! {
            () = sleep_until(end) => return true,
            order = orders.recv() => match order {
                Some(order) => book.note(order),
                None => return false,
            },
        }
    }
}

/// What there is to be said about a socket, once each time that it changes.
#[derive(Debug)]
pub(super) struct Link {
    runtime: &'static str,
    socket: PathBuf,
    up: bool,
    /// Whether it was up at any time, and when it was lost.
    lost: Option<Instant>,
    complained: bool,
}

impl Link {
    pub(super) fn new(runtime: &'static str, socket: &Path) -> Self {
        Self { runtime, socket: socket.to_owned(), up: false, lost: None, complained: false }
    }

    pub(super) fn up(&mut self) {
        if self.up {
            return;
        }
        let (runtime, socket) = (self.runtime, self.socket.display());
        if self.lost.is_some() {
            tracing::info!(runtime, %socket, "connected again");
        } else {
            tracing::info!(runtime, %socket, "connected");
        }
        (self.up, self.complained) = (true, false);
    }

    pub(super) fn down(&mut self, why: &str) {
        let (runtime, socket) = (self.runtime, self.socket.display());
        if self.up {
            tracing::warn!(runtime, %socket, why, "lost; what it knows of containers comes later or from elsewhere");
            (self.up, self.lost) = (false, Some(Instant::now()));
        } else if !self.complained && self.lost.is_none() && self.socket.exists() {
            tracing::warn!(runtime, %socket, why, "does not answer");
            self.complained = true;
        }
    }

    /// How long to wait before the next try. A runtime that restarts runs containers as soon as it is back.
    pub(super) fn pause(&self) -> Duration {
        let restarting = self.lost.is_some_and(|lost| lost.elapsed() < Duration::from_secs(10));
        Duration::from_millis(if restarting { 20 } else { 500 })
    }
}
