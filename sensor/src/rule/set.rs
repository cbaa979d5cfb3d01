//! A set of rules, compiled, that never changes: what is loaded, what it wants to see, and what it cannot see.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use sensor_common::Kind;
use serde::Serialize;
use serde_json::Map;

use self::say::{say_blind, say_gate, unused};
use super::{
    Diagnostic, Diagnostics, Priority, Reaction, Source,
    compile::Compiler,
    correlate::OverTime,
    dispatch::{Plan, Step},
    document::Tests,
    graph::FALSE,
    hosts::Hosts,
    index::Index,
    load::Definitions,
    prefilter::{Drafts, Gate, Prefilter},
    program::{NodeId, Program},
    template::Template,
    types::{Class, TypeSet},
    verdict::{self, Verdicts},
};
use crate::event::Event;

/// Switches rules on or off after everything is loaded; later ones win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toggle {
    /// On or off.
    pub enable: bool,
    /// Which rules.
    pub rules: Choice,
}

/// Some of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// By name; `*` stands for any text.
    Name(String),
    /// By tag.
    Tag(String),
    /// By the source that defines them, its whole name or what follows the last slash; `*` stands for any text.
    File(String),
}

/// How a set is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Options {
    /// Rules below this priority are not loaded.
    pub minimum_priority: Option<Priority>,
    /// Which rules to switch on or off.
    pub toggles: Vec<Toggle>,
    /// Whether an event stops at the first rule that matches.
    pub first_match: bool,
}

/// What is known of a loaded rule.
#[derive(Debug, Serialize)]
pub struct RuleInfo {
    /// Place in the set.
    pub index: usize,
    /// Name.
    pub name: String,
    /// What it is for.
    pub desc: String,
    /// How urgent its alerts are.
    pub priority: Priority,
    /// Tags.
    pub tags: Vec<String>,
    /// Where its events come from: always `syscall`.
    pub source: &'static str,
    /// What to do when it matches.
    pub reaction: Reaction,
    /// The event types on which it can match.
    pub types: TypeSet,
    /// Those of which it can match failed events.
    pub failures: TypeSet,
    /// Name of the file that defines it.
    pub file: String,
    /// Names of all files that have a say in it, also by a macro or a list.
    #[serde(skip)]
    pub sources: Vec<String>,
    /// What must come together over time before it alerts.
    #[serde(flatten)]
    pub over_time: OverTime,
    #[serde(skip)]
    template: Template,
    #[serde(skip)]
    pub(crate) tests: Tests,
    #[serde(skip)]
    pub(crate) node: NodeId,
}

impl RuleInfo {
    /// The alert's line and its `output_fields`.
    #[must_use]
    pub fn render(&self, event: &Event) -> (String, Map<String, serde_json::Value>) {
        self.template.render(event)
    }
}

/// A rule that cannot see some of what it asks for.
#[derive(Clone, Debug, Serialize)]
pub struct Blind {
    /// Its name.
    pub rule: String,
    /// The event types that it names and that the sensor does not produce.
    pub types: TypeSet,
    /// Whether it cannot match at all.
    pub entirely: bool,
}

/// Rules, compiled.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Arc<RuleInfo>>,
    blind: Vec<Blind>,
    pub(crate) program: Program,
    /// For each class of events, by its number: how to find the rules that match.
    by_class: Vec<Arc<[Step]>>,
    pub(crate) indexes: Vec<Index>,
    /// The later steps of sequences, by rule and number. In [`Step::Rule`] their numbers follow those of the rules.
    later: Vec<(u32, u32)>,
    pub(crate) first_match: bool,
    prefilter: Prefilter,
    /// By rule.
    gates: Vec<Vec<Gate>>,
    /// By rule: whether it misses something without what DNS answers.
    answers: Vec<bool>,
    idle_toggles: Vec<String>,
    hosts: Hosts,
    verdicts: Verdicts,
}

impl RuleSet {
    /// Compiles sources in their order. Every problem of every source is reported; with an error there is no set.
    #[must_use]
    pub fn compile(sources: &[Source], options: &Options) -> (Option<Self>, Vec<Diagnostic>) {
        let mut found = Diagnostics::new(sources);
        let mut definitions = Definitions::read(sources, &mut found);
        let idle_toggles = toggle::apply(&mut definitions.rules, sources, options);
        let mut set = Self::build(&definitions, sources, options, &mut found);
        set.idle_toggles = idle_toggles;
        let usable = found.errors() == 0;
        (usable.then_some(set), found.finish())
    }

    /// Gives back the memory of the rules' tests, for which a set at work has no use: 0.4 MB of the built-in ones.
    #[must_use]
    pub fn without_tests(mut self) -> Self {
        for rule in self.rules.iter_mut().filter_map(Arc::get_mut) {
            rule.tests = Tests::default();
        }
        self
    }

    fn build(
        definitions: &Definitions,
        sources: &[Source],
        options: &Options,
        found: &mut Diagnostics<'_>,
    ) -> Self {
        let mut rules: Vec<Arc<RuleInfo>> = Vec::new();
        let mut blind = Vec::new();
        let mut compiler = Compiler::new(definitions, found);
        for rule in &definitions.rules {
            let node = compiler.rule(rule);
            let template = Template::compile(&rule.output, compiler.found);
            let over_time = compiler.over_time(rule, node);
            let (Some(node), Some(over_time), true) = (node, over_time, rule.enabled) else { continue };
            if options.minimum_priority.is_some_and(|minimum| rule.priority < minimum) {
                continue;
            }
            let steps: Vec<_> = std::iter::once(node).chain(over_time.later().copied()).collect();
            let types = union(steps.iter().map(|step| compiler.program.types(*step)));
            let named = union(steps.iter().map(|step| compiler.program.named_types(*step)));
            let unseen = named.intersection(TypeSet::seen().complement());
            if !unseen.is_empty() {
                // A sequence needs every one of its steps.
                let entirely = steps
                    .iter()
                    .any(|step| compiler.program.types(*step).intersection(TypeSet::seen()).is_empty());
                blind.push(Blind { rule: rule.name.text.clone(), types: unseen, entirely });
                say_blind(rule, unseen, entirely, compiler.found);
            }
            let name = |file: u32| sources.get(file as usize).map_or("", |source| &source.name).to_owned();
            rules.push(Arc::new(RuleInfo {
                index: rules.len(),
                name: rule.name.text.clone(),
                desc: rule.desc.clone(),
                priority: rule.priority,
                tags: rule.tags.clone(),
                source: "syscall",
                reaction: rule.reaction,
                types,
                failures: union(steps.iter().map(|step| compiler.program.failures(*step))),
                file: name(rule.name.span.file),
                sources: definitions.origins.of(&rule.name.text).into_iter().map(name).collect(),
                over_time,
                template,
                tests: rule.tests.clone(),
                node,
            }));
        }
        unused(definitions, compiler.found);
        let mut later = Vec::new();
        let mut entries: Vec<_> = rules.iter().map(|rule| rule.node).collect();
        for rule in &rules {
            for (step, node) in (1..).zip(rule.over_time.later()) {
                later.push((rule.index as u32, step));
                entries.push(*node);
            }
        }
        let acts = |entry: u32| {
            let step = |at: usize| later.get(at).map_or(0, |(rule, _)| *rule as usize);
            let entry = entry as usize;
            let rule = entry.checked_sub(rules.len()).map_or(entry, step);
            rules.get(rule).is_some_and(|rule| rule.reaction != Reaction::default())
        };
        let mut plan = Plan::default();
        let mut drafts = Drafts::default();
        let mut decided = verdict::Drafts::default();
        let mut by_class: Vec<Arc<[Step]>> = vec![Arc::default(); Class::COUNT];
        for (class, steps) in Class::all().zip(&mut by_class) {
            if !class.event_type.is_seen() {
                continue;
            }
            let mut done = FxHashMap::default();
            let mut candidates = Vec::new();
            for (entry, node) in (0..).zip(&entries) {
                let special = compiler.program.specialise(*node, class, &mut done);
                if special != FALSE {
                    candidates.push((entry, special));
                }
            }
            drafts.add(class, &candidates, &compiler.program, &acts);
            decided.add(class, &candidates);
            *steps = plan.steps(candidates, &mut compiler.program);
        }
        let mut gates: Vec<Vec<Gate>> =
            rules.iter().map(|rule| drafts.gates(rule.index as u32).to_vec()).collect();
        for (entry, (rule, _)) in (rules.len() as u32..).zip(&later) {
            if let Some(gates) = gates.get_mut(*rule as usize) {
                gates.extend(drafts.gates(entry));
            }
        }
        // Of a set with errors it is not known what its rules ask.
        let known = compiler.found.errors() == 0;
        for (rule, gates) in rules.iter().zip(&gates).filter(|_| known) {
            let opens = gates.iter().find(|gate| gate.kind == Kind::FileOpen);
            let definition = definitions.rules.iter().find(|definition| definition.name.text == rule.name);
            if let (Some(gate), Some(definition)) = (opens, definition) {
                say_gate(definition, *gate, compiler.found);
            }
        }
        let verdicts = verdicts::of(&rules, &decided, &compiler.program);
        if known {
            verdicts::say(&rules, &verdicts, definitions, compiler.found);
        }
        let program = compiler.program.finish();
        let hosts = Hosts::of(&program, &entries, rules.iter().map(|rule| &rule.template));
        let answers = rules.iter().map(|rule| {
            let steps = (rules.len()..).zip(&later).filter(|(_, (of, _))| *of as usize == rule.index);
            let own: Vec<_> = [rule.index].into_iter().chain(steps.map(|(entry, _)| entry)).collect();
            let nodes: Vec<_> = own.iter().filter_map(|entry| entries.get(*entry).copied()).collect();
            hosts.asked && Hosts::of(&program, &nodes, [&rule.template].into_iter()).asked
                || own.into_iter().any(|entry| drafts.asks_answers(entry as u32))
        });
        let answers = answers.collect();
        Self {
            rules,
            blind,
            program,
            by_class,
            indexes: plan.indexes,
            later,
            first_match: options.first_match,
            prefilter: drafts.finish(),
            verdicts,
            gates,
            answers,
            idle_toggles: Vec::new(),
            hosts,
        }
    }

    /// The rules, in the order in which they were defined.
    #[must_use]
    pub fn rules(&self) -> &[Arc<RuleInfo>] {
        &self.rules
    }

    /// The event types on which at least one rule can match.
    #[must_use]
    pub fn wanted_types(&self) -> TypeSet {
        union(self.rules.iter().map(|rule| rule.types)).intersection(TypeSet::seen())
    }

    /// The event types of which at least one rule can match failed events.
    #[must_use]
    pub fn wanted_failures(&self) -> TypeSet {
        union(self.rules.iter().map(|rule| rule.failures)).intersection(TypeSet::seen())
    }

    /// The rules that miss something where records of this kind do not come.
    pub fn needing(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.names_of(move |rule| rule.types.has_kind(kind))
    }

    /// Those that miss something where only what was tried and failed does not come.
    pub fn needing_failures(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.names_of(move |rule| rule.failures.has_kind(kind))
    }

    /// Those that miss something where what DNS answers does not come: they ask for it, or for the names of an address.
    pub fn needing_answers(&self) -> impl Iterator<Item = &str> {
        self.names_of(|rule| self.answers.get(rule.index).is_some_and(|answers| *answers))
    }

    fn names_of(&self, needs: impl Fn(&RuleInfo) -> bool) -> impl Iterator<Item = &str> {
        self.rules.iter().filter(move |rule| needs(rule)).map(|rule| rule.name.as_str())
    }

    /// The rules that name event types which the sensor does not produce.
    #[must_use]
    pub fn blind(&self) -> &[Blind] {
        &self.blind
    }

    /// Of every kind of records that some rule wants, what it wants of them.
    #[must_use]
    pub const fn prefilter(&self) -> &Prefilter {
        &self.prefilter
    }

    /// The floods that a rule lets through: kinds of records of which the kernel cannot tell those that it can match.
    #[must_use]
    pub fn gates(&self, rule: usize) -> &[Gate] {
        self.gates.get(rule).map_or(&[], Vec::as_slice)
    }

    /// What rules ask of the names of addresses.
    #[must_use]
    pub const fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Toggles that choose no rule, as sentences with the nearest name.
    #[must_use]
    pub fn idle_toggles(&self) -> &[String] {
        &self.idle_toggles
    }

    /// Number of distinct checks of all rules.
    #[must_use]
    pub const fn checks(&self) -> usize {
        self.program.checks()
    }

    /// How to find the rules that match an event of this class.
    pub(crate) fn steps(&self, class: Class) -> &[Step] {
        self.by_class.get(class.index()).map_or(&[], |steps| steps)
    }

    /// Number of conditions that are asked: those of the rules, and those of later steps.
    pub(crate) const fn entries(&self) -> usize {
        self.rules.len() + self.later.len()
    }

    /// The place and the name of the rule of each later step, in the order of their numbers.
    pub(crate) fn later_rules(&self) -> impl Iterator<Item = (usize, &str)> {
        self.later.iter().filter_map(|(rule, _)| {
            self.rules.get(*rule as usize).map(|rule| (rule.index, rule.name.as_str()))
        })
    }

    /// The rule and the step that a number in [`Step::Rule`] stands for, where it is not a rule's own condition.
    pub(crate) fn later(&self, entry: u32) -> Option<(u32, u32)> {
        self.later.get((entry as usize).checked_sub(self.rules.len())?).copied()
    }
}

fn union(types: impl Iterator<Item = TypeSet>) -> TypeSet {
    types.fold(TypeSet::NONE, TypeSet::union)
}

#[cfg(test)]
mod reference;
mod say;
#[cfg(test)]
mod tests;
mod toggle;
mod verdicts;

pub use self::toggle::fits;
