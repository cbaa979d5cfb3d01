//! What rules can want of records, as the tables of the kernel half: terms become bits, and what they ask becomes entries.

use sensor_common::{
    Kind,
    filter::{self, FACTS, KindFilter, OUTCOMES, Property},
};

use super::row::{bits, entries, pattern, words};
use crate::{
    event::EventType,
    probe::{HOOKS, KindTables, Row},
    rule::{Covers, Outcome, Path, Prefilter, Sets, Term, Word},
};

/// Entries of one property for all kinds. Where rules ask for more, the kernel is not asked for that property: it lets
/// pass what it cannot tell. Half of what the maps hold, since a new set is written beside the one at work.
const COMMS: usize = 2048;
const NAMES: usize = 4096;
const PATHS: usize = 8192;
/// Verdicts have as many in the same maps.
const PORTS: usize = 4096;
const NETS: usize = 4096;

/// The tables of every kind of records that some rule wants.
#[must_use]
pub fn tables(prefilter: &Prefilter) -> Vec<KindTables> {
    let mut room = Room { comms: COMMS, names: NAMES, paths: PATHS, ports: PORTS, nets: NETS };
    prefilter.iter().map(|(kind, terms)| kind_tables(*kind, terms, &mut room)).collect()
}

struct Room {
    comms: usize,
    names: usize,
    paths: usize,
    ports: usize,
    nets: usize,
}

fn kind_tables(kind: Kind, terms: &[Term], room: &mut Room) -> KindTables {
    let calls = HOOKS.iter().filter(|hook| hook.kind == kind).flat_map(|hook| hook.calls());
    let calls = calls.map(|number| {
        let event_type = EventType::of(kind, *number as u16);
        let mut outcomes = [0; OUTCOMES as usize];
        for (to, outcome) in outcomes.iter_mut().zip([Outcome::Done, Outcome::NotFound, Outcome::Failed]) {
            *to = bits(terms, |term| term.classes.contains(&(event_type, outcome)));
        }
        (*number, outcomes)
    });
    let mut facts = [0; FACTS];
    for (number, set) in facts.iter_mut().enumerate() {
        *set = bits(terms, |term| term.facts & 1 << number != 0);
    }
    let (comm, comms) = words_within(terms, |term| &term.comm, &mut room.comms);
    let (name, names) = words_within(terms, |term| &term.name, &mut room.names);
    let (path, paths) = entries_within(&looked_up(terms), |path| path, &mut room.paths);
    let (port, ports) = entries_within(terms, |term| &term.port, &mut room.ports);
    let (net, nets) = entries_within(terms, |term| &term.net, &mut room.nets);
    let whole = KindFilter {
        comm,
        name,
        path,
        port,
        net,
        root: bits(terms, |term| term.root),
        user: bits(terms, |term| term.user),
        host: bits(terms, |term| term.host),
        facts,
        urgent: bits(terms, |term| term.urgent),
    };
    let paths = paths.into_iter().map(|(path, terms)| (pattern(&path).0, terms)).collect();
    let nets = nets.into_iter().map(|(net, terms)| (net.first.to_be_bytes(), net.bits, terms)).collect();
    KindTables { kind, row: Row { whole, comms, names, paths, ports, nets }, calls: calls.collect() }
}

/// Nothing is asked of this property.
const UNASKED: Property = Property { asked: 0, other: u64::MAX };

/// [`entries`], as far as there is room.
fn entries_within<T, V: Covers>(
    terms: &[T],
    of: impl Fn(&T) -> &Sets<V>,
    room: &mut usize,
) -> (Property, Vec<(V, u64)>) {
    let (property, entries) = entries(terms, of);
    if take(room, entries.len()) { (property, entries) } else { (UNASKED, Vec::new()) }
}

/// [`words`], likewise.
fn words_within<const WORDS: usize>(
    terms: &[Term],
    of: impl Fn(&Term) -> &Sets<Word>,
    room: &mut usize,
) -> (filter::Words, Vec<([u64; WORDS], u64)>) {
    let (table, entries) = words(terms, of);
    if take(room, entries.len()) {
        return (table, entries);
    }
    (filter::Words { property: UNASKED, ..filter::Words::default() }, Vec::new())
}

/// False, and nothing taken, where there is not so much left.
fn take(room: &mut usize, entries: usize) -> bool {
    room.checked_sub(entries).map(|left| *room = left).is_some()
}

/// The paths of each term as the trie can have them: a demand that is too long is its beginning, what is excluded and too long
/// is not excluded.
fn looked_up(terms: &[Term]) -> Vec<Sets<Path>> {
    let cut = |path: &Path| match pattern(path) {
        (_, true) => path.clone(),
        (beginning, false) => Path::Prefix(beginning.into()),
    };
    let whole = |path: &&Path| pattern(path).1;
    let of = |term: &Term| Sets {
        only: term.path.only.as_ref().map(|only| only.iter().map(cut).collect()),
        except: term.path.except.iter().filter(whole).cloned().collect(),
    };
    terms.iter().map(of).collect()
}

#[cfg(test)]
mod tests;
