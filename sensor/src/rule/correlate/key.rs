//! What events have in common: the texts of some fields, or the process, as bytes that can be looked up.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::{
    event::{Event, ProcessKey, printable},
    rule::{
        field::Reading,
        value::{Out, Slot, Value},
    },
};

/// The word for "this very process".
pub(crate) const PROCESS: &str = "process";
/// The word for "this process and those it created".
pub(crate) const TREE: &str = "process-tree";
/// Stands for a missing value, as in outputs.
const MISSING: &[u8] = b"<NA>";

/// One part of a key.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Process,
    /// Only by itself: the process of a sequence's first step.
    Tree,
    Field(Reading),
}

/// Parts with their names as the rule writes them. Without parts, all events have it in common.
#[derive(Clone, Debug, Default)]
pub struct Key {
    parts: Vec<(String, Part)>,
}

/// Renders keys. It keeps its buffers, so that looking up a key that is known allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Renderer {
    slot: Slot,
    generation: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Key {
    pub(crate) const fn new(parts: Vec<(String, Part)>) -> Self {
        Self { parts }
    }

    pub(crate) fn is_tree(&self) -> bool {
        matches!(self.parts.as_slice(), [(_, Part::Tree)])
    }

    /// The parts of rendered bytes with their names.
    pub(crate) fn pairs(&self, bytes: &[u8]) -> Vec<(String, String)> {
        let mut rest = bytes;
        let mut pairs = Vec::with_capacity(self.parts.len());
        for (name, part) in &self.parts {
            let Some((length, behind)) = rest.split_first_chunk::<4>() else { break };
            let Some((text, behind)) = behind.split_at_checked(u32::from_le_bytes(*length) as usize) else {
                break;
            };
            rest = behind;
            let text = match part {
                Part::Field(_) => printable(text).into_owned(),
                // The start time only tells a process from an earlier one of the same number.
                Part::Process | Part::Tree => {
                    text.first_chunk::<4>().map_or(0, |pid| u32::from_le_bytes(*pid)).to_string()
                }
            };
            pairs.push((name.clone(), text));
        }
        pairs
    }
}

impl Renderer {
    /// Fills [`Renderer::bytes`] with what the event says of the key's parts.
    pub(crate) fn event(&mut self, key: &Key, event: &Event) {
        self.bytes.clear();
        for (_, part) in &key.parts {
            match part {
                Part::Process | Part::Tree => self.push_process(event.process.key),
                Part::Field(reading) => self.push_field(reading, event),
            }
        }
    }

    /// Fills it with one process.
    pub(crate) fn process(&mut self, process: ProcessKey) {
        self.bytes.clear();
        self.push_process(process);
    }

    fn push_process(&mut self, ProcessKey { pid, start }: ProcessKey) {
        self.bytes.extend_from_slice(&12_u32.to_le_bytes());
        self.bytes.extend_from_slice(&pid.to_le_bytes());
        self.bytes.extend_from_slice(&start.to_le_bytes());
    }

    /// A length, so that no two lists of texts look the same, and the text.
    fn push_field(&mut self, reading: &Reading, event: &Event) {
        self.generation += 1;
        let Self { slot, generation, bytes } = self;
        let at = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        let mut write = |value: Value<'_>| {
            value.write(bytes);
            true
        };
        if !reading.read(event, &mut Out::new(slot, *generation, &mut write)) {
            bytes.extend_from_slice(MISSING);
        }
        let length = (bytes.len() - at - 4) as u32;
        if let Some(place) = bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts.as_slice() {
            [] => f.write_str("nothing"),
            [(first, _), rest @ ..] => {
                f.write_str(first)?;
                rest.iter().try_for_each(|(name, _)| write!(f, ", {name}"))
            }
        }
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.parts.iter().map(|(name, _)| name))
    }
}
