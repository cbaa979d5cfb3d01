//! The rule engine on a recorded stream, event by event, with `memcpy` of the same events beside it for scale.
//!
//! The stream is what a busy host does (`tests/fixtures/busy_host.rec`: it compiles, searches, packs, serves and asks, on
//! the host and in a container), without the events that match a rule of the set: what is measured is the price of all
//! that is nobody's business.

#![expect(clippy::expect_used, clippy::panic, reason = "a bench that cannot run shall stop")]

use std::{io::Cursor, sync::Arc};

use divan::{Bencher, black_box, counter::ItemsCount};
use sensor::{
    config::Config,
    event::Event,
    pipeline::{Consumer, PipelineError, replay},
    recording::Reader,
    rule::{Engine, Match, Options, RuleSet, Severity, Source, builtin, testing},
};

fn main() {
    divan::main();
}

#[derive(Default)]
struct Collector(Vec<Event>);

impl Consumer for Collector {
    fn event(&mut self, event: Event) -> Result<(), PipelineError> {
        self.0.push(event);
        Ok(())
    }
}

fn recorded() -> Vec<Event> {
    let bytes = include_bytes!("../../tests/fixtures/busy_host.rec");
    let mut events = Collector::default();
    let reader = Reader::new(Cursor::new(&bytes[..])).expect("a recording");
    replay(reader, &Config::default(), &mut events).expect("it can be played");
    events.0
}

/// The events of the stream that match nothing of the set.
fn unmatched(set: &Arc<RuleSet>) -> Vec<Event> {
    let mut engine = Engine::new(Arc::clone(set));
    let mut matches = Vec::new();
    let mut events = recorded();
    let all = events.len();
    events.retain(|event| {
        matches.clear();
        engine.evaluate(event, &mut matches);
        matches.is_empty() && engine.silenced().is_empty()
    });
    assert!(events.len() > all / 10 * 9, "{} of {all} events match nothing", events.len());
    events
}

fn compile(sources: &[Source]) -> Arc<RuleSet> {
    let (set, found) = RuleSet::compile(sources, &Options::default());
    let errors = found.iter().filter(|found| found.severity == Severity::Error);
    Arc::new(set.unwrap_or_else(|| panic!("{:#?}", errors.map(ToString::to_string).collect::<Vec<_>>())))
}

fn bench(bencher: Bencher<'_, '_>, sources: &[Source]) {
    let set = compile(sources);
    let events = unmatched(&set);
    let mut engine = Engine::new(set);
    let mut matches: Vec<Match> = Vec::new();
    bencher.counter(ItemsCount::new(events.len())).bench_local(|| {
        for event in &events {
            engine.evaluate(black_box(event), &mut matches);
        }
        matches.clear();
    });
}

/// A connect that a rule's condition matches each time, a millisecond after the one before, from 64 processes in turn: what
/// one match costs, without anything over time and with each key. Few of them alert.
#[divan::bench(args = [
    "nothing", "count by container", "count by process", "count distinct ports", "sequence by container",
    "sequence by process-tree", "suppress",
])]
fn a_rule_matches_often(bencher: Bencher<'_, '_>, keys: &str) {
    let keys = match keys {
        "count by container" => "count: {at_least: 60000, within: 10s, by: container.id}",
        "count by process" => "count: {at_least: 60000, within: 10s, by: process}",
        "count distinct ports" => {
            "count: {at_least: 100, within: 10s, by: [container.id, fd.sip], distinct: fd.sport}"
        }
        "sequence by container" => "sequence: {by: container.id, within: 10s, then: [evt.type = openat]}",
        "sequence by process-tree" => "sequence: {by: process-tree, within: 10s, then: [evt.type = openat]}",
        "suppress" => "suppress: {by: [container.id, proc.exepath], for: 10m}",
        _ => "tags: []",
    };
    let text =
        format!("- {{rule: r, desc: d, condition: evt.type = connect, output: o, priority: INFO, {keys}}}");
    let (set, _) = RuleSet::compile(&[Source { name: "r".to_owned(), text }], &Options::default());
    let mut engine = Engine::new(Arc::new(set.expect("it is well-formed")));
    let mut events: Vec<Event> = Vec::new();
    for pid in 1..=64 {
        let event = format!(
            "{{evt.type: connect, proc.name: api, proc.exepath: /app/api, fd.name: '10.0.3.7:41022->10.0.9.2:{}',
              container.id: 0a1b2c3d4e5f, proc.pid: {pid}}}",
            5000 + pid % 16
        );
        events.extend(testing::events("connect", &event).expect("it is well-formed"));
    }
    let mut matches: Vec<Match> = Vec::new();
    let mut number = 0;
    bencher.counter(ItemsCount::new(events.len())).bench_local(|| {
        for event in &mut events {
            number += 1;
            (event.number, event.boot_time) = (number, number * 1_000_000);
            engine.evaluate(black_box(event), &mut matches);
        }
        matches.clear();
    });
}

#[divan::bench]
fn recorded_builtin_rules(bencher: Bencher<'_, '_>) {
    bench(bencher, &builtin::sources());
}

/// A set of the size that operators have, and the same with ten and thirty times the products.
#[divan::bench(args = [1, 10, 30])]
fn recorded_stock_size(bencher: Bencher<'_, '_>, times: usize) {
    bench(bencher, &testing::stock_sizes(times));
}

#[divan::bench]
fn recorded_memcpy(bencher: Bencher<'_, '_>) {
    let events = recorded();
    let heap = |event: &Event| event.process.args.as_bytes().len() + event.process.exe.as_bytes().len();
    let bytes: usize = events.iter().map(|event| size_of::<Event>() + heap(event)).sum();
    let from = vec![1_u8; bytes];
    let mut to = vec![0_u8; bytes];
    bencher.counter(ItemsCount::new(events.len())).bench_local(|| {
        to.copy_from_slice(black_box(&from));
        black_box(&to);
    });
}

/// What a start and every reload cost.
#[divan::bench(args = [0, 1, 10])]
fn load(bencher: Bencher<'_, '_>, times: usize) {
    let sources = if times == 0 { builtin::sources() } else { testing::stock_sizes(times) };
    bencher.bench(|| RuleSet::compile(black_box(&sources), &Options::default()));
}
