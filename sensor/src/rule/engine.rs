//! Events against a set of rules. Nothing is allocated on an event that matches nothing.

use std::{sync::Arc, time::Instant};

use super::{
    Diagnostic, Diagnostics, RuleInfo, RuleSet, Source,
    compile::{Compiler, Context},
    correlate::{CorrelationCounts, Correlator, Finding, STATE_BYTES, Summary},
    cost::{Cost, Meter},
    dispatch::Step,
    hosts::Hosts,
    index::Candidate,
    load::Definitions,
    program::{Memory, NodeId, Program},
    types::Class,
    types::TypeSet,
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
    meter: Meter,
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
            memory: set.program.memory(set.entries()),
            meter: Meter::new(set.entries()),
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
        let before = matches.len();
        self.memory.next();
        self.correlator.next();
        if self.meter.samples() {
            self.ask::<true>(event, matches);
        } else {
            self.ask::<false>(event, matches);
        }
        self.correlator.settle(&self.set, event, matches, before, self.first_match);
        // Neither guards nor lookups keep the order of the rules.
        if let Some(new) = matches.get_mut(before..) {
            new.sort_unstable_by_key(|found| found.rule.index);
        }
        if self.first_match {
            matches.truncate(before + 1);
        }
    }

    /// Goes through the steps. What holds is a match, or the correlator's business.
    fn ask<const TIMED: bool>(&mut self, event: &Event, matches: &mut Vec<Match>) {
        let Self { set, memory, correlator, meter, .. } = self;
        let now = || TIMED.then(Instant::now);
        let mut ask = |(entry, node): Candidate, memory: &mut Memory, meter: &mut Meter| {
            let since = now();
            let holds = set.program.holds(node, event, memory);
            meter.asked(entry, holds, since);
            if holds {
                entry_holds(set, entry, correlator, matches);
            }
        };
        let steps = set.steps(Class::of(event));
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            at += 1;
            match *step {
                Step::Guard(node, end) => {
                    let since = now();
                    if !set.program.holds(node, event, memory) {
                        at = end as usize;
                    }
                    meter.shared(since);
                }
                Step::Index(index) => {
                    let Some(index) = set.indexes.get(index as usize) else { continue };
                    let since = now();
                    let found = memory.find(index, event);
                    meter.shared(since);
                    for place in 0..found {
                        let candidate = memory.found(place).and_then(|number| index.candidate(number));
                        if let Some(candidate) = candidate
                            && memory.is_new(candidate.0)
                        {
                            ask(candidate, memory, meter);
                        }
                    }
                }
                Step::Rule(entry, node) => ask((entry, node), memory, meter),
            }
        }
    }

    /// What each rule cost so far, in the order of the rules, and behind them what they share.
    #[must_use]
    pub fn costs(&self) -> Vec<Cost> {
        let rules = self.set.rules().iter().map(|rule| (rule.index, rule.name.as_str()));
        let mut costs = self.meter.report(rules.chain(self.set.later_rules()));
        for (rule, cost) in costs.iter_mut().take(self.set.rules().len()).enumerate() {
            cost.gates = self.set.gates(rule).iter().map(ToString::to_string).collect();
        }
        costs
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
    named: TypeSet,
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
        let named = node.map_or(TypeSet::NONE, |node| compiler.program.named_types(node));
        let program = compiler.program.finish();
        match node {
            Some(node) => Ok(Self { memory: program.memory(0), program, node, named }),
            None => Err(found.finish()),
        }
    }

    /// What it asks of the names of addresses.
    #[must_use]
    pub fn hosts(&self) -> Hosts {
        Hosts::of(&self.program, &[self.node], std::iter::empty())
    }

    /// The event types that the condition names.
    #[must_use]
    pub const fn named_types(&self) -> TypeSet {
        self.named
    }

    /// Whether the event passes.
    pub fn matches(&mut self, event: &Event) -> bool {
        self.memory.next();
        self.program.holds(self.node, event, &mut self.memory)
    }
}
