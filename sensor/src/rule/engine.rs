//! Events against a set of rules. Nothing is allocated on an event that matches nothing.

use std::sync::Arc;

use super::{
    Diagnostic, Diagnostics, RuleInfo, RuleSet, Source,
    compile::{Compiler, Context},
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
}

/// A set of rules with what one thread needs to evaluate it.
#[derive(Debug)]
pub struct Engine {
    set: Arc<RuleSet>,
    memory: Memory,
    first_match: bool,
}

impl Engine {
    /// For one thread; the set is shared.
    #[must_use]
    pub fn new(set: Arc<RuleSet>) -> Self {
        Self { memory: set.program.memory(), first_match: set.first_match, set }
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
                Step::Rule(index, node) => {
                    if self.set.program.holds(node, event, &mut self.memory)
                        && let Some(rule) = self.set.rules().get(index as usize)
                    {
                        matches.push(Match { rule: Arc::clone(rule) });
                    }
                }
            }
        }
        // Guards have changed the order of the rules: what matched is put back into it.
        if let Some(new) = matches.get_mut(before..) {
            new.sort_unstable_by_key(|found| found.rule.index);
        }
        if self.first_match {
            matches.truncate(before + 1);
        }
    }

    /// The rule's condition as a tree, each check with what it says of the event.
    #[must_use]
    pub fn explain(&mut self, rule: &RuleInfo, event: &Event) -> String {
        self.memory.next();
        let mut text = String::new();
        self.set.program.explain(rule.node, event, &mut self.memory, 0, &mut text);
        text
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
