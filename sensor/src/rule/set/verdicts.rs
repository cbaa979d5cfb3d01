//! What of a set of rules the kernel decides by itself.

use std::sync::Arc;

use super::{RuleInfo, RuleSet};
use crate::{
    event::Container,
    rule::{
        Diagnostics, Response,
        graph::Builder,
        load::Definitions,
        verdict::{Drafts, Verdicts},
    },
};

/// The verdicts of rules whose conditions were taken in, class by class.
pub(super) fn of(rules: &[Arc<RuleInfo>], drafts: &Drafts, builder: &Builder) -> Verdicts {
    let mut verdicts = Verdicts::default();
    for rule in rules {
        // Whether it is told of does not change what is done.
        let over_time = match &rule.over_time {
            over_time if over_time.sequence.is_some() => Some("sequence"),
            over_time if over_time.count.is_some() => Some("count"),
            _ => None,
        };
        drafts.rule(rule.index, rule.reaction, over_time, builder, &mut verdicts);
    }
    verdicts
}

/// A rule that blocks must be one that the kernel can decide, or say what else to do.
pub(super) fn say(
    rules: &[Arc<RuleInfo>],
    verdicts: &Verdicts,
    definitions: &Definitions,
    found: &mut Diagnostics<'_>,
) {
    for left in &verdicts.left {
        let Some(rule) = rules.get(left.rule) else { continue };
        let definition = definitions.rules.iter().find(|definition| definition.name.text == rule.name);
        let blocks = rule.reaction.response == Response::Block && rule.reaction.or.is_none();
        // What comes together over time is said where it is compiled.
        if let Some(definition) = definition.filter(|_| blocks && !rule.over_time.waits()) {
            let message = format!("rule `{}` cannot block: {}", rule.name, left.why);
            found.error(definition.name.span, message).hint =
                Some("say what to do instead: `response: {block: {or: kill}}`".into());
        }
    }
}

impl RuleSet {
    /// What the kernel can decide by itself.
    #[must_use]
    pub const fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// Whether a check is on what the control group says of the container, which is known from the first moment on.
    #[must_use]
    pub fn asks_group(&self, check: u32) -> bool {
        self.program.asks_group(check)
    }

    /// Whether a check on the container, by its number in [`crate::rule::Alternative::workload`], holds in this one.
    #[must_use]
    pub fn holds_in(&self, check: u32, container: &Arc<Container>) -> bool {
        self.program.holds_in(check, container)
    }
}
