//! Sequences: events that fulfil one condition each, in order. The state of one key; it knows neither rules nor keys.

use crate::event::{Event, EventType};

use super::window::slack;

/// Events that one step of one key remembers. With more than these, it forgets the oldest that is not needed: a sequence
/// is never missed by that, only one alert of several.
pub(super) const REMEMBERED: usize = 16;

/// An event in short: what an alert says of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// The event's number in this run.
    pub number: u64,
    /// Who did it.
    pub pid: u32,
    /// What happened.
    pub event_type: EventType,
}

/// An event with its place in the order of time: when it happened since boot and, of those at the same moment, its
/// number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) at: u64,
    pub(super) evidence: Evidence,
}

impl Seen {
    pub(super) fn of(event: &Event) -> Self {
        let evidence = Evidence {
            time: event.time,
            number: event.number,
            pid: event.task.pid,
            event_type: event.event_type,
        };
        Self { at: event.boot_time, evidence }
    }

    const fn order(&self) -> (u64, u64) {
        (self.at, self.evidence.number)
    }
}

/// For each step the events that fulfil it and are in no sequence yet, in the order of time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chain {
    steps: Box<[Vec<Seen>]>,
}

impl Chain {
    pub(super) fn new(steps: usize) -> Self {
        Self { steps: vec![Vec::new(); steps].into() }
    }

    /// Takes an event that fulfils the steps whose bits are set. Where it completes a sequence, the events of that
    /// sequence are taken out and come back in order.
    pub(super) fn arrive(&mut self, seen: Seen, steps: u32, within: u64) -> Option<Vec<Seen>> {
        self.forget(seen.at, within);
        let complete = self.positions(steps).rev().find_map(|step| self.through(step, seen, within));
        match &complete {
            Some(chain) => {
                for list in &mut self.steps {
                    list.retain(|known| !chain.contains(known));
                }
            }
            None => self.remember(seen, steps),
        }
        complete
    }

    /// Takes an event without looking for a sequence.
    pub(super) fn remember(&mut self, seen: Seen, steps: u32) {
        for step in self.positions(steps) {
            let Some(list) = self.steps.get_mut(step) else { break };
            let place = list.partition_point(|known| known.order() < seen.order());
            if list.get(place) == Some(&seen) {
                continue;
            }
            list.insert(place, seen);
            if list.len() > REMEMBERED {
                let needed = self.needed(step);
                let Some(list) = self.steps.get_mut(step) else { break };
                let forgotten = list.iter().position(|known| !needed.contains(known)).unwrap_or(0);
                list.remove(forgotten);
            }
        }
    }

    fn positions(&self, steps: u32) -> impl DoubleEndedIterator<Item = usize> + use<> {
        (0..self.steps.len()).filter(move |step| steps & (1 << step) != 0)
    }

    /// Drops what can be in no sequence with anything that may still come.
    fn forget(&mut self, at: u64, within: u64) {
        let newest = self.steps.iter().filter_map(|list| list.last()).map(|seen| seen.at).fold(at, u64::max);
        let late = newest.saturating_sub(slack(within));
        let horizon = late.saturating_sub(within);
        // The first event of the step before: nothing earlier than it has anything in front of it.
        let mut before = None;
        for (step, list) in self.steps.iter_mut().enumerate() {
            list.retain(|seen| {
                let has_before = step == 0 || before.is_some_and(|before| before < seen.order());
                seen.at >= late || (seen.at >= horizon && has_before)
            });
            before = list.first().map(Seen::order);
        }
        if let Some(last) = self.steps.last_mut() {
            last.retain(|seen| seen.at >= late);
        }
    }

    /// The sequence in which the event is this step: in front of it the latest events, behind it the earliest, which
    /// makes it the shortest.
    fn through(&self, step: usize, seen: Seen, within: u64) -> Option<Vec<Seen>> {
        let mut chain = self.before(step, seen)?;
        chain.reverse();
        chain.push(seen);
        let mut last = seen;
        for list in self.steps.get(step + 1..).unwrap_or_default() {
            last = *list.get(list.partition_point(|known| known.order() <= last.order()))?;
            chain.push(last);
        }
        let first = chain.first()?;
        (last.at - first.at <= within).then_some(chain)
    }

    /// The latest events that may stand in front of an event of this step, the nearest first.
    fn before(&self, step: usize, seen: Seen) -> Option<Vec<Seen>> {
        let mut chain = Vec::with_capacity(self.steps.len());
        let mut next = seen;
        for list in self.steps.get(..step).unwrap_or_default().iter().rev() {
            let behind = list.partition_point(|known| known.order() < next.order());
            next = *list.get(behind.checked_sub(1)?)?;
            chain.push(next);
        }
        Some(chain)
    }

    /// The events of a step without which some beginning of a sequence would be lost: for each step the beginning that
    /// started last, since no other can lead to a sequence that this one does not lead to.
    fn needed(&self, step: usize) -> Vec<Seen> {
        let ends = self.steps.iter().enumerate().skip(step);
        ends.filter_map(|(end, list)| {
            let last = *list.last()?;
            if end == step {
                return Some(last);
            }
            self.before(end, last)?.get(end - step - 1).copied()
        })
        .collect()
    }

    /// How many steps have been seen in order.
    pub(super) fn progress(&self) -> usize {
        let ends = self.steps.iter().enumerate().rev();
        let mut reached =
            ends.filter(|(end, list)| list.last().is_some_and(|last| self.before(*end, *last).is_some()));
        reached.next().map_or(0, |(end, _)| end + 1)
    }

    /// The moment from which nothing of it can matter any more.
    pub(super) fn until(&self, within: u64) -> u64 {
        let last = self.steps.len().saturating_sub(1);
        let ends = self.steps.iter().enumerate().filter_map(|(step, list)| {
            let stays = if step == last { 0 } else { within };
            Some(list.last()?.at.saturating_add(stays))
        });
        ends.max().unwrap_or(0).saturating_add(slack(within))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.iter().all(Vec::is_empty)
    }

    /// The lengths of the memory that it holds, in bytes.
    pub(super) fn blocks(&self) -> impl Iterator<Item = usize> {
        let lists = self.steps.iter().map(|list| list.capacity() * size_of::<Seen>());
        lists.chain(std::iter::once(size_of_val(&*self.steps)))
    }
}
