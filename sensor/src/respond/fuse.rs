//! How many responses there may be, and the fuse that opens where there are more: a rule that is wrong must not take a whole
//! cluster down. It reads no clock: time is the events' own.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::config::RespondConfig;

/// What the limits are about, in nanoseconds.
const MINUTE: u64 = 60_000_000_000;

/// A fuse that opened or closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trip {
    /// Of which workload; `None`: of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// Whether it is open now.
    pub open: bool,
    /// The limit that was passed.
    pub per_minute: usize,
    /// Nanoseconds since boot until which it stays open.
    #[serde(skip)]
    pub until: u64,
}

/// The responses of the last minute.
#[derive(Debug, Default)]
struct Window {
    at: VecDeque<u64>,
    open_until: Option<u64>,
}

impl Window {
    /// Whether there is room for one more; opens the fuse where there is not.
    fn admits(&mut self, now: u64, limit: usize, lasting: u64) -> bool {
        self.forget(now);
        if self.open_until.is_some() {
            return false;
        }
        if limit > 0 && self.at.len() >= limit {
            self.open_until = Some(now.saturating_add(lasting));
            return false;
        }
        true
    }

    fn forget(&mut self, now: u64) {
        while self.at.front().is_some_and(|at| at.saturating_add(MINUTE) <= now) {
            self.at.pop_front();
        }
    }

    /// Closes it where its time is over; whether it did.
    fn close(&mut self, now: u64) -> bool {
        let over = self.open_until.is_some_and(|until| until <= now);
        if over {
            // It begins anew: what led to it has been said.
            *self = Self::default();
        }
        over
    }
}

/// The fuse of all workloads, and one of each.
#[derive(Debug)]
pub struct Fuse {
    all: Window,
    /// No more than have acted within a minute or are open, so the limit of all bounds it.
    workloads: BTreeMap<String, Window>,
    per_minute: usize,
    per_workload: usize,
    lasting: u64,
    /// The latest time seen: those of events from several processors go back and forth a little.
    now: u64,
    trips: Vec<Trip>,
}

impl Fuse {
    /// Closed, with the limits of the configuration.
    #[must_use]
    pub const fn new(config: &RespondConfig) -> Self {
        Self {
            all: Window { at: VecDeque::new(), open_until: None },
            workloads: BTreeMap::new(),
            per_minute: config.limit.per_minute,
            per_workload: config.limit.per_workload_per_minute,
            lasting: config.fuse_seconds.saturating_mul(1_000_000_000),
            now: 0,
            trips: Vec::new(),
        }
    }

    /// Counts a response of a workload at `now` (nanoseconds since boot), if it may be: `false` where the fuse is open.
    pub fn take(&mut self, workload: &str, now: u64) -> bool {
        self.pass(now);
        let now = self.now;
        let was = self.all.open_until.is_some();
        if !self.all.admits(now, self.per_minute, self.lasting) {
            if let (false, Some(until)) = (was, self.all.open_until) {
                self.trips.push(Trip { workload: None, open: true, per_minute: self.per_minute, until });
            }
            return false;
        }
        let window = self.workloads.entry(workload.to_owned()).or_default();
        let was = window.open_until.is_some();
        if !window.admits(now, self.per_workload, self.lasting) {
            if let (false, Some(until)) = (was, window.open_until) {
                let workload = Some(workload.to_owned());
                self.trips.push(Trip { workload, open: true, per_minute: self.per_workload, until });
            }
            return false;
        }
        // What has no limit is not remembered either.
        if self.per_minute > 0 {
            self.all.at.push_back(now);
        }
        if self.per_workload > 0 {
            window.at.push_back(now);
        }
        true
    }

    /// It is `now`: what was open long enough closes.
    pub fn pass(&mut self, now: u64) {
        self.now = self.now.max(now);
        let now = self.now;
        if self.all.close(now) {
            self.trips.push(Trip { workload: None, open: false, per_minute: self.per_minute, until: now });
        }
        let Self { workloads, trips, per_workload, .. } = self;
        workloads.retain(|workload, window| {
            if window.close(now) {
                let workload = Some(workload.clone());
                trips.push(Trip { workload, open: false, per_minute: *per_workload, until: now });
            }
            window.forget(now);
            window.open_until.is_some() || !window.at.is_empty()
        });
    }

    /// Closes everything that is open, and counts anew.
    pub fn reset(&mut self) {
        let now = self.now;
        for window in std::iter::once(&mut self.all).chain(self.workloads.values_mut()) {
            if window.open_until.is_some() {
                window.open_until = Some(now);
            } else {
                window.at.clear();
            }
        }
        self.pass(now);
    }

    /// When the next one closes.
    #[must_use]
    pub fn next_close(&self) -> Option<u64> {
        std::iter::once(&self.all).chain(self.workloads.values()).filter_map(|window| window.open_until).min()
    }

    /// Those that are open: `None` stands for that of all.
    pub fn open(&self) -> impl Iterator<Item = Option<&str>> {
        let all = self.all.open_until.map(|_| None);
        let one = self.workloads.iter().filter(|(_, window)| window.open_until.is_some());
        all.into_iter().chain(one.map(|(workload, _)| Some(workload.as_str())))
    }

    /// What opened or closed since the last call.
    pub fn trips(&mut self) -> Vec<Trip> {
        std::mem::take(&mut self.trips)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LimitConfig;

    const SECOND: u64 = 1_000_000_000;

    fn fuse(per_minute: usize, per_workload_per_minute: usize) -> Fuse {
        let limit = LimitConfig { per_minute, per_workload_per_minute };
        Fuse::new(&RespondConfig { limit, fuse_seconds: 300, ..RespondConfig::default() })
    }

    #[test]
    fn a_workload_has_its_own_limit_and_opens_its_own_fuse() {
        let mut fuse = fuse(100, 3);
        let taken = (0..10).filter(|n| fuse.take("a", SECOND + n)).count();
        assert_eq!(taken, 3);
        assert!(fuse.take("b", 2 * SECOND));
        let trips = fuse.trips();
        assert_eq!(trips.len(), 1, "said once: {trips:?}");
        assert_eq!((trips[0].workload.as_deref(), trips[0].open), (Some("a"), true));
        // It stays open although the minute is over, and closes when its time is.
        assert!(!fuse.take("a", 200 * SECOND));
        fuse.pass(302 * SECOND);
        assert_eq!((fuse.trips().len(), fuse.take("a", 302 * SECOND)), (1, true));
    }

    #[test]
    fn the_limit_of_all_opens_the_fuse_of_all_and_a_reset_closes_it() {
        let mut fuse = fuse(5, 0);
        let taken = (0..1000).filter(|n| fuse.take(&format!("w{n}"), SECOND + n)).count();
        assert_eq!(taken, 5);
        assert_eq!(fuse.open().collect::<Vec<_>>(), [None]);
        assert!(fuse.workloads.len() <= 6, "what is refused is not remembered: {}", fuse.workloads.len());
        fuse.reset();
        assert_eq!(fuse.trips().iter().map(|trip| trip.open).collect::<Vec<_>>(), [true, false]);
        assert!(fuse.take("w", 2 * SECOND));
    }

    #[test]
    fn a_slow_pace_never_opens_it_and_time_does_not_go_back() {
        let mut slow = fuse(3, 3);
        assert!((1..100).all(|n| slow.take("a", n * 21 * SECOND)));
        assert!(slow.trips().is_empty());
        let mut back = fuse(2, 2);
        assert!(back.take("a", 100 * SECOND) && back.take("a", 99 * SECOND));
        assert!(!back.take("a", 98 * SECOND));
    }
}
