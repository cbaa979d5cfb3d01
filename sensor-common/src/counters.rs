//! Per-CPU state that the kernel programs keep and the daemon reads.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What became of the records of one kind on one CPU: `seen = submitted + filtered + limited + ring_full + failed`, all apart from
/// what is `passed_over`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Counters {
    /// Times that a program of this kind ran for something it is there for.
    pub seen: u64,
    /// Written to the ring.
    pub submitted: u64,
    /// Wanted by nobody.
    pub filtered: u64,
    /// Held back: its control group sends more than it may.
    pub limited: u64,
    /// Refused by a full ring, or by one too full for this kind's class.
    pub ring_full: u64,
    /// Could not be put together: no free scratch, or the object vanished.
    pub failed: u64,
    /// Wanted by nobody, as was known before a record was begun. To be added to `seen` and to `filtered`: most of what a program
    /// sees ends here, and each addition takes it 7 ns.
    pub passed_over: u64,
    /// Of those seen: missed by their program, and seen to by its stand-in.
    pub stood_in: u64,
}

/// Whose records were held back, and of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LimitKey {
    /// [`crate::Header::cgroup`].
    pub cgroup: u64,
    /// [`crate::Kind`] as a number.
    pub kind: u64,
}

/// One CPU's state of the ring, in the one slot of its map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RingState {
    /// Time of this CPU's last record, to tell a quiet spell from a storm.
    pub last_ts: u64,
    /// When this CPU last woke the daemon.
    pub last_wake: u64,
    /// Next [`crate::Header::seq`].
    pub seq: u64,
    /// How many programs want each scratch slot; who finds itself alone has it.
    pub slots: [u64; SLOTS as usize],
}

/// Programs that can be at work on one CPU at the same time: in a task, softirq, hardirq and NMI, and where the kernel is
/// preemptible several tasks, of which one more is counted as failed.
pub const SLOTS: u32 = 4;
