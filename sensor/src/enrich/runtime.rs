//! Who knows more about a container than its control group: the questions, the answers, and the threads that look.
//!
//! The enricher asks about each new container and goes on; answers come back over a bounded queue whenever there is one.
//! Nothing here is on the event path, and nothing here knows events.

mod bundle;
mod containerd;
mod docker;
mod files;
mod found;
mod kubernetes;
mod names;
mod sockets;
mod spec;
mod storage;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use rustix::event::{EventfdFlags, eventfd};

pub use self::found::{Place as RuntimePlace, places};
use self::{
    bundle::Template,
    files::{Files, Home},
    storage::Storage,
};
pub use crate::event::Source;
use crate::event::{Container, Facts, Names, Runtime};

/// Questions, and answers, that may wait. A question has about 300 bytes, an answer at most what the limits allow.
const QUEUE: usize = 4096;
const ANSWERS: usize = 512;

/// Where to look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Where OCI bundles lie: paths with `{id}`, and `*` for a namespace before it.
    pub bundles: Vec<String>,
    /// Roots of containers/storage.
    pub storage: Vec<PathBuf>,
    /// containerd's sockets.
    pub containerd: Vec<PathBuf>,
    /// dockerd's sockets.
    pub docker: Vec<PathBuf>,
    /// Bytes that an answer may have.
    pub answer_bytes: usize,
}

/// A question: who is this container?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which container, of all that this run has seen.
    pub instance: u64,
    /// The runtime's id.
    pub id: Box<str>,
    /// Who seems to run it.
    pub runtime: Runtime,
    /// Its control group.
    pub cgroup: Box<str>,
    /// A process in it, where one is known.
    pub pid: Option<u32>,
}

impl Ask {
    /// The question about a container.
    #[must_use]
    pub fn about(container: &Container) -> Self {
        Self {
            instance: container.instance,
            id: container.full_id.clone(),
            runtime: container.runtime,
            cgroup: container.cgroup.clone(),
            pid: None,
        }
    }

    /// The containerd namespace that the control group names.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self.runtime {
            Runtime::Kubernetes => Some("k8s.io"),
            Runtime::Docker => Some("moby"),
            Runtime::Containerd => {
                self.cgroup.trim_start_matches('/').split_once('/').map(|(first, _)| first)
            }
            _ => None,
        }
    }
}

/// An answer, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which container.
    pub instance: u64,
    /// Who says so.
    pub source: Source,
    /// What.
    pub facts: Facts,
}

/// What the threads are told.
#[derive(Clone, Debug)]
enum Order {
    /// Who is it?
    Ask(Arc<Ask>),
    /// This process runs in it.
    Inside { instance: u64, pid: u32 },
    /// It is gone.
    Forget(u64),
}

/// The way back to the enricher.
#[derive(Clone, Debug)]
struct Answers {
    /// Boxes: each place of the queue takes memory from the start.
    queue: SyncSender<Box<Found>>,
    /// Wakes the enricher, which may be waiting for records.
    bell: Arc<OwnedFd>,
    bytes: usize,
}

impl Answers {
    /// Waits where the enricher is behind. Nothing is lost by its end: then nobody wants the answer.
    fn send(&self, mut found: Found) {
        found.facts.trim(self.bytes);
        if self.queue.send(Box::new(found)).is_ok() {
            let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
        }
    }
}

/// All sources, at work.
#[derive(Debug)]
pub struct Sources {
    files: SyncSender<Order>,
    sockets: Vec<tokio::sync::mpsc::Sender<Order>>,
    answers: Receiver<Box<Found>>,
    bell: Arc<OwnedFd>,
}

impl Sources {
    /// Starts the threads that look.
    ///
    /// # Errors
    /// Where the system refuses a thread.
    pub fn start(options: &Options) -> io::Result<Self> {
        let bell = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let (queue, answers) = sync_channel(ANSWERS);
        let to = Answers { queue, bell: Arc::clone(&bell), bytes: options.answer_bytes };
        let (homes, wanted) = sync_channel(QUEUE);
        let looks = Files {
            templates: options.bundles.iter().filter_map(|text| Template::parse(text)).collect(),
            storage: Storage::new(&options.storage),
            homes,
            answers: to.clone(),
        };
        let (files, orders) = sync_channel(QUEUE);
        let sockets = sockets::start(options, &to)?;
        let builder = || thread::Builder::new().stack_size(256 << 10);
        let run = move || {
            hurry();
            looks.run(&orders);
        };
        builder().name("bundles".into()).spawn(run)?;
        // By itself: a container's own file system may be slow, and nobody else must wait for it.
        let run = move || {
            hurry();
            read_users(&wanted, &to);
        };
        builder().name("users".into()).spawn(run)?;
        Ok(Self { files, sockets, answers, bell })
    }

    /// Asks everybody who may know; `false` where somebody has no room for the question.
    pub fn ask(&self, ask: Ask) -> bool {
        self.tell(Order::Ask(Arc::new(ask)))
    }

    /// Says that a process runs in a container, for those who have found no other way in.
    pub fn inside(&self, instance: u64, pid: u32) {
        self.tell(Order::Inside { instance, pid });
    }

    /// Says that a container is gone.
    pub fn forget(&self, instance: u64) {
        self.tell(Order::Forget(instance));
    }

    fn tell(&self, order: Order) -> bool {
        let mut room = true;
        for socket in &self.sockets {
            room &= socket.try_send(order.clone()).is_ok();
        }
        self.files.try_send(order).is_ok() && room
    }

    /// The next answer, if there is one.
    pub fn answer(&self) -> Option<Found> {
        self.answers.try_recv().ok().map(|found| *found)
    }

    /// Silences the bell. Before asking for answers, so that none is missed.
    pub fn hush(&self) {
        let _ = rustix::io::read(&*self.bell, &mut [0; 8]);
    }

    /// Readable when there may be an answer, until it is silenced.
    #[must_use]
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// Puts the calling thread before others: it has little to do, and on a busy machine a container that lives for a moment is
/// gone with its bundle before a thread that waits for its turn has looked. Where that is not allowed, it waits its turn.
fn hurry() {
    let _ = rustix::process::nice(-10);
}

fn read_users(wanted: &Receiver<Home>, answers: &Answers) {
    while let Ok(home) = wanted.recv() {
        let (instance, names) = match home {
            Home::Root(instance, root) => (instance, names::of_root(&root)),
            Home::Process(instance, pid) => (instance, names::of_process(pid)),
        };
        if let Some(names) = names {
            let facts = Facts { users: Some(Arc::<Names>::new(names)), ..Facts::default() };
            answers.send(Found { instance, source: Source::Users, facts });
        }
    }
}

#[cfg(test)]
mod tests;
