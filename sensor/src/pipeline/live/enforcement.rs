//! What is done before the rules see an event: the plan goes to the kernel half and to the gate, and with it each container as
//! it comes and goes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Consumer, Gate, Live, PipelineError, Plan, Stage};
use crate::{
    enrich::scan::Scanner,
    event::Container,
    pipeline::{gate::Watched, stats::FanotifyStats},
    probe::{ProbeError, ShieldPart},
};

/// How long what an earlier sensor refuses goes on at most beside what this one does: in containers of which it is not known by
/// then who they are, only rules that need not know go on.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);

/// What is still to be done so that refusals outlive this process.
pub(super) struct Keeping {
    /// Where they are pinned.
    pins: PathBuf,
    /// Until when that may wait for containers to be known.
    by: Instant,
}

impl Keeping {
    pub(super) fn new(pins: &Path) -> Self {
        Self { pins: pins.to_owned(), by: Instant::now() + KNOWN_WITHIN }
    }
}

impl Live {
    /// Has things done before the rules see them from now on, in the containers that are known.
    ///
    /// # Errors
    /// Where that cannot be done that could be a moment ago.
    pub fn enforce(&mut self, plan: Plan) -> Result<(), PipelineError> {
        let decided = !plan.acts.is_empty();
        for class in &plan.refused {
            self.probe.refuse(*class).map_err(|why| ProbeError::Hook { hook: "a refusal", why })?;
        }
        self.probe.decide(self.options.tables.as_deref(), &plan.acts)?;
        let host = self.host();
        let containers = self.stage.enricher.containers();
        for (group, container) in containers.all() {
            let made = containers.made(container.instance);
            self.probe.group(group, Some(plan.holds(container, made, host)));
        }
        let closes = plan.asked.is_empty() || !self.gate.as_ref().is_some_and(Gate::is_open);
        if closes {
            self.close_gate();
        }
        let containers = self.stage.enricher.containers();
        if !plan.asked.is_empty() {
            if self.gate.is_none() {
                let gate = Gate::open(self.probe.refusals(), self.answer_within);
                let gate =
                    gate.map_err(|error| ProbeError::Hook { hook: "fanotify", why: error.to_string() });
                self.gate = Some(gate?);
            }
            if let Some(gate) = &self.gate {
                let watched = |container| watched(&self.stage, &plan, container, host);
                gate.follow(&plan, containers.all().map(|(group, container)| (group, watched(container))));
            }
        }
        self.plan = decided.then_some(plan);
        Ok(())
    }

    /// Has what refuses outlive this process, once it holds for all containers: what an earlier one left takes care of them until
    /// then.
    pub(super) fn keep(&mut self) -> Result<(), PipelineError> {
        let Some(keeping) = &self.keeping else { return Ok(()) };
        let known = self.stage.enricher.containers().present().all(|container| container.is_settled());
        if !known && Instant::now() < keeping.by {
            return Ok(());
        }
        let kept = self.probe.keep_refusals(&keeping.pins);
        let untold = kept.map_err(|why| ProbeError::Hook { hook: "what keeps refusing", why })?;
        if untold > 0 {
            tracing::warn!(
                refused = untold,
                "refused in the kernel while no sensor ran, by what an earlier one left"
            );
        }
        self.keeping = None;
        tracing::info!("what refuses in the kernel outlives this process");
        Ok(())
    }

    /// Has what turns against the sensor refused, and says what came of each part.
    pub fn shield(&mut self, pins: &Path) -> Vec<ShieldPart> {
        self.probe.shield(pins)
    }

    /// Has nothing done any more.
    pub(super) fn enforce_nothing(&mut self) -> Result<(), PipelineError> {
        self.close_gate();
        self.plan = None;
        Ok(self.probe.decide(self.options.tables.as_deref(), &[])?)
    }

    /// Says what is new of control groups.
    pub(super) fn place(&mut self) {
        let enricher = &mut self.stage.enricher;
        for (key, there) in enricher.host_groups() {
            self.probe.host_group(key, there);
        }
        let placed = enricher.placed_groups();
        let host = self.host();
        let Some(plan) = &self.plan else { return };
        for (group, container) in placed {
            let containers = self.stage.enricher.containers();
            let holds = container.as_ref().map(|container| {
                let made = containers.made(container.instance);
                plan.holds(container, made, host)
            });
            self.probe.group(group, holds);
            if let Some(gate) = &self.gate {
                gate.place(group, container.map(|container| watched(&self.stage, plan, &container, host)));
            }
        }
    }

    /// Takes what the gate refused, and hears of its end.
    pub(super) fn take_refused(&mut self, consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        let Some(gate) = &self.gate else { return Ok(()) };
        for record in gate.records() {
            self.stage.stats.snapshots += 1;
            self.stage.feed(&record, consumer)?;
        }
        if let Some(let_go) = gate.let_go() {
            self.stage.stats.fanotify.let_go += 1;
            consumer.let_go(&let_go)?;
        }
        Ok(())
    }

    /// Has nothing asked any more.
    pub(super) fn close_gate(&mut self) {
        self.count_asked();
        self.gate = None;
        let FanotifyStats { asked, refused, .. } = self.stage.stats.fanotify;
        self.asked_before = (asked, refused);
    }

    /// Brings the accounts of the gate up to date.
    pub(super) fn count_asked(&mut self) {
        let Some((asked, refused)) = self.gate.as_ref().map(Gate::counts) else { return };
        let (before, refused_before) = self.asked_before;
        let stats = &mut self.stage.stats.fanotify;
        (stats.asked, stats.refused) = (before + asked, refused_before + refused);
    }

    /// The mount namespace of the host.
    fn host(&self) -> Option<u32> {
        self.stage.enricher.host_mnt_ns().or_else(own_mnt_ns)
    }
}

fn watched(stage: &Stage<Scanner>, plan: &Plan, container: &Arc<Container>, host: Option<u32>) -> Watched {
    let made = stage.enricher.containers().made(container.instance);
    let terms = plan.asked_in(container);
    Watched {
        container: Arc::clone(container),
        outside: plan.holds(container, made, host).outside,
        terms,
        questions: plan.asked.questions(terms),
    }
}

/// Our own mount namespace, which is the host's where we are not in a container. The first process hides its own from some.
fn own_mnt_ns() -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self/ns/mnt").ok().and_then(|meta| u32::try_from(meta.ino()).ok())
}
