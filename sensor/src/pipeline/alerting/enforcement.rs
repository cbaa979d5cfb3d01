//! What the kernel half does by itself: which sets of rules it can do that for, and that nothing is done in silence.

use std::sync::Arc;

use super::Alerting;
use crate::{
    event::{Enforced, Event},
    pipeline::{Can, PipelineError, Plan, reload::Reloaded},
    respond::Policy,
    sink::Alert,
};

/// Name under which the sensor reports that something was refused, or killed, for which no rule alerts. The set of rules may
/// have changed between the two.
const UNEXPLAINED: &str = "Enforced without a match";

impl Alerting {
    /// The same, where the kernel half can do so much by itself, and the configuration allows it to; a set that demands more is
    /// not taken over.
    #[must_use]
    pub fn with_enforcement(mut self, can: Can, policy: Arc<Policy>) -> Self {
        self.can = Some((can, policy));
        self
    }

    /// A set with a response that nobody can give here is one with an error.
    pub(super) fn possible(&self, reloaded: Reloaded) -> Reloaded {
        let (Reloaded::Rules { set, .. }, Some((can, policy))) = (&reloaded, &self.can) else {
            return reloaded;
        };
        let plan = Plan::under(Arc::clone(set), can, Some(Arc::clone(policy)));
        let impossible: Vec<_> = plan.impossible().collect();
        match impossible.first() {
            Some(error) => {
                let new = !self.account.failing || self.account.last_error.as_ref() != Some(error);
                Reloaded::Failed { error: error.clone(), errors: impossible.len(), new }
            }
            None => reloaded,
        }
    }

    /// Tells of what was done about an event that no rule matches.
    pub(super) fn see_enforced(&mut self, event: &Event) -> Result<(), PipelineError> {
        let Some(enforced) = event.enforced else { return Ok(()) };
        let what = match enforced {
            Enforced::Refused | Enforced::RefusedByFanotify => "refused",
            Enforced::Killed => "killed the process over",
        };
        let event_type = event.event_type.name();
        let output = format!(
            "The kernel half {what} a {event_type} of {} (pid {}), and no rule at work now says why",
            event.task.comm.to_str_lossy(),
            event.task.pid
        );
        let mut alert = Alert {
            rule: UNEXPLAINED.to_owned(),
            output,
            tags: vec!["sensor".to_owned()],
            ..Alert::of_sensor(event, &self.hostname, None)
        };
        alert.event.event_type = event_type;
        self.send(alert)
    }
}
