//! Thresholds: whether enough events, or enough different values, lie close together in time. It knows neither rules
//! nor keys.

use std::{collections::VecDeque, time::Duration};

/// How late an event may come, at most: the events of all CPUs go through one ring, and only what happens between
/// reading the clock and reserving the place in the ring can turn two of them around. That is microseconds; a second
/// is room for a virtual machine that is stopped in between.
const SLACK: u64 = 1_000_000_000;

/// Nanoseconds; longer than centuries is as good as for ever.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How late an event may come and still be counted exactly, in nanoseconds: at most the window itself, so that no more
/// than two windows have to be remembered.
pub(super) fn slack(within: u64) -> u64 {
    within.min(SLACK)
}

/// Adds an event to the times of those that are not counted yet. Where `wanted` of them now lie `within` of each other,
/// those are taken out, and the first one's time comes back.
pub(super) fn count(times: &mut VecDeque<u64>, at: u64, wanted: usize, within: u64) -> Option<u64> {
    let newest = times.back().map_or(at, |newest| at.max(*newest));
    forget(times, newest, within, |time| *time);
    let place = times.partition_point(|time| *time <= at);
    times.insert(place, at);
    full(times, place, wanted, within, |time| *time)
}

/// The same for values, each with the time at which it was last seen: a value counts once.
pub(super) fn distinct(
    values: &mut VecDeque<(u64, u64)>,
    at: u64,
    value: u64,
    wanted: usize,
    within: u64,
) -> Option<u64> {
    if let Some(known) = values.iter().position(|(_, known)| *known == value) {
        // A late event says nothing new of a value that was seen since.
        if values.get(known).is_some_and(|(time, _)| *time >= at) {
            return None;
        }
        values.remove(known);
    }
    let newest = values.back().map_or(at, |(newest, _)| at.max(*newest));
    forget(values, newest, within, |(time, _)| *time);
    let place = values.partition_point(|(time, _)| *time <= at);
    values.insert(place, (at, value));
    full(values, place, wanted, within, |(time, _)| *time)
}

/// Drops what cannot be in a window with anything that may still come.
fn forget<T>(entries: &mut VecDeque<T>, newest: u64, within: u64, time: impl Fn(&T) -> u64) {
    let horizon = newest.saturating_sub(within.saturating_add(slack(within)));
    while entries.front().is_some_and(|entry| time(entry) < horizon) {
        entries.pop_front();
    }
}

/// Takes out the earliest `wanted` neighbours around `place` that lie within the window, and gives the first one's time.
fn full<T>(
    entries: &mut VecDeque<T>,
    place: usize,
    wanted: usize,
    within: u64,
    time: impl Fn(&T) -> u64,
) -> Option<u64> {
    let earliest = (place + 1).saturating_sub(wanted);
    for first in earliest..=place {
        let last = first + wanted.saturating_sub(1);
        let (Some(from), Some(to)) = (entries.get(first).map(&time), entries.get(last).map(&time)) else {
            break;
        };
        if to - from <= within {
            entries.drain(first..=last);
            return Some(from);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(times: &[u64], wanted: usize) -> Vec<bool> {
        let mut state = VecDeque::new();
        times.iter().map(|at| count(&mut state, *at, wanted, 10).is_some()).collect()
    }

    #[test]
    fn a_threshold_is_reached_whatever_the_order() {
        assert_eq!(fed(&[0, 5, 10], 3), [false, false, true]);
        assert_eq!(fed(&[5, 10, 0], 3), [false, false, true]);
        assert_eq!(fed(&[0, 5, 11], 3), [false, false, false]);
        // What was counted is not counted again.
        assert_eq!(fed(&[0, 1, 2, 3, 4, 5], 3), [false, false, true, false, false, true]);
        assert_eq!(fed(&[7], 1), [true]);
        // Two windows are remembered, for events that come late.
        assert_eq!(fed(&[0, 15, 9, 8], 3), [false, false, false, true]);
    }

    #[test]
    fn a_value_counts_once_and_when_it_was_last_seen() {
        let mut state = VecDeque::new();
        let mut see = |at, value| distinct(&mut state, at, value, 3, 10).is_some();
        assert!(![see(0, 1), see(1, 1), see(2, 2), see(9, 1), see(8, 1)].contains(&true));
        assert!(!see(13, 3));
        assert!(see(14, 2));
    }

    #[test]
    fn state_stays_within_two_windows() {
        let mut state = VecDeque::new();
        for at in 0..10_000 {
            // Every fourth comes late, none ever fires.
            count(&mut state, if at % 4 == 0 { at * 3 } else { at * 3 + 9 }, 8, 15);
            assert!(state.len() <= 14, "{}", state.len());
        }
    }
}
