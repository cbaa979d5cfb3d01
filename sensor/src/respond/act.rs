//! Decisions → deeds. Every deed first makes sure that its target is still the one that was meant.

mod container;
mod freeze;
mod group;
mod held;
mod isolate;
mod kill;
mod runtime;

use std::{cell::RefCell, io, os::fd::OwnedFd};

use self::{
    group::{Group, Hierarchies},
    held::Held,
};
pub use self::{held::HeldContainer, isolate::Network, runtime::Runtimes};
use super::{
    outcome::{Mechanism, Reason, Result},
    protect::Protected,
    request::{Action, Request},
};
use crate::{
    config::RespondConfig,
    event::{Container, Process},
};

/// What came of a deed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Why nothing was done.
    pub(super) refused: Option<Reason>,
    pub(super) mechanism: Option<Mechanism>,
    pub(super) result: Option<Result>,
    pub(super) processes: Option<usize>,
    pub(super) error: Option<String>,
}

impl Done {
    fn refused(reason: Reason) -> Self {
        Self { refused: Some(reason), ..Self::default() }
    }

    fn with(mechanism: Mechanism, result: Result) -> Self {
        Self { mechanism: Some(mechanism), result: Some(result), ..Self::default() }
    }

    fn failed(mechanism: Mechanism, error: &io::Error) -> Self {
        Self { error: Some(error.to_string()), ..Self::with(mechanism, Result::Failed) }
    }
}

/// A deed that has begun: the process has its signal, the rest is waited for.
pub(super) enum Begun {
    /// It is over.
    Over(Done),
    /// Processes that have their signal. `bool`: whether it was about more than one.
    Dying(Vec<OwnedFd>, bool),
    /// It takes its time, and is done by [`Actor::go_on`].
    Container(Action),
}

/// Who acts.
pub(super) struct Actor {
    hierarchies: Hierarchies,
    runtimes: Runtimes,
    protected: Protected,
    network: RefCell<Box<dyn Network + Send>>,
    held: RefCell<Held>,
}

impl Actor {
    /// Takes up what an earlier run left: who is paused can be resumed, and who was cut off from the network stays so where
    /// that is to outlive a sensor.
    pub(super) fn new(
        config: &RespondConfig,
        controller: Option<&str>,
        runtimes: Runtimes,
        protected: Protected,
        network: Box<dyn Network + Send>,
    ) -> Self {
        let actor = Self {
            hierarchies: Hierarchies::read(controller),
            runtimes,
            protected,
            network: RefCell::new(network),
            held: RefCell::new(Held::read(&config.held)),
        };
        actor.take_up(config.keep_enforcing);
        actor
    }

    fn take_up(&self, keep: bool) {
        let there = |cgroup: &str| self.hierarchies.group(cgroup).is_some_and(|group| group.exists());
        if let Err(error) = self.held.borrow_mut().retain(there) {
            tracing::warn!(%error, "cannot note what is paused or isolated");
        }
        if !keep {
            let ended = self.held.borrow_mut().end_isolation();
            for (cgroup, error) in ended {
                let error = error.map(|error| error.to_string());
                tracing::warn!(
                    cgroup,
                    error,
                    "a container that an earlier run isolated has its network again: respond.keep_enforcing is off"
                );
            }
            return;
        }
        for (cgroup, held) in self.held.borrow().all() {
            if !held.isolated.is_empty()
                && let Err(error) = self.network.borrow_mut().isolate(&held.isolated)
            {
                tracing::error!(cgroup, %error, "a container was isolated by an earlier run, and cannot be any more");
            }
        }
    }

    /// Why an action cannot be done on this machine; `None`: it can.
    pub(super) fn lacks(&self, action: Action) -> Option<String> {
        match action {
            Action::Isolate => self.network.borrow().missing().map(str::to_owned),
            Action::Pause if self.hierarchies.freezer.is_none() && self.hierarchies.unified.is_none() => {
                Some("no hierarchy of control groups with a freezer is mounted".to_owned())
            }
            _ => None,
        }
    }

    /// What is held back now, by control group.
    pub(super) fn held(&self) -> Vec<(String, HeldContainer)> {
        self.held.borrow().all().iter().map(|(cgroup, held)| (cgroup.clone(), held.clone())).collect()
    }

    /// Does at once what can be done at once.
    pub(super) fn begin(&self, request: &Request, action: Action) -> Begun {
        match action {
            Action::Kill | Action::KillTree => {
                let Some(process) = request.process.as_deref() else {
                    return Begun::Over(Done::refused(Reason::NotPossible));
                };
                let begun = self.kill(request, process, action);
                begun.map_or_else(Begun::Over, |dying| Begun::Dying(dying, action == Action::KillTree))
            }
            Action::Block => Begun::Over(Done::refused(Reason::NotPossible)),
            other => Begun::Container(other),
        }
    }

    fn kill(
        &self,
        request: &Request,
        process: &Process,
        action: Action,
    ) -> std::result::Result<Vec<OwnedFd>, Done> {
        let container = request.container.as_deref();
        if action == Action::Kill {
            let found = kill::find(process.key, &self.protected, container.is_some())?;
            return Ok(vec![found.kill()?]);
        }
        kill::tree(process.key, &self.protected, container.map(|container| &*container.cgroup))
    }

    /// Waits for deaths.
    pub(super) async fn died(dying: Vec<OwnedFd>, many: bool) -> Done {
        let processes = many.then_some(dying.len());
        let mut result = Result::Done;
        for pidfd in dying {
            if kill::died(pidfd).await == Result::Pending {
                result = Result::Pending;
                // The others have had the same time, which is enough.
                break;
            }
        }
        Done { processes, ..Done::with(Mechanism::Pidfd, result) }
    }

    /// Does what is done to a container as a whole.
    pub(super) async fn go_on(&self, request: &Request, action: Action) -> Done {
        let Some(container) = request.container.as_deref() else { return Done::refused(Reason::NoContainer) };
        let Some(group) = self.hierarchies.group(&container.cgroup) else {
            return Done::refused(Reason::NotPossible);
        };
        if !group.exists() || request.cgroup != 0 && !group.is_of(request.cgroup) {
            return Done::refused(Reason::Gone);
        }
        match group.members() {
            // The sensor may run in a container, too.
            Ok(members) if members.contains(&self.protected.own()) => {
                return Done::refused(Reason::Protected);
            }
            Ok(_) => {}
            Err(error) => {
                return Done { error: Some(error.to_string()), ..Done::refused(Reason::NotPossible) };
            }
        }
        match action {
            Action::KillContainer => container::kill(container, &group, &self.runtimes).await,
            Action::Pause => self.pause(container, &group).await,
            Action::Resume => self.resume(container, &group).await,
            Action::Isolate => self.isolate(container, &group),
            Action::Release => self.release(container),
            Action::Kill | Action::KillTree | Action::Block => Done::refused(Reason::NotPossible),
        }
    }

    async fn pause(&self, container: &Container, group: &Group<'_>) -> Done {
        // Noted first: if the sensor ends in between, a pause too many is known rather than one too few.
        let known = self.held.borrow().of(&container.cgroup).is_some_and(|held| held.paused);
        let noted = self.note(container, |held| held.paused = true);
        let done = freeze::pause(group).await;
        let ours = known || matches!(done.result, Some(Result::Done | Result::Pending));
        let noted = if ours { noted } else { self.note(container, |held| held.paused = false) };
        with_note(done, noted)
    }

    async fn resume(&self, container: &Container, group: &Group<'_>) -> Done {
        if !self.held.borrow().of(&container.cgroup).is_some_and(|held| held.paused) {
            let error = Some("it was not paused by this sensor".to_owned());
            return Done { error, ..Done::refused(Reason::NotPossible) };
        }
        let done = freeze::resume(group).await;
        if done.result == Some(Result::Failed) {
            return done;
        }
        with_note(done, self.note(container, |held| held.paused = false))
    }

    fn isolate(&self, container: &Container, group: &Group<'_>) -> Done {
        let mut network = self.network.borrow_mut();
        if let Some(missing) = network.missing() {
            return Done { error: Some(missing.to_owned()), ..Done::refused(Reason::NotPossible) };
        }
        let keys = group.keys();
        let known = self.held.borrow().of(&container.cgroup).is_some_and(|held| !held.isolated.is_empty());
        if let Err(error) = network.isolate(&keys) {
            return Done::failed(Mechanism::Bpf, &error);
        }
        let result = if known { Result::Already } else { Result::Done };
        with_note(Done::with(Mechanism::Bpf, result), self.note(container, |held| held.isolated = keys))
    }

    fn release(&self, container: &Container) -> Done {
        let keys =
            self.held.borrow().of(&container.cgroup).map(|held| held.isolated.clone()).unwrap_or_default();
        if keys.is_empty() {
            let error = Some("it was not isolated by this sensor".to_owned());
            return Done { error, ..Done::refused(Reason::NotPossible) };
        }
        if let Err(error) = self.network.borrow_mut().release(&keys) {
            return Done::failed(Mechanism::Bpf, &error);
        }
        with_note(
            Done::with(Mechanism::Bpf, Result::Done),
            self.note(container, |held| held.isolated.clear()),
        )
    }

    fn note(&self, container: &Container, change: impl FnOnce(&mut HeldContainer)) -> io::Result<()> {
        self.held.borrow_mut().change(&container.cgroup, &container.full_id, change)
    }
}

/// It is done, and it is not sure that a restarted sensor knows of it: that is worth saying.
fn with_note(done: Done, noted: io::Result<()>) -> Done {
    match noted {
        Err(error) if done.error.is_none() => {
            Done { error: Some(format!("done, but not noted for a restart: {error}")), ..done }
        }
        _ => done,
    }
}
