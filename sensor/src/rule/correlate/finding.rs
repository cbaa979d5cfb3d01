//! What comes out: the circumstances of a match, and what a silence leaves to be said.

use std::{fmt, sync::Arc, time::Duration};

use super::{Evidence, Key, Short};
use crate::{event::Container, rule::RuleInfo};

/// The circumstances of a match over time.
#[derive(Clone, Debug, Default)]
pub struct Finding {
    /// What the events have in common, by the names that the rule uses.
    pub by: Vec<(String, String)>,
    /// The steps of the sequence in order, the event at hand among them.
    pub steps: Vec<Evidence>,
    /// The threshold that was reached.
    pub count: Option<Counted>,
    /// Matches that were not said since the one before.
    pub suppressed: u64,
}

/// A threshold that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Events, or different values.
    pub number: u32,
    /// The field of which different values were counted.
    pub distinct: Option<String>,
    /// Time of the first, nanoseconds since 1970.
    pub since: u64,
}

/// Matches that were not said, of a silence that ended without another.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The rule.
    pub rule: Arc<RuleInfo>,
    /// How many.
    pub suppressed: u64,
    /// How long the silence was.
    pub lasting: Duration,
    /// What they have in common, by the names that the rule uses.
    pub by: Vec<(String, String)>,
    /// The last of them.
    pub last: Evidence,
    /// Where that happened; `None` on the host.
    pub container: Option<Arc<Container>>,
}

impl Finding {
    /// Adds the names and texts of a key.
    pub(super) fn of(&mut self, key: &Key, bytes: &[u8]) {
        for pair in key.pairs(bytes) {
            if !self.by.contains(&pair) {
                self.by.push(pair);
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} more in {}", self.rule.name, self.suppressed, Short(self.lasting))?;
        let pairs: Vec<_> = self.by.iter().map(|(name, text)| format!("{name}={text}")).collect();
        if pairs.is_empty() { Ok(()) } else { write!(f, " ({})", pairs.join(" ")) }
    }
}
