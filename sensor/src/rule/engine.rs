//! Events against a set of rules. Nothing is allocated on an event that matches nothing.

use std::sync::Arc;

use super::{
    Diagnostic, Diagnostics, RuleInfo, RuleSet, Source,
    compile::{Compiler, Context},
    dispatch::Step,
    index::Candidate,
    load::Definitions,
    program::{Memory, NodeId, Program},
    types::Class,
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
        let Self { set, memory, .. } = self;
        memory.next();
        let before = matches.len();
        let steps = set.steps(Class::of(event));
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            at += 1;
            match *step {
                Step::Guard(node, end) => {
                    if !set.program.holds(node, event, memory) {
                        at = end as usize;
                    }
                }
                Step::Index(index) => {
                    let Some(index) = set.indexes.get(index as usize) else { continue };
                    for place in 0..memory.find(index, event) {
                        let candidate = memory.found(place).and_then(|number| index.candidate(number));
                        if let Some(candidate) = candidate {
                            ask(set, candidate, event, memory, matches);
                        }
                    }
                }
                Step::Rule(rule, node) => ask(set, (rule, node), event, memory, matches),
            }
        }
        // Neither guards nor indexes keep the order of the rules, and an index may find a rule twice.
        if matches.len() > before + 1
            && let Some(new) = matches.get_mut(before..)
        {
            new.sort_unstable_by_key(|found| found.rule.index);
            let mut last = None;
            let mut place = 0;
            matches.retain(|found| {
                place += 1;
                place <= before || last.replace(found.rule.index) != Some(found.rule.index)
            });
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

fn ask(set: &RuleSet, (rule, node): Candidate, event: &Event, memory: &mut Memory, matches: &mut Vec<Match>) {
    if set.program.holds(node, event, memory)
        && let Some(rule) = set.rules().get(rule as usize)
    {
        matches.push(Match { rule: Arc::clone(rule) });
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
        let program = compiler.program.finish();
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
