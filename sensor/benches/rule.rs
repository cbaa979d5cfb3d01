//! The rule engine on events that match nothing, with `memcpy` of the same bytes beside it for scale.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench that cannot run shall stop"
)]

use std::sync::Arc;

use divan::{Bencher, black_box, counter::ItemsCount};
use sensor::{
    event::Event,
    rule::{Engine, Match, Options, RuleSet, Source, builtin, testing},
};

fn main() {
    divan::main();
}

/// An exec, some opens and connects, as a busy host has them: none of them is any rule's business.
const MIXED: &str = "
- {evt.type: execve, proc.cmdline: git rev-parse --verify --quiet HEAD, proc.exepath: /usr/bin/git,
   'proc.aname[1]': make, 'proc.aname[2]': bash, 'proc.aname[3]': sshd, 'proc.aname[4]': systemd, container.id: 0a1b2c3d4e5f}
- {evt.type: openat, proc.name: nginx, proc.exepath: /usr/sbin/nginx, fd.name: /var/www/html/assets/app.3f2a.js,
   'proc.aname[1]': nginx, 'proc.aname[2]': containerd-shim, container.id: 0a1b2c3d4e5f}
- {evt.type: openat, proc.name: postgres, proc.exepath: /usr/lib/postgresql/16/bin/postgres,
   fd.name: /var/lib/postgresql/16/main/base/16384/2619, evt.arg.flags: O_RDWR, 'proc.aname[1]': postgres}
- {evt.type: openat, proc.name: cc1, proc.exepath: /usr/libexec/gcc/cc1, fd.name: /tmp/ccX8a1.s,
   evt.arg.flags: O_WRONLY|O_CREAT|O_TRUNC, 'proc.aname[1]': gcc, 'proc.aname[2]': make, 'proc.aname[3]': bash}
- {evt.type: openat, proc.name: ls, proc.exepath: /usr/bin/ls, fd.name: /etc/ld.so.cache, 'proc.aname[1]': bash}
- {evt.type: connect, proc.name: api, proc.exepath: /app/api, fd.name: '10.0.3.7:41022->10.0.9.2:5432',
   container.id: 0a1b2c3d4e5f, 'proc.aname[1]': containerd-shim}
- {evt.type: clone, proc.name: bash, 'proc.aname[1]': sshd}
- {evt.type: procexit, proc.name: git, 'proc.aname[1]': make}
";

fn stream() -> Vec<Event> {
    testing::events("mixed", MIXED).expect("the events above are well-formed")
}

/// The built-in rules, each `copies` times under another name and with other values, so that no check is shared.
fn set(copies: usize) -> Arc<RuleSet> {
    let builtin = builtin::sources();
    let mut sources = builtin.clone();
    for copy in 1..copies {
        for source in builtin.iter().skip(1) {
            let text: String = source
                .text
                .lines()
                .map(|line| match line.strip_prefix("- rule: ") {
                    Some(name) => format!("- rule: {name} {copy}\n"),
                    None => {
                        // Other values, so that no check is one of the original's.
                        let line = line.replace("= /etc/", &format!("= /etc{copy}/"));
                        let line = line.replace("contains \"", &format!("contains \"{copy}"));
                        format!(
                            "{}
",
                            line.replace("contains -", &format!("contains {copy}-"))
                        )
                    }
                })
                .collect();
            sources.push(Source { name: format!("{} {copy}", source.name), text });
        }
    }
    let (set, found) = RuleSet::compile(&sources, &Options::default());
    Arc::new(set.unwrap_or_else(|| panic!("{:?}", found.iter().map(ToString::to_string).collect::<Vec<_>>())))
}

#[divan::bench(args = [1, 5, 50])]
fn nothing_matches(bencher: Bencher<'_, '_>, copies: usize) {
    let set = set(copies);
    let events = stream();
    let mut engine = Engine::new(set);
    let mut matches: Vec<Match> = Vec::new();
    bencher.counter(ItemsCount::new(events.len())).bench_local(|| {
        for event in &events {
            engine.evaluate(black_box(event), &mut matches);
        }
        assert!(matches.is_empty());
    });
}

/// One kind of event at a time, with the built-in rules.
#[divan::bench(args = [0, 1, 3, 5, 6])]
fn one_event(bencher: Bencher<'_, '_>, which: usize) {
    let mut engine = Engine::new(set(1));
    let events = stream();
    let mut matches: Vec<Match> = Vec::new();
    bencher.bench_local(|| {
        engine.evaluate(black_box(&events[which]), &mut matches);
        assert!(matches.is_empty());
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
fn memcpy_of_the_same_events(bencher: Bencher<'_, '_>) {
    let events = stream();
    let from = vec![1_u8; events.len() * (size_of::<Event>() + 400)];
    let mut to = vec![0_u8; from.len()];
    bencher.counter(ItemsCount::new(events.len())).bench_local(|| {
        to.copy_from_slice(black_box(&from));
        black_box(&to);
    });
}

#[divan::bench]
fn load(bencher: Bencher<'_, '_>) {
    let sources = builtin::sources();
    bencher.bench(|| RuleSet::compile(black_box(&sources), &Options::default()));
}

/// A set of the size that operators have, cold: what a start and every reload cost.
#[divan::bench]
fn load_stock_size(bencher: Bencher<'_, '_>) {
    let sources = testing::stock_size();
    bencher.bench(|| RuleSet::compile(black_box(&sources), &Options::default()));
}
