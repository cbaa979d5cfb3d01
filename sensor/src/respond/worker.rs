//! The responder's thread: orders come over a bounded queue and wake it at once, deeds that take time run beside each other, and
//! every outcome goes to the audit log and back to who ordered it.

mod counts;
mod orders;

use std::{
    io,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::Builder,
    sync::{mpsc, oneshot},
    task::{JoinSet, LocalSet},
    time::{sleep, timeout},
};

pub use self::{
    counts::{RespondCounts, Status},
    orders::Orders,
};
use super::{
    act::{Actor, Begun, Done, Network, Runtimes},
    audit::{AskedBy, Entry, Heard, Rotation, Writer, time},
    decide::{Decision, Verdict, decide},
    fuse::{Fuse, Trip},
    outcome::{Outcome, Reason, Target},
    policy::Policy,
    request::{Action, Asker, Request},
};
use crate::{clock, config::RespondConfig, event::Enforced};

/// How long deeds that have begun may take after the end of the run.
const LAST: Duration = Duration::from_secs(5);
/// Deeds at the same time; the limits allow fewer, unless there are none.
const PARALLEL: usize = 1024;

/// What the responder is made of.
pub struct Options {
    /// What may be done.
    pub config: RespondConfig,
    /// The controller of cgroup version 1 whose keys the kernel programs use, if any.
    pub controller: Option<String>,
    /// Where runtimes listen.
    pub runtimes: Runtimes,
    /// Who cuts networks.
    pub network: Box<dyn Network + Send>,
}

/// What the responder has to say about itself. Times are nanoseconds since 1970.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A fuse opened or closed.
    Fuse(Trip),
    /// What becomes of the audit log.
    Audit(Heard),
    /// Nothing is refused by fanotify any more.
    LetGo {
        /// Why.
        why: String,
        /// How many were waiting for an answer.
        waiting: usize,
    },
    /// An operator's order was carried out, or not.
    Order(Box<Outcome>, AskedBy),
}

/// What comes back.
pub enum Delivery<T> {
    /// What was given along with a request, and what became of that.
    Outcome(T, Box<Outcome>),
    /// Something of its own.
    Notice(Notice),
}

enum Order<T> {
    Respond(Box<Request>, T),
    Operator(Box<Request>, oneshot::Sender<Outcome>),
    Reset(AskedBy, oneshot::Sender<()>),
    Status(oneshot::Sender<Status>),
    Note(&'static str, AskedBy),
    LetGo { why: String, waiting: usize },
}

/// A way to the responder for events: it never waits.
pub struct Responder<T> {
    orders: Option<mpsc::Sender<Order<T>>>,
    thread: Option<JoinHandle<()>>,
    counts: Arc<Mutex<RespondCounts>>,
    missing: Vec<(Action, String)>,
}

impl<T: Send + 'static> Responder<T> {
    /// Starts the thread. `deliver` gets everything back on it, and must not wait.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(options: Options, deliver: impl FnMut(Delivery<T>) + Send + 'static) -> io::Result<Self> {
        let (orders, receiver) = mpsc::channel(options.config.queue);
        let counts = Arc::<Mutex<RespondCounts>>::default();
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let deliver = Arc::new(Mutex::new(deliver));
        let heard = Arc::clone(&deliver);
        let RespondConfig { audit, audit_bytes, audit_files, .. } = &options.config;
        let rotation = Rotation { bytes: *audit_bytes, files: *audit_files };
        let audit = Writer::start(audit, rotation, move |heard_| {
            let mut deliver = heard.lock().unwrap_or_else(PoisonError::into_inner);
            deliver(Delivery::Notice(Notice::Audit(heard_)));
        })?;
        let (ready, is_ready) = std::sync::mpsc::channel();
        let shared = Arc::clone(&counts);
        let work = move || {
            // It has little to do, and on a busy machine what it has to do must not wait for its turn.
            let _ = rustix::process::nice(-10);
            let worker = Worker::new(options, audit, shared, deliver);
            let missing = [Action::Pause, Action::Isolate];
            let missing =
                missing.into_iter().filter_map(|action| Some((action, worker.actor.lacks(action)?)));
            let _ = ready.send(missing.collect());
            LocalSet::new().block_on(&runtime, worker.serve(receiver));
        };
        let thread = thread::Builder::new().name("respond".to_owned()).spawn(work)?;
        let missing = is_ready.recv().unwrap_or_default();
        Ok(Self { orders: Some(orders), thread: Some(thread), counts, missing })
    }

    /// What cannot be done on this machine, and why.
    #[must_use]
    pub fn missing(&self) -> &[(Action, String)] {
        &self.missing
    }

    /// Orders a response. Where there is no room it comes back with what became of it.
    ///
    /// # Errors
    /// Where the responder has ended: a sensor that cannot respond must not look like one that can.
    pub fn order(&self, request: Request, along: T) -> io::Result<Option<(T, Box<Outcome>)>> {
        let ended = || io::Error::new(io::ErrorKind::BrokenPipe, "its thread is gone");
        let orders = self.orders.as_ref().ok_or_else(ended)?;
        let Err(error) = orders.try_send(Order::Respond(Box::new(request), along)) else { return Ok(None) };
        match error {
            mpsc::error::TrySendError::Full(Order::Respond(request, along)) => {
                let verdict = Verdict::Refused(Reason::Overloaded);
                let decision = Decision { action: request.action, verdict };
                let outcome = outcome(&request, decision, Done::default());
                self.counts.lock().unwrap_or_else(PoisonError::into_inner).count(&outcome);
                Ok(Some((along, outcome)))
            }
            _ => Err(ended()),
        }
    }

    /// Has it recorded, and told, that nothing is refused by fanotify any more.
    ///
    /// # Errors
    /// Where the responder has ended.
    pub fn tell_let_go(&self, why: &str, waiting: usize) -> io::Result<()> {
        let ended = || io::Error::new(io::ErrorKind::BrokenPipe, "its thread is gone");
        let orders = self.orders.as_ref().ok_or_else(ended)?;
        // It comes once: waiting for room is better than silence.
        orders.blocking_send(Order::LetGo { why: why.to_owned(), waiting }).map_err(|_| ended())
    }

    /// What became of all requests up to now.
    #[must_use]
    pub fn counts(&self) -> RespondCounts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A way for operators, which ends when the responder does.
    #[must_use]
    pub fn orders(&self) -> Option<Orders<T>> {
        self.orders.as_ref().map(|orders| Orders::new(orders.downgrade()))
    }

    /// Waits until everything that was ordered is done and recorded.
    pub fn finish(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the responder panicked");
        }
    }
}

impl<T> Drop for Responder<T> {
    fn drop(&mut self) {
        self.orders = None;
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// To whom an outcome goes.
enum Back<T> {
    Event(T),
    Operator(oneshot::Sender<Outcome>),
}

type Deed<T> = (Box<Request>, Back<T>, Box<Outcome>);

struct Worker<T, D> {
    actor: Rc<Actor>,
    policy: Policy,
    fuse: Fuse,
    audit: Writer,
    counts: Arc<Mutex<RespondCounts>>,
    deliver: Arc<Mutex<D>>,
    deeds: JoinSet<Deed<T>>,
}

impl<T: 'static, D: FnMut(Delivery<T>)> Worker<T, D> {
    fn new(
        options: Options,
        audit: Writer,
        counts: Arc<Mutex<RespondCounts>>,
        deliver: Arc<Mutex<D>>,
    ) -> Self {
        let Options { config, controller, runtimes, network } = options;
        let policy = Policy::new(&config, std::process::id());
        let protected = policy.protected.clone();
        let actor = Actor::new(&config, controller.as_deref(), runtimes, protected, network);
        let fuse = Fuse::new(&config);
        Self { actor: Rc::new(actor), policy, fuse, audit, counts, deliver, deeds: JoinSet::new() }
    }

    async fn serve(mut self, mut orders: mpsc::Receiver<Order<T>>) {
        loop {
            let close =
                self.fuse.next_close().map(|at| Duration::from_nanos(at.saturating_sub(clock::boot())));
            tokio::select! {
                biased;
                order = orders.recv(), if self.deeds.len() < PARALLEL => match order {
                    Some(order) => self.take(order),
                    None => break,
                },
                Some(deed) = self.deeds.join_next() => self.over(deed.ok()),
                () = sleep(close.unwrap_or_default()), if close.is_some() => self.fuse.pass(clock::boot()),
            }
            self.tell_trips(None);
        }
        let rest = async {
            while let Some(deed) = self.deeds.join_next().await {
                self.over(deed.ok());
            }
        };
        if timeout(LAST, rest).await.is_err() {
            tracing::error!("responses that had begun are not over, and their end is not recorded");
        }
        self.audit.finish();
    }

    fn take(&mut self, order: Order<T>) {
        match order {
            Order::Respond(request, along) => self.respond(request, Back::Event(along)),
            Order::Operator(request, to) => self.respond(request, Back::Operator(to)),
            Order::Reset(by, to) => {
                self.fuse.reset();
                self.tell_trips(Some(&by));
                self.audit.write(Entry::Order { order: "reset", by });
                let _ = to.send(());
            }
            Order::LetGo { why, waiting } => {
                self.audit.write(Entry::LetGo { why: why.clone(), waiting });
                self.deliver(Delivery::Notice(Notice::LetGo { why, waiting }));
            }
            Order::Note(order, by) => self.audit.write(Entry::Order { order, by }),
            Order::Status(to) => {
                let status = Status {
                    enabled: self.policy.enabled,
                    dry_run: self.policy.dry_run,
                    fuses_open: self.fuse.open().map(|of| of.unwrap_or("all workloads").to_owned()).collect(),
                    held: self.actor.held().into_iter().collect(),
                    counts: self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone(),
                };
                let _ = to.send(status);
            }
        }
    }

    fn respond(&mut self, request: Box<Request>, back: Back<T>) {
        let decision = decide(&request, &self.policy, &mut self.fuse);
        // A fuse that opened is said before what it kept from being done.
        self.tell_trips(None);
        if decision.verdict != Verdict::Act {
            let outcome = outcome(&request, decision, Done::default());
            return self.finish((request, back, outcome));
        }
        let begun = self.actor.begin(&request, decision.action);
        let actor = Rc::clone(&self.actor);
        match begun {
            Begun::Over(done) => {
                let outcome = outcome(&request, decision, done);
                self.finish((request, back, outcome));
            }
            Begun::Dying(dying, many) => {
                self.deeds.spawn_local(async move {
                    let outcome = outcome(&request, decision, Actor::died(dying, many).await);
                    (request, back, outcome)
                });
            }
            Begun::Container(action) => {
                self.deeds.spawn_local(async move {
                    let outcome = outcome(&request, decision, actor.go_on(&request, action).await);
                    (request, back, outcome)
                });
            }
        }
    }

    fn over(&mut self, deed: Option<Deed<T>>) {
        match deed {
            Some(deed) => self.finish(deed),
            None => tracing::error!("a response ended without an outcome"),
        }
    }

    fn finish(&mut self, (request, back, outcome): Deed<T>) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).count(&outcome);
        let asked_by = match &request.asker {
            Asker::Rule(rule) => AskedBy::Rule { name: rule.name.clone(), file: rule.file.clone() },
            Asker::Operator { uid, pid } => AskedBy::Operator { uid: *uid, pid: *pid },
        };
        self.audit.write(Entry::Response {
            asked_by: asked_by.clone(),
            evidence: request.evidence,
            event_time: time(request.time),
            outcome: outcome.clone(),
        });
        match back {
            Back::Event(along) => self.deliver(Delivery::Outcome(along, outcome)),
            Back::Operator(to) => {
                self.deliver(Delivery::Notice(Notice::Order(outcome.clone(), asked_by)));
                let _ = to.send(*outcome);
            }
        }
    }

    fn tell_trips(&mut self, by: Option<&AskedBy>) {
        for trip in self.fuse.trips() {
            self.counts.lock().unwrap_or_else(PoisonError::into_inner).open_fuses =
                self.fuse.open().count() as u64;
            self.audit.write(Entry::Fuse { trip: trip.clone(), by: by.cloned() });
            self.deliver(Delivery::Notice(Notice::Fuse(trip)));
        }
    }

    fn deliver(&self, delivery: Delivery<T>) {
        let mut deliver = self.deliver.lock().unwrap_or_else(PoisonError::into_inner);
        deliver(delivery);
    }
}

/// Puts together what became of a request, at the moment when it is over: how long it took ends here.
fn outcome(request: &Request, decision: Decision, done: Done) -> Box<Outcome> {
    let process = request.process.as_deref().filter(|_| !decision.action.is_of_container());
    let container = request.container.as_deref();
    // What turns out at the moment of action is a refusal, too.
    let verdict = done.refused.map_or(decision.verdict, Verdict::Refused);
    let now = clock::boot();
    Box::new(Outcome {
        action: decision.action,
        decision: verdict.name(),
        reason: verdict.reason(),
        mechanism: match verdict {
            Verdict::DoneInKernel => Some(match request.enforced {
                Some(Enforced::RefusedByFanotify) => super::Mechanism::Fanotify,
                _ => super::Mechanism::Kernel,
            }),
            _ => done.mechanism,
        },
        target: Target {
            pid: process.map(|process| process.key.pid),
            start: process.map(|process| process.key.start),
            exe: process.map(|process| process.exe.to_string()),
            container: container.map(|container| container.full_id.clone()),
            cgroup: container.map(|container| container.cgroup.clone()),
            workload: request.workload(),
        },
        result: match verdict {
            Verdict::DoneInKernel => Some(super::Result::Done),
            _ => done.result,
        },
        processes: done.processes,
        error: done.error,
        latency_us: now.saturating_sub(request.boot_time) / 1000,
        response_us: now.saturating_sub(request.asked) / 1000,
    })
}
