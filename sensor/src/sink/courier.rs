//! Spool → remote destination, in a thread of its own: one batch at a time, in order, until the destination has it or
//! refuses it for good. Whatever goes wrong here, nobody else waits.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::{sync::Notify, time::timeout};

use super::{Failure, LATENCY_SECONDS, Reason, Record, Remote, Spool, letters::Letters};
use crate::{clock, config::RetryConfig};

/// How long a sensor that ends goes on sending what waits; the rest is sent after its next start.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often an idle courier looks for what is too old.
const PULSE: Duration = Duration::from_secs(1);
/// Longest time that a destination may ask to be left alone.
const LONGEST: Duration = Duration::from_secs(3600);

/// What a courier did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CourierCounts {
    /// Records that the destination has.
    pub delivered: u64,
    /// Records that it refused.
    pub refused: u64,
    /// Tries that failed, by reason.
    pub failures: BTreeMap<&'static str, u64>,
    /// See [`super::SinkStats::latency`].
    pub latency: [u64; LATENCY_SECONDS.len() + 1],
    /// Its sum in seconds.
    pub latency_seconds: f64,
    /// Why the last try failed, if it did.
    pub failing: Option<Failure>,
}

/// The thread, seen from outside. Dropping it lets it send what waits, for a moment, and ends it.
#[derive(Debug)]
pub struct Courier {
    shared: Arc<Shared>,
    spool: Arc<Spool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<CourierCounts>,
    ending: AtomicBool,
    ended: Notify,
}

/// The thread's own.
struct Route<R> {
    name: String,
    remote: R,
    spool: Arc<Spool>,
    retry: RetryConfig,
    letters: Letters,
    shared: Arc<Shared>,
    /// Tries that failed one after the other.
    tries: u32,
    until: Option<Instant>,
}

/// Records on their way.
struct Batch {
    /// What the destination does not have yet, with its place.
    open: Vec<(usize, Record)>,
    /// What became of each: whether it needs no further try.
    settled: Vec<bool>,
    /// The first so many are out of the spool.
    done: usize,
}

impl Courier {
    /// Starts the thread of sink `name`. `remote`: made in it.
    ///
    /// # Errors
    /// Where the system refuses a thread.
    pub fn start<R: Remote>(
        name: &str,
        remote: impl FnOnce() -> R + Send + 'static,
        spool: Arc<Spool>,
        retry: RetryConfig,
        letters: Letters,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (theirs, waiting, named) = (Arc::clone(&shared), Arc::clone(&spool), name.to_owned());
        let work = move || {
            let remote = remote();
            let route = Route {
                name: named,
                remote,
                spool: waiting,
                retry,
                letters,
                shared: theirs,
                tries: 0,
                until: None,
            };
            runtime.block_on(route.run());
        };
        let thread = thread::Builder::new().name(format!("to {name}")).stack_size(1 << 20).spawn(work)?;
        Ok(Self { shared, spool, thread: Some(thread) })
    }

    /// What it did so far.
    #[must_use]
    pub fn counts(&self) -> CourierCounts {
        self.shared.counts().clone()
    }

    /// Asks it to send what waits, as far as a moment is enough for that, and to end.
    pub fn end(&self) {
        self.shared.ending.store(true, Ordering::Release);
        self.shared.ended.notify_one();
        self.spool.wake();
    }

    /// Waits for its end.
    pub fn join(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of a sink panicked");
        }
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.join();
    }
}

impl Shared {
    fn counts(&self) -> std::sync::MutexGuard<'_, CourierCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Remote> Route<R> {
    async fn run(mut self) {
        while !self.is_over() {
            let records = self.spool.next(self.retry.batch_records.max(1), self.retry.batch_bytes);
            if !records.is_empty() {
                self.deliver(records).await;
            } else if self.shared.ending.load(Ordering::Acquire) {
                break;
            } else {
                let _ = timeout(PULSE, self.spool.wait()).await;
            }
        }
        self.spool.sync();
    }

    /// Whether it is time to leave the rest for the next start.
    fn is_over(&mut self) -> bool {
        if !self.shared.ending.load(Ordering::Acquire) {
            return false;
        }
        let until = *self.until.get_or_insert_with(|| Instant::now() + PATIENCE);
        Instant::now() >= until
    }

    /// Sends a batch until each record of it is settled, or there is no time any more.
    async fn deliver(&mut self, records: Vec<Record>) {
        let mut batch = Batch::new(records);
        // Smaller while it is looked for what the destination refuses.
        let mut size = usize::MAX;
        while !batch.open.is_empty() && !self.is_over() {
            let part: Vec<Record> = batch.open.iter().take(size).map(|(_, record)| record.clone()).collect();
            let limit = Duration::from_millis(self.retry.timeout_ms.max(1));
            let answer = timeout(limit, self.remote.send(&part)).await.unwrap_or_else(|_| {
                Err(Failure::new(Reason::Timeout, format!("no answer within {} ms", limit.as_millis())))
            });
            match answer {
                Ok(answer) => {
                    let refused: HashMap<usize, String> = answer.refused.into_iter().collect();
                    for (place, why) in &refused {
                        if let Some(record) = part.get(*place) {
                            self.refuse(record, why);
                        }
                    }
                    let open = |place: &usize| answer.again.contains(place);
                    let accepted =
                        (0..part.len()).filter(|place| !open(place) && !refused.contains_key(place));
                    self.count(accepted.filter_map(|place| part.get(place)));
                    let progress = answer.again.len() < part.len();
                    self.settle(&mut batch, part.len(), &answer.again);
                    size = usize::MAX;
                    match answer.why.filter(|_| !answer.again.is_empty()) {
                        Some(why) => self.fail(why, progress).await,
                        None if !progress => {
                            let why =
                                Failure::new(Reason::Protocol, "nothing was accepted, and no reason given");
                            self.fail(why, false).await;
                        }
                        None => self.succeed(),
                    }
                }
                Err(failure) if failure.reason == Reason::Refused && part.len() > 1 => {
                    self.note(&failure);
                    size = part.len() / 2;
                }
                Err(failure) if failure.reason == Reason::Refused => {
                    self.note(&failure);
                    if let Some(record) = part.first() {
                        self.refuse(record, &failure.message);
                    }
                    self.settle(&mut batch, 1, &[]);
                    size = usize::MAX;
                }
                Err(failure) => self.fail(failure, false).await,
            }
        }
    }

    /// Of the first `sent` open records all but `again` are settled.
    fn settle(&self, batch: &mut Batch, sent: usize, again: &[usize]) {
        let done = batch.settle(sent, again);
        if done > 0 {
            self.spool.done(done);
            self.spool.sync();
        }
    }

    fn refuse(&mut self, record: &Record, why: &str) {
        self.letters.keep(record, why);
        self.spool.refuse(record);
        self.shared.counts().refused += 1;
    }

    fn count<'a>(&self, accepted: impl Iterator<Item = &'a Record>) {
        let now = clock::wall();
        let mut counts = self.shared.counts();
        for record in accepted {
            let seconds = now.saturating_sub(record.time) as f64 / 1e9;
            let class =
                LATENCY_SECONDS.iter().position(|end| seconds <= *end).unwrap_or(LATENCY_SECONDS.len());
            if let Some(class) = counts.latency.get_mut(class) {
                *class += 1;
            }
            counts.latency_seconds += seconds;
            counts.delivered += 1;
        }
    }

    fn succeed(&mut self) {
        self.tries = 0;
        if self.shared.counts().failing.take().is_some() {
            tracing::info!(sink = self.name, "the destination takes records again");
        }
    }

    fn note(&self, failure: &Failure) {
        *self.shared.counts().failures.entry(failure.reason.name()).or_default() += 1;
    }

    /// Waits after a try that failed: longer each time, and never as long as all the others that failed with it.
    async fn fail(&mut self, failure: Failure, progress: bool) {
        self.note(&failure);
        self.tries = if progress { 0 } else { self.tries };
        let RetryConfig { first_ms, longest_ms, .. } = self.retry;
        let pause = first_ms.max(1).saturating_mul(1 << self.tries.min(30)).min(longest_ms.max(1));
        let pause = Duration::from_millis(pause).mul_f64(fastrand::f64().mul_add(0.5, 0.5));
        let pause = pause.max(failure.retry_after.unwrap_or_default().min(LONGEST));
        self.tries += 1;
        {
            let mut counts = self.shared.counts();
            let new = counts.failing.as_ref().is_none_or(|before| before.reason != failure.reason);
            if new {
                let Failure { reason, message, .. } = &failure;
                tracing::warn!(
                    sink = self.name,
                    reason = reason.name(),
                    message,
                    "records wait: the destination does not take them"
                );
            }
            counts.failing = Some(failure);
        }
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        // Who ends tries once more at once: what failed may work now.
        let _ = timeout(pause.min(left.unwrap_or(pause)), self.shared.ended.notified()).await;
    }
}

impl Batch {
    fn new(records: Vec<Record>) -> Self {
        let settled = vec![false; records.len()];
        Self { open: records.into_iter().enumerate().collect(), settled, done: 0 }
    }

    /// Of the first `sent` open records all but those at the places `again` are settled. Returns how many more of the first
    /// records are settled without a hole.
    fn settle(&mut self, sent: usize, again: &[usize]) -> usize {
        let mut at = 0;
        let settled = &mut self.settled;
        self.open.retain(|(place, _)| {
            let keep = at >= sent || again.contains(&at);
            at += 1;
            if !keep && let Some(settled) = settled.get_mut(*place) {
                *settled = true;
            }
            keep
        });
        let whole = self.settled.iter().take_while(|settled| **settled).count();
        let more = whole - self.done;
        self.done = whole;
        more
    }
}
