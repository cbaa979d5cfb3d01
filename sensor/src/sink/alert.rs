//! An alert as it leaves the sensor: one JSON object, readable by everything that reads Falco's output, with what Falco's
//! does not carry beside it.

mod over_time;

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

pub use self::over_time::AlertOverTime;
use crate::{
    event::{Container, Event, Loss, Process, place},
    respond::Outcome,
    rule::Match,
};

/// A rule that matched an event.
#[derive(Clone, Debug, Serialize)]
pub struct Alert {
    /// Tells this alert from every other, also when it is delivered twice.
    pub uuid: Uuid,
    /// When the event happened, RFC 3339 in UTC with nanoseconds.
    pub time: String,
    /// The same as nanoseconds since 1970.
    #[serde(skip)]
    pub nanoseconds: u64,
    /// Name of the rule.
    pub rule: String,
    /// `Emergency` … `Debug`.
    pub priority: &'static str,
    /// Kind of events that the rule is about.
    pub source: &'static str,
    /// The rule's sentence, fields filled in.
    pub output: String,
    /// The fields that the sentence names, by name.
    pub output_fields: Map<String, Value>,
    /// Name of the machine.
    pub hostname: Arc<str>,
    /// The rule's tags.
    pub tags: Vec<String>,
    /// Which event.
    pub event: AlertEvent,
    /// Who did it.
    pub process: AlertProcess,
    /// Where; absent on the host. Its pod stands beside it, as `kubernetes`.
    #[serde(flatten, serialize_with = "place", skip_serializing_if = "Option::is_none")]
    pub container: Option<Arc<Container>>,
    /// What came together over time; nothing of it for most rules.
    #[serde(flatten)]
    pub over_time: AlertOverTime,
    /// What was done about it; absent where the rule asks for no more than the alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Box<Outcome>>,
    /// What was lost since the previous alert; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
}

/// Which event an alert is about.
#[derive(Clone, Debug, Serialize)]
pub struct AlertEvent {
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: &'static str,
    /// Its number in this run.
    pub number: u64,
    /// The call's result.
    pub result: i64,
}

/// The process, and those that created it, nearest first.
#[derive(Clone, Debug, Serialize)]
pub struct AlertProcess {
    /// The process.
    #[serde(flatten)]
    pub process: Arc<Process>,
    /// Its creators.
    pub ancestors: Vec<Ancestor>,
}

/// A creator, in short.
#[derive(Clone, Debug, Serialize)]
pub struct Ancestor {
    /// Process id.
    pub pid: u32,
    /// Name.
    pub comm: String,
    /// Executable.
    pub exe: String,
}

/// Ancestors that an alert carries.
const ANCESTORS: usize = 32;

impl Alert {
    /// Puts an alert together. `loss`: what was lost since the previous one.
    #[must_use]
    pub fn new(event: &Event, found: &Match, hostname: &Arc<str>, loss: Option<Loss>) -> Self {
        let Match { rule, finding } = found;
        let (output, output_fields) = rule.render(event);
        Self {
            rule: rule.name.clone(),
            priority: rule.priority.name(),
            // Folded YAML leaves a line break at the end.
            output: output.trim_end().to_owned(),
            output_fields,
            tags: rule.tags.clone(),
            over_time: finding.as_deref().map(AlertOverTime::of).unwrap_or_default(),
            ..Self::of_sensor(event, hostname, loss)
        }
    }

    /// An alert of the sensor itself; the caller fills in what it says.
    #[must_use]
    pub fn of_sensor(event: &Event, hostname: &Arc<str>, loss: Option<Loss>) -> Self {
        let ancestors = event.process.ancestors().take(ANCESTORS).map(|process| Ancestor {
            pid: process.key.pid,
            comm: process.comm.to_str_lossy().into_owned(),
            exe: process.exe.to_string(),
        });
        Self {
            event: AlertEvent {
                event_type: event.event_type.name(),
                number: event.number,
                result: event.result,
            },
            process: AlertProcess { process: Arc::clone(&event.process), ancestors: ancestors.collect() },
            container: event.container.clone(),
            loss,
            ..Self::without_event(event.time, hostname)
        }
    }

    /// An alert that is about no single event; the caller fills in what it says. `time`: nanoseconds since 1970.
    #[must_use]
    pub fn without_event(time: u64, hostname: &Arc<str>) -> Self {
        Self {
            uuid: Uuid::new_v4(),
            time: timestamp(time),
            nanoseconds: time,
            rule: String::new(),
            priority: "Error",
            source: "syscall",
            output: String::new(),
            output_fields: Map::new(),
            hostname: Arc::clone(hostname),
            tags: Vec::new(),
            event: AlertEvent { event_type: "none", number: 0, result: 0 },
            process: AlertProcess { process: Arc::default(), ancestors: Vec::new() },
            container: None,
            over_time: AlertOverTime::default(),
            response: None,
            loss: None,
        }
    }
}

/// Nanoseconds since 1970 as RFC 3339 in UTC.
#[must_use]
pub fn timestamp(nanoseconds: u64) -> String {
    Timestamp::from_nanosecond(i128::from(nanoseconds))
        .map_or_else(|_| nanoseconds.to_string(), |time| format!("{time:.9}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_with_nanoseconds() {
        assert_eq!(timestamp(1_700_000_000_000_000_001), "2023-11-14T22:13:20.000000001Z");
    }
}
