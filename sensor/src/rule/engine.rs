//! Events against a set of rules. Nothing is allocated on an event that matches nothing.

use std::sync::Arc;

use super::{
    Diagnostic, Diagnostics, RuleInfo, RuleSet, Source,
    compile::{Compiler, Context},
    correlate::{CorrelationCounts, Correlator, Finding, STATE_BYTES, Summary},
    dispatch::Step,
    load::Definitions,
    program::{Memory, NodeId, Program},
    yaml::Located,
};
use crate::event::Event;

/// A rule that matched.
#[derive(Clone, Debug)]
pub struct Match {
    /// The rule.
    pub rule: Arc<RuleInfo>,
    /// What came together; `None` where the rule asks for nothing over time.
    pub finding: Option<Box<Finding>>,
}

/// A set of rules with what one thread needs to evaluate it.
#[derive(Debug)]
pub struct Engine {
    set: Arc<RuleSet>,
    memory: Memory,
    first_match: bool,
    correlator: Correlator,
}

impl Engine {
    /// For one thread; the set is shared.
    #[must_use]
    pub fn new(set: Arc<RuleSet>) -> Self {
        Self::with_state(set, STATE_BYTES)
    }

    /// The same, with so many bytes for what rules over time remember.
    #[must_use]
    pub fn with_state(set: Arc<RuleSet>, bytes: usize) -> Self {
        Self {
            memory: set.program.memory(),
            first_match: set.first_match,
            correlator: Correlator::new(set.rules(), bytes),
            set,
        }
    }

    /// The same, whatever the set says of the first match.
    pub(crate) const fn matching_all(mut self) -> Self {
        self.first_match = false;
        self
    }

    /// The rules.
    #[must_use]
    pub const fn set(&self) -> &Arc<RuleSet> {
        &self.set
    }

    /// Appends the rules that match: all of them in their order, or the first.
    pub fn evaluate(&mut self, event: &Event, matches: &mut Vec<Match>) {
        self.memory.next();
        self.correlator.next();
        let before = matches.len();
        let steps = self.set.steps(event.event_type);
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            at += 1;
            match *step {
                Step::Guard(node, end) => {
                    if !self.set.program.holds(node, event, &mut self.memory) {
                        at = end as usize;
                    }
                }
                Step::Rule(entry, node) => {
                    if self.set.program.holds(node, event, &mut self.memory) {
                        entry_holds(&self.set, entry, &mut self.correlator, matches);
                    }
                }
            }
        }
        self.correlator.settle(&self.set, event, matches, before, self.first_match);
        // Guards have changed the order of the rules: what matched is put back into it.
        if let Some(new) = matches.get_mut(before..) {
            new.sort_unstable_by_key(|found| found.rule.index);
        }
        if self.first_match {
            matches.truncate(before + 1);
        }
    }

    /// The rules, by their places in the set, that matched the last event and stay silent about it.
    #[must_use]
    pub fn silenced(&self) -> &[u32] {
        self.correlator.silenced()
    }

    /// Releases what rules remember of the time before `now` (nanoseconds since boot) and need no more, a bounded amount
    /// at a time, and appends what was suppressed and never said. Whether something may be left for another call.
    pub fn expire(&mut self, now: u64, summaries: &mut Vec<Summary>) -> bool {
        self.correlator.expire(&self.set, now, summaries)
    }

    /// Takes over what another engine's rules remember, where they are the same in this one.
    pub fn adopt(&mut self, old: Self) {
        self.correlator.adopt(&self.set, old.correlator, &old.set);
    }

    /// Forgets what rules remember, as if nothing had been seen yet.
    pub(crate) fn forget(&mut self) {
        self.correlator = Correlator::new(self.set.rules(), STATE_BYTES);
    }

    /// How far a rule has come with the keys of this event, in lines.
    pub(crate) fn reached(&mut self, rule: &RuleInfo, event: &Event) -> String {
        self.correlator.reached(rule, event)
    }

    /// What the rules over time hold, and what they lost.
    #[must_use]
    pub fn correlation(&self) -> CorrelationCounts {
        self.correlator.counts(&self.set)
    }

    /// Rules that forgot something for want of memory: how many keys, and how many suppressed alerts nobody heard of by
    /// that.
    #[must_use]
    pub fn evictions(&self) -> Vec<(&str, u64, u64)> {
        self.correlator.evictions(&self.set)
    }

    /// The rule's condition as a tree, each check with what it says of the event.
    #[must_use]
    pub fn explain(&mut self, rule: &RuleInfo, event: &Event) -> String {
        self.memory.next();
        let mut text = String::new();
        self.set.program.explain(rule.node, event, &mut self.memory, 0, &mut text);
        for (step, node) in (2..).zip(rule.over_time.later()) {
            text.push_str(&format!("step {step} of the sequence:\n"));
            self.set.program.explain(*node, event, &mut self.memory, 0, &mut text);
        }
        text
    }
}

/// A rule's condition is a match, unless the rule asks for something over time.
fn entry_holds(set: &RuleSet, entry: u32, correlator: &mut Correlator, matches: &mut Vec<Match>) {
    match set.rules().get(entry as usize) {
        Some(rule) if rule.over_time.is_none() => {
            matches.push(Match { rule: Arc::clone(rule), finding: None });
        }
        Some(_) => correlator.holds(entry, 0),
        None => {
            if let Some((rule, step)) = set.later(entry) {
                correlator.holds(rule, step);
            }
        }
    }
}

/// One condition, as `vedette events` takes it.
#[derive(Debug)]
pub struct Filter {
    program: Program,
    node: NodeId,
    memory: Memory,
}

impl Filter {
    /// Compiles a condition in which no macro and no list is defined.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn compile(condition: &str) -> Result<Self, Vec<Diagnostic>> {
        let sources = [Source { name: "condition".to_owned(), text: condition.to_owned() }];
        let [source] = &sources;
        let definitions = Definitions::default();
        let mut found = Diagnostics::new(&sources);
        let mut compiler = Compiler::new(&definitions, &mut found);
        let node = compiler.condition(&Located::whole(source, 0), Context { order: 0 });
        let slots = compiler.slots();
        let program = compiler.program.finish(slots);
        match node {
            Some(node) => Ok(Self { memory: program.memory(), program, node }),
            None => Err(found.finish()),
        }
    }

    /// Whether the event passes.
    pub fn matches(&mut self, event: &Event) -> bool {
        self.memory.next();
        self.program.holds(self.node, event, &mut self.memory)
    }
}
