//! The accounts of the responder, and how it stands.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::respond::{
    act::HeldContainer,
    outcome::{Outcome, Reason},
};

/// What became of all requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RespondCounts {
    /// Requests: `requests = Σ decisions`.
    pub requests: u64,
    /// By decision.
    pub decisions: BTreeMap<&'static str, u64>,
    /// Those that were refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Those that were acted on, by what they were done with.
    pub mechanisms: BTreeMap<&'static str, u64>,
    /// Those that were acted on and failed.
    pub failed: u64,
    /// Fuses that are open now: of workloads, and the one of all.
    pub open_fuses: u64,
}

impl RespondCounts {
    /// Counts one.
    pub(super) fn count(&mut self, outcome: &Outcome) {
        self.requests += 1;
        *self.decisions.entry(outcome.decision).or_default() += 1;
        if let Some(reason) = outcome.reason.filter(|reason| *reason != Reason::DryRun) {
            *self.refused.entry(reason.name()).or_default() += 1;
        }
        if let Some(mechanism) = outcome.mechanism {
            *self.mechanisms.entry(mechanism.name()).or_default() += 1;
        }
        if outcome.result == Some(crate::respond::Result::Failed) {
            self.failed += 1;
        }
    }
}

/// How the responder stands.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Whether rules' responses are carried out.
    pub enabled: bool,
    /// Whether all is only rehearsed.
    pub dry_run: bool,
    /// Workloads whose fuse is open.
    pub fuses_open: Vec<String>,
    /// What is held back, by control group.
    pub held: BTreeMap<String, HeldContainer>,
    /// What became of all requests.
    #[serde(flatten)]
    pub counts: RespondCounts,
}
