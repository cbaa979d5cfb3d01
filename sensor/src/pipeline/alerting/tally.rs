//! How often each rule matched, and how often the kernel half acted by itself. It knows nothing of alerts.

use std::collections::BTreeMap;

use crate::{
    event::{Enforced, Event},
    pipeline::Stats,
    rule::{Match, RuleSet},
};

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// By name of the rule. A set that takes over keeps what its rules of the same name counted, so that the counts of a rule
    /// that was only edited go on.
    matches: BTreeMap<String, u64>,
    enforced: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(super) fn matched(&mut self, found: &Match) {
        match self.matches.get_mut(&found.rule.name) {
            Some(count) => *count += 1,
            None => {
                self.matches.insert(found.rule.name.clone(), 1);
            }
        }
    }

    pub(super) fn see(&mut self, event: &Event) {
        if let Some(enforced) = event.enforced {
            let how = match enforced {
                Enforced::Refused => "refused",
                Enforced::RefusedByFanotify => "refused-by-fanotify",
                Enforced::Killed => "killed",
            };
            *self.enforced.entry(how).or_default() += 1;
        }
    }

    /// Forgets the rules that are not in this set, so that there are never more counts than rules.
    pub(super) fn keep(&mut self, set: &RuleSet) {
        self.matches.retain(|name, _| set.rules().iter().any(|rule| rule.name == *name));
    }

    pub(super) fn account(&self, stats: &mut Stats) {
        stats.matches_by_rule.clone_from(&self.matches);
        stats.enforced.clone_from(&self.enforced);
    }
}
