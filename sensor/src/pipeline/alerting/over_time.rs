//! Rules over time at the pace of the pipeline: what ended is released, what was suppressed and never said is said, and so
//! is what had to be forgotten.

use std::collections::BTreeMap;

use super::Alerting;
use crate::{event::Event, pipeline::PipelineError, rule::Summary, sink::Alert};

/// Name under which the sensor reports that rules had to forget something.
const EVICTED_RULE: &str = "Correlation state evicted";
/// Nanoseconds between two such alerts, at least.
const TELL_EVERY: u64 = 60_000_000_000;

/// What was said of it so far.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Keys and suppressed alerts, by rule.
    evicted: BTreeMap<String, (u64, u64)>,
    /// Boot time of the last alert about them.
    at: Option<u64>,
    /// Nanoseconds between 1970 and the boot clock's zero, by the last event.
    epoch: u64,
    summaries: Vec<Summary>,
}

impl Told {
    /// An event passes: it says how the clocks stand to each other.
    pub(super) const fn see(&mut self, event: &Event) {
        self.epoch = event.time.saturating_sub(event.boot_time);
    }
}

impl Alerting {
    /// All events up to `now` (nanoseconds since boot) have been seen.
    pub(super) fn pass_time(&mut self, now: u64) -> Result<(), PipelineError> {
        self.engine.expire(now, &mut self.told.summaries);
        self.tell_summaries()?;
        if self.told.at.is_none_or(|at| now >= at.saturating_add(TELL_EVERY)) {
            self.tell_evictions(now)?;
        }
        Ok(())
    }

    /// The run is over: whatever is still unsaid is said.
    pub(super) fn end_time(&mut self) -> Result<(), PipelineError> {
        while self.engine.expire(u64::MAX, &mut self.told.summaries) {
            self.tell_summaries()?;
        }
        self.tell_summaries()?;
        let now = self.told.at.unwrap_or_default();
        self.tell_evictions(now)
    }

    fn tell_summaries(&mut self) -> Result<(), PipelineError> {
        for summary in std::mem::take(&mut self.told.summaries) {
            self.send(Alert::of_summary(&summary, &self.hostname))?;
        }
        Ok(())
    }

    fn tell_evictions(&mut self, now: u64) -> Result<(), PipelineError> {
        let mut lost = Vec::new();
        let mut evicted = BTreeMap::new();
        for (rule, keys, unsaid) in self.engine.evictions() {
            let (keys_before, unsaid_before) = self.told.evicted.get(rule).copied().unwrap_or_default();
            // After a reload a rule may have begun anew.
            if keys > keys_before {
                lost.push((rule.to_owned(), keys - keys_before, unsaid.saturating_sub(unsaid_before)));
            }
            evicted.insert(rule.to_owned(), (keys, unsaid));
        }
        self.told.evicted = evicted;
        if lost.is_empty() {
            return Ok(());
        }
        self.told.at = Some(now);
        let what = lost.iter().map(|(rule, keys, unsaid)| match unsaid {
            0 => format!("{rule}: {keys}"),
            _ => format!("{rule}: {keys}, with {unsaid} suppressed alerts"),
        });
        let output = format!(
            "Rules forgot keys before their time, and may have missed something ({}); rules.state_bytes is too small for them",
            what.collect::<Vec<_>>().join("; ")
        );
        let rules: serde_json::Map<_, _> =
            lost.iter().map(|(rule, keys, _)| (rule.clone(), (*keys).into())).collect();
        let mut alert = Alert {
            rule: EVICTED_RULE.to_owned(),
            output,
            output_fields: [("correlation.evicted".to_owned(), rules.into())].into_iter().collect(),
            tags: vec!["sensor".to_owned()],
            ..Alert::without_event(self.told.epoch.saturating_add(now), &self.hostname)
        };
        alert.event.event_type = "rules";
        self.send(alert)
    }
}
