//! A set of rules, compiled, that never changes: what is loaded, what it wants to see, and what it cannot see.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde::Serialize;
use serde_json::Map;

use super::{
    Diagnostic, Diagnostics, Priority, Reaction, Source,
    compile::{Compiler, Context},
    dispatch::{Plan, Step},
    document::Tests,
    graph::FALSE,
    index::Index,
    load::{Definitions, RuleDef},
    program::{NodeId, Program},
    syntax,
    template::Template,
    types::{Class, TypeSet},
};
use crate::event::{Event, EventType};

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
    by_class: Vec<Vec<Step>>,
    pub(crate) indexes: Vec<Index>,
    pub(crate) first_match: bool,
    idle_toggles: Vec<String>,
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

    fn build(
        definitions: &Definitions,
        sources: &[Source],
        options: &Options,
        found: &mut Diagnostics<'_>,
    ) -> Self {
        let mut rules = Vec::new();
        let mut blind = Vec::new();
        let mut compiler = Compiler::new(definitions, found);
        for rule in &definitions.rules {
            let node = compiler.rule(rule);
            let template = Template::compile(&rule.output, compiler.found);
            not_yet(rule, &mut compiler);
            let Some(node) = node.filter(|_| rule.enabled) else { continue };
            if options.minimum_priority.is_some_and(|minimum| rule.priority < minimum) {
                continue;
            }
            let types = compiler.program.types(node);
            let unseen = compiler.program.named_types(node).intersection(TypeSet::seen().complement());
            if !unseen.is_empty() {
                let entirely = types.intersection(TypeSet::seen()).is_empty();
                blind.push(Blind { rule: rule.name.text.clone(), types: unseen, entirely });
                say_blind(rule, unseen, entirely, compiler.found);
            }
            let file = sources.get(rule.name.span.file as usize).map_or("", |source| &source.name);
            rules.push(Arc::new(RuleInfo {
                index: rules.len(),
                name: rule.name.text.clone(),
                desc: rule.desc.clone(),
                priority: rule.priority,
                tags: rule.tags.clone(),
                source: "syscall",
                reaction: rule.reaction,
                types,
                failures: compiler.program.failures(node),
                file: file.to_owned(),
                template,
                tests: rule.tests.clone(),
                node,
            }));
        }
        unused(definitions, compiler.found);
        let mut plan = Plan::default();
        let mut by_class = vec![Vec::new(); Class::COUNT];
        for (class, steps) in Class::all().zip(&mut by_class) {
            if !class.event_type.is_seen() {
                continue;
            }
            let mut done = HashMap::new();
            let mut candidates = Vec::new();
            for rule in &rules {
                let special = compiler.program.specialise(rule.node, class, &mut done);
                if special != FALSE {
                    candidates.push((rule.index as u32, special));
                }
            }
            *steps = plan.steps(&candidates, &mut compiler.program);
        }
        let program = compiler.program.finish();
        Self {
            rules,
            blind,
            program,
            by_class,
            indexes: plan.indexes,
            first_match: options.first_match,
            idle_toggles: Vec::new(),
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
        self.rules
            .iter()
            .fold(TypeSet::NONE, |types, rule| types.union(rule.types))
            .intersection(TypeSet::seen())
    }

    /// The event types of which at least one rule can match failed events.
    #[must_use]
    pub fn wanted_failures(&self) -> TypeSet {
        self.rules
            .iter()
            .fold(TypeSet::NONE, |types, rule| types.union(rule.failures))
            .intersection(TypeSet::seen())
    }

    /// The rules that name event types which the sensor does not produce.
    #[must_use]
    pub fn blind(&self) -> &[Blind] {
        &self.blind
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
        self.by_class.get(class.index()).map_or(&[], Vec::as_slice)
    }
}

/// What a rule asks for and this engine does not do is an error: a threshold that is ignored would flood, a sequence
/// that is ignored would alert on its first step. What it names is checked all the same.
fn not_yet(rule: &RuleDef, compiler: &mut Compiler<'_, '_, '_>) {
    for temporal in &rule.temporal {
        for word in &temporal.fields {
            compiler.reading(&word.text, None, word.span);
        }
        for step in &temporal.then {
            compiler.condition(step, Context { order: rule.order.last });
        }
        let message =
            format!("rule `{}` uses `{}`, which this version does not execute", rule.name.text, temporal.key);
        compiler.found.error(temporal.span, message);
    }
}

fn say_blind(rule: &RuleDef, unseen: TypeSet, entirely: bool, found: &mut Diagnostics<'_>) {
    let names: Vec<_> = unseen.iter().map(EventType::name).collect();
    let names = names.join(", ");
    let name = &rule.name.text;
    if entirely {
        found.warning(rule.name.span, format!("rule `{name}` is blind: the sensor does not see {names}"));
    } else {
        found.notice(
            rule.name.span,
            format!("rule `{name}` is blind on {names}: the sensor does not see them"),
        );
    }
}

/// Says which macros nothing uses: most often a name that was mistyped, or one that a local file shall use.
fn unused(definitions: &Definitions, found: &mut Diagnostics<'_>) {
    let mut used: HashSet<String> = HashSet::new();
    let conditions = definitions
        .macros
        .values()
        .map(|definition| &definition.condition)
        .chain(definitions.rules.iter().map(|rule| &rule.condition));
    for condition in conditions {
        used.extend(syntax::names(condition));
    }
    let mut unused: Vec<_> = definitions.macros.values().filter(|it| !used.contains(&it.name.text)).collect();
    unused.sort_by_key(|definition| definition.order.first);
    for definition in unused {
        found.notice(definition.name.span, format!("macro `{}` is not used", definition.name.text));
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
mod toggle;
