//! What goes wrong at sinks, as alerts to all of them: those that work tell of those that do not.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    clock,
    sink::{Alert, SinkStats},
};

/// Names under which the sensor reports what happens to its own alerts.
const VOLATILE: &str = "Alerts wait in memory";
const STORED: &str = "Alerts wait on disk again";
const FAILING: &str = "Sink failing";
const RECOVERED: &str = "Sink takes alerts again";
const LOST: &str = "Alerts lost at a sink";
/// A destination that is away for less is not told of: servers are restarted.
const PATIENCE: Duration = Duration::from_secs(30);
/// Losses of a sink are told of at most so often.
const PAUSE: Duration = Duration::from_secs(60);

/// What was told of each sink.
#[derive(Debug, Default)]
pub(super) struct Watch {
    sinks: HashMap<String, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    volatile: bool,
    failing: Option<Instant>,
    told_failing: bool,
    lost: u64,
    told_lost: Option<Instant>,
}

impl Watch {
    /// What has to be told now.
    pub(super) fn look(&mut self, sinks: &BTreeMap<String, SinkStats>, hostname: &Arc<str>) -> Vec<Alert> {
        let now = Instant::now();
        let mut alerts = Vec::new();
        for (name, stats) in sinks {
            let seen = self.sinks.entry(name.clone()).or_default();
            let mut tell = |rule, priority, output: String| {
                alerts.push(alert(name, stats, rule, priority, output, hostname))
            };
            if stats.volatile != seen.volatile {
                seen.volatile = stats.volatile;
                if stats.volatile {
                    tell(
                        VOLATILE,
                        "Error",
                        format!(
                            "What sink {name} has to deliver cannot be written to disk: it waits in memory, and a crash would lose it"
                        ),
                    );
                } else {
                    tell(
                        STORED,
                        "Notice",
                        format!("What sink {name} has to deliver can be written to disk again"),
                    );
                }
            }
            if stats.failing {
                let since = *seen.failing.get_or_insert(now);
                if !seen.told_failing && now.duration_since(since) >= PATIENCE {
                    seen.told_failing = true;
                    tell(
                        FAILING,
                        "Error",
                        format!(
                            "The destination of sink {name} takes nothing since {} s; {} records wait",
                            PATIENCE.as_secs(),
                            stats.waiting
                        ),
                    );
                }
            } else if seen.failing.take().is_some() && std::mem::take(&mut seen.told_failing) {
                tell(RECOVERED, "Notice", format!("The destination of sink {name} takes records again"));
            }
            let lost = stats.dropped + stats.overflowed + stats.expired + stats.refused + stats.lost;
            if lost > seen.lost && seen.told_lost.is_none_or(|told| now.duration_since(told) >= PAUSE) {
                let more = lost - seen.lost;
                (seen.lost, seen.told_lost) = (lost, Some(now));
                tell(
                    LOST,
                    "Error",
                    format!(
                        "Sink {name} will never deliver {more} records: in all {} found its queue full, {} its spool, {} waited too long, {} were refused, {} could not be read back",
                        stats.dropped, stats.overflowed, stats.expired, stats.refused, stats.lost
                    ),
                );
            }
        }
        alerts
    }
}

fn alert(
    name: &str,
    stats: &SinkStats,
    rule: &str,
    priority: &'static str,
    output: String,
    hostname: &Arc<str>,
) -> Alert {
    let fields: [(&str, Value); 4] = [
        ("sink.name", name.into()),
        ("sink.to", stats.to.into()),
        ("sink.waiting", stats.waiting.into()),
        ("sink.failures", serde_json::to_value(&stats.failures).unwrap_or_default()),
    ];
    let mut alert = Alert {
        rule: rule.to_owned(),
        priority,
        output,
        output_fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        tags: vec!["sensor".to_owned()],
        ..Alert::without_event(clock::wall(), hostname)
    };
    alert.event.event_type = "sink";
    alert
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_is_told_once_and_its_end_too() {
        let mut watch = Watch::default();
        let mut look = |stats: SinkStats| {
            let sinks = BTreeMap::from([("siem".to_owned(), stats)]);
            let alerts = watch.look(&sinks, &"h".into());
            alerts.into_iter().map(|alert| alert.rule).collect::<Vec<_>>()
        };
        let fine = SinkStats::default();
        assert!(look(fine.clone()).is_empty());
        let bad = SinkStats { volatile: true, overflowed: 3, failing: true, ..fine.clone() };
        assert_eq!(look(bad.clone()), [VOLATILE, LOST]);
        // A moment's failure is not worth an alert, and a loss was told of just now.
        assert!(look(SinkStats { overflowed: 9, ..bad.clone() }).is_empty());
        assert_eq!(look(SinkStats { overflowed: 9, ..fine }), [STORED]);
    }
}
