//! What was lost on the way of the events, as an alert. Who lost it is not known here.

use super::{Alerting, blind_rules};
use crate::{
    event::{Event, Limited, Loss, Lost},
    pipeline::PipelineError,
    probe::Share,
    sink::Alert,
};

/// Name under which the sensor reports its own gaps.
const LOSS_RULE: &str = "Events lost";

impl Alerting {
    /// A gap is an alert of its own, with the rules that may have missed something; the next alert of a rule carries it too.
    pub(super) fn report_loss(&mut self, event: &Event, loss: &Loss) -> Result<(), PipelineError> {
        let blind = blind_rules(&self.rules, loss.kinds().map(|kind| (kind, Share::Whole)));
        let what: Vec<String> =
            loss.lost.iter().map(describe).chain(loss.limited.iter().map(describe_limited)).collect();
        let output = format!(
            "Events were lost ({}); rules that were blind meanwhile: {}",
            what.join(", "),
            blind.join(", ")
        );
        let fields = [("loss.kinds", what.join(", ").into()), ("loss.blind_rules", blind.into())];
        self.loss.lost.extend(&loss.lost);
        self.loss.limited.extend_from_slice(&loss.limited);
        let alert = Alert {
            rule: LOSS_RULE.to_owned(),
            output,
            output_fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            tags: vec!["sensor".to_owned()],
            ..Alert::of_sensor(event, &self.hostname, Some(loss.clone()))
        };
        self.send(alert)
    }
}

fn describe(lost: &Lost) -> String {
    format!(
        "{} {}: {} ring full, {} failed",
        lost.ring_full + lost.failed,
        lost.kind.stem(),
        lost.ring_full,
        lost.failed
    )
}

fn describe_limited(limited: &Limited) -> String {
    let Limited { kind, cgroup, of, count } = limited;
    let of = of.as_ref().map_or_else(|| format!("control group {cgroup}"), ToString::to_string);
    format!("{count} {} of {of} held back, it sends too many", kind.stem())
}
