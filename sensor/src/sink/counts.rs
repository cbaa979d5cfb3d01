//! The accounts of one sink. Once nothing waits, `offered = filtered + taken + dropped` in front of its queue, and behind it
//! `taken + own = delivered + refused + expired + overflowed + lost` where records wait for a remote destination.

use std::collections::BTreeMap;

use serde::Serialize;

/// Upper ends of the classes of delivery latency, in seconds; one more class has what took longer.
pub const LATENCY_SECONDS: [f64; 10] = [0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0];

/// What went through one sink since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SinkStats {
    /// Kind of destination.
    pub to: &'static str,
    /// Alerts and events that there were for it to choose from.
    pub offered: u64,
    /// Those that its filter left out.
    pub filtered: u64,
    /// Those that its queue took.
    pub taken: u64,
    /// Those that found its queue full.
    pub dropped: u64,
    /// Gaps and checkpoints that the sink wrote for itself.
    pub own: u64,
    /// Records that the destination has: acknowledged, where it can do that.
    pub delivered: u64,
    /// Records that it refused for good; they are in the dead-letter file, as far as that has room.
    pub refused: u64,
    /// Records that waited too long.
    pub expired: u64,
    /// Records that found the spool full.
    pub overflowed: u64,
    /// Records that were lost since the spool could not be read.
    pub lost: u64,
    /// Records of an earlier run that were found waiting at the start.
    pub inherited: u64,
    /// Tries that failed, by reason.
    pub failures: BTreeMap<&'static str, u64>,
    /// Records that wait now.
    pub waiting: u64,
    /// Bytes of them.
    pub waiting_bytes: u64,
    /// Milliseconds for which the oldest of them has waited.
    pub oldest_ms: u64,
    /// Whether records wait in memory alone, since the spool cannot be written.
    pub volatile: bool,
    /// Whether the last try failed.
    pub failing: bool,
    /// Delivered records by how long it took from the alert to the acknowledgement: one class for each of
    /// [`LATENCY_SECONDS`], and one for what took longer.
    pub latency: [u64; LATENCY_SECONDS.len() + 1],
    /// The sum of it in seconds.
    pub latency_seconds: f64,
}
