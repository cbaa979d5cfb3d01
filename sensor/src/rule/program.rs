//! Conditions as one graph of shared nodes. The same check, and the same group of checks, exists once, whichever rule
//! or macro wrote it, and is evaluated at most once per event.

mod digest;

use std::collections::HashMap;

use super::{check::Check, types::TypeSet, value::Slot};
use crate::event::{Event, EventType};

/// Number of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Node {
    Check(u32),
    Not(NodeId),
    And(Box<[NodeId]>),
    Or(Box<[NodeId]>),
}

/// From so many texts on, one automaton is faster than looking for them one by one (measured on command lines).
const WORTH_MERGING: usize = 6;

/// What is known of a node before any event is seen.
#[derive(Clone, Copy, Debug)]
struct Facts {
    /// Types on which it can be true, and types on which it can be false. Both err on the side of "can".
    may_true: TypeSet,
    may_false: TypeSet,
    /// Types that its checks of `evt.type` name.
    named: TypeSet,
    /// Rough nanoseconds.
    cost: u32,
}

pub(crate) const FALSE: NodeId = NodeId(0);
pub(crate) const TRUE: NodeId = NodeId(1);

/// The graph while it grows.
#[derive(Debug)]
pub(crate) struct Builder {
    checks: Vec<Check>,
    by_text: HashMap<String, NodeId>,
    nodes: Vec<Node>,
    facts: Vec<Facts>,
    by_node: HashMap<Node, NodeId>,
}

impl Default for Builder {
    fn default() -> Self {
        // The two constants are groups of nothing: no alternative is false, no demand is true.
        let constant = |may_true, may_false| Facts { may_true, may_false, named: TypeSet::NONE, cost: 0 };
        Self {
            checks: Vec::new(),
            by_text: HashMap::new(),
            nodes: vec![Node::Or(Box::new([])), Node::And(Box::new([]))],
            facts: vec![constant(TypeSet::NONE, TypeSet::ALL), constant(TypeSet::ALL, TypeSet::NONE)],
            by_node: HashMap::new(),
        }
    }
}

impl Builder {
    fn facts(&self, id: NodeId) -> Facts {
        let unknown =
            Facts { may_true: TypeSet::ALL, may_false: TypeSet::ALL, named: TypeSet::NONE, cost: 0 };
        self.facts.get(id.0 as usize).copied().unwrap_or(unknown)
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    fn intern(&mut self, node: Node, facts: Facts) -> NodeId {
        if let Some(id) = self.by_node.get(&node) {
            return *id;
        }
        let id = NodeId(self.nodes.len() as u32);
        self.by_node.insert(node.clone(), id);
        self.nodes.push(node);
        self.facts.push(facts);
        id
    }

    /// The node of a check that stands already.
    pub(crate) fn known(&self, text: &str) -> Option<NodeId> {
        self.by_text.get(text).copied()
    }

    /// A check that only events of these types can pass.
    pub(crate) fn check(&mut self, check: Check, on: TypeSet) -> NodeId {
        let facts = Facts { may_true: on, may_false: TypeSet::ALL, named: TypeSet::NONE, cost: check.cost() };
        let text = check.text.clone();
        self.checks.push(check);
        let id = self.intern(Node::Check(self.checks.len() as u32 - 1), facts);
        self.by_text.insert(text, id);
        id
    }

    /// A check whose answer the event's type alone decides.
    pub(crate) fn type_check(&mut self, check: Check, holds: TypeSet, named: TypeSet) -> NodeId {
        if let Some(id) = self.known(&check.text) {
            return id;
        }
        let id = self.check(check, holds);
        if let Some(facts) = self.facts.get_mut(id.0 as usize) {
            facts.may_false = holds.complement();
            facts.named = named;
        }
        id
    }

    pub(crate) fn not(&mut self, inner: NodeId) -> NodeId {
        match (inner, self.node(inner)) {
            (FALSE, _) => TRUE,
            (TRUE, _) => FALSE,
            (_, Some(Node::Not(id))) => *id,
            _ => {
                let Facts { may_true, may_false, cost, .. } = self.facts(inner);
                // What a rule excludes, it does not name.
                let facts = Facts { may_true: may_false, may_false: may_true, named: TypeSet::NONE, cost };
                self.intern(Node::Not(inner), facts)
            }
        }
    }

    pub(crate) fn and(&mut self, parts: impl IntoIterator<Item = NodeId>) -> NodeId {
        self.group(parts, true)
    }

    pub(crate) fn or(&mut self, parts: impl IntoIterator<Item = NodeId>) -> NodeId {
        let mut flat = Vec::new();
        for part in parts {
            match self.node(part) {
                Some(Node::Or(inner)) if part != FALSE => flat.extend(inner),
                _ => flat.push(part),
            }
        }
        let merged = self.merge_contains(flat);
        self.group(merged, false)
    }

    /// Puts the `contains` checks of one field, where there are several, into one automaton.
    fn merge_contains(&mut self, parts: Vec<NodeId>) -> Vec<NodeId> {
        let mut by_slot: HashMap<u32, Vec<(NodeId, u32)>> = HashMap::new();
        for part in &parts {
            if let Some(Node::Check(at)) = self.node(*part)
                && let Some(check) = self.checks.get(*at as usize)
                && check.part().is_some()
            {
                by_slot.entry(check.slot).or_default().push((*part, *at));
            }
        }
        by_slot.retain(|_, found| found.len() >= WORTH_MERGING);
        let mut parts = parts;
        for found in by_slot.into_values() {
            let checks: Vec<_> = found.iter().filter_map(|(_, at)| self.checks.get(*at as usize)).collect();
            let Some(merged) = Check::any_of(&checks) else { continue };
            let on = found.iter().fold(TypeSet::NONE, |on, (id, _)| on.union(self.facts(*id).may_true));
            parts.retain(|part| !found.iter().any(|(id, _)| id == part));
            parts.push(match self.known(&merged.text) {
                Some(known) => known,
                None => self.check(merged, on),
            });
        }
        parts
    }

    fn group(&mut self, parts: impl IntoIterator<Item = NodeId>, all: bool) -> NodeId {
        let (neutral, decisive) = if all { (TRUE, FALSE) } else { (FALSE, TRUE) };
        let mut list: Vec<NodeId> = Vec::new();
        for part in parts {
            match (all, self.node(part)) {
                _ if part == neutral => {}
                _ if part == decisive => return decisive,
                (true, Some(Node::And(inner))) | (false, Some(Node::Or(inner))) => list.extend(inner),
                _ => list.push(part),
            }
        }
        // Cheap ones first; the order is a fixed one, so that the same group is found again however it was written.
        list.sort_by_key(|id| (self.facts(*id).cost, *id));
        list.dedup();
        if let [one] = *list.as_slice() {
            return one;
        }
        let mut facts = self.facts(neutral);
        for id in &list {
            let part = self.facts(*id);
            facts.cost = facts.cost.saturating_add(part.cost);
            facts.named = facts.named.union(part.named);
            (facts.may_true, facts.may_false) = if all {
                (facts.may_true.intersection(part.may_true), facts.may_false.union(part.may_false))
            } else {
                (facts.may_true.union(part.may_true), facts.may_false.intersection(part.may_false))
            };
        }
        if list.is_empty() {
            return neutral;
        }
        let node = if all { Node::And(list.into()) } else { Node::Or(list.into()) };
        self.intern(node, facts)
    }

    /// The nodes of which all must hold for this one to hold.
    pub(crate) fn conjuncts(&self, id: NodeId) -> Vec<NodeId> {
        match self.node(id) {
            Some(Node::And(parts)) => parts.to_vec(),
            _ => vec![id],
        }
    }

    pub(crate) fn cost(&self, id: NodeId) -> u32 {
        self.facts(id).cost
    }

    /// The types of which an event can make the node true.
    pub(crate) fn types(&self, id: NodeId) -> TypeSet {
        self.facts(id).may_true
    }

    /// The types that the node's checks of `evt.type` name and that can make it true.
    pub(crate) fn named_types(&self, id: NodeId) -> TypeSet {
        let facts = self.facts(id);
        facts.named.intersection(facts.may_true)
    }

    /// The node as it is for events of one type: what that type decides is gone.
    pub(crate) fn specialise(
        &mut self,
        id: NodeId,
        event_type: EventType,
        done: &mut HashMap<NodeId, NodeId>,
    ) -> NodeId {
        let facts = self.facts(id);
        if !facts.may_true.contains(event_type) {
            return FALSE;
        }
        if !facts.may_false.contains(event_type) {
            return TRUE;
        }
        if let Some(known) = done.get(&id) {
            return *known;
        }
        let special = match self.node(id).cloned() {
            Some(Node::Not(inner)) => {
                let inner = self.specialise(inner, event_type, done);
                self.not(inner)
            }
            Some(Node::And(parts)) => {
                let parts: Vec<_> =
                    parts.iter().map(|part| self.specialise(*part, event_type, done)).collect();
                self.and(parts)
            }
            Some(Node::Or(parts)) => {
                let parts: Vec<_> =
                    parts.iter().map(|part| self.specialise(*part, event_type, done)).collect();
                self.or(parts)
            }
            Some(Node::Check(_)) | None => id,
        };
        done.insert(id, special);
        special
    }

    /// The graph, fixed. Sources get the slots in which they render.
    pub(crate) fn finish(self, slots: u32) -> Program {
        let mut program = Program { checks: self.checks, nodes: Vec::new(), parts: Vec::new(), slots };
        for node in self.nodes {
            let first = program.parts.len() as u32;
            let flat = match node {
                Node::Check(check) => Flat::Check(check),
                Node::Not(inner) => Flat::Not(inner),
                Node::And(parts) => {
                    program.parts.extend(parts);
                    Flat::And(first, program.parts.len() as u32)
                }
                Node::Or(parts) => {
                    program.parts.extend(parts);
                    Flat::Or(first, program.parts.len() as u32)
                }
            };
            program.nodes.push(flat);
        }
        program
    }
}

#[derive(Clone, Copy, Debug)]
enum Flat {
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
    generation: u64,
    /// For each node twice the generation that decided it, plus its answer.
    answers: Vec<u64>,
    slots: Vec<Slot>,
}

impl Program {
    pub(crate) fn memory(&self) -> Memory {
        Memory {
            generation: 0,
            answers: vec![0; self.nodes.len()],
            slots: std::iter::repeat_with(Slot::default).take(self.slots as usize).collect(),
        }
    }

    /// Number of distinct checks.
    pub(crate) const fn checks(&self) -> usize {
        self.checks.len()
    }

    /// Whether the node is true of the event for which [`Memory::next`] was called.
    pub(crate) fn holds(&self, id: NodeId, event: &Event, memory: &mut Memory) -> bool {
        let at = id.0 as usize;
        let now = memory.generation << 1;
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
        let Some(check) = self.checks.get(check as usize) else { return false };
        let generation = memory.generation;
        memory.slots.get_mut(check.slot as usize).is_some_and(|slot| check.holds(event, slot, generation))
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
    /// Forgets the event before.
    pub(crate) const fn next(&mut self) {
        // 2^63 events last for centuries.
        self.generation += 1;
    }
}
