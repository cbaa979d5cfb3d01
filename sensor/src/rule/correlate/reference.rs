//! The same semantics once more, as slow and as plain as can be: it keeps every event and looks for windows and chains
//! by trying all. Random rules on random streams, out of order within the promised lateness, must get the same alerts
//! from both.

mod stream;

use std::{collections::HashMap, sync::Arc};

use proptest::{collection::vec, option, prelude::*, sample::select};

use self::stream::{Draft, UNIT, crowd, drafts, stream};
use super::Summary;
use crate::{
    event::{Event, ProcessKey},
    rule::{Engine, Options, RuleSet, Source},
};

#[derive(Clone, Debug)]
struct Rule {
    /// Names of the programs that each step is about; the first is the rule's condition.
    steps: Vec<&'static str>,
    sequence: Option<(&'static str, u64)>,
    count: Option<(usize, u64, &'static str, bool)>,
    suppress: Option<(u64, &'static str)>,
}

impl Rule {
    fn text(&self) -> String {
        let condition = |names: &str| format!("evt.type = execve and proc.name in ({names})");
        let mut text = format!(
            "- rule: r\n  desc: d\n  condition: {}\n  output: o\n  priority: INFO\n",
            condition(self.steps[0])
        );
        if let Some((by, within)) = self.sequence {
            let then: Vec<_> =
                self.steps[1..].iter().map(|names| format!("'{}'", condition(names))).collect();
            text += &format!("  sequence: {{by: {by}, within: {within}00ms, then: [{}]}}\n", then.join(", "));
        }
        if let Some((at_least, within, by, distinct)) = self.count {
            let distinct = if distinct { ", distinct: proc.exepath" } else { "" };
            text +=
                &format!("  count: {{at_least: {at_least}, within: {within}00ms, by: [{by}]{distinct}}}\n");
        }
        if let Some((lasting, by)) = self.suppress {
            text += &format!("  suppress: {{for: {lasting}00ms, by: [{by}]}}\n");
        }
        text
    }

    /// The lateness that every window of the rule forgives.
    fn lateness(&self) -> u64 {
        let windows = [self.sequence.map(|it| it.1), self.count.map(|it| it.1), self.suppress.map(|it| it.0)];
        windows.into_iter().flatten().map(|units| (units * UNIT).min(1_000_000_000)).min().unwrap_or(0)
    }
}

/// What the second evaluator keeps of an event.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    at: u64,
    number: u64,
    steps: u32,
    container: String,
    process: ProcessKey,
    lineage: Vec<ProcessKey>,
    value: String,
}

impl Kept {
    fn key(&self, by: &str) -> String {
        match by {
            "container.id" => self.container.clone(),
            "process" => format!("{:?}", self.process),
            _ => String::new(),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Said {
    Nothing,
    Silence,
    Alert { steps: Vec<u64>, suppressed: u64 },
}

/// Sees every event of one rule, and forgets none.
#[derive(Default)]
struct Plain {
    /// By key: events that are in no chain yet.
    chains: HashMap<String, Vec<Kept>>,
    /// For process trees: every event, to begin with when a process first does the first step.
    all: Vec<Kept>,
    counted: HashMap<String, Vec<Kept>>,
    silences: HashMap<String, (u64, u64)>,
    /// Whether some step of some key has more events than the engine promises to remember.
    crowded: bool,
}

impl Plain {
    fn see(&mut self, rule: &Rule, event: &Kept) -> Said {
        let mut numbers = Vec::new();
        if let Some((by, within)) = rule.sequence {
            let chain = if by == "process-tree" {
                self.tree(event, rule.steps.len(), within * UNIT)
            } else {
                self.chain(event.key(by), event, rule.steps.len(), within * UNIT)
            };
            let Some(chain) = chain else { return Said::Nothing };
            numbers = chain.iter().map(|event| event.number).collect();
        }
        if let Some((at_least, within, by, distinct)) = rule.count
            && !self.count(event, at_least, within * UNIT, by, distinct)
        {
            return Said::Nothing;
        }
        let mut suppressed = 0;
        if let Some((lasting, by)) = rule.suppress {
            let silence = self.silences.get_mut(&event.key(by));
            match silence {
                Some((since, unsaid)) if since.abs_diff(event.at) <= lasting * UNIT => {
                    *unsaid += 1;
                    return Said::Silence;
                }
                _ => suppressed = silence.map_or(0, |(_, unsaid)| *unsaid),
            }
            self.silences.insert(event.key(by), (event.at, 0));
        }
        Said::Alert { steps: numbers, suppressed }
    }

    fn tree(&mut self, event: &Kept, length: usize, within: u64) -> Option<Vec<Kept>> {
        let mut nearest = None;
        for process in event.lineage.clone() {
            let own = process == event.process;
            let key = format!("{process:?}");
            let mut event = event.clone();
            event.steps = if own { event.steps } else { event.steps & !1 };
            if event.steps & 1 == 1 && !self.chains.contains_key(&key) {
                let later = self.all.iter().filter(|known| known.lineage.contains(&process));
                let later = later.map(|known| Kept { steps: known.steps & !1, ..known.clone() });
                self.chains.insert(key.clone(), later.filter(|known| known.steps != 0).collect());
            }
            if event.steps != 0 && self.chains.contains_key(&key) {
                let found = self.chain(key, &event, length, within);
                nearest = nearest.or(found);
            }
        }
        self.all.push(event.clone());
        nearest
    }

    fn chain(&mut self, key: String, event: &Kept, length: usize, within: u64) -> Option<Vec<Kept>> {
        let known = self.chains.entry(key).or_default();
        let mut found: Vec<(usize, Vec<Kept>)> = Vec::new();
        for position in (0..length).filter(|step| event.steps & (1 << step) != 0) {
            let mut all = Vec::new();
            tuples(known, event, position, length, &mut Vec::new(), &mut all);
            all.retain(|chain| chain[length - 1].at - chain[0].at <= within);
            found.extend(all.into_iter().map(|chain| (position, chain)));
        }
        // The event as late as possible, in front of it the latest from near to far, behind it the earliest.
        let rank = |(position, chain): &(usize, Vec<Kept>)| {
            let order = |event: &Kept| (event.at as i64, event.number as i64);
            let before: Vec<_> = chain[..*position].iter().rev().map(order).collect();
            let behind: Vec<_> = chain[position + 1..].iter().map(order).map(|(at, n)| (-at, -n)).collect();
            (*position, before, behind)
        };
        let best = found.into_iter().max_by_key(rank).map(|(_, chain)| chain);
        match &best {
            Some(chain) => known.retain(|known| !chain.iter().any(|used| used.number == known.number)),
            None => known.push(event.clone()),
        }
        for step in 0..length {
            let fulfils = |known: &&Kept| known.steps & (1 << step) != 0;
            self.crowded |= known.iter().filter(fulfils).count() > super::chain::REMEMBERED;
        }
        best
    }

    fn count(&mut self, event: &Kept, wanted: usize, within: u64, by: &str, distinct: bool) -> bool {
        let known = self.counted.entry(event.key(by)).or_default();
        known.push(event.clone());
        let mut sorted: Vec<Kept> = Vec::new();
        for candidate in known.iter() {
            let same = sorted.iter().position(|other| distinct && other.value == candidate.value);
            match same {
                Some(same) if sorted[same].at >= candidate.at => {}
                Some(same) => sorted[same] = candidate.clone(),
                None => sorted.push(candidate.clone()),
            }
        }
        sorted.sort_by_key(|event| (event.at, event.number));
        let window = sorted.windows(wanted).find(|window| {
            window[wanted - 1].at - window[0].at <= within
                && window.iter().any(|known| known.number == event.number)
        });
        let Some(window) = window else { return false };
        let used =
            |known: &Kept| {
                window.iter().any(|used| {
                    if distinct { used.value == known.value } else { used.number == known.number }
                })
            };
        let rest = known.iter().filter(|known| !used(known)).cloned().collect();
        *known = rest;
        true
    }
}

/// Every way to fill the steps, the event being one of them.
fn tuples(
    known: &[Kept],
    event: &Kept,
    position: usize,
    length: usize,
    chain: &mut Vec<Kept>,
    all: &mut Vec<Vec<Kept>>,
) {
    let step = chain.len();
    if step == length {
        all.push(chain.clone());
        return;
    }
    let candidates = if step == position { std::slice::from_ref(event) } else { known };
    for candidate in candidates {
        let later = chain.last().is_none_or(|last| (last.at, last.number) < (candidate.at, candidate.number));
        if candidate.steps & (1 << step) != 0 && later {
            chain.push(candidate.clone());
            tuples(known, event, position, length, chain, all);
            chain.pop();
        }
    }
}

fn rules() -> impl Strategy<Value = Rule> {
    let names = || select(vec!["a", "b", "c", "a, b", "b, c", "a, b, c"]);
    let by = || select(vec!["container.id", "process", ""]);
    let sequence = option::of((select(vec!["container.id", "process", "process-tree"]), 1_u64..30));
    let count = option::of((1_usize..5, 1_u64..30, by(), any::<bool>()));
    let suppress = option::of((1_u64..30, by()));
    (vec(names(), 2..5), sequence, count, suppress).prop_map(|(steps, sequence, count, suppress)| Rule {
        steps,
        sequence,
        count,
        suppress,
    })
}

fn set(rule: &Rule) -> Arc<RuleSet> {
    let text = rule.text();
    let (set, found) =
        RuleSet::compile(&[Source { name: "r".into(), text: text.clone() }], &Options::default());
    Arc::new(set.unwrap_or_else(|| panic!("{found:?}\n{text}")))
}

fn kept(rule: &Rule, event: &Event) -> Kept {
    let name = event.task.comm.to_str_lossy().into_owned();
    let length = if rule.sequence.is_some() { rule.steps.len() } else { 1 };
    let fulfils = |step: &usize| rule.steps[*step].split(", ").any(|known| known == name);
    let ancestors = event.process.ancestors().map(|process| process.key);
    Kept {
        at: event.boot_time,
        number: event.number,
        steps: (0..length).filter(fulfils).fold(0, |steps, step| steps | 1 << step),
        container: event.container.as_ref().unwrap().id.to_string(),
        process: event.process.key,
        lineage: std::iter::once(event.process.key).chain(ancestors).collect(),
        value: event.process.exe.to_string(),
    }
}

/// Plays a stream to both. `expire`: release what ended after each event.
fn agree(rule: &Rule, events: &[Event], expire: bool) -> Result<(), TestCaseError> {
    let mut engine = Engine::new(set(rule));
    let mut plain = Plain::default();
    let (mut newest, mut silent, mut told) = (0, 0, 0);
    let mut summaries: Vec<Summary> = Vec::new();
    for event in events {
        newest = event.boot_time.max(newest);
        let mut matches = Vec::new();
        engine.evaluate(event, &mut matches);
        let event = kept(rule, event);
        let expected = if event.steps == 0 { Said::Nothing } else { plain.see(rule, &event) };
        if plain.crowded {
            return Ok(());
        }
        let said = match matches.pop() {
            Some(found) => {
                let finding = found.finding.unwrap_or_default();
                told += finding.suppressed;
                let steps = finding.steps.iter().map(|step| step.number).collect();
                Said::Alert { steps, suppressed: finding.suppressed }
            }
            None if engine.silenced().is_empty() => Said::Nothing,
            None => Said::Silence,
        };
        silent += u64::from(said == Said::Silence);
        match (said, expected) {
            // A summary may have said it before.
            (Said::Alert { steps, .. }, Said::Alert { steps: expected, .. }) if expire => {
                prop_assert_eq!(steps, expected);
            }
            (said, expected) => prop_assert_eq!(said, expected, "event {}", event.number),
        }
        if expire {
            engine.expire(newest, &mut summaries);
        }
    }
    engine.expire(u64::MAX, &mut summaries);
    let summed: u64 = summaries.iter().map(|summary| summary.suppressed).sum();
    prop_assert_eq!(told + summed, silent, "each is said once");
    prop_assert_eq!(engine.correlation().keys, 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn random_rules_on_random_streams_agree_with_the_plain_evaluator(
        rule in rules(), drafts in drafts(40), late in any::<bool>(), expire in any::<bool>(),
    ) {
        let lateness = if late { rule.lateness() } else { 0 };
        agree(&rule, &stream(&drafts, lateness), expire)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Many events of one key: what a step forgets never costs the first alert of events that come in order.
    #[test]
    fn a_crowd_never_hides_a_sequence(
        steps in vec(select(vec!["a", "b", "c", "d"]), 3..5), within in 20_u64..200, crowd in crowd(),
    ) {
        let rule = Rule { steps, sequence: Some(("container.type", within)), count: None, suppress: None };
        let drafts: Vec<Draft> = crowd.into_iter().map(|(after, name)| (after, 0, name, "c1", 0, "")).collect();
        let mut engine = Engine::new(set(&rule));
        let events = stream(&drafts, 0);
        let mut plain: Vec<Kept> = Vec::new();
        for event in &events {
            let mut matches = Vec::new();
            engine.evaluate(event, &mut matches);
            let own = kept(&rule, event);
            plain.push(own.clone());
            // The chain that ends here and starts last, step by step.
            let mut starts: Vec<Option<u64>> = vec![None; rule.steps.len()];
            for known in &plain {
                for step in (0..starts.len()).rev().filter(|step| known.steps & (1 << step) != 0) {
                    let start = if step == 0 { Some(known.at) } else { starts[step - 1] };
                    starts[step] = start.max(starts[step]);
                }
            }
            let ends = own.steps & (1 << (rule.steps.len() - 1)) != 0;
            let there = starts.last().copied().flatten().filter(|_| ends);
            let expected = there.is_some_and(|start| own.at - start <= within * UNIT);
            prop_assert_eq!(!matches.is_empty(), expected, "event {}", own.number);
            if expected {
                break;
            }
        }
    }
}
