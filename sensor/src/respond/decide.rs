//! Whether a request is carried out: pure, so that every case can be tested. What the request says, what the configuration
//! allows and how many responses there were is all that it knows; whether the target is still there is found out by whoever
//! acts.

use super::{
    fuse::Fuse,
    outcome::Reason,
    policy::Policy,
    request::{Action, Asker, Request},
};
use crate::event::Enforced;

/// What is to be done about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which action: of a `block` that was not done, what the rule names instead.
    pub action: Action,
    /// Whether.
    pub verdict: Verdict,
}

/// Whether to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Act,
    /// No.
    Refused(Reason),
    /// Everything but the action was done.
    Rehearsed,
    /// The kernel half did it already.
    DoneInKernel,
}

impl Verdict {
    /// The word that alerts and the audit log have for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Refused(_) => "refuse",
            Self::Rehearsed => "rehearse",
            Self::DoneInKernel => "done-in-kernel",
        }
    }

    /// Why not.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Refused(reason) => Some(reason),
            Self::Rehearsed => Some(Reason::DryRun),
            Self::Act | Self::DoneInKernel => None,
        }
    }
}

/// Decides. What is carried out or rehearsed counts against the limits, as does what the kernel half did: the fuse then opens
/// for what follows.
#[must_use]
pub fn decide(request: &Request, policy: &Policy, fuse: &mut Fuse) -> Decision {
    let action = match (request.action, request.or) {
        (Action::Block, Some(or)) if request.enforced.is_none() => or,
        (action, _) => action,
    };
    let verdict = verdict(request, action, policy, fuse);
    Decision { action, verdict }
}

fn verdict(request: &Request, action: Action, policy: &Policy, fuse: &mut Fuse) -> Verdict {
    let done = match request.enforced {
        // A kill in the kernel is the most that can be done to the process, and all that a refusal is for.
        Some(Enforced::Killed) => matches!(action, Action::Kill | Action::Block),
        Some(Enforced::Refused | Enforced::RefusedByFanotify) => action == Action::Block,
        None => false,
    };
    if done {
        fuse.take(&request.workload(), request.boot_time);
        return Verdict::DoneInKernel;
    }
    if let Asker::Rule(rule) = &request.asker {
        if !policy.enabled {
            return Verdict::Refused(Reason::Disabled);
        }
        if !policy.trusts(rule) {
            return Verdict::Refused(Reason::UntrustedRule);
        }
    }
    // It happened already: nothing can be refused any more.
    if action == Action::Block {
        return if policy.dry_run { Verdict::Rehearsed } else { Verdict::Refused(Reason::NotPossible) };
    }
    if action.is_of_container() && request.container.is_none() {
        return Verdict::Refused(Reason::NoContainer);
    }
    if let Asker::Rule(_) = &request.asker {
        if let Some(reason) = policy.protected.refuses(request, action) {
            return Verdict::Refused(reason);
        }
        if !fuse.take(&request.workload(), request.boot_time) {
            return Verdict::Refused(Reason::FuseOpen);
        }
    }
    if policy.dry_run { Verdict::Rehearsed } else { Verdict::Act }
}

#[cfg(test)]
mod tests;
