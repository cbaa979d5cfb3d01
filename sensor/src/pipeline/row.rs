//! Terms as a row of the kernel half's tables: each is a bit, and what it asks becomes entries.

use std::collections::{BTreeMap, BTreeSet};

use sensor_common::filter::{self, PATH_LEN, Property};

use crate::rule::{Covers, Path, Sets, Word};

/// The bits of the terms of which something holds.
pub(super) fn bits<T>(terms: &[T], holds: impl Fn(&T) -> bool) -> u64 {
    terms.iter().enumerate().filter(|(_, term)| holds(term)).fold(0, |set, (bit, _)| set | 1_u64 << bit)
}

/// For each value that is named, the terms that hold there and in no narrower one; and those of all others.
pub(super) fn entries<T, V: Covers>(terms: &[T], of: impl Fn(&T) -> &Sets<V>) -> (Property, Vec<(V, u64)>) {
    let property = Property {
        asked: bits(terms, |term| !of(term).is_any()),
        other: bits(terms, |term| of(term).fits_others()),
    };
    let all: BTreeSet<&V> = terms.iter().flat_map(|term| of(term).values()).collect();
    let entries = all.into_iter().map(|value| (value.clone(), bits(terms, |term| of(term).fits(value))));
    (property, entries.collect())
}

/// [`entries`] of words, which the kernel compares as they are in its native words. Of what is longer than those only the end is
/// looked at: that may stand for others, which is for the caller to know.
pub(super) fn words<T, const WORDS: usize>(
    terms: &[T],
    of: impl Fn(&T) -> &Sets<Word>,
) -> (filter::Words, Vec<([u64; WORDS], u64)>) {
    let (property, entries) = entries(terms, of);
    let mut table = filter::Words { property, ..filter::Words::default() };
    let mut known = BTreeMap::new();
    for (word, terms) in entries {
        let word = padded(&word);
        mark(&mut table, &word);
        *known.entry(word).or_default() |= terms;
    }
    (table, known.into_iter().collect())
}

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
fn mark(table: &mut filter::Words, word: &[u64]) {
    let mark = filter::mark(word.first().copied().unwrap_or(0));
    if let Some(bits) = table.marks.get_mut(mark as usize / 64) {
        *bits |= 1 << (mark % 64);
    }
}

/// A pattern as the trie has it: bytes that the path begins with; a whole path ends with a NUL. One that is too long is cut,
/// and stands for more than it did (second value false): that is right for what a term demands, and not for what it excludes.
pub(super) fn pattern(path: &Path) -> (Vec<u8>, bool) {
    let mut bytes = match path {
        Path::Exact(path) => [path, &b"\0"[..]].concat(),
        Path::Prefix(path) => path.to_vec(),
    };
    let whole = bytes.len() <= PATH_LEN;
    bytes.truncate(PATH_LEN);
    (bytes, whole)
}
