//! What the tables refuse, no rule matches: random rules on recorded streams. The tables are asked here as the kernel
//! programs ask them, as plainly as can be.

mod conditions;

use std::{collections::HashMap, sync::Arc};

use proptest::prelude::*;
use sensor_common::{Header, Net, NetAddr, filter::facts, valid};

use self::conditions::{condition, words};
use super::*;
use crate::pipeline::row::padded;
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
const SOCKETS: [&[u8]; 7] = [
    include_bytes!("../../../../tests/fixtures/net_accept.rec"),
    include_bytes!("../../../../tests/fixtures/net_bind.rec"),
    include_bytes!("../../../../tests/fixtures/net_connect.rec"),
    include_bytes!("../../../../tests/fixtures/net_listen.rec"),
    include_bytes!("../../../../tests/fixtures/net_receive.rec"),
    include_bytes!("../../../../tests/fixtures/net_send.rec"),
    include_bytes!("../../../../tests/fixtures/net_socket.rec"),
];

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
    for recording in [BUSY, OPENS, CHANGES].into_iter().chain(SOCKETS) {
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
        terms &= kind.row.whole.facts[(number | if made { facts::EXECUTABLE } else { 0 }) as usize];
        let name = texts.path.bytes.rsplit(|byte| *byte == b'/').next().unwrap();
        if texts.path.flags & sensor_common::text::DETACHED == 0 {
            terms &= look_up(&kind.row.whole.name, &kind.row.names, padded(name));
        }
        let path = [texts.path.bytes, b"\0"].concat();
        let fits = kind.row.paths.iter().filter(|(key, _)| path.starts_with(key));
        let entry = fits.max_by_key(|(key, _)| key.len());
        if !texts.path.is_truncated() {
            terms &= look(kind.row.whole.path, entry.map(|(_, terms)| *terms));
        }
    }
    if let RawBody::Open(_, texts) = &raw.body
        && raw.header.result < 0
        && !texts.name.is_truncated()
        && !texts.name.is_fault()
    {
        let name = texts.name.bytes.rsplit(|byte| *byte == b'/').next().unwrap();
        if !name.is_empty() && name != b"." && name != b".." {
            terms &= look_up(&kind.row.whole.name, &kind.row.names, padded(name));
        }
    }
    if let RawBody::Net(_, body, _) = &raw.body {
        terms &= by_socket(kind, &raw.header, body);
    }
    terms != 0
}

/// What a socket leaves: its family and what it speaks, then the port and the address of the end that is looked at.
fn by_socket(kind: &KindTables, header: &Header, body: &Net) -> u64 {
    let end = |bit: u32, end: &NetAddr| {
        let addr = match end.family {
            2 => [&[0; 10][..], &[0xff, 0xff], &end.addr[..4]].concat(),
            10 => end.addr.to_vec(),
            _ => return None,
        };
        (header.valid & bit != 0).then(|| (u128::from_be_bytes(addr.try_into().unwrap()), end.port as u16))
    };
    let (local, remote) = (end(valid::LOCAL, &body.local), end(valid::REMOTE, &body.remote));
    let mut terms = u64::MAX;
    let family = match (remote.or(local), body.family) {
        (Some((addr, _)), 2 | 10) => Some(if addr >> 32 == 0xffff { 0 } else { facts::V6 }),
        (Some(_), _) => None,
        (None, 2) => Some(0),
        (None, 10) => Some(facts::V6),
        (None, 1) => Some(facts::UNIX),
        _ => Some(facts::OTHER),
    };
    let speaks = match (body.protocol, body.sock_type & 0xf) {
        (6, _) | (0, 1) => facts::TCP,
        (17, _) | (0, 2) => facts::UDP,
        _ => 0,
    };
    if let Some(family) = family.filter(|_| header.valid & valid::SOCKET != 0) {
        terms &= kind.row.whole.facts[(family | speaks) as usize];
    }
    let (own_port, own_net) = match kind.kind {
        Kind::NetBind | Kind::NetListen => (true, true),
        Kind::NetAccept => (true, false),
        _ => (false, false),
    };
    if let Some((_, port)) = if own_port { local } else { remote } {
        let entry = kind.row.ports.iter().find(|(known, _)| *known == port);
        terms &= look(kind.row.whole.port, entry.map(|(_, terms)| *terms));
    }
    if let Some((addr, _)) = if own_net { local } else { remote } {
        let within = |first: &[u8; 16], bits: u8| {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            addr & mask == u128::from_be_bytes(*first)
        };
        let fits = kind.row.nets.iter().filter(|(first, bits, _)| within(first, *bits));
        let entry = fits.max_by_key(|(_, bits, _)| *bits);
        terms &= look(kind.row.whole.net, entry.map(|(_, _, terms)| *terms));
    }
    terms
}

fn by_call(kind: &KindTables, header: &Header, host: bool) -> u64 {
    let outcome = match header.result {
        0.. => 0,
        -2 => 1,
        _ => 2,
    };
    let call = kind.calls.iter().find(|(number, _)| *number == u32::from(header.syscall));
    let mut terms = call.map_or(0, |(_, outcomes)| outcomes[outcome]);
    terms &= if header.euid == 0 { kind.row.whole.root } else { kind.row.whole.user };
    if host {
        terms &= kind.row.whole.host;
    }
    terms & look_up(&kind.row.whole.comm, &kind.row.comms, padded(text_of(&header.comm)))
}

/// As the kernel does it: an entry counts only where its mark is set.
fn look_up<const WORDS: usize>(
    words: &filter::Words,
    entries: &[([u64; WORDS], u64)],
    word: [u64; WORDS],
) -> u64 {
    let mark = filter::mark(word[0]);
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
