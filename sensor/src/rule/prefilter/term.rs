//! A term: what must hold of an event, property by property. All properties together must hold, and of several terms one.

use std::{collections::BTreeSet, fmt};

use sensor_common::{Kind, filter::FACTS};

use super::demand::Outcome;
use crate::{
    event::EventType,
    rule::{Net, Path, Sets, Word},
};

/// What must hold of an event for a rule to want it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// The types, and how they may end.
    pub classes: BTreeSet<(EventType, Outcome)>,
    /// Whether it may be outside of any container.
    pub host: bool,
    /// Whether the effective user may be root.
    pub root: bool,
    /// Whether it may be another one.
    pub user: bool,
    /// Bit n: [`sensor_common::filter::facts`] may be the number n.
    pub facts: u16,
    /// The thread's name.
    pub comm: Sets<Word>,
    /// The file's name.
    pub name: Sets<Word>,
    /// The file's path.
    pub path: Sets<Path>,
    /// The port that [`sensor_common::filter::ends`] names.
    pub port: Sets<u16>,
    /// The address of the end that it names.
    pub net: Sets<Net>,
    /// Whether the daemon may act upon it, which should not wait.
    pub urgent: bool,
}

/// A flood that a condition lets through, since nothing that it asks can be told in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gate {
    /// Every record of this kind.
    pub kind: Kind,
    /// That ends so.
    pub outcome: Outcome,
    /// Whether only those in containers.
    pub containers: bool,
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.outcome {
            Outcome::Done => "",
            Outcome::NotFound => " that finds nothing",
            Outcome::Failed => " that fails",
        };
        let place = if self.containers { " in a container" } else { "" };
        write!(f, "every {}{how}{place}", self.kind.stem())
    }
}

impl Term {
    /// Asks nothing.
    pub(crate) const fn any() -> Self {
        Self {
            classes: BTreeSet::new(),
            host: true,
            root: true,
            user: true,
            facts: u16::MAX,
            comm: Sets::any(),
            name: Sets::any(),
            path: Sets::any(),
            port: Sets::any(),
            net: Sets::any(),
            urgent: false,
        }
    }

    /// Both together, of the same classes; `None` where no event can be both.
    pub(crate) fn and(&self, other: &Self) -> Option<Self> {
        let (root, user) = (self.root && other.root, self.user && other.user);
        let facts = self.facts & other.facts;
        if facts == 0 || !(root || user) {
            return None;
        }
        Some(Self {
            classes: self.classes.clone(),
            host: self.host && other.host,
            root,
            user,
            facts,
            comm: self.comm.and(&other.comm)?,
            name: self.name.and(&other.name)?,
            path: self.path.and(&other.path)?,
            port: self.port.and(&other.port)?,
            net: self.net.and(&other.net)?,
            urgent: self.urgent || other.urgent,
        })
    }

    /// A term that holds where either does, and perhaps elsewhere.
    fn or(&self, other: &Self) -> Self {
        Self {
            classes: &self.classes | &other.classes,
            host: self.host || other.host,
            root: self.root || other.root,
            user: self.user || other.user,
            facts: self.facts | other.facts,
            comm: self.comm.or(&other.comm),
            name: self.name.or(&other.name),
            path: self.path.or(&other.path),
            port: self.port.or(&other.port),
            net: self.net.or(&other.net),
            urgent: self.urgent || other.urgent,
        }
    }

    /// Whether [`Term::or`] holds exactly where either does: they differ in one property.
    fn joins(&self, other: &Self) -> bool {
        let differ = [
            self.classes != other.classes,
            self.host != other.host,
            (self.root, self.user) != (other.root, other.user),
            self.facts != other.facts,
            self.comm != other.comm,
            self.name != other.name,
            self.path != other.path,
            self.port != other.port,
            self.net != other.net,
            self.urgent != other.urgent,
        ];
        let exact = self.path.joins(&other.path)
            && self.port.joins(&other.port)
            && self.net.joins(&other.net)
            && self.comm.joins(&other.comm)
            && self.name.joins(&other.name);
        exact && differ.into_iter().filter(|differs| *differs).count() <= 1
    }

    /// The flood that it lets through, if it does.
    pub(super) fn gate(&self, kind: Kind, outcome: Outcome) -> Option<Gate> {
        let told = self.comm.only.is_some()
            || self.name.only.is_some()
            || self.path.only.is_some()
            || self.port.only.is_some()
            || self.net.only.is_some();
        // What is opened for writing alone is a trickle beside what is read.
        let reads = (0..FACTS as u32).filter(|facts| facts & sensor_common::filter::facts::WRITE == 0);
        let floods = kind != Kind::FileOpen
            || outcome == Outcome::NotFound
            || outcome == Outcome::Done && reads.into_iter().any(|facts| self.facts & 1 << facts != 0);
        (!told && floods).then_some(Gate { kind, outcome, containers: !self.host })
    }

    /// Adds a term to others, and joins it with them as long as nothing is lost by that.
    pub(crate) fn add(terms: &mut Vec<Self>, mut term: Self) {
        while let Some(at) = terms.iter().position(|known| known.joins(&term)) {
            let known = terms.swap_remove(at);
            if known == term {
                terms.push(known);
                return;
            }
            term = known.or(&term);
        }
        terms.push(term);
    }

    /// Makes at most `most` of them: those behind become one.
    pub(crate) fn reduce(terms: &mut Vec<Self>, most: usize) {
        terms.sort();
        while terms.len() > most.max(1) {
            let Some(last) = terms.pop() else { return };
            if let Some(before) = terms.last_mut() {
                *before = before.or(&last);
            }
        }
    }
}
