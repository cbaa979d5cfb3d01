//! Alerts on their way through the responder: an alert whose rule asks for more is sent when it is known what became of that.

use std::{io, sync::Arc};

use super::Alerting;
use crate::{
    clock,
    control::Known,
    event::Event,
    pipeline::{PipelineError, Stats},
    probe::fanotify::LetGo,
    respond::{
        Delivery, Notice, Options, Request, Responder,
        audit::{AskedBy, Heard},
    },
    rule::Match,
    sink::{Alert, OutputsEntrance},
};

/// Names under which the sensor reports what happens to responses in general.
const FUSE_OPEN: &str = "Response fuse open";
const FUSE_CLOSED: &str = "Response fuse closed";
const AUDIT_FAILED: &str = "Audit log not written";
const AUDIT_RECOVERED: &str = "Audit log written again";
const LET_GO: &str = "Refusals let go";
const ORDERED: &str = "Response by operator";

impl Alerting {
    /// The same, with a responder: what rules ask for beyond an alert is done.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn with_responder(mut self, options: Options) -> io::Result<Self> {
        let mut entrance = self.outputs.entrance().ok_or(io::ErrorKind::BrokenPipe)?;
        let hostname = Arc::clone(&self.hostname);
        self.responder =
            Some(Responder::start(options, move |delivery| deliver(delivery, &mut entrance, &hostname))?);
        Ok(self)
    }

    /// The responder, where there is one.
    #[must_use]
    pub const fn responder(&self) -> Option<&Responder<Alert>> {
        self.responder.as_ref()
    }

    /// The same, telling which containers there are.
    #[must_use]
    pub fn with_known(mut self, known: Known) -> Self {
        self.known = Some(known);
        self
    }

    /// Sends an alert, or has the responder send it with what it did.
    pub(super) fn respond(
        &mut self,
        event: &Event,
        found: &Match,
        alert: Alert,
    ) -> Result<(), PipelineError> {
        let Some(responder) = &self.responder else { return self.send(alert) };
        let Some(request) = Request::of(event, found, alert.uuid, &alert.output) else {
            return self.send(alert);
        };
        let ordered = responder.order(request, alert);
        match ordered.map_err(|error| PipelineError::Stage { stage: "respond", error })? {
            None => Ok(()),
            Some((alert, outcome)) => self.send(Alert { response: Some(outcome), ..alert }),
        }
    }

    /// Says that nothing is refused by fanotify any more, and has it recorded.
    pub(super) fn report_let_go(&self, why: &LetGo) -> Result<(), PipelineError> {
        tracing::error!(why = why.why, waiting = why.waiting, "fanotify refuses nothing any more");
        let Some(responder) = &self.responder else { return Ok(()) };
        let told = responder.tell_let_go(&why.why, why.waiting);
        told.map_err(|error| PipelineError::Stage { stage: "respond", error })
    }

    /// Waits for what was ordered.
    pub(super) fn end_responses(&mut self, stats: &mut Stats) {
        if let Some(mut responder) = self.responder.take() {
            responder.finish();
            stats.respond = responder.counts();
        }
    }
}

fn deliver(delivery: Delivery<Alert>, outputs: &mut OutputsEntrance, hostname: &Arc<str>) {
    outputs.offer(match delivery {
        Delivery::Outcome(alert, outcome) => Alert { response: Some(outcome), ..alert },
        Delivery::Notice(notice) => alert_of(notice, hostname),
    });
}

/// What the responder says of itself.
fn alert_of(notice: Notice, hostname: &Arc<str>) -> Alert {
    let own = Alert::without_event(clock::wall(), hostname);
    let mut alert = match notice {
        Notice::Fuse(trip) => {
            let of = trip
                .workload
                .as_ref()
                .map_or_else(|| "all workloads".to_owned(), |it| format!("workload {it}"));
            let (rule, priority, output) = if trip.open {
                let output = format!(
                    "More than {} responses in a minute: rules only alert now, for {of}, until the fuse closes \
                     (`vedette reset` closes it at once)",
                    trip.per_minute
                );
                (FUSE_OPEN, "Critical", output)
            } else {
                (FUSE_CLOSED, "Notice", format!("The fuse is closed: rules respond again, for {of}"))
            };
            let output_fields = [("respond.workload".to_owned(), of.into())].into_iter().collect();
            Alert { rule: rule.to_owned(), priority, output, output_fields, ..own }
        }
        Notice::Audit(Heard::Unwritable(error)) => Alert {
            rule: AUDIT_FAILED.to_owned(),
            priority: "Critical",
            output: format!("The audit log cannot be written: {error}; responses go on"),
            output_fields: [("audit.error".to_owned(), error.into())].into_iter().collect(),
            ..own
        },
        Notice::Audit(Heard::Writable(missing)) => Alert {
            rule: AUDIT_RECOVERED.to_owned(),
            priority: "Notice",
            output: format!("The audit log is written again; {missing} records are missing in it"),
            output_fields: [("audit.missing".to_owned(), missing.into())].into_iter().collect(),
            ..own
        },
        Notice::LetGo { why, waiting } => Alert {
            rule: LET_GO.to_owned(),
            priority: "Critical",
            output: format!(
                "Nothing is refused by fanotify any more: {why}; {waiting} were waiting and went on. Rules that block \
                 only alert, until they are loaded again or the sensor is started again"
            ),
            output_fields: [("fanotify.waiting".to_owned(), waiting.into())].into_iter().collect(),
            ..own
        },
        Notice::Order(outcome, by) => {
            let who = match &by {
                AskedBy::Operator { uid, pid } => format!("user {uid} (process {pid})"),
                AskedBy::Rule { name, .. } => name.clone(),
            };
            let of = outcome.target.container.as_deref().unwrap_or_default();
            Alert {
                rule: ORDERED.to_owned(),
                priority: "Notice",
                output: format!("{who} ordered for container {of}: {outcome}"),
                response: Some(outcome),
                ..own
            }
        }
    };
    alert.tags = vec!["sensor".to_owned()];
    alert.event.event_type = "respond";
    alert
}
