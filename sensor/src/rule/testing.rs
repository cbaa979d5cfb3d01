//! The `tests:` beside rules: events written as flat maps of fields, and whether the rule matches them.

mod build;
mod stock;

use std::sync::Arc;

use serde::Serialize;

pub use self::stock::{stock_size, stock_sizes};
use super::{Engine, Match, RuleInfo, RuleSet, Source, diagnostic::Diagnostics, yaml::Node};
use crate::event::Event;

/// How one test of one rule ended.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The rule.
    pub rule: String,
    /// `fires` or `quiet`.
    pub kind: &'static str,
    /// Place in its list, from 1.
    pub number: usize,
    /// Name of the file.
    pub file: String,
    /// Line of the test, from 1.
    pub line: u32,
    /// What is wrong; `None` where it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Runs the tests of every rule of the set. `sources` are those of which it was compiled.
#[must_use]
pub fn run(set: &Arc<RuleSet>, sources: &[Source]) -> Vec<Outcome> {
    let mut engine = Engine::new(Arc::clone(set)).matching_all();
    let places = Diagnostics::new(sources);
    let mut outcomes = Vec::new();
    for rule in set.rules() {
        for (kind, wanted, list) in [("fires", true, &rule.tests.fires), ("quiet", false, &rule.tests.quiet)]
        {
            for (number, node) in (1..).zip(list) {
                let place = places.related(node.span, "");
                let problem = one(&mut engine, rule, node, wanted, &places);
                let (file, line) = (place.file, place.line);
                outcomes.push(Outcome { rule: rule.name.clone(), kind, number, file, line, problem });
            }
        }
    }
    outcomes
}

/// One test: an event, or a list of events. A rule over time must match the last of them, any other at least one; and
/// none where it is to stay quiet.
fn one(
    engine: &mut Engine,
    rule: &RuleInfo,
    node: &Node,
    wanted: bool,
    places: &Diagnostics<'_>,
) -> Option<String> {
    let events = match build::scenario(node) {
        Ok(events) => events,
        Err(problem) => {
            let place = places.related(problem.span, "");
            return Some(format!("{}:{}: {}", place.line, place.column, problem.message));
        }
    };
    let mut matches: Vec<Match> = Vec::new();
    engine.forget();
    let mut fired = Vec::new();
    for event in &events {
        matches.clear();
        engine.evaluate(event, &mut matches);
        fired.extend(matches.iter().any(|found| found.rule.index == rule.index).then_some(event.number));
    }
    let last = events.last()?;
    let over_time = !rule.over_time.is_none();
    match (wanted, fired.as_slice()) {
        (true, []) => {
            let reached = engine.reached(rule, last);
            Some(format!("the rule does not match:\n{reached}{}", engine.explain(rule, last)))
        }
        (true, [.., number]) if over_time && *number != last.number => {
            let reached = engine.reached(rule, last);
            Some(format!("the rule matches event {number}, and not the last:\n{reached}"))
        }
        (false, [number, ..]) if over_time => Some(format!("the rule matches event {number}")),
        (false, [_, ..]) => Some("the rule matches".to_owned()),
        _ => None,
    }
}

/// Events of a YAML text: one map, or a list of maps in the order of time.
///
/// # Errors
///
/// What is wrong with it, with line and column.
pub fn events(name: &str, text: &str) -> Result<Vec<Event>, String> {
    let sources = [Source { name: name.to_owned(), text: text.to_owned() }];
    let [source] = &sources;
    let mut found = Diagnostics::new(&sources);
    let documents = super::yaml::read(0, source, &mut found);
    let mut events = Vec::new();
    for document in &documents {
        match build::scenario(document) {
            Ok(list) => events.extend(list),
            Err(problem) => {
                found.error(problem.span, problem.message);
            }
        }
    }
    if found.errors() > 0 {
        let lines: Vec<_> = found.finish().iter().map(ToString::to_string).collect();
        return Err(lines.join("\n"));
    }
    Ok(events)
}

/// A condition in its normal form, which reads back as the same condition; or the number of errors in it.
///
/// # Errors
///
/// That number.
pub fn normal_form(condition: &str) -> Result<String, usize> {
    let source = Source { name: "condition".to_owned(), text: condition.to_owned() };
    let condition = super::syntax::parse(&super::yaml::Located::whole(&source, 0));
    if condition.errors.is_empty() { Ok(condition.expr.to_string()) } else { Err(condition.errors.len()) }
}

/// One event, for unit tests.
#[cfg(test)]
pub(crate) fn event(text: &str) -> Event {
    let mut events = events("test", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(events.len(), 1);
    events.remove(0)
}
