//! What each rule costs: how often its condition was asked, how often it held, and the time it took. Asking is counted
//! always; the time of one event in [`SAMPLE`] is taken, because looking at the clock costs more than most conditions.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// One event in so many is timed. A prime, so that it does not follow the beat of what a host repeats.
const SAMPLE: u32 = 251;

/// What a rule cost since its set was loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// The rule's name; of what several rules share (guards, lookups) an empty one.
    pub rule: String,
    /// How often its condition was asked, also for the later steps of a sequence.
    pub evaluations: u64,
    /// How often it held.
    pub matches: u64,
    /// All of it together, nanoseconds: estimated from the timed events.
    pub nanoseconds: u64,
    /// The floods that it lets through the kernel's filters, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<String>,
}

/// Counts of one entry.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    evaluations: u64,
    matches: u64,
    timed: u64,
    nanoseconds: u64,
}

/// Counts of all entries, and of what they share.
#[derive(Debug)]
pub(super) struct Meter {
    entries: Vec<Count>,
    shared: Count,
    until_sample: u32,
    /// What reading the clock costs; it is taken off every measurement.
    clock: Duration,
}

impl Meter {
    pub(super) fn new(entries: usize) -> Self {
        Self {
            entries: vec![Count::default(); entries],
            shared: Count::default(),
            until_sample: SAMPLE,
            clock: (0..16).map(|_| Instant::now().elapsed()).min().unwrap_or_default(),
        }
    }

    /// Whether the next event is to be timed.
    pub(super) const fn samples(&mut self) -> bool {
        self.until_sample -= 1;
        if self.until_sample == 0 {
            self.until_sample = SAMPLE;
        }
        self.until_sample == SAMPLE
    }

    /// An entry was asked; `since`: when, where it is timed.
    pub(super) fn asked(&mut self, entry: u32, holds: bool, since: Option<Instant>) {
        let clock = self.clock;
        if let Some(count) = self.entries.get_mut(entry as usize) {
            count.add(holds, since, clock);
        }
    }

    /// Something that several entries share was asked.
    pub(super) fn shared(&mut self, since: Option<Instant>) {
        self.shared.add(false, since, self.clock);
    }

    /// The report: `rules` names the rule of each entry, in order.
    pub(super) fn report<'n>(&self, rules: impl Iterator<Item = (usize, &'n str)>) -> Vec<Cost> {
        let mut costs: Vec<Cost> = Vec::new();
        for (count, (rule, name)) in self.entries.iter().zip(rules) {
            match costs.get_mut(rule) {
                Some(cost) => cost.add(count),
                None => costs.push(count.cost(name)),
            }
        }
        costs.push(self.shared.cost(""));
        costs
    }
}

impl Count {
    fn add(&mut self, holds: bool, since: Option<Instant>, clock: Duration) {
        self.evaluations += 1;
        self.matches += u64::from(holds);
        if let Some(since) = since {
            self.timed += 1;
            self.nanoseconds += since.elapsed().saturating_sub(clock).as_nanos() as u64;
        }
    }

    fn cost(&self, name: &str) -> Cost {
        let mut cost =
            Cost { rule: name.to_owned(), evaluations: 0, matches: 0, nanoseconds: 0, gates: Vec::new() };
        cost.add(self);
        cost
    }
}

impl Cost {
    fn add(&mut self, count: &Count) {
        self.evaluations += count.evaluations;
        self.matches += count.matches;
        if count.timed > 0 {
            let all = u128::from(count.nanoseconds) * u128::from(count.evaluations) / u128::from(count.timed);
            self.nanoseconds += all as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_in_many_is_timed_and_stands_for_the_others() {
        let mut meter = Meter::new(3);
        let timed = (0..10 * SAMPLE).filter(|_| meter.samples()).count();
        assert_eq!(timed, 10);
        meter.clock = Duration::ZERO;
        let ago = Instant::now().checked_sub(Duration::from_millis(1));
        for at in 0..100 {
            meter.asked(0, at == 7, ago.filter(|_| at % 10 == 0));
        }
        meter.asked(2, true, None);
        // The third entry is a later step of the first rule.
        let costs = meter.report([(0, "first"), (1, "second"), (0, "first")].into_iter());
        let [first, second, shared] = costs.as_slice() else { panic!("{costs:?}") };
        assert_eq!((first.evaluations, first.matches), (101, 2));
        assert!((100_000_000..200_000_000).contains(&first.nanoseconds), "{first:?}");
        assert_eq!((second.evaluations, second.nanoseconds), (0, 0));
        assert_eq!((shared.rule.as_str(), shared.evaluations), ("", 0));
    }
}
