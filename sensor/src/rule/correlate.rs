//! Conditions that hold → matches, for rules that ask for more than one event. This knows the event and what rules ask for,
//! and nothing of how conditions are evaluated. Everything that is remembered lies in one table, which keeps to its
//! budget.
//!
#![doc = include_str!("correlate/semantics.md")]

mod chain;
mod finding;
mod key;
mod plan;
mod reach;
mod state;
mod table;
mod tree;
mod window;

use std::{collections::BTreeMap, collections::VecDeque, sync::Arc};

use serde::Serialize;

pub(crate) use self::key::{PROCESS, Part, TREE};
pub use self::{
    chain::Evidence,
    finding::{Counted, Finding, Summary},
    key::Key,
    plan::{Count, OverTime, Sequence, Short, Suppress},
};
use self::{
    chain::{Chain, Seen},
    key::Renderer,
    state::{Silence, State},
    table::{Entry, Table},
    tree::Early,
    window::{nanoseconds, slack},
};
use super::{Match, RuleInfo, RuleSet};
use crate::event::Event;

/// What the three keys mean, for the reference.
pub const SEMANTICS: &str = include_str!("correlate/semantics.md");
/// Bytes for all state, where nobody says otherwise.
pub const STATE_BYTES: usize = 16 << 20;
/// Below this not even the first keys have room.
const LEAST_BYTES: usize = 128 << 10;
/// Keys that one call of [`Correlator::expire`] releases at most: a few milliseconds.
const RELEASED_AT_ONCE: usize = 16_384;

/// The lists of one rule, in the order of [`OverTime::digests`].
#[derive(Clone, Copy, Debug, Default)]
struct Lists {
    sequence: u32,
    count: u32,
    suppress: u32,
}

/// What became of rules over time.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CorrelationCounts {
    /// Keys of which something is remembered.
    pub keys: usize,
    /// Bytes in use for that.
    pub bytes: usize,
    /// Matches that were not said, because their rule asks for silence after an alert.
    pub suppressed: u64,
    /// Keys that were forgotten before their time for want of memory, by rule. A rule that is not here lost nothing.
    pub evicted: BTreeMap<String, u64>,
}

/// What rules over time remember.
#[derive(Debug)]
pub(crate) struct Correlator {
    table: Table,
    /// By the rule's number.
    lists: Vec<Lists>,
    /// By the list's number: the rule's.
    owners: Vec<u32>,
    renderer: Renderer,
    /// Rules and steps whose conditions hold on the event at hand.
    holding: Vec<(u32, u32)>,
    /// Rules that matched the event at hand without saying so.
    silenced: Vec<u32>,
    /// Later steps that came before their first, for sequences within a process tree.
    early: BTreeMap<u32, VecDeque<Early>>,
    summaries: Vec<Summary>,
    suppressed: u64,
    /// The newest event's boot time.
    now: u64,
}

impl Correlator {
    pub(crate) fn new(rules: &[Arc<RuleInfo>], limit: usize) -> Self {
        let (mut lists, mut owners) = (Vec::new(), Vec::new());
        for rule in rules {
            let mut next = |wanted: bool| {
                let list = owners.len() as u32;
                owners.extend(wanted.then_some(rule.index as u32));
                list
            };
            lists.push(Lists {
                sequence: next(rule.over_time.sequence.is_some()),
                count: next(rule.over_time.count.is_some()),
                suppress: next(rule.over_time.suppress.is_some()),
            });
        }
        Self {
            table: Table::new(owners.len(), limit.max(LEAST_BYTES)),
            lists,
            owners,
            renderer: Renderer::default(),
            holding: Vec::new(),
            silenced: Vec::new(),
            early: BTreeMap::new(),
            summaries: Vec::new(),
            suppressed: 0,
            now: 0,
        }
    }

    /// Called before the conditions of an event are evaluated.
    pub(crate) fn next(&mut self) {
        self.holding.clear();
        self.silenced.clear();
    }

    /// A condition of a rule that asks for something over time holds. `step`: 0 for the rule's own.
    pub(crate) fn holds(&mut self, rule: u32, step: u32) {
        self.holding.push((rule, step));
    }

    /// The rules that matched the event at hand and stay silent about it.
    pub(crate) fn silenced(&self) -> &[u32] {
        &self.silenced
    }

    /// Adds what comes of the conditions that hold to the matches, of which those from `before` on are the event's.
    /// `first`: the event stops at its first rule.
    pub(crate) fn settle(
        &mut self,
        set: &RuleSet,
        event: &Event,
        matches: &mut Vec<Match>,
        before: usize,
        first: bool,
    ) {
        if self.holding.is_empty() {
            return;
        }
        self.now = self.now.max(event.boot_time);
        let mut holding = std::mem::take(&mut self.holding);
        holding.sort_unstable();
        let own = matches.get(before..).unwrap_or_default();
        let mut stop = own.iter().map(|found| found.rule.index).min().filter(|_| first);
        for steps in holding.chunk_by(|(rule, _), (next, _)| rule == next) {
            let Some((number, _)) = steps.first() else { continue };
            let Some(rule) = set.rules().get(*number as usize) else { continue };
            let steps = steps.iter().fold(0, |steps, (_, step)| steps | 1 << step);
            let stopped = stop.is_some_and(|stop| stop < rule.index);
            match self.outcome(rule, event, steps, stopped) {
                Some(Outcome::Match(finding)) => matches.push(Match { rule: Arc::clone(rule), finding }),
                Some(Outcome::Silence) => {
                    self.suppressed += 1;
                    self.silenced.push(*number);
                    if first {
                        matches.truncate(before);
                    }
                }
                None => continue,
            }
            stop = Some(rule.index).filter(|_| first);
        }
        self.holding = holding;
        self.table.trim(self.now);
    }

    /// Condition, sequence, count, suppress: each lets through what the next is about.
    fn outcome(&mut self, rule: &RuleInfo, event: &Event, steps: u32, stopped: bool) -> Option<Outcome> {
        let lists = self.lists.get(rule.index).copied()?;
        let OverTime { sequence, count, suppress, .. } = &rule.over_time;
        let mut finding = Finding::default();
        if let Some(sequence) = sequence {
            let chain = self.sequence(sequence, lists.sequence, event, steps)?;
            finding.steps = chain.into_iter().map(|seen| seen.evidence).collect();
            finding.of(&sequence.by, &self.renderer.bytes);
        }
        if stopped {
            return None;
        }
        if let Some(count) = count {
            finding.count = Some(self.count(count, lists.count, event)?);
            finding.of(&count.by, &self.renderer.bytes);
        }
        if let Some(suppress) = suppress {
            let Some(unsaid) = self.suppress(suppress, lists.suppress, event) else {
                return Some(Outcome::Silence);
            };
            finding.suppressed = unsaid;
            finding.of(&suppress.by, &self.renderer.bytes);
        }
        Some(Outcome::Match(Some(Box::new(finding))))
    }

    fn sequence(&mut self, sequence: &Sequence, list: u32, event: &Event, steps: u32) -> Option<Vec<Seen>> {
        if sequence.by.is_tree() {
            return self.tree(sequence, list, event, steps);
        }
        self.renderer.event(&sequence.by, event);
        let length = sequence.nodes.len() + 1;
        let id = self.entry(list, || State::Chain(Chain::new(length)));
        self.arrive(id, Seen::of(event), steps, nanoseconds(sequence.within))
    }

    /// An event comes to the sequence of this entry.
    fn arrive(&mut self, id: u32, seen: Seen, steps: u32, within: u64) -> Option<Vec<Seen>> {
        let Some(State::Chain(chain)) = self.table.state_mut(id) else { return None };
        let complete = chain.arrive(seen, steps, within);
        let until = chain.until(within);
        self.table.changed(id, until, true);
        complete
    }

    fn count(&mut self, count: &Count, list: u32, event: &Event) -> Option<Counted> {
        let value = count.distinct.as_ref().map(|field| {
            self.renderer.event(field, event);
            self.table.hash(list, &self.renderer.bytes)
        });
        self.renderer.event(&count.by, event);
        let (wanted, within) = (count.at_least as usize, nanoseconds(count.within));
        let id = self.entry(list, || match value {
            Some(_) => State::Values(VecDeque::new()),
            None => State::Times(VecDeque::new()),
        });
        let (first, newest) = match (self.table.state_mut(id)?, value) {
            (State::Times(times), _) => {
                (window::count(times, event.boot_time, wanted, within), times.back().copied())
            }
            (State::Values(values), Some(value)) => {
                let first = window::distinct(values, event.boot_time, value, wanted, within);
                (first, values.back().map(|(time, _)| *time))
            }
            _ => return None,
        };
        let until = newest.unwrap_or(0).saturating_add(within).saturating_add(slack(within));
        self.table.changed(id, until, true);
        // The first event was so much before this one (or behind it, where this one came late).
        let since = event.time.saturating_add_signed(first?.wrapping_sub(event.boot_time).cast_signed());
        let distinct = count.distinct.as_ref().map(ToString::to_string);
        Some(Counted { number: count.at_least, distinct, since })
    }

    /// How many matches were not said since the last one that was; `None`: this one is not said either.
    fn suppress(&mut self, suppress: &Suppress, list: u32, event: &Event) -> Option<u64> {
        self.renderer.event(&suppress.by, event);
        let lasting = nanoseconds(suppress.lasting);
        let until = event.boot_time.saturating_add(lasting).saturating_add(slack(lasting));
        let last = Seen::of(event).evidence;
        let hash = self.table.hash(list, &self.renderer.bytes);
        let Some(id) = self.table.find(hash, list, &self.renderer.bytes) else {
            let silence = Silence { since: event.boot_time, suppressed: 0, last, container: None };
            self.table.insert(hash, list, &self.renderer.bytes, State::Silence(silence), until);
            return Some(0);
        };
        let Some(State::Silence(silence)) = self.table.state_mut(id) else { return Some(0) };
        if event.boot_time.abs_diff(silence.since) <= lasting {
            silence.suppressed += 1;
            silence.last = last;
            silence.container.clone_from(&event.container);
            return None;
        }
        silence.since = event.boot_time;
        let unsaid = std::mem::take(&mut silence.suppressed);
        // Its place in the list is by the beginning of its silence, which is the order in which silences end.
        self.table.changed(id, until, true);
        Some(unsaid)
    }

    /// The entry of the rendered key.
    fn entry(&mut self, list: u32, new: impl FnOnce() -> State) -> u32 {
        let key = &self.renderer.bytes;
        let hash = self.table.hash(list, key);
        match self.table.find(hash, list, key) {
            Some(id) => id,
            None => self.table.insert(hash, list, key, new(), 0),
        }
    }

    /// Releases what ended before `now` (nanoseconds since boot), a bounded amount at a time, and appends what was
    /// suppressed and never said. Whether something was left for the next call.
    pub(crate) fn expire(&mut self, set: &RuleSet, now: u64, summaries: &mut Vec<Summary>) -> bool {
        summaries.append(&mut self.summaries);
        let owners = &self.owners;
        let taken = self.table.expire(now, RELEASED_AT_ONCE, |entry| {
            summaries.extend(summary(set, owners, &entry));
        });
        for early in self.early.values_mut() {
            tree::release(early, now.saturating_sub(slack(u64::MAX)));
        }
        self.table.elsewhere(self.early.values().map(tree::bytes).sum());
        taken == RELEASED_AT_ONCE
    }

    /// Takes over what another remembers of rules that are the same here. What it suppressed under other rules is said
    /// at the next [`Correlator::expire`].
    pub(crate) fn adopt(&mut self, set: &RuleSet, mut old: Self, old_set: &RuleSet) {
        let known: BTreeMap<&str, &Arc<RuleInfo>> =
            old_set.rules().iter().map(|rule| (rule.name.as_str(), rule)).collect();
        for (rule, lists) in set.rules().iter().zip(&self.lists) {
            let Some(before) = known.get(rule.name.as_str()) else { continue };
            let Some(old_lists) = old.lists.get(before.index) else { continue };
            let (new, was) = (&rule.over_time, &before.over_time);
            let same = |part: usize| new.digests.get(part) == was.digests.get(part);
            if new.sequence.is_some() && was.sequence.is_some() && same(0) {
                self.table.adopt(lists.sequence, &mut old.table, old_lists.sequence);
                self.early.extend(old.early.remove(&old_lists.sequence).map(|early| (lists.sequence, early)));
            }
            if new.count.is_some() && was.count.is_some() && same(1) {
                self.table.adopt(lists.count, &mut old.table, old_lists.count);
            }
            if new.suppress.is_some() && was.suppress.is_some() && same(2) {
                self.table.adopt(lists.suppress, &mut old.table, old_lists.suppress);
            }
        }
        self.summaries.append(&mut old.summaries);
        let owners = &old.owners;
        let ended = |entry: Entry| self.summaries.extend(summary(old_set, owners, &entry));
        old.table.expire(u64::MAX, usize::MAX, ended);
        self.suppressed = old.suppressed;
        self.now = old.now;
        self.table.trim(self.now);
    }

    /// The accounts.
    pub(crate) fn counts(&self, set: &RuleSet) -> CorrelationCounts {
        let evictions = self.evictions(set);
        CorrelationCounts {
            keys: self.table.keys(),
            bytes: self.table.bytes(),
            suppressed: self.suppressed,
            evicted: evictions.into_iter().map(|(rule, evicted, _)| (rule.to_owned(), evicted)).collect(),
        }
    }

    /// Rules that lost keys, with how many, and how many suppressed alerts nobody heard of by that.
    pub(crate) fn evictions<'s>(&self, set: &'s RuleSet) -> Vec<(&'s str, u64, u64)> {
        let mut found: Vec<(&str, u64, u64)> = Vec::new();
        for (list, owner) in self.table.lists().iter().zip(&self.owners) {
            let Some(rule) = set.rules().get(*owner as usize).filter(|_| list.evicted > 0) else { continue };
            match found.last_mut().filter(|(name, ..)| *name == rule.name) {
                Some((_, evicted, unsaid)) => {
                    (*evicted, *unsaid) = (*evicted + list.evicted, *unsaid + list.unsaid);
                }
                None => found.push((&rule.name, list.evicted, list.unsaid)),
            }
        }
        found
    }
}

enum Outcome {
    Match(Option<Box<Finding>>),
    Silence,
}

/// What an ended silence leaves to be said.
fn summary(set: &RuleSet, owners: &[u32], entry: &Entry) -> Option<Summary> {
    let State::Silence(silence) = &entry.state else { return None };
    let rule = set.rules().get(*owners.get(entry.list as usize)? as usize)?;
    let suppress = rule.over_time.suppress.as_ref().filter(|_| silence.suppressed > 0)?;
    Some(Summary {
        rule: Arc::clone(rule),
        suppressed: silence.suppressed,
        lasting: suppress.lasting,
        by: suppress.by.pairs(&entry.key),
        last: silence.last,
        container: silence.container.clone(),
    })
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
