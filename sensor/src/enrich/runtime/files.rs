//! The thread that looks at files: bundles and state files. What is not there yet, or only half, is looked at again until it
//! is too late to be of use.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::{Duration, Instant},
};

use super::{
    Answers, Ask, Found, Order, Source,
    bundle::{NoBundle, Template},
    spec::Root,
    storage::Storage,
};
use crate::event::Runtime;

/// How long is looked for a bundle. It lies there before the container's group is made, so it takes this long only where
/// there is none, or where it is of a form that will not get better.
const PATIENCE: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(2);
/// When a container's users are read from one of its processes, because there is no bundle that says where they are.
const FALLBACK: Duration = Duration::from_millis(30);
/// Containers that are looked for at once; of more the oldest are given up.
const PENDING: usize = 4096;

/// Where a container's users are to be read.
#[derive(Debug)]
pub(super) enum Home {
    /// Below the root that the bundle names.
    Root(u64, Root),
    /// In the root of a process.
    Process(u64, u32),
}

pub(super) struct Files {
    pub(super) templates: Vec<Template>,
    pub(super) storage: Storage,
    pub(super) homes: SyncSender<Home>,
    pub(super) answers: Answers,
}

struct Pending {
    ask: Arc<Ask>,
    next: Instant,
    pause: Duration,
    begin: Instant,
    bundle: bool,
    state: bool,
    users: bool,
}

impl Files {
    /// Works until nobody asks any more.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        let mut pending: VecDeque<Pending> = VecDeque::new();
        loop {
            let next = pending.iter().map(|pending| pending.next).min();
            let wait =
                next.map_or(Duration::from_secs(3600), |next| next.saturating_duration_since(Instant::now()));
            match orders.recv_timeout(wait) {
                Ok(Order::Ask(ask)) => {
                    if pending.len() >= PENDING {
                        pending.pop_front();
                    }
                    let now = Instant::now();
                    let state = !self.has_state(&ask);
                    let begun = Pending {
                        ask,
                        next: now,
                        pause: FIRST_PAUSE,
                        begin: now,
                        bundle: false,
                        state,
                        users: false,
                    };
                    pending.extend(self.look(begun));
                }
                Ok(Order::Inside { instance, pid }) => {
                    if let Some(known) = pending.iter_mut().find(|pending| pending.ask.instance == instance) {
                        Arc::make_mut(&mut known.ask).pid = Some(pid);
                    }
                }
                Ok(Order::Forget(instance)) => pending.retain(|pending| pending.ask.instance != instance),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = Instant::now();
            for _ in 0..pending.len() {
                let Some(one) = pending.pop_front() else { break };
                pending.extend(if one.next <= now { self.look(one) } else { Some(one) });
            }
        }
    }

    /// Whether podman or CRI-O may run it.
    fn has_state(&self, ask: &Ask) -> bool {
        matches!(ask.runtime, Runtime::Podman | Runtime::CriO | Runtime::Kubernetes)
    }

    /// Looks once; gives the question back where something is still missing.
    fn look(&mut self, mut pending: Pending) -> Option<Pending> {
        let instance = pending.ask.instance;
        if !pending.bundle {
            for template in &self.templates {
                match template.find(&pending.ask) {
                    Ok(bundle) => {
                        pending.bundle = true;
                        let facts = bundle.spec.facts(&pending.ask);
                        if let Some(root) = bundle.spec.root(&bundle.dir) {
                            pending.users = self.homes.try_send(Home::Root(instance, root)).is_ok();
                        }
                        self.answers.send(Found { instance, source: Source::Bundle, facts });
                        break;
                    }
                    Err(NoBundle::Absent) => {}
                    Err(NoBundle::Unreadable(why)) => {
                        tracing::debug!(container = &*pending.ask.id, why, "its config.json cannot be read");
                    }
                }
            }
        }
        if !pending.state
            && let Some(facts) = self.storage.find(&pending.ask)
        {
            pending.state = true;
            self.answers.send(Found { instance, source: Source::Storage, facts });
        }
        let age = pending.begin.elapsed();
        if !pending.users
            && age >= FALLBACK
            && let Some(pid) = pending.ask.pid
        {
            pending.users = self.homes.try_send(Home::Process(instance, pid)).is_ok();
        }
        let done = pending.bundle && pending.state && pending.users;
        pending.next = Instant::now() + pending.pause;
        pending.pause = (pending.pause * 2).min(PATIENCE / 8);
        (!done && age < PATIENCE).then_some(pending)
    }
}
