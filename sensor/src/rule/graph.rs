//! Conditions as one graph of shared nodes, while it grows. The same check, and the same group of checks, exists once,
//! whichever rule or macro wrote it. What is known of a node before any event is seen (on which events it can hold, what
//! it costs, how often it is true) orders the parts of groups and decides how rules are found.

mod alternatives;
mod digest;
mod terms;

use std::collections::HashMap;

use rustc_hash::FxHashMap;

use super::{
    check::Check,
    field::Reading,
    index::Access,
    program::{Flat, NodeId, Program},
    types::{Class, Classes, TypeSet},
};

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
pub(crate) struct Facts {
    /// Events on which it can be true, and events on which it can be false. Both err on the side of "can".
    pub(crate) may_true: Classes,
    pub(crate) may_false: Classes,
    /// Types that its checks of `evt.type` name.
    named: TypeSet,
    /// Expected nanoseconds.
    pub(crate) cost: f32,
    /// How often it is true where it is asked, 0 to 1: a guess from what is compared.
    pub(crate) odds: f32,
}

impl Facts {
    const fn new(may_true: Classes, may_false: Classes, cost: f32, odds: f32) -> Self {
        Self { may_true, may_false, named: TypeSet::NONE, cost, odds }
    }
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
    by_node: FxHashMap<Node, NodeId>,
    slots: FxHashMap<Reading, u32>,
}

impl Default for Builder {
    fn default() -> Self {
        // The two constants are groups of nothing: no alternative is false, no demand is true.
        Self {
            checks: Vec::new(),
            by_text: HashMap::new(),
            nodes: vec![Node::Or(Box::new([])), Node::And(Box::new([]))],
            facts: vec![
                Facts::new(Classes::NONE, Classes::ALL, 0.0, 0.0),
                Facts::new(Classes::ALL, Classes::NONE, 0.0, 1.0),
            ],
            by_node: FxHashMap::default(),
            slots: FxHashMap::default(),
        }
    }
}

impl Builder {
    pub(crate) fn facts(&self, id: NodeId) -> Facts {
        let unknown = Facts::new(Classes::ALL, Classes::ALL, 0.0, 0.5);
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

    /// Number of the buffer in which a field renders a text; 0 is the one of checks that render nothing of their own.
    pub(crate) fn slot(&mut self, reading: &Reading) -> u32 {
        let next = self.slots.len() as u32 + 1;
        *self.slots.entry(reading.clone()).or_insert(next)
    }

    /// The node of a check that stands already.
    pub(crate) fn known(&self, text: &str) -> Option<NodeId> {
        self.by_text.get(text).copied()
    }

    /// A check, with the events on which it can be true and those on which it can be false. `named`: the types that it
    /// names.
    pub(crate) fn check(
        &mut self,
        check: Check,
        may_true: Classes,
        may_false: Classes,
        named: TypeSet,
    ) -> NodeId {
        let facts = Facts { named, ..Facts::new(may_true, may_false, check.cost(), check.odds()) };
        let text = check.text.clone();
        self.checks.push(check);
        let id = self.intern(Node::Check(self.checks.len() as u32 - 1), facts);
        self.by_text.insert(text, id);
        id
    }

    pub(crate) fn not(&mut self, inner: NodeId) -> NodeId {
        match (inner, self.node(inner)) {
            (FALSE, _) => TRUE,
            (TRUE, _) => FALSE,
            (_, Some(Node::Not(id))) => *id,
            _ => {
                let Facts { may_true, may_false, cost, odds, .. } = self.facts(inner);
                // What a rule excludes, it does not name.
                self.intern(Node::Not(inner), Facts::new(may_false, may_true, cost, 1.0 - odds))
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
            let on = found.iter().fold(Classes::NONE, |on, (id, _)| on.union(self.facts(*id).may_true));
            parts.retain(|part| !found.iter().any(|(id, _)| id == part));
            parts.push(match self.known(&merged.text) {
                Some(known) => known,
                None => self.check(merged, on, Classes::ALL, TypeSet::NONE),
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
        // What is likely to decide goes first, for the nanoseconds that it takes. The order is a fixed one, so that the same
        // group is found again however it was written.
        let deciding = |facts: Facts| if all { 1.0 - facts.odds } else { facts.odds };
        let rank = |id: &NodeId| self.facts(*id).cost / deciding(self.facts(*id)).max(0.001);
        list.sort_by(|left, right| rank(left).total_cmp(&rank(right)).then(left.cmp(right)));
        list.dedup();
        if let [one] = *list.as_slice() {
            return one;
        }
        let mut facts = self.facts(neutral);
        // How likely it is that all parts before were asked and did not decide.
        let mut reached = 1.0;
        for id in &list {
            let part = self.facts(*id);
            facts.cost += reached * part.cost;
            reached *= 1.0 - deciding(part);
            facts.named = facts.named.union(part.named);
            (facts.may_true, facts.may_false) = if all {
                (facts.may_true.intersection(part.may_true), facts.may_false.union(part.may_false))
            } else {
                (facts.may_true.union(part.may_true), facts.may_false.intersection(part.may_false))
            };
        }
        facts.odds = if all { reached } else { 1.0 - reached };
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

    /// How events can be found for which the node may be true, without asking it of each; `None` where they cannot.
    pub(crate) fn access(&self, id: NodeId) -> Option<Access> {
        match self.node(id)? {
            Node::Check(at) => self.checks.get(*at as usize)?.access(),
            Node::Not(_) => None,
            Node::And(parts) => parts
                .iter()
                .filter_map(|part| self.access(*part))
                .min_by(|left, right| left.effort().total_cmp(&right.effort())),
            Node::Or(parts) => {
                let mut parts = parts.iter();
                let mut all = self.access(*parts.next()?)?;
                parts.try_for_each(|part| self.access(*part).map(|access| all.extend(access)))?;
                Some(all)
            }
        }
    }

    /// The types of which an event can make the node true.
    pub(crate) fn types(&self, id: NodeId) -> TypeSet {
        self.facts(id).may_true.types()
    }

    /// The types of which a failed event can make the node true.
    pub(crate) fn failures(&self, id: NodeId) -> TypeSet {
        self.facts(id).may_true.failed()
    }

    /// The types that the node's checks of `evt.type` name and that can make it true.
    pub(crate) fn named_types(&self, id: NodeId) -> TypeSet {
        self.facts(id).named.intersection(self.types(id))
    }

    /// The node as it is for events of one class: what the class decides is gone.
    pub(crate) fn specialise(
        &mut self,
        id: NodeId,
        class: Class,
        done: &mut FxHashMap<NodeId, NodeId>,
    ) -> NodeId {
        let facts = self.facts(id);
        if !facts.may_true.contains(class) {
            return FALSE;
        }
        if !facts.may_false.contains(class) {
            return TRUE;
        }
        if let Some(known) = done.get(&id) {
            return *known;
        }
        let special = match self.node(id).cloned() {
            Some(Node::Not(inner)) => {
                let inner = self.specialise(inner, class, done);
                self.not(inner)
            }
            Some(Node::And(parts)) => {
                let parts: Vec<_> = parts.iter().map(|part| self.specialise(*part, class, done)).collect();
                self.and(parts)
            }
            Some(Node::Or(parts)) => {
                let parts: Vec<_> = parts.iter().map(|part| self.specialise(*part, class, done)).collect();
                self.or(parts)
            }
            Some(Node::Check(_)) | None => id,
        };
        done.insert(id, special);
        special
    }

    /// The graph, fixed.
    pub(crate) fn finish(self) -> Program {
        let mut program = Program::new(self.checks, self.slots.len() as u32 + 1);
        for node in self.nodes {
            match node {
                Node::Check(check) => program.push(Flat::Check(check)),
                Node::Not(inner) => program.push(Flat::Not(inner)),
                Node::And(parts) => program.push_group(&parts, Flat::And),
                Node::Or(parts) => program.push_group(&parts, Flat::Or),
            }
        }
        program
    }
}
