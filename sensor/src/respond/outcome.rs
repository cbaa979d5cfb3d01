//! What was decided and what came of it: what alerts and the audit log carry.

use std::fmt;

use serde::Serialize;

use super::request::Action;

/// Why something is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Responses are switched off.
    Disabled,
    /// The target is one of those that are never touched.
    Protected,
    /// It is not known whether the target is protected: its image or its namespace is not known.
    Unidentified,
    /// Too many responses: the fuse is open.
    FuseOpen,
    /// The action is one for containers, and it happened on the host.
    NoContainer,
    /// The rule comes from a file that may not respond.
    UntrustedRule,
    /// A rehearsal: all but the action was done.
    DryRun,
    /// The target is gone, or another process has its number.
    Gone,
    /// It cannot be done on this machine, or not any more.
    NotPossible,
    /// More responses wait than there is room for.
    Overloaded,
}

impl Mechanism {
    /// The word by which it is counted.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Fanotify => "fanotify",
            Self::Pidfd => "pidfd",
            Self::CgroupKill => "cgroup-kill",
            Self::CgroupSignals => "cgroup-signals",
            Self::Containerd => "containerd",
            Self::Docker => "docker",
            Self::CgroupFreeze => "cgroup-freeze",
            Self::Freezer => "freezer",
            Self::Bpf => "bpf",
        }
    }
}

impl Action {
    /// As rules and operators write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillTree => "kill-tree",
            Self::KillContainer => "kill-container",
            Self::Pause => "pause",
            Self::Isolate => "isolate",
            Self::Block => "block",
            Self::Resume => "resume",
            Self::Release => "release",
        }
    }
}

impl Reason {
    /// The word by which it is counted.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Protected => "protected",
            Self::Unidentified => "unidentified",
            Self::FuseOpen => "fuse-open",
            Self::NoContainer => "no-container",
            Self::UntrustedRule => "untrusted-rule",
            Self::DryRun => "dry-run",
            Self::Gone => "gone",
            Self::NotPossible => "not-possible",
            Self::Overloaded => "overloaded",
        }
    }
}

/// By what it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// The kernel half, before any user code ran on.
    Kernel,
    /// The kernel asked before it did what was asked of it, and the answer was no.
    Fanotify,
    /// A signal through a process descriptor.
    Pidfd,
    /// `cgroup.kill`.
    CgroupKill,
    /// Signals to what the control group lists, until it lists nothing.
    CgroupSignals,
    /// containerd.
    Containerd,
    /// dockerd.
    Docker,
    /// `cgroup.freeze`.
    CgroupFreeze,
    /// The freezer of cgroup version 1.
    Freezer,
    /// Programs on the packets of control groups.
    Bpf,
}

/// What came of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Result {
    /// It is done: the process is dead, the container frozen.
    Done,
    /// It was ordered, and the kernel has not carried it out yet: most often a process in uninterruptible sleep.
    Pending,
    /// It was so already.
    Already,
    /// It failed.
    Failed,
}

/// To whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Nanoseconds since boot at which the process was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
    /// Its executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// The container's whole id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Box<str>>,
    /// Its control group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<Box<str>>,
    /// What shares a limit with it.
    pub workload: String,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// What was to be done.
    pub action: Action,
    /// `act`, `refuse`, `rehearse` or `done-in-kernel`.
    pub decision: &'static str,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// By what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<Mechanism>,
    /// To whom.
    pub target: Target,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Result>,
    /// Processes that were killed, where it was about more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<usize>,
    /// What went wrong, in the system's or the runtime's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Microseconds from the event to the end of the action, or to the decision not to act.
    pub latency_us: u64,
    /// How many of them passed since the rule matched: the rest is the event's way to the rule.
    pub response_us: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.action.name())?;
        match (self.reason, self.result) {
            (Some(Reason::DryRun), _) => write!(f, "rehearsed"),
            (Some(reason), _) => write!(f, "refused, {}", reason.name()),
            (None, Some(Result::Done)) => write!(f, "done in {} us", self.latency_us),
            (None, Some(Result::Pending)) => write!(f, "ordered, and not over yet"),
            (None, Some(Result::Already)) => write!(f, "it was so already"),
            (None, Some(Result::Failed) | None) => write!(f, "failed"),
        }?;
        self.error.as_ref().map_or(Ok(()), |error| write!(f, " ({error})"))
    }
}
