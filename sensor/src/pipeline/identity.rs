//! Who containers are, on the way of the events: questions go out, answers come in, and what waited for them goes on.

use super::{
    Consumer, PipelineError, Stage,
    hold::{Hold, HoldLimits},
};
use crate::{
    config::Config,
    enrich::{
        Limits, Lookup,
        runtime::{Found, Options, Sources},
    },
    event::{Detail, Event, Lack},
    recording::{Learned, Note},
};

/// How often containers that are gone are looked for, in nanoseconds.
const RELEASE: u64 = 1_000_000_000;

impl HoldLimits {
    pub(super) const fn of(config: &Config) -> Self {
        Self { wait: config.identity.wait_ms * 1_000_000, bytes: config.identity.hold_bytes }
    }
}

/// Memory for what is known of containers.
pub(super) const fn limits(config: &Config) -> Limits {
    Limits { container: config.identity.container_bytes, all: config.identity.limit_bytes }
}

/// Where to look for containers.
pub fn sources(config: &Config) -> Options {
    Options {
        bundles: config.identity.bundles.clone(),
        storage: config.identity.storage.clone(),
        containerd: config.containerd.sockets(),
        docker: config.docker.sockets(),
        answer_bytes: config.identity.container_bytes,
    }
}

impl<L: Lookup> Stage<L> {
    /// Hands on the questions that came up.
    pub(super) fn ask(&mut self) {
        for ask in self.enricher.asks() {
            if self.sources.as_ref().is_some_and(|sources| !sources.ask(ask)) {
                self.stats.identity.unasked += 1;
            }
        }
    }

    /// Hands an event on, or keeps it until its container is known.
    pub(super) fn pass(&mut self, event: Event, consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        self.show_inside(&event);
        // Events are large: one that goes on at once is not moved about.
        if !Hold::has_to_wait(&event) {
            return self.hand_on(event, consumer);
        }
        self.hold.keep(event, self.now);
        self.stats.identity.held += 1;
        self.let_due_go(consumer)
    }

    /// A program that was started in the container, by whoever: its root is the container's. Of a process that has not
    /// started one yet, that is not sure.
    fn show_inside(&self, event: &Event) {
        let (Some(container), Detail::Exec(_)) = (&event.container, &event.detail) else { return };
        if container.lack.contains(Lack::USERS)
            && !container.settled
            && !event.failed()
            && !event.process.runtime_init
            && let Some(sources) = &self.sources
        {
            sources.inside(container.instance, event.task.pid);
        }
    }

    fn hand_on(&mut self, event: Event, consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        self.stats.events += 1;
        if let Some(container) = &event.container {
            let stats = &mut self.stats.identity;
            stats.events += 1;
            if container.lack.is_none() {
                stats.complete += 1;
            } else {
                stats.incomplete += 1;
                for (_, word) in Lack::ALL.iter().filter(|(lack, _)| container.lack.contains(*lack)) {
                    *stats.missing.entry(word).or_default() += 1;
                }
            }
        }
        consumer.event(event)
    }

    /// It is `now`: containers that have waited long enough wait no longer, and those that are gone are forgotten.
    pub(super) fn pass_time(&mut self, now: u64, consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        if now / RELEASE != self.now / RELEASE {
            for instance in self.enricher.release(now) {
                if let Some(sources) = &self.sources {
                    sources.forget(instance);
                }
            }
        }
        self.now = now;
        self.let_due_go(consumer)
    }

    fn let_due_go(&mut self, consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        while let Some((instance, full)) = self.hold.due(self.now) {
            let stats = &mut self.stats.identity;
            if full {
                stats.overflowed += 1;
            } else {
                stats.timed_out += 1;
            }
            self.enricher.settle(instance);
            self.let_go(instance, consumer)?;
        }
        Ok(())
    }

    fn let_go(&mut self, instance: u64, consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        for mut event in self.hold.take(instance) {
            self.enricher.name(&mut event);
            self.hand_on(event, consumer)?;
        }
        Ok(())
    }

    /// Nothing waits any longer.
    pub(super) fn let_all_go(&mut self, consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        self.pass_time(self.now.max(self.last_ts), consumer)?;
        while let Some((instance, _)) = self.hold.due(u64::MAX) {
            self.let_go(instance, consumer)?;
        }
        Ok(())
    }

    /// Takes in the answers that are there.
    pub(super) fn learn(&mut self, consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        while let Some(found) = self.sources.as_ref().and_then(Sources::answer) {
            let Some(container) = self.enricher.containers().container(found.instance) else { continue };
            let learned = Learned {
                cgroup: container.cgroup.clone(),
                source: found.source,
                facts: found.facts.clone(),
            };
            let note = Note { ts: self.now, container: Some(Box::new(learned)), ..Note::default() };
            consumer.note(&note)?;
            self.take_in(found, consumer)?;
        }
        Ok(())
    }

    fn take_in(&mut self, found: Found, consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        let instance = found.instance;
        *self.stats.identity.answers.entry(found.source.name()).or_default() += 1;
        if self.enricher.learn(found) { self.let_go(instance, consumer) } else { Ok(()) }
    }

    /// Takes a recorded note in.
    pub(super) fn recall(&mut self, note: Note, consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        let Some(learned) = &note.container else { return self.lose(&note, consumer) };
        consumer.note(&note)?;
        let Some(instance) = self.enricher.containers().at(&learned.cgroup) else { return Ok(()) };
        let (source, facts) = (learned.source, learned.facts.clone());
        self.take_in(Found { instance, source, facts }, consumer)
    }

    pub(super) fn account_identity(&mut self) {
        let containers = self.enricher.containers();
        let stats = &mut self.stats.identity;
        stats.held_bytes = self.hold.bytes();
        (stats.containers, stats.container_bytes) = (containers.len(), containers.bytes());
        stats.groups = containers.groups();
        stats.complete_share =
            if stats.events == 0 { 1.0 } else { stats.complete as f64 / stats.events as f64 };
    }
}
