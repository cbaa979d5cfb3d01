//! Events → alerts: the match, and the queue in front of the sinks.

mod over_time;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use self::over_time::Told;
use crate::{
    event::{Detail, Event, EventType, Loss, Lost},
    pipeline::{Consumer, PipelineError, Stats},
    probe::Wanted,
    rule::{Engine, Match, RuleSet, TypeSet, correlate::STATE_BYTES},
    sink::{Alert, Queue},
};

/// Name under which the sensor reports its own gaps.
const LOSS_RULE: &str = "Events lost";

/// Matches events and hands alerts to the sinks.
pub struct Alerting {
    rules: Arc<RuleSet>,
    engine: Engine,
    matches: Vec<Match>,
    matched: u64,
    queue: Queue<Alert>,
    hostname: Arc<str>,
    /// Lost since the previous alert.
    loss: Loss,
    /// Whether to wait for room in the queue: in a replay nothing is lost by that.
    patient: bool,
    reload: Option<Reload>,
    stats_file: PathBuf,
    /// Bytes for what rules over time remember.
    state_bytes: usize,
    told: Told,
}

/// How the rules are loaded again.
pub struct Reload {
    /// Set when somebody asked for it.
    pub asked: Arc<AtomicBool>,
    /// Compiles the rules anew; `None`: they have errors, the old ones stay.
    pub load: Box<dyn FnMut() -> Option<RuleSet> + Send>,
}

impl Alerting {
    /// Alerts go to `queue` as events match `rules`. `patient`: wait for room in the queue.
    pub fn new(rules: RuleSet, queue: Queue<Alert>, hostname: &str, patient: bool) -> Self {
        let rules = Arc::new(rules);
        Self {
            engine: Engine::new(Arc::clone(&rules)),
            rules,
            matches: Vec::new(),
            matched: 0,
            queue,
            hostname: hostname.into(),
            loss: Loss::default(),
            patient,
            reload: None,
            stats_file: PathBuf::new(),
            state_bytes: STATE_BYTES,
            told: Told::default(),
        }
    }

    /// The same, with so many bytes for what rules over time remember.
    #[must_use]
    pub fn with_state(mut self, bytes: usize) -> Self {
        self.state_bytes = bytes;
        self.engine = Engine::with_state(Arc::clone(&self.rules), bytes);
        self
    }

    /// The same, with a way to load the rules again.
    #[must_use]
    pub fn with_reload(mut self, reload: Reload) -> Self {
        self.reload = Some(reload);
        self
    }

    /// The same, writing the accounts to a file once a second; an empty path writes none.
    #[must_use]
    pub fn with_stats_file(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.stats_file);
        self
    }

    /// Waits until every alert is delivered, and adds what this stage did to the accounts.
    ///
    /// # Errors
    /// Where a sink failed.
    pub fn finish(mut self, stats: &mut Stats) -> Result<(), PipelineError> {
        self.end_time()?;
        stats.matches = self.matched;
        stats.correlation = self.engine.correlation();
        let counts = self.queue.finish();
        stats.queue = counts.map_err(|error| PipelineError::Stage { stage: "sink", error })?;
        Ok(())
    }

    fn send(&mut self, alert: Alert) -> Result<(), PipelineError> {
        let sent = if self.patient { self.queue.put(alert) } else { self.queue.offer(alert) };
        sent.map_err(|error| PipelineError::Stage { stage: "sink", error })
    }

    /// A gap is an alert of its own, with the rules that may have missed something; the next alert of a rule carries it too.
    fn report_loss(&mut self, event: &Event, loss: &Loss) -> Result<(), PipelineError> {
        let blind: Vec<&str> = self
            .rules
            .rules()
            .iter()
            .filter(|rule| {
                loss.lost.iter().any(|lost| {
                    EventType::ALL.iter().any(|event_type| {
                        event_type.kind() == Some(lost.kind) && rule.types.contains(*event_type)
                    })
                })
            })
            .map(|rule| rule.name.as_str())
            .collect();
        let what: Vec<String> = loss.lost.iter().map(describe).collect();
        let output = format!(
            "Events were lost ({}); rules that were blind meanwhile: {}",
            what.join(", "),
            blind.join(", ")
        );
        let fields = [("loss.kinds", what.join(", ").into()), ("loss.blind_rules", blind.into())];
        self.loss.lost.extend(&loss.lost);
        let alert = Alert {
            rule: LOSS_RULE.to_owned(),
            output,
            output_fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            tags: vec!["sensor".to_owned()],
            ..Alert::of_sensor(event, &self.hostname, Some(loss.clone()))
        };
        self.send(alert)
    }

    fn load_again(&mut self) {
        let Some(reload) = &mut self.reload else { return };
        if !reload.asked.swap(false, Ordering::Relaxed) {
            return;
        }
        match (reload.load)() {
            Some(rules) => {
                self.rules = Arc::new(rules);
                // What was seen so far still counts for the rules that are the same.
                let engine = Engine::with_state(Arc::clone(&self.rules), self.state_bytes);
                let old = std::mem::replace(&mut self.engine, engine);
                self.engine.adopt(old);
                tracing::info!(rules = self.rules.rules().len(), "rules loaded again");
            }
            None => tracing::error!("the rules have errors: those loaded before stay"),
        }
    }
}

fn describe(lost: &Lost) -> String {
    format!(
        "{} {}: {} ring full, {} failed",
        lost.ring_full + lost.failed,
        lost.kind.stem(),
        lost.ring_full,
        lost.failed
    )
}

impl Consumer for Alerting {
    fn event(&mut self, event: Event) -> Result<(), PipelineError> {
        if let Detail::Loss(loss) = &event.detail {
            self.report_loss(&event, loss)?;
        }
        self.told.see(&event);
        self.engine.evaluate(&event, &mut self.matches);
        if self.matches.is_empty() {
            return Ok(());
        }
        let matches = std::mem::take(&mut self.matches);
        self.matched += matches.len() as u64;
        for found in &matches {
            let loss = std::mem::take(&mut self.loss);
            let loss = (!loss.lost.is_empty()).then_some(loss);
            self.send(Alert::new(&event, found, &self.hostname, loss))?;
        }
        self.matches = matches;
        self.matches.clear();
        Ok(())
    }

    fn wanted(&self) -> Option<Wanted> {
        Some(wanted(&self.rules))
    }

    fn tick(&mut self, stats: &mut Stats) -> Result<(), PipelineError> {
        self.load_again();
        self.pass_time(stats.seen_until)?;
        stats.matches = self.matched;
        stats.correlation = self.engine.correlation();
        stats.queue = self.queue.counts();
        if let Err(error) = stats.write(&self.stats_file) {
            tracing::warn!(%error, "cannot write the accounts");
        }
        Ok(())
    }
}

/// The records that some rule needs.
#[must_use]
pub fn wanted(rules: &RuleSet) -> Wanted {
    let kinds = |types: TypeSet| {
        let mut kinds: Vec<_> = types.iter().filter_map(EventType::kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    };
    Wanted { kinds: kinds(rules.wanted_types()), failures: kinds(rules.wanted_failures()) }
}

#[cfg(test)]
mod tests;
