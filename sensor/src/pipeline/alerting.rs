//! Events → alerts: the match, and the queue in front of the sinks.

mod delivery;
mod enforcement;
mod loss;
mod over_time;
mod pulse;
mod response;
mod tally;

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError},
    },
};

use sensor_common::Kind;

use self::{over_time::Told, tally::Tally};
use crate::{
    control::Known,
    event::{Category, Container, Detail, Event, EventType, Loss},
    pipeline::{
        Can, Consumer, Needs, Origin, PipelineError, Plan, Published, RuleStats, Stats, reload::Reloaded,
    },
    probe::{Share, Wanted, fanotify::LetGo},
    respond::{Policy, Responder},
    rule::{Engine, Match, Reaction, RuleInfo, RuleSet, TypeSet, correlate::STATE_BYTES},
    sink::{Alert, Outputs, Redactor},
};

/// Names under which the sensor reports that rules on disk have errors, and the end of that.
const RULES_FAILED: &str = "Rules not loaded";
const RULES_RECOVERED: &str = "Rules loaded again";

/// Matches events and hands alerts to the sinks.
pub struct Alerting {
    rules: Arc<RuleSet>,
    engine: Engine,
    matches: Vec<Match>,
    matched: u64,
    outputs: Outputs,
    /// The types of events that some sink takes beside alerts.
    streamed: TypeSet,
    /// What is hidden in what leaves the sensor; nothing in a replay.
    redactor: Option<Redactor>,
    /// Who does what rules ask for beyond an alert; nobody in a replay.
    responder: Option<Responder<Alert>>,
    /// Where operators look containers up; nowhere where there are none.
    known: Option<Known>,
    hostname: Arc<str>,
    /// Lost since the previous alert.
    loss: Loss,
    /// Whether to wait for room in the queue: in a replay nothing is lost by that.
    patient: bool,
    /// Where other sets come from.
    reloads: Option<Receiver<Reloaded>>,
    account: RuleStats,
    stats_file: PathBuf,
    /// Where others find the accounts.
    published: Published,
    tally: Tally,
    /// Whether the accounts could not be written the last time.
    unwritten: bool,
    /// Called with each drawing up of the accounts: it goes on.
    pulse: Box<dyn FnMut() + Send>,
    /// Bytes for what rules over time remember.
    state_bytes: usize,
    told: Told,
    watch: delivery::Watch,
    /// What the kernel half can do by itself; `None`: it is not asked to.
    can: Option<(Can, Arc<Policy>)>,
}

impl Alerting {
    /// Alerts go to `outputs` as events match `rules`. `patient`: wait for room in the queue.
    pub fn new(rules: impl Into<Arc<RuleSet>>, outputs: Outputs, hostname: &str, patient: bool) -> Self {
        let rules = rules.into();
        let mut account = RuleStats::default();
        account.loaded(rules.rules().len(), Origin::default());
        Self {
            engine: Engine::new(Arc::clone(&rules)),
            rules,
            matches: Vec::new(),
            matched: 0,
            streamed: outputs.event_types().into_iter().collect(),
            outputs,
            redactor: None,
            responder: None,
            known: None,
            hostname: hostname.into(),
            loss: Loss::default(),
            patient,
            reloads: None,
            account,
            stats_file: PathBuf::new(),
            published: Published::default(),
            tally: Tally::default(),
            state_bytes: STATE_BYTES,
            told: Told::default(),
            watch: delivery::Watch::default(),
            can: None,
            unwritten: false,
            pulse: Box::new(|| ()),
        }
    }

    /// The same, with so many bytes for what rules over time remember.
    #[must_use]
    pub fn with_state(mut self, bytes: usize) -> Self {
        self.state_bytes = bytes;
        self.engine = Engine::with_state(Arc::clone(&self.rules), bytes);
        self
    }

    /// The same, taking over the sets that come through `reloads`. `origin`: what the first one was made of.
    #[must_use]
    pub fn with_reloads(mut self, reloads: Receiver<Reloaded>, origin: Origin) -> Self {
        self.reloads = Some(reloads);
        self.account.origin = origin;
        self
    }

    /// The same, hiding secrets in what leaves the sensor.
    #[must_use]
    pub fn with_redactor(mut self, redactor: Redactor) -> Self {
        self.redactor = Some(redactor);
        self
    }

    /// The same, writing the accounts to a file once a second; an empty path writes none.
    #[must_use]
    pub fn with_stats_file(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.stats_file);
        self
    }

    /// The same, publishing the accounts once a second.
    #[must_use]
    pub fn with_published(mut self, published: Published) -> Self {
        self.published = published;
        self
    }

    /// The rules at work.
    #[must_use]
    pub fn rules(&self) -> &[Arc<RuleInfo>] {
        self.rules.rules()
    }

    /// Waits until every alert is delivered, and adds what this stage did to the accounts.
    ///
    /// # Errors
    /// Where a sink failed.
    pub fn finish(mut self, stats: &mut Stats) -> Result<(), PipelineError> {
        self.end_time()?;
        stats.matches = self.matched;
        self.tally.account(stats);
        stats.correlation = self.engine.correlation();
        stats.costs = self.engine.costs();
        stats.rules = self.account_of(stats);
        // Its outcomes are alerts: they have to be in the queue before that closes.
        self.end_responses(stats);
        let counts = self.outputs.finish();
        (stats.queue, stats.sinks) = counts.map_err(|error| PipelineError::Stage { stage: "sink", error })?;
        Ok(())
    }

    fn send(&mut self, alert: Alert) -> Result<(), PipelineError> {
        self.outputs.alert(alert, self.patient).map_err(|error| PipelineError::Stage { stage: "sink", error })
    }

    /// Gives an event to the sinks that take its type.
    fn pass_on(&mut self, mut event: Event) {
        if self.streamed.contains(event.event_type) {
            if let Some(redactor) = &self.redactor {
                redactor.event(&mut event);
            }
            self.outputs.event(event);
        }
    }

    /// The one place where rules change: every event before is matched by the old set, every one after by the new.
    fn swap(&mut self, set: Arc<RuleSet>) {
        // What was seen so far still counts for the rules that are the same.
        let engine = Engine::with_state(Arc::clone(&set), self.state_bytes);
        let old = std::mem::replace(&mut self.engine, engine);
        self.engine.adopt(old);
        self.tally.keep(&set);
        self.rules = set;
    }

    fn take_over(&mut self, reloaded: Reloaded, own: &mut dyn FnMut() -> Event) -> Result<(), PipelineError> {
        match self.possible(reloaded) {
            Reloaded::Rules { set, origin } => {
                let (before, failed) = (self.account.loaded, self.account.failing);
                self.account.loaded(set.rules().len(), origin);
                self.swap(set);
                let RuleStats { loaded, generation, .. } = self.account;
                tracing::info!(rules = loaded, before, generation, "rules loaded again");
                if !failed {
                    return Ok(());
                }
                let output = format!("The rules on disk have no errors any more: {loaded} are at work");
                let alert = self.about_rules(RULES_RECOVERED, output, &[], &own());
                self.send(Alert { priority: "Notice", ..alert })
            }
            Reloaded::Failed { error, errors, new } => {
                self.account.failed(error.clone());
                if !new {
                    return Ok(());
                }
                let RuleStats { loaded, loaded_at, .. } = &self.account;
                let output = format!(
                    "The rules on disk cannot be loaded, {loaded} rules of {loaded_at} stay at work: {error} ({errors} errors)"
                );
                let fields = [("rules.error", error.into()), ("rules.errors", errors.into())];
                let alert = self.about_rules(RULES_FAILED, output, &fields, &own());
                self.send(alert)
            }
        }
    }

    /// What is known of the rules, with those that miss something because a hook is not at work.
    fn account_of(&self, stats: &Stats) -> RuleStats {
        let blind = stats.hooks.iter().filter(|hook| hook.is_blind());
        let kinds = blind.filter_map(|hook| Some((hook.kind?, hook.share)));
        let blind = blind_rules(&self.rules, kinds).into_iter().map(str::to_owned).collect();
        RuleStats { blind, ..self.account.clone() }
    }

    fn about_rules(
        &self,
        rule: &str,
        output: String,
        fields: &[(&str, serde_json::Value)],
        own: &Event,
    ) -> Alert {
        let generation = ("rules.generation", self.account.generation.into());
        let fields = fields.iter().cloned().chain([generation]);
        let mut alert = Alert {
            rule: rule.to_owned(),
            output,
            output_fields: fields.map(|(name, value)| (name.to_owned(), value)).collect(),
            tags: vec!["sensor".to_owned()],
            ..Alert::of_sensor(own, &self.hostname, None)
        };
        alert.event.event_type = "rules";
        alert
    }
}

impl Consumer for Alerting {
    fn event(&mut self, event: Event) -> Result<(), PipelineError> {
        if let Detail::Loss(loss) = &event.detail {
            self.report_loss(&event, loss)?;
        }
        self.told.see(&event);
        self.tally.see(&event);
        self.engine.evaluate(&event, &mut self.matches);
        if self.matches.is_empty() {
            self.see_enforced(&event)?;
            self.pass_on(event);
            return Ok(());
        }
        let matches = std::mem::take(&mut self.matches);
        self.matched += matches.len() as u64;
        for found in &matches {
            self.tally.matched(found);
            let loss = std::mem::take(&mut self.loss);
            let loss = (!loss.is_empty()).then_some(loss);
            let mut alert = Alert::new(&event, found, &self.hostname, loss);
            // The responder's log tells what the alert tells.
            if let Some(redactor) = &self.redactor {
                redactor.alert(&mut alert);
            }
            self.respond(&event, found, alert)?;
        }
        self.matches = matches;
        self.matches.clear();
        self.pass_on(event);
        Ok(())
    }

    fn between_batches(&mut self, own: &mut dyn FnMut() -> Event) -> Result<Option<Needs>, PipelineError> {
        let before = self.account.generation;
        loop {
            match self.reloads.as_ref().map(Receiver::try_recv) {
                None | Some(Err(TryRecvError::Empty)) => break,
                Some(Ok(reloaded)) => self.take_over(reloaded, own)?,
                Some(Err(TryRecvError::Disconnected)) => {
                    let error = io::Error::other("its thread is gone");
                    return Err(PipelineError::Stage { stage: "rules", error });
                }
            }
        }
        let plan = self
            .can
            .as_ref()
            .map(|(can, policy)| Plan::under(Arc::clone(&self.rules), can, Some(Arc::clone(policy))));
        Ok((self.account.generation != before).then(|| Needs { plan, ..needs(&self.rules, self.streamed) }))
    }

    fn let_go(&mut self, why: &LetGo) -> Result<(), PipelineError> {
        self.report_let_go(why)
    }

    fn containers(&mut self, list: &dyn Fn() -> Vec<Arc<Container>>) {
        if let Some(known) = &self.known {
            known.set(list());
        }
    }

    fn hosts(&self) -> BTreeSet<String> {
        self.rules.hosts().names.clone()
    }

    fn tick(&mut self, stats: &mut Stats) -> Result<(), PipelineError> {
        self.pass_time(stats.seen_until)?;
        stats.matches = self.matched;
        self.tally.account(stats);
        stats.correlation = self.engine.correlation();
        stats.costs = self.engine.costs();
        stats.queue = self.outputs.counts();
        stats.sinks = self.outputs.stats();
        for alert in self.watch.look(&stats.sinks, &self.hostname) {
            self.send(alert)?;
        }
        stats.respond = self.responder.as_ref().map(Responder::counts).unwrap_or_default();
        stats.rules = self.account_of(stats);
        let written = stats.write(&self.stats_file);
        if let Err(error) = &written
            && !self.unwritten
        {
            tracing::warn!(file = %self.stats_file.display(), %error, "cannot write the accounts");
        }
        self.unwritten = written.is_err();
        self.published.publish(stats);
        (self.pulse)();
        Ok(())
    }
}

/// The rules that miss something where these parts of the records of these kinds do not come, each once.
#[must_use]
pub fn blind_rules(rules: &RuleSet, kinds: impl Iterator<Item = (Kind, Share)>) -> Vec<&str> {
    let needing = |(kind, share)| match share {
        Share::Whole => rules.needing(kind).collect::<Vec<_>>(),
        Share::Failures => rules.needing_failures(kind).collect(),
        Share::Answers => rules.needing_answers().collect(),
    };
    let mut blind: Vec<&str> = kinds.flat_map(needing).collect();
    blind.sort_unstable();
    blind.dedup();
    blind
}

/// The records that some rule needs, and those of the types in `streamed`, all of them.
#[must_use]
pub fn needs(rules: &RuleSet, streamed: TypeSet) -> Needs {
    let kinds = |types: TypeSet| {
        let mut kinds: Vec<_> = types.iter().filter_map(EventType::kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    };
    let mut wanted = Wanted {
        kinds: kinds(rules.wanted_types()),
        failures: kinds(rules.wanted_failures()),
        answers: rules.needing_answers().next().is_some(),
    };
    // Whoever gets events of sockets gets the names of their ends.
    if rules.hosts().asked || streamed.iter().any(|streamed| streamed.category() == Category::Network) {
        wanted.add_names();
    }
    let streamed = kinds(streamed);
    for list in [&mut wanted.kinds, &mut wanted.failures] {
        list.extend(streamed.iter().filter(|kind| !list.contains(kind)).copied().collect::<Vec<_>>());
    }
    // What has no terms is not filtered.
    let prefilter = rules.prefilter().iter().filter(|(kind, _)| !streamed.contains(kind)).cloned().collect();
    let acting = rules.rules().iter().filter(|rule| rule.reaction != Reaction::default());
    let urgent = kinds(acting.fold(TypeSet::default(), |types, rule| types.union(rule.types)));
    Needs { wanted, prefilter, urgent, plan: None }
}

#[cfg(test)]
mod tests;
