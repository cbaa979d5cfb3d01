//! What a rule asks for over time, compiled. It knows fields, and nothing of what was seen.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

use super::key::Key;
use crate::rule::program::NodeId;

/// `sequence`, `count` and `suppress` of one rule, in the order in which they are asked.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OverTime {
    /// Conditions that must follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Sequence>,
    /// How often it must happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
    /// How long it is quiet after an alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppress: Option<Suppress>,
    /// What each of the three is about, conditions resolved: where the number is the same after a reload, what was seen
    /// so far still counts.
    #[serde(skip)]
    pub(crate) digests: [u64; 3],
}

impl OverTime {
    /// Whether it takes more than one event.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.sequence.is_some() || self.count.is_some()
    }
}

/// Conditions that must follow the rule's own, in this order.
#[derive(Clone, Debug, Serialize)]
pub struct Sequence {
    /// What the events have in common.
    pub by: Key,
    /// Longest time from the first to the last.
    #[serde(serialize_with = "as_text")]
    pub within: Duration,
    /// The later conditions, as the rule writes them.
    pub then: Vec<String>,
    #[serde(skip)]
    pub(crate) nodes: Vec<NodeId>,
}

/// A threshold.
#[derive(Clone, Debug, Serialize)]
pub struct Count {
    /// So many events, or so many different values.
    pub at_least: u32,
    /// Within this time.
    #[serde(serialize_with = "as_text")]
    pub within: Duration,
    /// What the events have in common.
    pub by: Key,
    /// The field of which different values are counted, and not events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distinct: Option<Key>,
}

/// A silence after each alert.
#[derive(Clone, Debug, Serialize)]
pub struct Suppress {
    /// What the events have in common.
    pub by: Key,
    /// How long it lasts.
    #[serde(rename = "for", serialize_with = "as_text")]
    pub lasting: Duration,
}

impl OverTime {
    /// Whether the rule asks for nothing of it.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.sequence.is_none() && self.count.is_none() && self.suppress.is_none()
    }

    /// The conditions of the later steps.
    pub(crate) fn later(&self) -> impl Iterator<Item = &NodeId> {
        self.sequence.iter().flat_map(|sequence| &sequence.nodes)
    }
}

impl fmt::Display for OverTime {
    /// One line for each key, close to what the rule says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Sequence { by, within, then, .. }) = &self.sequence {
            writeln!(f, "sequence: by {by}, within {}", Short(*within))?;
            for (step, condition) in (2..).zip(then) {
                writeln!(f, "  step {step}: {}", condition.split_whitespace().collect::<Vec<_>>().join(" "))?;
            }
        }
        if let Some(Count { at_least, within, by, distinct }) = &self.count {
            write!(f, "count: at least {at_least} ")?;
            match distinct {
                Some(field) => write!(f, "values of {field}")?,
                None => f.write_str("events")?,
            }
            writeln!(f, " within {}, by {by}", Short(*within))?;
        }
        if let Some(Suppress { by, lasting }) = &self.suppress {
            writeln!(f, "suppress: for {} after an alert, by {by}", Short(*lasting))?;
        }
        Ok(())
    }
}

/// A duration in the largest unit that has no rest: `90s`, `10m`.
#[derive(Clone, Copy, Debug)]
pub struct Short(pub Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.0.as_nanos();
        let units = [
            ("d", 86_400_000_000_000),
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1000),
        ];
        let fitting =
            units.into_iter().find(|(_, unit)| nanoseconds > 0 && nanoseconds.is_multiple_of(*unit));
        let (unit, length) = fitting.unwrap_or(("ns", 1));
        write!(f, "{}{unit}", nanoseconds / length)
    }
}

fn as_text<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Short(*time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_in_the_largest_unit() {
        for (nanoseconds, text) in [
            (0, "0ns"),
            (5, "5ns"),
            (1_500_000, "1500us"),
            (90_000_000_000, "90s"),
            (600_000_000_000, "10m"),
            (86_400_000_000_000, "1d"),
        ] {
            assert_eq!(Short(Duration::from_nanos(nanoseconds)).to_string(), text);
        }
    }
}
