//! What a simulation found, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::{Simulation, Tally, Workload};
use crate::{
    event::printable,
    rule::{CorrelationCounts, Reaction, Response, RuleInfo},
    sink::timestamp,
};

/// Nanoseconds that must have been recorded before a rate is said of them.
const ENOUGH: u64 = 60_000_000_000;

/// The whole of it.
#[derive(Debug, Serialize)]
pub(in crate::cli::rules) struct Report {
    /// Events played, gaps included.
    events: u64,
    /// Matches that alert.
    alerts: u64,
    /// Matches that a rule's `suppress` kept silent.
    suppressed: u64,
    /// Records that were lost when it was recorded: what they were about is not in here.
    lost: u64,
    /// Seconds from the first event to the last.
    seconds: f64,
    /// Alerts in an hour of recorded time; absent where too little was recorded to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    alerts_per_hour: Option<f64>,
    /// What rules over time lost for want of memory.
    correlation: CorrelationCounts,
    /// By rule and workload, in the order of the rules.
    rows: Vec<Row>,
}

/// One rule in one workload.
#[derive(Debug, Serialize)]
struct Row {
    rule: String,
    priority: &'static str,
    workload: Place,
    alerts: u64,
    suppressed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    would: Option<Would>,
    first: String,
    last: String,
    example: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    Container { id: String, name: Option<String>, image: Option<String> },
    Host { exe: String },
}

/// What the rule's response would have done.
#[derive(Debug, Serialize)]
struct Would {
    #[serde(flatten)]
    reaction: Reaction,
    /// To how many.
    number: u64,
    /// Of what: processes, containers or actions.
    of: &'static str,
}

impl Would {
    fn new(reaction: Reaction, workload: &Workload, tally: &Tally) -> Option<Self> {
        let container = u64::from(matches!(workload, Workload::Container(_)) && tally.alerts > 0);
        let (number, of) = match reaction.response {
            Response::Alert => return None,
            Response::Kill | Response::KillTree => (tally.processes.len() as u64, "process"),
            // The host is no container: there is nothing that could be stopped as a whole.
            Response::KillContainer | Response::Pause | Response::Isolate => (container, "container"),
            Response::Block => (tally.alerts, "action"),
        };
        Some(Self { reaction, number, of })
    }
}

/// So many of something, whose plural is regular or that of `process`.
struct Number(u64, &'static str);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, of) = self;
        match number {
            1 => write!(f, "1 {of}"),
            _ if of.ends_with('s') => write!(f, "{number} {of}es"),
            _ => write!(f, "{number} {of}s"),
        }
    }
}

impl fmt::Display for Would {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.reaction.response {
            Response::Alert => "alerted about",
            Response::Kill | Response::KillTree | Response::KillContainer => "killed",
            Response::Pause => "paused",
            Response::Isolate => "isolated",
            Response::Block => "blocked",
        };
        write!(f, "would have {verb} {}", Number(self.number, self.of))?;
        match self.reaction.or {
            Some(or) => write!(f, " (or, where that cannot be, {})", or.name()),
            None => Ok(()),
        }
    }
}

impl Simulation {
    pub(super) fn report(self, lost: u64) -> Report {
        let nanoseconds = self.last.saturating_sub(self.first);
        let seconds = nanoseconds as f64 / 1e9;
        let sum = |of: fn(&Tally) -> u64| self.tallies.values().map(of).sum();
        let alerts: u64 = sum(|tally| tally.alerts);
        let rules = self.engine.set().rules();
        let rows = self
            .tallies
            .iter()
            .filter_map(|((rule, workload), tally)| Some(Row::new(rules.get(*rule)?, workload, tally)));
        Report {
            events: self.events,
            alerts,
            suppressed: sum(|tally| tally.suppressed),
            lost,
            seconds,
            alerts_per_hour: (nanoseconds >= ENOUGH).then(|| alerts as f64 * 3600.0 / seconds),
            correlation: self.engine.correlation(),
            rows: rows.collect(),
        }
    }
}

impl Row {
    fn new(rule: &RuleInfo, workload: &Workload, tally: &Tally) -> Self {
        let place = match workload {
            Workload::Container(id) => {
                Place::Container { id: id.to_string(), name: tally.name.clone(), image: tally.image.clone() }
            }
            Workload::Host(exe) => Place::Host { exe: exe.clone() },
        };
        Self {
            rule: rule.name.clone(),
            priority: rule.priority.name(),
            workload: place,
            alerts: tally.alerts,
            suppressed: tally.suppressed,
            would: Would::new(rule.reaction, workload, tally),
            first: timestamp(tally.first),
            last: timestamp(tally.last),
            example: tally.example.clone(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { exe } => write!(f, "host {}", printable(exe.as_bytes())),
            Self::Container { id, name, image } => {
                write!(f, "container {id}")?;
                let known: Vec<_> = name.iter().chain(image).map(|text| printable(text.as_bytes())).collect();
                if known.is_empty() { Ok(()) } else { write!(f, " ({})", known.join(", ")) }
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rule = "";
        for row in &self.rows {
            if row.rule != rule {
                writeln!(f, "{} ({})", row.rule, row.priority)?;
                rule = &row.rule;
            }
            let Row { workload, alerts, suppressed, first, last, example, .. } = row;
            write!(f, "  {workload}: {}", Number(*alerts, "alert"))?;
            if *suppressed > 0 {
                write!(f, ", {suppressed} suppressed")?;
            }
            if let Some(would) = &row.would {
                write!(f, ", {would}")?;
            }
            writeln!(f, "\n    {first} to {last}")?;
            if !example.is_empty() {
                writeln!(f, "    {}", printable(example.as_bytes()))?;
            }
        }
        for (rule, keys) in &self.correlation.evicted {
            writeln!(f, "{rule} forgot {keys} keys before their time, and may have missed something")?;
        }
        let Self { events, alerts, suppressed, lost, seconds, alerts_per_hour, .. } = self;
        write!(f, "{} in {seconds:.1} s, {}", Number(*events, "event"), Number(*alerts, "alert"))?;
        if let Some(rate) = alerts_per_hour {
            write!(f, " ({rate:.1} an hour)")?;
        }
        writeln!(f, ", {suppressed} suppressed, {lost} lost in the recording")
    }
}
