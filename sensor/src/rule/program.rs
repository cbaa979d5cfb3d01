//! The graph of conditions as events run through it: flat, shared by all threads, with what one thread remembers beside it.
//! Every node is evaluated at most once per event.

use std::sync::Arc;

use super::{
    check::Check,
    index::{Found, Index},
    prefilter::on_host,
    value::Slots,
};
use crate::event::{Container, Event};

/// What is known of a container with its control group, and does not change.
const OF_GROUP: [&str; 3] = ["container.id", "container.full_id", "container.type"];

/// Number of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(super) u32);

/// A node; groups name a range of the list of parts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flat {
    Check(u32),
    Not(NodeId),
    And(u32, u32),
    Or(u32, u32),
}

/// The graph as events run through it.
#[derive(Debug, Default)]
pub(crate) struct Program {
    checks: Vec<Check>,
    nodes: Vec<Flat>,
    parts: Vec<NodeId>,
    slots: u32,
}

/// What one evaluator remembers while an event lasts. Nothing is allocated after the first.
#[derive(Debug)]
pub(crate) struct Memory {
    /// For each node twice the generation that decided it, plus its answer.
    answers: Vec<u64>,
    /// For each entry the generation in which it was last found.
    asked: Vec<u64>,
    slots: Slots,
    found: Found,
}

impl Program {
    /// A program of these checks, with so many buffers, and no node yet.
    pub(crate) const fn new(checks: Vec<Check>, slots: u32) -> Self {
        Self { checks, nodes: Vec::new(), parts: Vec::new(), slots }
    }

    /// Whether a check reads nothing of the container but what its control group says.
    pub(crate) fn asks_group(&self, check: u32) -> bool {
        let mut readings = Vec::new();
        if let Some(check) = self.checks.get(check as usize) {
            check.readings(&mut readings);
        }
        !readings.is_empty() && readings.iter().all(|reading| OF_GROUP.contains(&reading.name()))
    }

    /// Whether a check that reads nothing but the container holds in this one.
    pub(crate) fn holds_in(&self, check: u32, container: &Arc<Container>) -> bool {
        let Some(check) = self.checks.get(check as usize) else { return false };
        let mut slots = Slots::new(self.slots as usize, check.buffers());
        check.holds(&Event { container: Some(Arc::clone(container)), ..on_host() }, &mut slots)
    }

    pub(crate) fn push(&mut self, node: Flat) {
        self.nodes.push(node);
    }

    pub(crate) fn push_group(&mut self, parts: &[NodeId], make: fn(u32, u32) -> Flat) {
        let first = self.parts.len() as u32;
        self.parts.extend(parts);
        self.nodes.push(make(first, self.parts.len() as u32));
    }

    /// For one evaluator of so many entries.
    pub(crate) fn memory(&self, entries: usize) -> Memory {
        Memory {
            asked: vec![0; entries],
            answers: vec![0; self.nodes.len()],
            slots: Slots::new(
                self.slots as usize,
                self.checks.iter().map(Check::buffers).max().unwrap_or_default(),
            ),
            found: Found::default(),
        }
    }

    /// The checks on which these nodes depend.
    pub(crate) fn checks_below(&self, nodes: &[NodeId]) -> impl Iterator<Item = &Check> {
        let (mut seen, mut left, mut found) = (vec![false; self.nodes.len()], nodes.to_vec(), Vec::new());
        while let Some(id) = left.pop() {
            match seen.get_mut(id.0 as usize) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            match self.nodes.get(id.0 as usize) {
                Some(Flat::Check(check)) => found.extend(self.checks.get(*check as usize)),
                Some(Flat::Not(inner)) => left.push(*inner),
                Some(Flat::And(first, end) | Flat::Or(first, end)) => left.extend(self.group(*first, *end)),
                None => {}
            }
        }
        found.into_iter()
    }

    /// Number of distinct checks.
    pub(crate) const fn checks(&self) -> usize {
        self.checks.len()
    }

    /// Whether the node is true of the event for which [`Memory::next`] was called.
    pub(crate) fn holds(&self, id: NodeId, event: &Event, memory: &mut Memory) -> bool {
        let at = id.0 as usize;
        let now = memory.slots.generation << 1;
        if let Some(answer) = memory.answers.get(at)
            && answer & !1 == now
        {
            return answer & 1 == 1;
        }
        let holds = match self.nodes.get(at) {
            Some(Flat::Check(check)) => self.check(*check, event, memory),
            Some(Flat::Not(inner)) => !self.holds(*inner, event, memory),
            Some(Flat::And(first, end)) => {
                self.group(*first, *end).iter().all(|part| self.holds(*part, event, memory))
            }
            Some(Flat::Or(first, end)) => {
                self.group(*first, *end).iter().any(|part| self.holds(*part, event, memory))
            }
            None => false,
        };
        if let Some(answer) = memory.answers.get_mut(at) {
            *answer = now | u64::from(holds);
        }
        holds
    }

    fn group(&self, first: u32, end: u32) -> &[NodeId] {
        self.parts.get(first as usize..end as usize).unwrap_or_default()
    }

    fn check(&self, check: u32, event: &Event, memory: &mut Memory) -> bool {
        self.checks.get(check as usize).is_some_and(|check| check.holds(event, &mut memory.slots))
    }

    /// The node as lines, each check with its answer, for `rules explain`.
    pub(crate) fn explain(
        &self,
        id: NodeId,
        event: &Event,
        memory: &mut Memory,
        depth: usize,
        to: &mut String,
    ) {
        let holds = self.holds(id, event, memory);
        let mark = if holds { "true " } else { "false" };
        let indent = "  ".repeat(depth);
        let (name, parts): (&str, &[NodeId]) = match self.nodes.get(id.0 as usize) {
            Some(Flat::Check(check)) => {
                let text = self.checks.get(*check as usize).map_or("", |check| check.text.as_str());
                to.push_str(&format!("{mark} {indent}{text}\n"));
                return;
            }
            Some(Flat::Not(inner)) => ("not", std::slice::from_ref(inner)),
            Some(Flat::And(first, end)) => ("and", self.group(*first, *end)),
            Some(Flat::Or(first, end)) => ("or", self.group(*first, *end)),
            None => return,
        };
        to.push_str(&format!("{mark} {indent}{name}\n"));
        for part in parts {
            self.explain(*part, event, memory, depth + 1, to);
        }
    }
}

impl Memory {
    /// The candidates that an index finds for the event, by their numbers; some may come twice.
    pub(crate) fn find(&mut self, index: &Index, event: &Event) -> usize {
        let Self { slots: Slots { generation, fields, .. }, found, .. } = self;
        if let Some(slot) = fields.get_mut(index.slot() as usize) {
            index.find(event, slot, *generation, found);
        }
        found.candidates.len()
    }

    /// Whether the entry is found for the first time since [`Memory::next`].
    pub(crate) fn is_new(&mut self, entry: u32) -> bool {
        let now = self.slots.generation;
        self.asked.get_mut(entry as usize).is_some_and(|asked| std::mem::replace(asked, now) != now)
    }

    /// The candidate found at this place.
    pub(crate) fn found(&self, at: usize) -> Option<u32> {
        self.found.candidates.get(at).copied()
    }

    /// Forgets the event before.
    pub(crate) const fn next(&mut self) {
        // 2^63 events last for centuries.
        self.slots.generation += 1;
    }
}
