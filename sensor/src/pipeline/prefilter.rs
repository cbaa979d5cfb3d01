//! What rules can want of records, as the tables of the kernel half: terms become bits, and what they ask becomes entries.

use std::collections::BTreeSet;

use sensor_common::{
    Kind,
    filter::{self, FACTS, KindFilter, OUTCOMES, PATH_LEN, Property},
};

use crate::{
    event::EventType,
    probe::{HOOKS, KindTables},
    rule::{Outcome, Path, Prefilter, Term, Words},
};

/// Entries of one property for all kinds. Where rules ask for more, the kernel is not asked for that property: it lets
/// pass what it cannot tell. Half of what the maps hold, since a new set is written beside the one at work.
const COMMS: usize = 2048;
const NAMES: usize = 4096;
const PATHS: usize = 8192;

/// The tables of every kind of records that some rule wants.
#[must_use]
pub fn tables(prefilter: &Prefilter) -> Vec<KindTables> {
    let mut room = Room { comms: COMMS, names: NAMES, paths: PATHS };
    prefilter.iter().map(|(kind, terms)| kind_tables(*kind, terms, &mut room)).collect()
}

struct Room {
    comms: usize,
    names: usize,
    paths: usize,
}

fn kind_tables(kind: Kind, terms: &[Term], room: &mut Room) -> KindTables {
    let bits = |holds: &dyn Fn(&Term) -> bool| {
        terms.iter().enumerate().filter(|(_, term)| holds(term)).fold(0, |set, (bit, _)| set | 1_u64 << bit)
    };
    let calls = HOOKS.iter().filter(|hook| hook.kind == kind).flat_map(|hook| hook.calls());
    let calls = calls.map(|number| {
        let event_type = EventType::of(kind, *number as u16);
        let of = |outcome| bits(&|term| term.classes.contains(&(event_type, outcome)));
        let mut outcomes = [0; OUTCOMES as usize];
        for (to, outcome) in outcomes.iter_mut().zip([Outcome::Done, Outcome::NotFound, Outcome::Failed]) {
            *to = of(outcome);
        }
        (*number, outcomes)
    });
    let mut facts = [0; FACTS];
    for (number, set) in facts.iter_mut().enumerate() {
        *set = bits(&|term| term.facts & 1 << number != 0);
    }
    let (comm, comms) = words(terms, |term| &term.comm, &mut room.comms);
    let (name, names) = words(terms, |term| &term.name, &mut room.names);
    let (path, paths) = paths(terms, &mut room.paths);
    KindTables {
        kind,
        whole: KindFilter {
            comm,
            name,
            path,
            root: bits(&|term| term.root),
            user: bits(&|term| term.user),
            host: bits(&|term| term.host),
            facts,
            urgent: bits(&|term| term.urgent),
        },
        calls: calls.collect(),
        comms,
        names,
        paths,
    }
}

/// Nothing is asked of this property.
const UNASKED: Property = Property { asked: 0, other: u64::MAX };

/// A word as the kernel compares it, in its native words: its end, so that a NUL follows it.
pub(super) fn padded<const WORDS: usize>(word: &[u8]) -> [u64; WORDS] {
    let mut bytes = [[0; 8]; WORDS];
    let cut = word.len().saturating_sub(WORDS * 8 - 1);
    for (to, from) in bytes.as_flattened_mut().iter_mut().zip(word.get(cut..).unwrap_or_default()) {
        *to = *from;
    }
    bytes.map(u64::from_ne_bytes)
}

/// Says that a word has an entry.
pub(super) fn mark(table: &mut filter::Words, word: &[u64]) {
    let mark = filter::mark(word.iter().fold(0, |hash, bytes| filter::mix(hash, *bytes)));
    if let Some(bits) = table.marks.get_mut(mark as usize / 64) {
        *bits |= 1 << (mark % 64);
    }
}

/// The entries of a property whose values are words.
fn words<const WORDS: usize>(
    terms: &[Term],
    of: impl Fn(&Term) -> &Words,
    room: &mut usize,
) -> (filter::Words, Vec<([u64; WORDS], u64)>) {
    let (mut asked, mut other) = (0, 0);
    for (bit, term) in terms.iter().enumerate() {
        *(if of(term).0.is_some() { &mut asked } else { &mut other }) |= 1_u64 << bit;
    }
    let all: BTreeSet<[u64; WORDS]> =
        terms.iter().filter_map(|term| of(term).0.as_ref()).flatten().map(|word| padded(word)).collect();
    let mut table = filter::Words { property: Property { asked, other }, ..filter::Words::default() };
    let Some(left) = room.checked_sub(all.len()) else {
        table.property = UNASKED;
        return (table, Vec::new());
    };
    *room = left;
    for word in &all {
        mark(&mut table, word);
    }
    let entry = |word: [u64; WORDS]| {
        let asks = |term: &Term| of(term).0.iter().flatten().any(|asked| padded(asked) == word);
        let set = terms.iter().enumerate().filter(|(_, term)| asks(term));
        (word, set.fold(other, |set, (bit, _)| set | 1 << bit))
    };
    (table, all.into_iter().map(entry).collect())
}

/// A pattern as the trie has it: bytes that the path begins with; a whole path ends with a NUL. One that is too long is cut,
/// and stands for more than it did: that is right for what a term demands, and not for what it excludes.
pub(super) fn pattern(path: &Path) -> (Vec<u8>, bool) {
    let mut bytes = match path {
        Path::Exact(path) => [path, &b"\0"[..]].concat(),
        Path::Prefix(path) => path.to_vec(),
    };
    let whole = bytes.len() <= PATH_LEN;
    bytes.truncate(PATH_LEN);
    (bytes, whole)
}

/// The entries of the trie. The longest that fits a path answers for it, so each has the terms of all shorter ones.
fn paths(terms: &[Term], room: &mut usize) -> (Property, Vec<(Vec<u8>, u64)>) {
    let only = |term: &Term| -> Option<Vec<Vec<u8>>> {
        Some(term.path.only.as_ref()?.iter().map(|path| pattern(path).0).collect())
    };
    let except = |term: &Term| -> Vec<Vec<u8>> {
        term.path.except.iter().map(pattern).filter(|(_, whole)| *whole).map(|(path, _)| path).collect()
    };
    let terms: Vec<_> = terms.iter().map(|term| (only(term), except(term))).collect();
    let all: BTreeSet<&Vec<u8>> =
        terms.iter().flat_map(|(only, except)| only.iter().flatten().chain(except)).collect();
    let Some(left) = room.checked_sub(all.len()) else { return (UNASKED, Vec::new()) };
    *room = left;
    // What has an entry shorter than a pattern does not fit that pattern's paths alone.
    let fits = |patterns: &[Vec<u8>], entry: &[u8]| patterns.iter().any(|pattern| entry.starts_with(pattern));
    let of = |entry: &[u8]| {
        let holds = |(only, except): &(Option<Vec<Vec<u8>>>, Vec<Vec<u8>>)| {
            only.as_ref().is_none_or(|only| fits(only, entry)) && !fits(except, entry)
        };
        let set = terms.iter().enumerate().filter(|(_, term)| holds(term));
        set.fold(0, |set, (bit, _)| set | 1_u64 << bit)
    };
    let asked = terms.iter().enumerate().filter(|(_, (only, except))| only.is_some() || !except.is_empty());
    let property = Property { asked: asked.fold(0, |set, (bit, _)| set | 1 << bit), other: of(b"") };
    (property, all.into_iter().map(|path| (path.clone(), of(path))).collect())
}

#[cfg(test)]
mod tests;
