//! What the rules can want of an event before it is one: conditions as terms over the few properties that the kernel
//! knows. A term never refuses what a rule would match; what the kernel cannot tell, a term leaves out.

mod demand;
mod socket;
mod term;

use std::collections::HashMap;

use rustc_hash::{FxHashMap, FxHashSet};
use sensor_common::{Kind, filter::TERMS};

pub use self::{
    demand::Outcome,
    term::{Gate, Term},
};
pub(crate) use self::{
    demand::{Demand, Situation, on_host},
    socket::Role,
};
use super::{
    graph::{Builder, FALSE},
    index::Candidate,
    program::NodeId,
    types::Class,
};
use crate::event::EventType;

/// Of every kind of records that rules want, the terms of which one must hold.
pub type Prefilter = Vec<(Kind, Vec<Term>)>;

/// The terms of a set of rules, class by class.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    kinds: FxHashMap<Kind, Vec<Term>>,
    /// By condition: where it lets everything of a kind through.
    gates: FxHashMap<u32, Vec<Gate>>,
    /// The conditions that hold of something that DNS answers.
    answers: FxHashSet<u32>,
    /// What was found before: for most classes the same is left of a rule.
    known: HashMap<(NodeId, Situation), Vec<Term>>,
}

impl Drafts {
    /// Takes in what is left of the rules' conditions for events of one class. `acts`: whether the daemon acts upon one of
    /// them.
    pub(crate) fn add(
        &mut self,
        class: Class,
        rules: &[Candidate],
        builder: &Builder,
        acts: &impl Fn(u32) -> bool,
    ) {
        let Some(kind) = class.event_type.kind().filter(|kind| !kind.is_lifecycle()) else { return };
        for (entry, node) in rules.iter().filter(|(_, node)| *node != FALSE) {
            let answer = Situation { answer: true, ..Situation::of(kind, Outcome::Done) };
            if kind == Kind::NetDns && !builder.terms(*node, answer).is_empty() {
                self.answers.insert(*entry);
            }
            for outcome in Outcome::of(class.failed).iter().copied() {
                let situation = Situation::of(kind, outcome);
                let known = self.known.entry((*node, situation));
                let terms = known.or_insert_with(|| builder.terms(*node, situation)).clone();
                let gates = self.gates.entry(*entry).or_default();
                for term in &terms {
                    gates.extend(term.gate(kind, outcome).filter(|gate| !gates.contains(gate)));
                }
                let urgent = acts(*entry);
                let of_class =
                    terms.into_iter().map(|term| term.with_class(class.event_type, outcome, urgent));
                let drafts = self.kinds.entry(kind).or_default();
                for term in of_class {
                    Term::add(drafts, term);
                }
            }
        }
    }

    /// Where a condition lets everything of a kind through.
    pub(crate) fn gates(&self, entry: u32) -> &[Gate] {
        self.gates.get(&entry).map_or(&[], Vec::as_slice)
    }

    /// Whether a condition can hold of something that DNS answers.
    pub(crate) fn asks_answers(&self, entry: u32) -> bool {
        self.answers.contains(&entry)
    }

    /// The terms, at most [`TERMS`] of a kind: past that several become one that holds where any of them does.
    pub(crate) fn finish(self) -> Prefilter {
        let mut kinds: Vec<_> = self.kinds.into_iter().collect();
        kinds.sort_by_key(|(kind, _)| *kind);
        for (_, terms) in &mut kinds {
            Term::reduce(terms, TERMS as usize);
        }
        kinds
    }
}

impl Term {
    fn with_class(mut self, event_type: EventType, outcome: Outcome, urgent: bool) -> Self {
        self.classes = [(event_type, outcome)].into();
        self.urgent = urgent;
        self
    }
}

#[cfg(test)]
mod tests;
