//! What the random streams do not reach: the budget, reloads, the first match, what is said and how.

use std::{sync::Arc, time::Instant};

use super::{CorrelationCounts, Summary};
use crate::{
    event::{Event, Process, ProcessKey},
    rule::{
        Engine, Match, Options, RuleSet, Source,
        testing::{self, event},
    },
};

const SECOND: u64 = 1_000_000_000;

fn rule(name: &str, condition: &str, keys: &str) -> String {
    format!("- {{rule: {name}, desc: d, condition: '{condition}', output: o, priority: INFO, {keys}}}\n")
}

fn set_with(text: &str, options: &Options) -> Arc<RuleSet> {
    let (set, found) = RuleSet::compile(&[Source { name: "r".into(), text: text.into() }], options);
    Arc::new(set.unwrap_or_else(|| panic!("{found:?}\n{text}")))
}

fn set(text: &str) -> Arc<RuleSet> {
    set_with(text, &Options::default())
}

fn said(engine: &mut Engine, event: &Event) -> Vec<Match> {
    let mut matches = Vec::new();
    engine.evaluate(event, &mut matches);
    matches
}

fn fires(engine: &mut Engine, event: &Event) -> bool {
    !said(engine, event).is_empty()
}

/// The event, so many seconds after boot, with a number of its own.
fn at(event: &Event, seconds: u64) -> Event {
    let boot_time = seconds * SECOND;
    Event { boot_time, time: 1_700_000_000 * SECOND + boot_time, number: seconds + 1, ..event.clone() }
}

fn of_process(event: &Event, pid: u32) -> Event {
    let process = Process { key: ProcessKey { pid, start: 1 }, ..Process::clone(&event.process) };
    Event { process: Arc::new(process), ..event.clone() }
}

#[test]
fn a_hostile_stream_of_keys_stays_within_the_budget() {
    let limit = 1 << 20;
    let text = rule("flooded", "evt.type = connect", "count: {at_least: 3, within: 1h, by: process}")
        + &rule(
            "chained",
            "evt.type = connect",
            "sequence: {by: process, within: 1h, then: [evt.type = execve]}, suppress: {by: process, for: 1h}",
        )
        + &rule("calm", "evt.type = openat", "count: {at_least: 3, within: 1h, by: container.id}");
    let mut engine = Engine::with_state(set(&text), limit);
    let connect = event("{evt.type: connect, fd.name: '10.0.0.1:1->10.0.0.2:2'}");
    let (open, exec) = (event("{evt.type: openat, fd.name: /a}"), event("{evt.type: execve, proc.name: x}"));
    assert!(!fires(&mut engine, &at(&open, 1)));
    let keys = if cfg!(debug_assertions) { 60_000 } else { 10_000_000 };
    let start = Instant::now();
    let mut most = 0;
    for pid in 0..keys {
        let event = of_process(&connect, pid);
        assert!(!fires(&mut engine, &event));
        // What a sequence and a silence remember is of other sizes.
        if pid % 16 == 0 {
            fires(&mut engine, &Event { number: 1 + u64::from(pid), ..of_process(&exec, pid) });
        }
        let CorrelationCounts { bytes, .. } = engine.correlation();
        most = most.max(bytes);
    }
    assert!(most <= limit && most > limit / 2, "{most}");
    eprintln!("{keys} keys in {:?}, {:?}", start.elapsed(), engine.correlation());
    let lost = engine.correlation().evicted;
    assert!(lost["flooded"] > u64::from(keys) / 2 && lost["chained"] > u64::from(keys) / 2, "{lost:?}");
    // Who floods one rule does not make another forget.
    assert!(
        !lost.contains_key("calm") && !fires(&mut engine, &at(&open, 2)) && fires(&mut engine, &at(&open, 3))
    );
    // All of it is given back when its time is over.
    let mut summaries = Vec::new();
    while engine.expire(u64::MAX, &mut summaries) {}
    let CorrelationCounts { keys, bytes, .. } = engine.correlation();
    assert!(keys == 0 && bytes < 64 << 10, "{keys} keys, {bytes} bytes");
}

#[test]
fn one_key_that_holds_much_stays_within_the_budget() {
    let limit = 128 << 10;
    let text = rule("large", "evt.type = openat", "count: {at_least: 65536, within: 1h}");
    let mut engine = Engine::with_state(set(&text), limit);
    let open = event("{evt.type: openat, fd.name: /a}");
    for number in 0..40_000 {
        assert!(!fires(&mut engine, &Event { number, ..open.clone() }));
        assert!(engine.correlation().bytes <= limit);
    }
    assert_eq!(engine.evictions().len(), 1);
}

#[test]
fn what_is_evicted_is_what_was_touched_longest_ago() {
    let text = rule("r", "evt.type = openat", "count: {at_least: 3, within: 24h, by: process}");
    let mut engine = Engine::with_state(set(&text), 128 << 10);
    let open = event("{evt.type: openat, fd.name: /a}");
    let mut pid = 0;
    while engine.evictions().is_empty() {
        pid += 1;
        fires(&mut engine, &of_process(&open, pid));
        if pid == 300 {
            fires(&mut engine, &of_process(&open, 1));
        }
    }
    let mut reached = |pid| engine.reached(&engine.set().rules()[0].clone(), &of_process(&open, pid));
    assert!(reached(1).contains("count is 2 of 3"), "{}", reached(1));
    assert!(reached(2).contains("count is 0 of 3") && reached(20).contains("count is 0 of 3"));
    assert!(reached(200).contains("count is 1 of 3") && reached(pid).contains("count is 1 of 3"));
}

#[test]
fn a_silence_says_what_it_hid() {
    let text = rule("r", "evt.type = execve", "suppress: {by: [container.id, proc.name], for: 10m}");
    let mut engine = Engine::new(set(&text));
    let exec = event("{evt.type: execve, proc.name: sh, container.id: c1}");
    let other = event("{evt.type: execve, proc.name: sh, container.id: c2}");
    let suppressed = |found: Vec<Match>| found[0].finding.as_ref().unwrap().suppressed;
    assert_eq!(suppressed(said(&mut engine, &at(&exec, 1000))), 0);
    assert_eq!(suppressed(said(&mut engine, &at(&other, 1001))), 0);
    for seconds in [1001, 1300, 1600, 999] {
        assert!(!fires(&mut engine, &at(&exec, seconds)));
        assert_eq!(engine.silenced(), [0]);
    }
    let next = said(&mut engine, &at(&exec, 1601));
    assert_eq!(engine.silenced(), [0; 0]);
    let finding = next[0].finding.as_ref().unwrap();
    assert_eq!(finding.suppressed, 4);
    let by: Vec<_> = finding.by.iter().map(|(name, text)| format!("{name}={text}")).collect();
    assert_eq!(by, ["container.id=c1", "proc.name=sh"]);
    assert!(!fires(&mut engine, &at(&exec, 1602)) && !fires(&mut engine, &at(&exec, 1603)));
    let mut summaries: Vec<Summary> = Vec::new();
    engine.expire(2201 * SECOND, &mut summaries);
    assert!(summaries.is_empty(), "the second silence still lasts, the first hid nothing: {summaries:?}");
    engine.expire(2203 * SECOND, &mut summaries);
    let [summary] = summaries.as_slice() else { panic!("{summaries:?}") };
    assert_eq!(summary.to_string(), "r: 2 more in 10m (container.id=c1 proc.name=sh)");
    assert_eq!((summary.last.number, summary.container.as_ref().map(|it| &*it.id)), (1604, Some("c1")));
    assert_eq!(engine.correlation().suppressed, 6);
}

#[test]
fn a_count_says_what_it_counted() {
    let text = rule(
        "r",
        "evt.type = connect",
        "count: {at_least: 3, within: 10s, by: container.id, distinct: fd.sport}",
    );
    let mut engine = Engine::new(set(&text));
    let to = |port: u32, seconds| {
        let text = format!("{{evt.type: connect, container.id: c1, fd.name: '10.0.0.1:1->10.0.0.2:{port}'}}");
        at(&event(&text), seconds)
    };
    for (port, seconds) in [(1, 1), (2, 2), (1, 3), (2, 4), (1, 5)] {
        assert!(!fires(&mut engine, &to(port, seconds)));
    }
    let found = said(&mut engine, &to(3, 6));
    let counted = found[0].finding.as_ref().unwrap().count.clone().unwrap();
    assert_eq!((counted.number, counted.distinct.as_deref()), (3, Some("fd.sport")));
    assert_eq!(counted.since, 1_700_000_004 * SECOND, "the second value was last seen then");
    assert!(
        !fires(&mut engine, &to(1, 7)) && !fires(&mut engine, &to(2, 8)) && fires(&mut engine, &to(9, 9))
    );
}

#[test]
fn a_sequence_says_its_steps_and_one_that_came_late_completes_it() {
    let text = rule(
        "r",
        "evt.type = execve",
        "sequence: {by: container.id, within: 30s, then: [evt.type = openat, evt.type = connect]}",
    );
    let mut engine = Engine::new(set(&text));
    let exec = event("{evt.type: execve, proc.name: sh, proc.pid: 5, container.id: c1}");
    let open = event("{evt.type: openat, fd.name: /a, proc.pid: 6, container.id: c1}");
    let connect = event("{evt.type: connect, fd.name: '10.0.0.1:1->10.0.0.2:2', container.id: c1}");
    assert!(!fires(&mut engine, &at(&exec, 10)) && !fires(&mut engine, &at(&connect, 12)));
    let found = said(&mut engine, &at(&open, 11));
    let steps = &found[0].finding.as_ref().unwrap().steps;
    let steps: Vec<_> = steps.iter().map(|step| (step.number, step.pid, step.event_type.name())).collect();
    assert_eq!(steps, [(11, 5, "execve"), (12, 6, "openat"), (13, 1000, "connect")]);
    assert!(!fires(&mut engine, &at(&connect, 13)), "the steps are used up");
}

/// Processes 1, 2 created by it, and 3 by 2: each event is of one of them.
fn family(event: &Event) -> impl Fn(u64, u32) -> Event + use<> {
    let mut all: Vec<Arc<Process>> = Vec::new();
    for pid in 1..=3 {
        let key = ProcessKey { pid, start: 1 };
        let parent = all.last().cloned();
        all.push(Arc::new(Process { key, parent, ..Process::clone(&event.process) }));
    }
    let event = event.clone();
    move |seconds, pid| Event { process: Arc::clone(&all[pid as usize - 1]), ..at(&event, seconds) }
}

#[test]
fn a_process_tree_is_followed_down_and_not_up() {
    let keys = "sequence: {by: process-tree, within: 30s, then: [evt.type = connect]}";
    let text = rule("r", "evt.type = execve and proc.name = sh", keys);
    let mut engine = Engine::new(set(&text));
    let exec = family(&event("{evt.type: execve, proc.name: sh}"));
    let connect = family(&event("{evt.type: connect, fd.name: '10.0.0.1:1->10.0.0.2:2'}"));
    assert!(!fires(&mut engine, &exec(10, 2)));
    assert!(!fires(&mut engine, &connect(11, 1)), "its parent");
    let found = said(&mut engine, &connect(12, 3));
    assert_eq!(found[0].finding.as_ref().unwrap().by, [("process-tree".to_owned(), "2".to_owned())]);
    assert!(!fires(&mut engine, &connect(13, 3)));
    // The same steps are not used twice, though the first one comes late and again.
    assert!(!fires(&mut engine, &connect(21, 3)));
    assert!(fires(&mut engine, &Event { number: 90, ..exec(20, 2) }));
    assert!(!fires(&mut engine, &Event { number: 91, ..exec(20, 2) }));
    // Two that began: one alert, of the nearest, and both are done.
    assert!(!fires(&mut engine, &exec(60, 1)) && !fires(&mut engine, &exec(61, 2)));
    let found = said(&mut engine, &connect(62, 3));
    assert_eq!((found.len(), found[0].finding.as_ref().unwrap().by[0].1.as_str()), (1, "2"));
    assert!(!fires(&mut engine, &connect(63, 3)));
}

#[test]
fn the_first_match_is_what_alerts_or_is_silent_and_sequences_go_on() {
    let text = rule("counted", "evt.type = execve", "count: {at_least: 2, within: 1h}")
        + &rule("silent", "evt.type = execve", "suppress: {for: 1h}")
        + &rule("plain", "evt.type in (execve, connect)", "tags: [t]")
        + &rule(
            "later",
            "evt.type = execve",
            "sequence: {by: process, within: 1h, then: [evt.type = openat]}",
        );
    let options = Options { first_match: true, ..Options::default() };
    let mut engine = Engine::new(set_with(&text, &options));
    let exec = event("{evt.type: execve, proc.name: sh}");
    let names =
        |found: Vec<Match>| found.into_iter().map(|found| found.rule.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(said(&mut engine, &at(&exec, 1))), ["silent"], "one is not counted as two");
    assert_eq!(names(said(&mut engine, &at(&exec, 2))), ["counted"]);
    assert_eq!(names(said(&mut engine, &at(&exec, 3))), [""; 0], "suppressed: that, too, is the first");
    assert_eq!(engine.silenced(), [1]);
    let open = event("{evt.type: openat, fd.name: /a}");
    assert_eq!(names(said(&mut engine, &at(&open, 4))), ["later"]);
}

#[test]
fn a_reload_keeps_what_did_not_change() {
    let texts = |macro_text: &str, at_least: u32, lasting: &str| {
        format!("- {{macro: m, condition: '{macro_text}'}}\n")
            + &rule("a", "evt.type = execve", "count: {at_least: 3, within: 1h}")
            + &rule("b", "m and evt.num > 0", &format!("count: {{at_least: {at_least}, within: 1h}}"))
            + &rule("c", "m", &format!("suppress: {{for: {lasting}}}"))
    };
    let exec = event("{evt.type: execve, proc.name: sh}");
    let after = |reloaded: &str| {
        let mut old = Engine::new(set(&texts("proc.name = sh", 3, "1h")));
        assert_eq!(said(&mut old, &at(&exec, 1)).len(), 1);
        assert_eq!(said(&mut old, &at(&exec, 2)).len(), 0);
        // Another order, and rules that were not there: neither is a change.
        let text = rule("new", "proc.pid = 1", "tags: [t]") + reloaded;
        let mut new = Engine::new(set(&text));
        new.adopt(old);
        let mut summaries = Vec::new();
        new.expire(3 * SECOND, &mut summaries);
        let found = said(&mut new, &at(&exec, 3));
        let names: Vec<_> = found.iter().map(|found| found.rule.name.clone()).collect();
        (names.join(" "), summaries.len())
    };
    assert_eq!(after(&texts("proc.name = sh", 3, "1h")), ("a b".to_owned(), 0));
    assert_eq!(after(&texts("proc.name in (sh, x)", 3, "1h")), ("a c".to_owned(), 1));
    assert_eq!(after(&texts("proc.name = sh", 4, "1h")), ("a".to_owned(), 0));
    assert_eq!(after(&texts("proc.name = sh", 3, "2h")), ("a b c".to_owned(), 1));
    assert_eq!(after(""), (String::new(), 1), "what a rule that is gone hid is said");
}

#[test]
fn tests_beside_rules_run_over_time() {
    let scenario = |kind: &str, events: &str| {
        let text = format!(
            "{}  tests:\n    {kind}:\n      - {events}\n",
            "- rule: r\n  desc: d\n  condition: evt.type = execve\n  output: o\n  priority: INFO\n  \
             sequence: {by: process-tree, within: 5s, then: [evt.type = connect]}\n  count: {at_least: 2, within: 1m}\n"
        );
        let sources = [Source { name: "r".into(), text }];
        let (set, found) = RuleSet::compile(&sources, &Options::default());
        let set = set.unwrap_or_else(|| panic!("{found:?}"));
        testing::run(&Arc::new(set), &sources).remove(0).problem.unwrap_or_default()
    };
    let once = "{evt.type: execve, proc.name: sh, proc.pid: 7}, \
                {after: 1s, evt.type: connect, fd.name: '10.0.0.1:1->10.0.0.2:2', 'proc.apid[1]': 7}";
    assert_eq!(
        scenario("fires", &format!("[{once}, {{after: 9s, evt.type: execve, proc.name: sh}}, {once}]")),
        ""
    );
    assert_eq!(scenario("quiet", &format!("[{once}]")), "");
    let problem = scenario("fires", &format!("[{once}]"));
    assert!(problem.contains("count is 1 of 2\n"), "{problem}");
    let problem = scenario("fires", "[{evt.type: execve, proc.name: sh}]");
    assert!(problem.contains("sequence: step 1 of 2 seen (process-tree=1000)"), "{problem}");
    let problem = scenario("fires", &format!("[{once}, {once}, {{evt.type: execve, proc.name: x}}]"));
    assert!(problem.contains("matches event 4, and not the last"), "{problem}");
    let problem = scenario("quiet", &format!("[{once}, {once}]"));
    assert!(problem.contains("matches event 4"), "{problem}");
}
