//! The only wiring: records from the kernel or from a recording, through decoding and enrichment, to whoever consumes
//! events; the accounts of what was lost on the way; start and end.
//!
//! Everything up to the match runs on one thread, so that order is the ring's and no lock is taken. What can block (a
//! terminal, a disk, a socket) sits behind
//! [`crate::sink::Queue`].

mod alerting;
mod gate;
mod hold;
mod identity;
mod isolation;
mod live;
mod prefilter;
pub mod reload;
mod replay;
mod row;
mod stats;
mod verdict;

use std::{collections::BTreeSet, io, sync::Arc};

use sensor_common::{Header, Kind};
use thiserror::Error;
use zerocopy::FromBytes;

use self::hold::{Hold, HoldLimits};
pub use self::{
    alerting::{Alerting, blind_rules, needs},
    identity::sources,
    isolation::KernelNetwork,
    live::Live,
    prefilter::tables,
    replay::replay,
    stats::{IdentityStats, Origin, Published, RuleStats, Snapshot, SourceStats, Stats},
    verdict::{Can, How, Plan, Told},
};
use crate::{
    decode::decode,
    enrich::{Enricher, Lookup, runtime::Sources},
    event::{Container, Detail, Event, EventType, Limited, Loss, Lost},
    probe::{ProbeError, Wanted, fanotify::LetGo},
    recording::{Note, RecordingError},
    rule::Prefilter,
};

/// Why a run ended other than by its end or by a signal.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// The kernel half failed.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The recording cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// `/proc` or the ring cannot be read.
    #[error("cannot read {what}: {error}")]
    Read {
        /// What was read.
        what: &'static str,
        /// The system's words.
        error: io::Error,
    },
    /// The consumer cannot go on: a blind sensor must not look like a quiet host.
    #[error("the {stage} stage ended: {error}")]
    Stage {
        /// Which one.
        stage: &'static str,
        /// Why.
        error: io::Error,
    },
}

/// The records that somebody needs.
#[derive(Clone, Debug)]
pub struct Needs {
    /// Of these kinds.
    pub wanted: Wanted,
    /// And of those the ones of which this holds.
    pub prefilter: Prefilter,
    /// Kinds upon which some rule has the daemon act.
    pub urgent: Vec<Kind>,
    /// What the kernel half is to do by itself; `None`: nothing.
    pub plan: Option<Plan>,
}

/// Where events go.
pub trait Consumer {
    /// Every record as it came, before it is looked at.
    ///
    /// # Errors
    /// Where the consumer cannot go on.
    fn record(&mut self, _bytes: &[u8]) -> Result<(), PipelineError> {
        Ok(())
    }

    /// Every event, gaps included.
    ///
    /// # Errors
    /// Where the consumer cannot go on.
    fn event(&mut self, event: Event) -> Result<(), PipelineError>;

    /// A gap, before its event.
    ///
    /// # Errors
    /// Where the consumer cannot go on.
    fn note(&mut self, _note: &Note) -> Result<(), PipelineError> {
        Ok(())
    }

    /// About once a second, and at the end. The consumer adds its own accounts.
    ///
    /// # Errors
    /// Where the consumer cannot go on.
    fn tick(&mut self, _stats: &mut Stats) -> Result<(), PipelineError> {
        Ok(())
    }

    /// Between two batches, when no event is half done: the moment to change what is done with them. `own` makes an event
    /// of the sensor itself, for what it has to say of the change. Returns the records that are needed from now on, where
    /// that may have changed.
    ///
    /// # Errors
    /// Where the consumer cannot go on.
    fn between_batches(&mut self, _own: &mut dyn FnMut() -> Event) -> Result<Option<Needs>, PipelineError> {
        Ok(None)
    }

    /// Nothing is refused by fanotify any more.
    ///
    /// # Errors
    /// Where the consumer cannot go on.
    fn let_go(&mut self, _why: &LetGo) -> Result<(), PipelineError> {
        Ok(())
    }

    /// The containers that are there, about once a second; the list is only made where somebody wants it.
    fn containers(&mut self, _list: &dyn Fn() -> Vec<Arc<Container>>) {}

    /// Names of hosts that events are compared with. Asked at the start, and whenever the records that are needed may have
    /// changed.
    fn hosts(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }
}

/// Decoding and enrichment, and the accounts of both.
#[derive(Debug)]
struct Stage<L> {
    enricher: Enricher<L>,
    stats: Stats,
    hold: Hold,
    /// Who can be asked about containers; nobody in a replay.
    sources: Option<Sources>,
    /// Nanoseconds since boot: the clock's, or the latest record's in a replay.
    now: u64,
    /// Next sequence number by CPU; `None` until the first record.
    next_seq: Vec<Option<u32>>,
    last_ts: u64,
}

impl<L: Lookup> Stage<L> {
    fn new(enricher: Enricher<L>, limits: HoldLimits, sources: Option<Sources>) -> Self {
        let (stats, hold) = (Stats::default(), Hold::new(limits));
        Self { enricher, stats, hold, sources, now: 0, next_seq: Vec::new(), last_ts: 0 }
    }

    /// Takes one record of the kernel.
    fn take(&mut self, bytes: &[u8], consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        self.stats.received += 1;
        self.follow(bytes);
        self.feed(bytes, consumer)
    }

    /// Takes a record that has no sequence number: a snapshot.
    fn feed(&mut self, bytes: &[u8], consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        consumer.record(bytes)?;
        match decode(bytes) {
            Ok(raw) => {
                self.stats.decoded += 1;
                let event = self.enricher.enrich(raw);
                self.ask();
                match event {
                    Some(event) => self.pass(event, consumer),
                    None => Ok(()),
                }
            }
            Err(error) => {
                *self.stats.malformed.entry(error.reason()).or_default() += 1;
                tracing::debug!(%error, "record dropped");
                Ok(())
            }
        }
    }

    /// Counts what is missing in front of a record.
    fn follow(&mut self, bytes: &[u8]) {
        let Ok((header, _)) = Header::read_from_prefix(bytes) else { return };
        self.last_ts = self.last_ts.max(header.ts);
        let cpu = usize::from(header.cpu);
        if cpu >= self.next_seq.len() {
            self.next_seq.resize(cpu + 1, None);
        }
        let Some(next) = self.next_seq.get_mut(cpu) else { return };
        if let Some(expected) = *next {
            // A number behind the expected one comes from a program that interrupted another on the same CPU.
            let missing = header.seq.wrapping_sub(expected).cast_signed();
            self.stats.gaps += u64::from(missing.max(0).cast_unsigned());
        }
        *next = Some(header.seq.wrapping_add(1));
    }

    /// Passes a gap on, as a note and as an event.
    fn lose(&mut self, note: &Note, consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        consumer.note(note)?;
        let lost: Vec<Lost> =
            note.lost_kinds().map(|(kind, ring_full, failed)| Lost { kind, ring_full, failed }).collect();
        self.stats.lost += lost.iter().map(|lost| lost.ring_full + lost.failed).sum::<u64>();
        self.stats.events += 1;
        let limited: Vec<Limited> = note
            .limited_kinds()
            .map(|(kind, cgroup, count)| Limited { kind, cgroup, of: self.enricher.called(cgroup), count })
            .collect();
        self.stats.limited += limited.iter().map(|limited| limited.count).sum::<u64>();
        let detail = Detail::Loss(Loss { lost, limited });
        let event = self.enricher.own_event(std::process::id(), note.ts, EventType::Loss, detail);
        consumer.event(event)
    }

    fn stats(&mut self) -> &mut Stats {
        self.stats.seen_until = self.stats.seen_until.max(self.last_ts);
        self.stats.enrich = self.enricher.counts();
        self.stats.processes = self.enricher.processes().len();
        self.stats.process_bytes = self.enricher.processes().bytes();
        self.account_identity();
        &mut self.stats
    }
}

/// Whether the loss of some of these may have left the process table wrong.
fn lifecycle_lost(note: &Note) -> bool {
    note.lost_kinds().any(|(kind, ring_full, failed)| {
        ring_full + failed > 0 && matches!(kind, Kind::ProcExec | Kind::ProcFork | Kind::ProcExit)
    })
}
