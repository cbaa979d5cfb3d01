//! Whether the sensor is alive, and whether it sees and delivers what it should. It only looks at the latest accounts.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::Bounds;
use crate::{pipeline::Snapshot, probe::HookReport};

/// How old the accounts of a sensor may be that is alive. They are drawn up once a second, and later where a machine has no
/// time for it: a sensor that is only slow must not be killed for that.
const STALLED: Duration = Duration::from_secs(15);
/// How long it may take until the first ones: slow kernels take half a minute to verify all programs.
const START: Duration = Duration::from_secs(180);

/// Why a sensor is not ready.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub(super) enum Reason {
    /// Its programs are not attached yet.
    Starting,
    /// The way of the events stands still.
    Stalled {
        /// For so long.
        seconds: f64,
    },
    /// Too much waits.
    Backlog {
        /// `ring`, `queue`, or a sink.
        of: String,
        /// The part of the room that is taken.
        share: f64,
    },
}

/// The answer to `/readyz`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Health {
    pub(super) ready: bool,
    /// Why not.
    pub(super) reasons: Vec<Reason>,
    /// Hooks that are wanted and not attached: what this kernel does not allow would never become ready.
    pub(super) blind: Vec<&'static str>,
}

/// Whether it is alive.
pub(super) fn alive(latest: Option<&Snapshot>, bounds: &Bounds, now: Instant) -> bool {
    match latest {
        Some(latest) => now.saturating_duration_since(latest.at) < STALLED,
        None => now.saturating_duration_since(bounds.started) < START,
    }
}

/// Whether it is ready.
pub(super) fn ready(latest: Option<&Snapshot>, bounds: &Bounds, now: Instant) -> Health {
    let Some(Snapshot { stats, at }) = latest else {
        return Health { ready: false, reasons: vec![Reason::Starting], blind: Vec::new() };
    };
    let mut reasons = Vec::new();
    let age = now.saturating_duration_since(*at);
    if age >= STALLED {
        reasons.push(Reason::Stalled { seconds: age.as_secs_f64() });
    }
    let queued = stats.queue.waiting();
    let mut backlog = |of: &str, waiting: u64, room: u64| {
        let share = waiting as f64 / room.max(1) as f64;
        if room > 0 && share > bounds.backlog_share {
            reasons.push(Reason::Backlog { of: of.to_owned(), share });
        }
    };
    // The last quarter is for processes alone: beyond the others everything else is lost already.
    backlog("ring", stats.kernel.ring_waiting_bytes, stats.kernel.ring_bytes / 4 * 3);
    backlog("queue", queued, bounds.queue);
    for (name, sink) in &stats.sinks {
        let room = bounds.spools.get(name).copied().unwrap_or_default();
        backlog(&format!("sink {name}"), sink.waiting_bytes, room);
    }
    let blind = stats.hooks.iter().filter(|hook| HookReport::is_blind(hook)).map(|hook| hook.hook).collect();
    Health { ready: reasons.is_empty(), reasons, blind }
}
