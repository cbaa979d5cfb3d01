//! Rules by a value that an event must have for them to match: one look at a field finds the few rules that are worth
//! asking, however many there are.

mod network;
mod trie;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

pub(crate) use self::network::Ranges;
use self::trie::{Ending, Entry, Trie};
use super::{
    check,
    field::Reading,
    program::NodeId,
    value::{Out, Slot, Value},
};
use crate::event::Event;

/// A value or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    /// The path itself, or what lies below it.
    Path(Box<[u8]>),
    Suffix(Box<[u8]>),
    /// Anywhere in the value, in any case.
    Part(Box<[u8]>),
    Number(i64),
}

/// A key and where it is looked for.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) reading: Reading,
    pub(crate) key: Key,
}

impl Lookup {
    /// A lookup in a field that more rules ask for, which hits at least as often: what is found is asked in full anyway.
    pub(crate) fn widened(self) -> Self {
        let Self { reading, key } = self;
        let (name, key) = match (reading.name(), key) {
            // The arguments are the end of the command line.
            ("proc.args", Key::Part(text) | Key::Prefix(text)) => ("proc.cmdline", Key::Part(text)),
            ("proc.args", Key::Suffix(text)) => ("proc.cmdline", Key::Suffix(text)),
            // The last part of the path, and what stands before it.
            ("fd.filename", Key::Exact(text) | Key::Suffix(text)) => ("fd.name", Key::Suffix(text)),
            ("fd.directory", Key::Path(text)) => ("fd.name", Key::Path(text)),
            ("fd.directory", Key::Exact(text) | Key::Prefix(text)) => ("fd.name", Key::Prefix(text)),
            (_, key) => return Self { reading, key },
        };
        match Reading::resolve(name, None) {
            Ok(reading) => Self { reading, key },
            Err(_) => Self { reading, key },
        }
    }
}

/// Lookups of which at least one hits whenever the condition is true.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) lookups: Vec<Lookup>,
    odds: f32,
}

/// Nanoseconds that it takes to ask a rule that was found.
const ASKING: f32 = 20.0;
/// Of looking a value up, the share that one rule of many pays for.
const SHARE: f32 = 0.1;

impl Access {
    pub(crate) fn new(lookups: Vec<Lookup>, odds: f32) -> Self {
        Self { lookups, odds }
    }

    /// The same, for another condition as well.
    pub(crate) fn extend(&mut self, other: Self) {
        self.lookups.extend(other.lookups);
        self.odds = (self.odds + other.odds).min(1.0);
    }

    /// The fields that are looked at, each once, and the nanoseconds that it takes.
    pub(crate) fn looks(&self) -> impl Iterator<Item = (&Reading, f32)> {
        let mut looks: Vec<(&Reading, f32)> = Vec::new();
        for Lookup { reading, key, .. } in &self.lookups {
            let cost = check::reading_cost(reading) + if matches!(key, Key::Part(_)) { 60.0 } else { 10.0 };
            match looks.iter_mut().find(|(known, _)| *known == reading) {
                Some((_, known)) => *known = known.max(cost),
                None => looks.push((reading, cost)),
            }
        }
        looks.into_iter()
    }

    /// Expected nanoseconds of asking the rule, if it is found this way.
    pub(crate) fn asking(&self) -> f32 {
        self.odds * ASKING
    }

    /// Expected nanoseconds of this way, if many rules go it.
    pub(crate) fn effort(&self) -> f32 {
        self.looks().map(|(_, cost)| cost).sum::<f32>() * SHARE + self.asking()
    }
}

/// A rule to be asked: its number and its condition.
pub(crate) type Candidate = (u32, NodeId);

/// Candidates by the values of one field.
#[derive(Debug)]
pub(crate) struct Index {
    reading: Reading,
    slot: u32,
    candidates: Vec<Candidate>,
    beginnings: Trie,
    /// Of values read backwards.
    endings: Trie,
    parts: Option<Parts>,
    numbers: HashMap<i64, Vec<u32>, FxBuildHasher>,
}

#[derive(Debug)]
struct Parts {
    automaton: AhoCorasick,
    /// For each pattern, by its number.
    candidates: Vec<u32>,
}

/// What an index needs to remember while an event lasts.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Numbers of candidates; some may come twice.
    pub(crate) candidates: Vec<u32>,
    reversed: Vec<u8>,
    text: Vec<u8>,
}

impl Index {
    /// `None` where the texts make no automaton.
    pub(crate) fn new(
        reading: &Reading,
        slot: u32,
        candidates: Vec<Candidate>,
        keys: &[(Key, u32)],
    ) -> Option<Self> {
        let (mut beginnings, mut endings): (Vec<Entry>, Vec<Entry>) = (Vec::new(), Vec::new());
        let mut parts: Vec<(&[u8], u32)> = Vec::new();
        let mut numbers: HashMap<i64, Vec<u32>, FxBuildHasher> = HashMap::default();
        for (key, candidate) in keys {
            match key {
                Key::Exact(text) => beginnings.push((text.clone(), Ending::Exact, *candidate)),
                Key::Prefix(text) => beginnings.push((text.clone(), Ending::Prefix, *candidate)),
                Key::Path(text) => beginnings.push((text.clone(), Ending::Path, *candidate)),
                Key::Suffix(text) => {
                    endings.push((text.iter().rev().copied().collect(), Ending::Prefix, *candidate));
                }
                Key::Part(text) => parts.push((text, *candidate)),
                Key::Number(number) => numbers.entry(*number).or_default().push(*candidate),
            }
        }
        let parts = if parts.is_empty() { None } else { Some(Parts::new(&parts)?) };
        let (beginnings, endings) = (Trie::new(beginnings), Trie::new(endings));
        Some(Self { reading: reading.clone(), slot, candidates, beginnings, endings, parts, numbers })
    }

    pub(crate) const fn slot(&self) -> u32 {
        self.slot
    }

    pub(crate) fn candidate(&self, number: u32) -> Option<Candidate> {
        self.candidates.get(number as usize).copied()
    }

    /// Every candidate that this index holds, with those that may come twice.
    pub(crate) fn find(&self, event: &Event, slot: &mut Slot, generation: u64, found: &mut Found) {
        let Found { candidates, reversed, text } = found;
        candidates.clear();
        let mut look = |value: Value<'_>| {
            match (value.number(), value) {
                (Some(number), _) if !self.numbers.is_empty() => {
                    candidates.extend(self.numbers.get(&number).into_iter().flatten());
                }
                (_, Value::Bytes(bytes)) => self.look(bytes, candidates, reversed),
                (_, other) => {
                    text.clear();
                    other.write(text);
                    self.look(text, candidates, reversed);
                }
            }
            false
        };
        self.reading.read(event, &mut Out::new(slot, generation, &mut look));
    }

    fn look(&self, value: &[u8], candidates: &mut Vec<u32>, reversed: &mut Vec<u8>) {
        if !self.beginnings.is_empty() {
            self.beginnings.find(value, |numbers| candidates.extend_from_slice(numbers));
        }
        if !self.endings.is_empty() {
            reversed.clear();
            reversed.extend(value.iter().rev());
            self.endings.find(reversed, |numbers| candidates.extend_from_slice(numbers));
        }
        if let Some(parts) = &self.parts {
            let hits = parts.automaton.find_overlapping_iter(value);
            candidates.extend(hits.filter_map(|hit| parts.candidates.get(hit.pattern().as_usize())));
        }
    }
}

impl Parts {
    fn new(parts: &[(&[u8], u32)]) -> Option<Self> {
        let texts = parts.iter().map(|(text, _)| text);
        // The table of states is the fastest form and the largest: past a few thousand bytes the library chooses.
        let small = texts.clone().map(|text| text.len()).sum::<usize>() <= 8192;
        let automaton =
            // A prefilter looks for bytes that are rare, and on command lines none is.
            AhoCorasick::builder().ascii_case_insensitive(true).prefilter(false).kind(small.then_some(AhoCorasickKind::DFA)).build(texts).ok()?;
        Some(Self { automaton, candidates: parts.iter().map(|(_, candidate)| *candidate).collect() })
    }
}
