//! What the configuration says of a sink → its threads, at work.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ring::signature::Ed25519KeyPair;

use super::{
    Courier, Elasticsearch, FileCounts, FileSink, Hold, Intake, IntakeOptions, Kafka, Nats, Otlp, Queue,
    SinkStats, Splunk, Spool, Syslog, Taste, Webhook,
    letters::Letters,
    outputs::{Account, Output, PULSE},
};
use crate::config::{Destination, SinkConfig};

/// What all sinks of a sensor have in common.
#[derive(Debug)]
pub struct Shared {
    /// Name of the machine.
    pub hostname: Arc<str>,
    /// Signs checkpoints; needed where a sink has them.
    pub key: Option<Arc<Ed25519KeyPair>>,
}

/// Puts a sink to work. Its destination may be away, and its spool on a disk that cannot be written: it waits.
///
/// # Errors
/// Where the system gives no thread.
pub fn open(name: &str, config: &SinkConfig, shared: &Shared) -> io::Result<Output> {
    let every = config.checkpoint.every_s;
    let options = IntakeOptions {
        hostname: Arc::clone(&shared.hostname),
        encoding: config.encoding,
        flush: Duration::from_millis(config.spool.flush_ms),
        checkpoint: shared
            .key
            .as_ref()
            .filter(|_| every > 0)
            .map(|key| (Duration::from_secs(every), Arc::clone(key))),
    };
    let own = Arc::new(AtomicU64::new(0));
    let (hold, account): (_, Box<dyn Account>) = match &config.to {
        Destination::File(file) => {
            let file = FileSink::new(file.clone());
            let account = OfFile { counts: file.counts(), own: Arc::clone(&own) };
            (Hold::File(Box::new(file)), Box::new(account))
        }
        to => {
            let spool = Arc::new(Spool::open(&config.spool, name));
            if let Some(why) = spool.failure() {
                tracing::warn!(
                    sink = name,
                    why,
                    "records wait in memory alone until the spool can be written"
                );
            }
            let account = OfRemote {
                to: to.name(),
                courier: courier(name, config, &spool, &shared.hostname)?,
                spool: Arc::clone(&spool),
                own: Arc::clone(&own),
            };
            (Hold::Spool(spool), Box::new(account))
        }
    };
    let mut intake = Intake::new(options, hold);
    let queue = Queue::with_pulse(name, config.queue.max(1), Some(PULSE), move |work| {
        let worked = intake.work(work);
        own.store(intake.own(), Ordering::Relaxed);
        worked
    })?;
    let taste = Taste::new(&config.filter, &config.events);
    Ok(Output { name: name.to_owned(), taste, queue, account, asked: Arc::default() })
}

/// The thread that speaks with a remote destination.
fn courier(name: &str, config: &SinkConfig, spool: &Arc<Spool>, host: &Arc<str>) -> io::Result<Courier> {
    let letters = Letters::new(&config.spool.directory, name, config.spool.dead_letter_bytes);
    let (spool, retry, host) = (Arc::clone(spool), config.retry.clone(), Arc::clone(host));
    let encoding = config.encoding;
    match config.to.clone() {
        Destination::Syslog(to) => {
            Courier::start(name, move || Syslog::new(to, &host), spool, retry, letters)
        }
        Destination::Webhook(to) => {
            Courier::start(name, move || Webhook::new(to, encoding), spool, retry, letters)
        }
        Destination::Splunk(to) => {
            Courier::start(name, move || Splunk::new(to, &host), spool, retry, letters)
        }
        Destination::Elasticsearch(to) => {
            Courier::start(name, move || Elasticsearch::new(to), spool, retry, letters)
        }
        Destination::Otlp(to) => Courier::start(name, move || Otlp::new(to, &host), spool, retry, letters),
        Destination::Kafka(to) => Courier::start(name, move || Kafka::new(to), spool, retry, letters),
        Destination::Nats(to) => Courier::start(name, move || Nats::new(to), spool, retry, letters),
        Destination::File(_) => Err(io::Error::other("a file is written to at once")),
    }
}

#[derive(Debug)]
struct OfFile {
    counts: Arc<FileCounts>,
    own: Arc<AtomicU64>,
}

impl Account for OfFile {
    fn fill(&self, stats: &mut SinkStats) {
        let at = |number: &AtomicU64| number.load(Ordering::Relaxed);
        stats.to = "file";
        stats.own = at(&self.own);
        stats.delivered = at(&self.counts.delivered);
        stats.overflowed = at(&self.counts.overflowed);
        stats.waiting = at(&self.counts.waiting);
        stats.waiting_bytes = at(&self.counts.waiting_bytes);
        stats.failing = self.counts.failing.load(Ordering::Relaxed);
        stats.volatile = stats.failing;
        if at(&self.counts.failures) > 0 {
            stats.failures.insert("local", at(&self.counts.failures));
        }
    }
}

#[derive(Debug)]
struct OfRemote {
    to: &'static str,
    courier: Courier,
    spool: Arc<Spool>,
    own: Arc<AtomicU64>,
}

impl Account for OfRemote {
    fn fill(&self, stats: &mut SinkStats) {
        let (spool, courier) = (self.spool.counts(), self.courier.counts());
        stats.to = self.to;
        stats.own = self.own.load(Ordering::Relaxed);
        stats.delivered = courier.delivered;
        stats.refused = courier.refused;
        stats.expired = spool.expired;
        stats.overflowed = spool.overflowed;
        stats.lost = spool.lost;
        stats.inherited = spool.inherited;
        stats.failures = courier.failures;
        stats.waiting = spool.waiting;
        stats.waiting_bytes = spool.waiting_bytes;
        stats.oldest_ms = spool.oldest_ms;
        stats.volatile = self.spool.failure().is_some();
        stats.failing = courier.failing.is_some();
        stats.latency = courier.latency;
        stats.latency_seconds = courier.latency_seconds;
    }

    fn end(&self) {
        self.courier.end();
    }

    fn join(&mut self) {
        self.courier.join();
    }
}
