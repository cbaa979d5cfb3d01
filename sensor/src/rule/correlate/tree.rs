//! Sequences within a process tree: the state lies at the process of the first step, and a later step looks for it at its
//! own process and at each ancestor.

use std::collections::VecDeque;

use super::{
    Correlator, Sequence,
    chain::{Chain, Seen},
    state::{State, allocated},
    window::{nanoseconds, slack},
};
use crate::event::{Event, ProcessKey};

/// Later steps that wait for a first step that comes late, in each sequence.
const WAITING: usize = 64;
/// Ancestors at which a later step looks for a first one, the process itself included.
const GENERATIONS: usize = 64;

/// A later step that was seen, and whose first step may still come.
#[derive(Debug)]
pub(super) struct Early {
    seen: Seen,
    steps: u32,
    lineage: Box<[ProcessKey]>,
    /// The processes of the sequences that it was part of.
    completed: Vec<ProcessKey>,
}

impl Correlator {
    /// As [`Correlator::sequence`]. Each process has a sequence of its own; of several that an event completes at once, one
    /// is said, that of the nearest.
    pub(super) fn tree(
        &mut self,
        sequence: &Sequence,
        list: u32,
        event: &Event,
        steps: u32,
    ) -> Option<Vec<Seen>> {
        let within = nanoseconds(sequence.within);
        let (seen, later) = (Seen::of(event), steps & !1);
        if steps & 1 == 1 {
            self.root(sequence, list, event.process.key);
        }
        let mut nearest = None;
        let mut completed = Vec::new();
        for (generation, process) in lineage(event).enumerate() {
            let steps = if generation == 0 { steps } else { later };
            self.renderer.process(process);
            let hash = self.table.hash(list, &self.renderer.bytes);
            let Some(id) = self.table.find(hash, list, &self.renderer.bytes).filter(|_| steps != 0) else {
                continue;
            };
            if let Some(chain) = self.arrive(id, seen, steps, within) {
                for early in self.early.get_mut(&list).into_iter().flatten() {
                    early.completed.extend(chain.contains(&early.seen).then_some(process));
                }
                completed.push(process);
                nearest.get_or_insert((process, chain));
            }
        }
        if later != 0 {
            let early = self.early.entry(list).or_default();
            release(early, seen.at.saturating_sub(slack(within)));
            if early.len() == WAITING {
                early.pop_front();
            }
            let lineage = lineage(event).collect();
            early.push_back(Early { seen, steps: later, lineage, completed });
            self.table.elsewhere(self.early.values().map(bytes).sum());
        }
        let (process, chain) = nearest?;
        self.renderer.process(process);
        Some(chain)
    }

    /// Makes a process the first of a sequence, with the later steps of its tree that came before.
    fn root(&mut self, sequence: &Sequence, list: u32, process: ProcessKey) {
        self.renderer.process(process);
        let hash = self.table.hash(list, &self.renderer.bytes);
        if self.table.find(hash, list, &self.renderer.bytes).is_some() {
            return;
        }
        let mut chain = Chain::new(sequence.nodes.len() + 1);
        for early in self.early.get(&list).into_iter().flatten() {
            if early.lineage.contains(&process) && !early.completed.contains(&process) {
                chain.remember(early.seen, early.steps);
            }
        }
        self.table.insert(hash, list, &self.renderer.bytes, State::Chain(chain), 0);
    }
}

/// The process and its ancestors, nearest first.
pub(super) fn lineage(event: &Event) -> impl Iterator<Item = ProcessKey> {
    let ancestors = event.process.ancestors().map(|process| process.key);
    std::iter::once(event.process.key).chain(ancestors).take(GENERATIONS)
}

/// Forgets what happened before `now`.
pub(super) fn release(early: &mut VecDeque<Early>, now: u64) {
    while early.front().is_some_and(|early| early.seen.at < now) {
        early.pop_front();
    }
}

/// Bytes that the list holds.
pub(super) fn bytes(early: &VecDeque<Early>) -> usize {
    let processes = early.iter().map(|early| {
        let completed = early.completed.capacity() * size_of::<ProcessKey>();
        allocated(size_of_val(&*early.lineage)) + allocated(completed)
    });
    allocated(early.capacity() * size_of::<Early>()) + processes.sum::<usize>()
}
