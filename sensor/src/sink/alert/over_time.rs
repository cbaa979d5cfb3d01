//! What an alert says beyond one event: what came together, and what was left unsaid.

use std::{collections::BTreeMap, sync::Arc};

use serde::Serialize;

use super::{Alert, timestamp};
use crate::{
    event::{Process, ProcessKey},
    rule::{
        Summary,
        correlate::{Counted, Evidence, Finding},
    },
};

/// What rules over time add to an alert. Nothing of it is written where it says nothing.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AlertOverTime {
    /// What the events have in common, by the names that the rule uses.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by: BTreeMap<String, String>,
    /// The steps of the sequence, in order; the event that the alert is about is one of them, most often the last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sequence: Vec<AlertStep>,
    /// The threshold that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<AlertCount>,
    /// Matches of the same rule with the same key that were not said since its previous alert.
    #[serde(skip_serializing_if = "is_zero")]
    pub suppressed: u64,
    /// Whether the alert only says how many were suppressed: it is about no match of its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub summary: bool,
}

/// An event of a sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertStep {
    /// Which step, from 1.
    pub step: usize,
    /// When it happened, RFC 3339 in UTC.
    pub time: String,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: &'static str,
    /// Its number in this run.
    pub number: u64,
    /// Who did it.
    pub pid: u32,
}

/// A threshold that was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertCount {
    /// Events, or different values.
    pub number: u32,
    /// The field of which different values were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distinct: Option<String>,
    /// When the first happened, RFC 3339 in UTC.
    pub since: String,
}

const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl AlertOverTime {
    pub(super) fn of(finding: &Finding) -> Self {
        let Finding { by, steps, count, suppressed } = finding;
        let step = |(step, evidence): (usize, &Evidence)| AlertStep {
            step,
            time: timestamp(evidence.time),
            event_type: evidence.event_type.name(),
            number: evidence.number,
            pid: evidence.pid,
        };
        let count = count.as_ref().map(|Counted { number, distinct, since }| AlertCount {
            number: *number,
            distinct: distinct.clone(),
            since: timestamp(*since),
        });
        Self {
            by: by.iter().cloned().collect(),
            sequence: (1..).zip(steps).map(step).collect(),
            count,
            suppressed: *suppressed,
            summary: false,
        }
    }
}

impl Alert {
    /// What was suppressed in a silence after which nothing followed. It is about the last of it, of which no more is kept
    /// than its number, its type and who did it.
    #[must_use]
    pub fn of_summary(summary: &Summary, hostname: &Arc<str>) -> Self {
        let Summary { rule, suppressed, by, last, container, .. } = summary;
        let key = ProcessKey { pid: last.pid, start: 0 };
        let process = Process { key, partial: true, ..Process::default() };
        let over_time = AlertOverTime {
            by: by.iter().cloned().collect(),
            suppressed: *suppressed,
            summary: true,
            ..AlertOverTime::default()
        };
        let mut alert = Self {
            rule: rule.name.clone(),
            priority: rule.priority.name(),
            output: summary.to_string(),
            output_fields: by.iter().map(|(name, text)| (name.clone(), text.as_str().into())).collect(),
            tags: rule.tags.clone(),
            container: container.clone(),
            over_time,
            ..Self::without_event(last.time, hostname)
        };
        (alert.event.event_type, alert.event.number) = (last.event_type.name(), last.number);
        alert.process.process = Arc::new(process);
        alert
    }
}
