//! Conditions as terms: alternatives of demands, each of which the kernel can tell or leaves out.

use rustc_hash::FxHashMap;

use super::{Builder, Node, NodeId};
use crate::rule::prefilter::{Demand, Situation, Term};

/// Alternatives of one condition. Past this the least is lost by leaving out what would multiply them.
const MOST: usize = 32;

type Known = FxHashMap<(NodeId, bool), Vec<Term>>;

impl Builder {
    /// The terms of which one holds whenever the node does. None: it never does.
    pub(crate) fn terms(&self, id: NodeId, situation: Situation) -> Vec<Term> {
        self.terms_if(id, true, situation, &mut Known::default())
    }

    fn terms_if(&self, id: NodeId, positive: bool, situation: Situation, known: &mut Known) -> Vec<Term> {
        if let Some(terms) = known.get(&(id, positive)) {
            return terms.clone();
        }
        let terms = match self.node(id) {
            Some(Node::Check(at)) => match self.checks.get(*at as usize) {
                Some(check) => match Demand::of(check, positive, situation) {
                    Demand::Unknown => vec![Term::any()],
                    Demand::Never => Vec::new(),
                    Demand::Term(term) => vec![*term],
                },
                None => vec![Term::any()],
            },
            Some(Node::Not(inner)) => self.terms_if(*inner, !positive, situation, known),
            Some(Node::And(parts)) if positive => self.all(parts, positive, situation, known),
            Some(Node::Or(parts)) if !positive => self.all(parts, positive, situation, known),
            Some(Node::And(parts) | Node::Or(parts)) => self.any(parts, positive, situation, known),
            None => vec![Term::any()],
        };
        known.insert((id, positive), terms.clone());
        terms
    }

    fn all(&self, parts: &[NodeId], positive: bool, situation: Situation, known: &mut Known) -> Vec<Term> {
        let mut all = vec![Term::any()];
        for part in parts {
            let part = self.terms_if(*part, positive, situation, known);
            let mut both = Vec::new();
            for term in &all {
                for other in &part {
                    if let Some(term) = term.and(other) {
                        Term::add(&mut both, term);
                    }
                }
            }
            // An impossible part decides; one that makes too many alternatives is left out.
            if both.len() <= MOST {
                all = both;
            }
        }
        all
    }

    fn any(&self, parts: &[NodeId], positive: bool, situation: Situation, known: &mut Known) -> Vec<Term> {
        let mut any = Vec::new();
        for part in parts {
            for term in self.terms_if(*part, positive, situation, known) {
                if term == Term::any() {
                    return vec![term];
                }
                Term::add(&mut any, term);
            }
        }
        Term::reduce(&mut any, MOST);
        any
    }
}
