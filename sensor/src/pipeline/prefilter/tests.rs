//! What the tables refuse, no rule matches: random rules on recorded streams. The tables are asked here as the kernel
//! programs ask them, as plainly as can be.

use std::{collections::HashMap, sync::Arc};

use proptest::{prelude::*, sample::select};
use sensor_common::{Header, filter::facts};

use super::*;
use crate::{
    config::Config,
    decode::{RawBody, decode},
    event::{Detail, Event},
    pipeline::{Consumer, PipelineError, replay},
    recording::Reader,
    rule::{Engine, Options, RuleSet, Source},
};

const BUSY: &[u8] = include_bytes!("../../../../tests/fixtures/busy_host.rec");
const OPENS: &[u8] = include_bytes!("../../../../tests/fixtures/file_open.rec");
const CHANGES: &[u8] = include_bytes!("../../../../tests/fixtures/file_make.rec");
const SENDS: &[u8] = include_bytes!("../../../../tests/fixtures/net_send.rec");

/// A record and the event that it became.
type Pair = (Vec<u8>, Event);

#[derive(Default)]
struct Pairs {
    records: HashMap<(u64, u16, u32), Vec<u8>>,
    pairs: Vec<Pair>,
}

impl Consumer for Pairs {
    fn record(&mut self, bytes: &[u8]) -> Result<(), PipelineError> {
        if let Ok(raw) = decode(bytes) {
            self.records.insert((raw.header.ts, raw.header.cpu, raw.header.tid), bytes.to_vec());
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), PipelineError> {
        let Some(kind) = event.event_type.kind().filter(|kind| !kind.is_lifecycle()) else { return Ok(()) };
        let record = self.records.remove(&(event.boot_time, event.cpu, event.task.tid));
        self.pairs.push((record.unwrap_or_else(|| panic!("no record of this {}", kind.stem())), event));
        Ok(())
    }
}

fn pairs() -> Vec<Pair> {
    let mut pairs = Pairs::default();
    for recording in [BUSY, OPENS, CHANGES, SENDS] {
        replay(Reader::new(recording).unwrap(), &Config::default(), &mut pairs).unwrap();
    }
    pairs.pairs
}

/// Whether the tables let a record pass, in a control group that is (or is not) known to be on the host.
fn admit(tables: &[KindTables], bytes: &[u8], host: bool) -> bool {
    let raw = decode(bytes).unwrap();
    let Some(kind) = tables.iter().find(|tables| tables.kind.number() == raw.header.kind) else {
        return false;
    };
    let mut terms = by_call(kind, &raw.header, host);
    if let RawBody::Open(body, texts) = &raw.body
        && raw.header.result >= 0
    {
        let made = body.f_mode & 1 << 20 != 0 && body.mode & 0o111 != 0;
        let number = match body.open_flags & 0o10_000_003 {
            0 => facts::READ,
            1 => facts::WRITE,
            2 => facts::READ | facts::WRITE,
            _ => 0,
        };
        terms &= kind.whole.facts[(number | if made { facts::EXECUTABLE } else { 0 }) as usize];
        let name = texts.path.bytes.rsplit(|byte| *byte == b'/').next().unwrap();
        if texts.path.flags & sensor_common::text::DETACHED == 0 {
            terms &= look_up(&kind.whole.name, &kind.names, padded(name));
        }
        let path = [texts.path.bytes, b"\0"].concat();
        let fits = kind.paths.iter().filter(|(key, _)| path.starts_with(key));
        let entry = fits.max_by_key(|(key, _)| key.len());
        if !texts.path.is_truncated() {
            terms &= look(kind.whole.path, entry.map(|(_, terms)| *terms));
        }
    }
    if let RawBody::Open(_, texts) = &raw.body
        && raw.header.result < 0
        && !texts.name.is_truncated()
        && !texts.name.is_fault()
    {
        let name = texts.name.bytes.rsplit(|byte| *byte == b'/').next().unwrap();
        if !name.is_empty() && name != b"." && name != b".." {
            terms &= look_up(&kind.whole.name, &kind.names, padded(name));
        }
    }
    terms != 0
}

fn by_call(kind: &KindTables, header: &Header, host: bool) -> u64 {
    let outcome = match header.result {
        0.. => 0,
        -2 => 1,
        _ => 2,
    };
    let call = kind.calls.iter().find(|(number, _)| *number == u32::from(header.syscall));
    let mut terms = call.map_or(0, |(_, outcomes)| outcomes[outcome]);
    terms &= if header.euid == 0 { kind.whole.root } else { kind.whole.user };
    if host {
        terms &= kind.whole.host;
    }
    terms & look_up(&kind.whole.comm, &kind.comms, padded(text_of(&header.comm)))
}

/// As the kernel does it: an entry counts only where its mark is set.
fn look_up<const WORDS: usize>(
    words: &filter::Words,
    entries: &[([u64; WORDS], u64)],
    word: [u64; WORDS],
) -> u64 {
    let mark = filter::mark(word.iter().fold(0, |hash, bytes| filter::mix(hash, *bytes)));
    let marked = words.marks[mark as usize / 64] & 1 << (mark % 64) != 0;
    let entry = entries.iter().find(|(key, _)| marked && *key == word);
    look(words.property, entry.map(|(_, terms)| *terms))
}

/// What a NUL ends.
fn text_of(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap()
}

fn look(property: Property, entry: Option<u64>) -> u64 {
    if property.asked == 0 { u64::MAX } else { entry.unwrap_or(property.other) }
}

/// Words that make some checks hold: what the streams are about, whole and in part.
fn words() -> Vec<String> {
    let mut words = vec!["/etc".to_owned(), "/".into(), "/tmp/".into(), "passwd".into(), "/usr/lib".into()];
    for (_, event) in pairs() {
        words.push(String::from_utf8_lossy(event.task.comm.as_bytes()).into_owned());
        let Detail::Open(open) = &event.detail else { continue };
        let path = open.path.to_string();
        words.extend(path.rsplit('/').next().map(str::to_owned));
        let parents = path.match_indices('/').filter_map(|(at, _)| path.get(..at)).map(str::to_owned);
        words.extend(parents);
        words.extend(path.get(path.len() / 2..).map(str::to_owned));
        words.push(path);
    }
    words.retain(|word| !word.is_empty() && !word.contains(['\'', '"', '\\', '\n']));
    words.sort();
    words.dedup();
    words
}

fn check(words: &[String]) -> impl Strategy<Value = String> + use<> {
    let texts = select(&["fd.name", "fs.path.name", "fd.filename", "fd.directory", "proc.name"][..]);
    let ops = select(&["=", "!=", "startswith", "endswith", "contains"][..]);
    let sets = select(&["in", "pmatch"][..]);
    let some = proptest::collection::vec(select(words.to_vec()), 1..6);
    let fixed = select(
        &[
            "evt.type in (open, openat, openat2)",
            "evt.type = openat",
            "evt.type in (connect, sendto, mkdir, mkdirat)",
            "evt.is_open_read = true",
            "evt.is_open_write = true",
            "evt.is_open_write != true",
            "evt.is_open_exec = true",
            "fd.typechar = f",
            "fd.num >= 0",
            "fd.num < 0",
            "evt.rawres = -2",
            "evt.rawres != -2",
            "evt.res = ENOENT",
            "evt.res in (EACCES, EPERM)",
            "evt.res != ENOENT",
            "evt.failed = true",
            "user.uid = 0",
            "user.uid != 0",
            "user.uid > 0",
            "user.uid in (0, 1000)",
            "container.id = host",
            "container.id != host",
            "container.name = x",
            "k8s.ns.name != x",
            "k8s.pod.name exists",
        ][..],
    );
    prop_oneof![
        3 => fixed.prop_map(str::to_owned),
        4 => (texts.clone(), ops, select(words.to_vec())).prop_map(|(field, op, word)| format!("{field} {op} \"{word}\"")),
        3 => (texts, sets, some).prop_map(|(field, op, words)| {
            let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
            format!("{field} {op} ({})", words.join(", "))
        }),
    ]
}

fn condition(words: &[String]) -> impl Strategy<Value = String> + use<> {
    check(words).prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            3 => proptest::collection::vec(inner.clone(), 2..5).prop_map(|parts| format!("({})", parts.join(" and "))),
            2 => proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" or "))),
            1 => inner.prop_map(|inner| format!("not {inner}")),
        ]
    })
}

fn compiled(conditions: &[String]) -> Arc<RuleSet> {
    let rules: String = (0..)
        .zip(conditions)
        .map(|(at, condition): (usize, _)| {
            format!("- rule: r{at}\n  desc: d\n  condition: '{condition}'\n  output: o\n  priority: INFO\n")
        })
        .collect();
    let (set, found) = RuleSet::compile(&[Source { name: "t".into(), text: rules }], &Options::default());
    Arc::new(set.unwrap_or_else(|| panic!("{found:?}")))
}

/// Records that the tables refuse and records that they let pass; fails where they refuse one that a rule matches.
fn refused(set: &Arc<RuleSet>, pairs: &[Pair]) -> (usize, usize) {
    let tables = tables(set.prefilter());
    let mut engine = Engine::new(Arc::clone(set));
    let (mut refused, mut passed) = (0, 0);
    for (bytes, event) in pairs {
        if admit(&tables, bytes, event.container.is_none()) {
            passed += 1;
            continue;
        }
        refused += 1;
        let mut matches = Vec::new();
        engine.evaluate(event, &mut matches);
        let names: Vec<_> = matches.iter().map(|found| &found.rule.name).collect();
        assert!(names.is_empty(), "{names:?} matches what the tables refuse: {event:?}");
    }
    (refused, passed)
}

#[test]
fn random_rules_match_nothing_that_their_tables_refuse() {
    let (pairs, words) = (pairs(), words());
    let config = ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() };
    let total = std::cell::Cell::new((0, 0));
    proptest!(config, |(conditions in proptest::collection::vec(condition(&words), 1..8))| {
        let (refused, passed) = refused(&compiled(&conditions), &pairs);
        total.set((total.get().0 + refused, total.get().1 + passed));
    });
    // Tables that refuse nothing, or everything, prove nothing.
    let (refused, passed) = total.get();
    assert!(refused > passed / 10 && passed > refused / 10, "{refused} refused, {passed} passed");
}

#[test]
fn so_many_rules_that_terms_are_joined_lose_nothing() {
    let (pairs, words) = (pairs(), words());
    let conditions: Vec<_> = (0..200)
        .zip(words.iter().cycle())
        .map(|(at, word): (usize, _)| {
            let uid = if at % 2 == 0 { "=" } else { "!=" };
            format!("evt.type = openat and fd.name endswith \"{word}\" and user.uid {uid} 0 and proc.name != \"p{at}\"")
        })
        .collect();
    let set = compiled(&conditions);
    assert!(set.prefilter().iter().all(|(_, terms)| terms.len() <= 64));
    refused(&set, &pairs);
}

#[test]
fn the_built_in_rules_refuse_nearly_every_open_of_a_busy_host() {
    let (set, found) = RuleSet::compile(&crate::rule::builtin::sources(), &Options::default());
    let set = Arc::new(set.unwrap_or_else(|| panic!("{found:?}")));
    let mut opens = pairs();
    opens.retain(|(_, event)| matches!(event.detail, Detail::Open(_)));
    let (refused, passed) = refused(&set, &opens);
    assert!(refused > 19 * passed, "{refused} refused, {passed} passed");
}
