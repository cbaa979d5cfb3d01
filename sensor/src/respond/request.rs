//! What is asked of the responder: by a rule that matched, or by an operator.

use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use crate::{
    clock,
    event::{Container, Enforced, Event, Process},
    rule::{Match, Response, RuleInfo},
};

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Kill the process.
    Kill,
    /// Kill the process and all that came of it, within its container.
    KillTree,
    /// Kill every process of the container, and have the runtime take it away.
    KillContainer,
    /// Freeze the container.
    Pause,
    /// Cut the container's network.
    Isolate,
    /// Refuse what was asked of the kernel.
    Block,
    /// Undo a pause.
    Resume,
    /// Undo an isolation.
    Release,
}

impl Action {
    /// The action that a rule's response names; `None`: nothing but the alert.
    #[must_use]
    pub const fn of(response: Response) -> Option<Self> {
        Some(match response {
            Response::Alert => return None,
            Response::Kill => Self::Kill,
            Response::KillTree => Self::KillTree,
            Response::KillContainer => Self::KillContainer,
            Response::Pause => Self::Pause,
            Response::Isolate => Self::Isolate,
            Response::Block => Self::Block,
        })
    }

    /// Whether it is done to a container as a whole.
    #[must_use]
    pub const fn is_of_container(self) -> bool {
        matches!(self, Self::KillContainer | Self::Pause | Self::Isolate | Self::Resume | Self::Release)
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Asker {
    /// A rule that matched.
    Rule(Arc<RuleInfo>),
    /// Somebody at the operator's socket.
    Operator {
        /// The peer's user.
        uid: u32,
        /// The peer's process.
        pid: u32,
    },
}

/// Why it is asked.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Evidence {
    /// The alert that says it all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<Uuid>,
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: &'static str,
    /// Its number in this run.
    pub number: u64,
    /// The alert's sentence.
    pub output: String,
}

/// A response that is wanted.
#[derive(Clone, Debug)]
pub struct Request {
    /// What.
    pub action: Action,
    /// What to do where [`Action::Block`] was not done.
    pub or: Option<Action>,
    /// Who asks.
    pub asker: Asker,
    /// Why.
    pub evidence: Evidence,
    /// Nanoseconds since 1970 at which it happened.
    pub time: u64,
    /// The same since boot.
    pub boot_time: u64,
    /// Nanoseconds since boot at which the rule had matched, or the operator's order came.
    pub asked: u64,
    /// What the kernel half has done already.
    pub enforced: Option<Enforced>,
    /// Who did it; an operator's order has none.
    pub process: Option<Arc<Process>>,
    /// Where.
    pub container: Option<Arc<Container>>,
    /// The process's control group, as the kernel programs know it; 0: unknown.
    pub cgroup: u64,
    /// Its systemd unit, on the host.
    pub unit: Option<Arc<str>>,
}

impl Request {
    /// What a match asks for; `None` where its rule only alerts.
    #[must_use]
    pub fn of(event: &Event, found: &Match, alert: Uuid, output: &str) -> Option<Self> {
        let reaction = found.rule.reaction;
        Some(Self {
            action: Action::of(reaction.response)?,
            or: reaction.or.and_then(Action::of),
            asker: Asker::Rule(Arc::clone(&found.rule)),
            evidence: Evidence {
                alert: Some(alert),
                event_type: event.event_type.name(),
                number: event.number,
                output: output.to_owned(),
            },
            time: event.time,
            boot_time: event.boot_time,
            asked: clock::boot(),
            enforced: event.enforced,
            process: Some(Arc::clone(&event.process)),
            container: event.container.clone(),
            cgroup: event.task.cgroup,
            unit: event.task.unit.clone(),
        })
    }

    /// An operator's order about a container.
    #[must_use]
    pub fn of_operator(action: Action, container: Arc<Container>, operator: Asker) -> Self {
        let now = clock::boot();
        Self {
            action,
            or: None,
            asker: operator,
            evidence: Evidence { event_type: "order", ..Evidence::default() },
            time: clock::wall(),
            boot_time: now,
            asked: now,
            enforced: None,
            process: None,
            container: Some(container),
            cgroup: 0,
            unit: None,
        }
    }

    /// What shares a limit: the owner of a pod, so that a container that is made again and again is one workload; else what a
    /// container is called and made of; on the host the unit.
    #[must_use]
    pub fn workload(&self) -> String {
        let Some(container) = &self.container else {
            return self.unit.as_ref().map_or_else(|| "host".to_owned(), |unit| format!("host/{unit}"));
        };
        if let Some(pod) = container.pod()
            && let Some(namespace) = &pod.namespace
        {
            let owner = pod.owner.as_ref().map(|owner| &owner.name).or(pod.name.as_ref());
            let name = container.facts.name.as_deref().unwrap_or_default();
            return format!("{namespace}/{}/{name}", owner.map_or("", |owner| owner));
        }
        match container.image().and_then(|image| image.repository()) {
            Some(image) => image.to_owned(),
            None => container.full_id.to_string(),
        }
    }
}
