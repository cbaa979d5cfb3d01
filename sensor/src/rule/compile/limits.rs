//! How much a set of rules may become. Macros and lists multiply what a few lines say, as aliases do in YAML; no set that
//! somebody wrote comes near these numbers: one of stock size has 3,000 parts and 2,000 values. Unit tests come to them
//! sooner, because code that is not optimised takes long to get there.

use std::collections::HashMap;

use crate::rule::{
    graph::{FALSE, TRUE},
    program::NodeId,
};

/// Levels of conditions inside of each other, macros counted: they are walked recursively, here and on every event.
pub(super) const MAX_LEVELS: usize = 256;
/// Parts of all groups together. A group inside of a group of its kind becomes a part of it.
const MAX_PARTS: usize = if cfg!(test) { 20_000 } else { 200_000 };
/// Values of all lists together, each counted where it is used.
const MAX_VALUES: usize = if cfg!(test) { 20_000 } else { 200_000 };

/// What is used up of it.
#[derive(Debug, Default)]
pub(super) struct Limits {
    parts: usize,
    values: usize,
    /// Whether it was said that there is too much.
    said: bool,
    /// Whether all parts of a group must hold, and at most how many it has.
    groups: HashMap<NodeId, (bool, usize)>,
}

impl Limits {
    /// At most how many parts a group of these has: those of its own kind become parts of it.
    pub(super) fn width(&self, parts: &[NodeId], all: bool) -> usize {
        let width = |part| match self.groups.get(part) {
            Some((kind, width)) if *kind == all => *width,
            _ => 1,
        };
        parts.iter().map(width).fold(0, usize::saturating_add)
    }

    /// Remembers the group that was made of the parts.
    pub(super) fn made(&mut self, group: NodeId, parts: &[NodeId], all: bool) {
        let width = self.width(parts, all);
        // What is left of a group may be one of its parts, or nothing.
        if !parts.contains(&group) && ![TRUE, FALSE].contains(&group) {
            self.groups.entry(group).or_insert((all, width));
        }
    }

    /// Whether so many more parts are allowed.
    pub(super) const fn spend_parts(&mut self, number: usize) -> bool {
        self.parts = self.parts.saturating_add(number);
        self.parts <= MAX_PARTS
    }

    /// Whether so many more values are allowed.
    pub(super) const fn spend_values(&mut self, number: usize) -> bool {
        self.values = self.values.saturating_add(number);
        self.values <= MAX_VALUES
    }

    /// What there is too much of, the first time that it is asked for.
    pub(super) fn exceeded(&mut self) -> Option<String> {
        let what = if self.parts > MAX_PARTS {
            format!(
                "the conditions have more than {MAX_PARTS} parts together, macros counted where they are used"
            )
        } else if self.values > MAX_VALUES {
            format!("the lists have more than {MAX_VALUES} values together, counted where they are used")
        } else {
            return None;
        };
        (!std::mem::replace(&mut self.said, true)).then_some(what)
    }
}
