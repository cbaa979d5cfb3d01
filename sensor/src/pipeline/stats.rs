//! The accounts of a run: what was seen, what became of it.

mod published;
mod rules;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::OFlags;
use serde::Serialize;

pub use self::{
    published::{Published, Snapshot},
    rules::{Origin, RuleStats, SourceStats},
};
use crate::{
    enrich::EnrichCounts,
    probe::{Counts, HookReport, Usage},
    respond::RespondCounts,
    rule::{CorrelationCounts, Cost},
    sink::{QueueCounts, SinkStats},
};

/// Totals since the start. Three sums hold at the end of every run:
/// `seen = submitted + filtered + limited + ring_full + failed` for each kind, `Σ submitted = received`, and
/// `decoded + Σ malformed = received + snapshots`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stats {
    /// Whose accounts these are.
    pub pid: u32,
    /// When they were written, RFC 3339.
    pub written: String,
    /// Rules at work; not filled where none are.
    pub rules: RuleStats,
    /// Nanoseconds since boot: everything that happened before has been seen.
    pub seen_until: u64,
    /// How each hook is attached, and why not better. Empty for a replay.
    pub hooks: Vec<HookReport>,
    /// What the kernel programs counted, by kind. Empty for a replay.
    pub kinds: BTreeMap<&'static str, Counts>,
    /// How full the kernel half is, and what it costs. Empty for a replay.
    pub kernel: Usage,
    /// Records taken from the ring or the recording.
    pub received: u64,
    /// Snapshot records that the sensor wrote for itself.
    pub snapshots: u64,
    /// Records that decoded.
    pub decoded: u64,
    /// Records that did not, by reason.
    pub malformed: BTreeMap<&'static str, u64>,
    /// Records missing by sequence numbers.
    pub gaps: u64,
    /// Records lost, by the kernel's count.
    pub lost: u64,
    /// Records held back, since their control group sent more than it may.
    pub limited: u64,
    /// Events handed on.
    pub events: u64,
    /// Rules that matched.
    pub matches: u64,
    /// The same by rule; a rule that never matched is not here, nor one that is no more.
    pub matches_by_rule: BTreeMap<String, u64>,
    /// Events at which the kernel half acted by itself: `refused` or `killed`.
    pub enforced: BTreeMap<&'static str, u64>,
    /// What rules over time remember, and what they lost.
    pub correlation: CorrelationCounts,
    /// What each rule cost since its set was loaded, and behind them what they share.
    pub costs: Vec<Cost>,
    /// What became of responses.
    pub respond: RespondCounts,
    /// What fanotify asked.
    pub fanotify: FanotifyStats,
    /// What went through the queue behind the match.
    pub queue: QueueCounts,
    /// What went through each sink, by its name.
    pub sinks: BTreeMap<String, SinkStats>,
    /// What enrichment did.
    pub enrich: EnrichCounts,
    /// Who containers are, and what waited for it.
    pub identity: IdentityStats,
    /// Processes known.
    pub processes: usize,
    /// Bytes of process images in use.
    pub process_bytes: usize,
}

/// How often it was known who a container is. `events = complete + incomplete`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct IdentityStats {
    /// Events of containers handed on.
    pub events: u64,
    /// Those with full identity.
    pub complete: u64,
    /// Those without.
    pub incomplete: u64,
    /// By what was missing; an event may miss several things.
    pub missing: BTreeMap<&'static str, u64>,
    /// The share of complete ones, 1 where there was no container.
    pub complete_share: f64,
    /// Events that had to wait.
    pub held: u64,
    /// Containers whose events were let go because the time was over, and because there was no room.
    pub timed_out: u64,
    /// See `timed_out`.
    pub overflowed: u64,
    /// Bytes of events that wait now.
    pub held_bytes: usize,
    /// Containers known now, and bytes of what is known of them.
    pub containers: usize,
    /// See `containers`.
    pub container_bytes: usize,
    /// Control groups known now.
    pub groups: usize,
    /// Answers that came, by source.
    pub answers: BTreeMap<&'static str, u64>,
    /// Questions that no source had room for.
    pub unasked: u64,
}

/// Questions of the kernel before programs run.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct FanotifyStats {
    /// Questions.
    pub asked: u64,
    /// Those that were answered with no.
    pub refused: u64,
    /// How often an answer took too long, and everybody was let go.
    pub let_go: u64,
}

impl Stats {
    /// Writes the accounts as JSON; a reader never sees half a file. An empty path writes nothing.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let accounts = Self { pid: std::process::id(), written: rules::now(), ..self.clone() };
        let partial = path.with_extension("partial");
        // Whoever may look at the machine may look at its accounts. No link is followed: one that somebody put there
        // would lead to a file of theirs, or of ours.
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o644).custom_flags(flags);
        options.open(&partial)?.write_all(&serde_json::to_vec(&accounts)?)?;
        fs::rename(partial, path)
    }
}
