//! How far a rule has come, in words: for tests beside rules that do not fire.

use super::{Correlator, OverTime, State};
use crate::{
    event::{Event, ProcessKey},
    rule::RuleInfo,
};

impl Correlator {
    /// What is remembered for the keys of this event, one line for each of the rule's keys.
    pub(crate) fn reached(&mut self, rule: &RuleInfo, event: &Event) -> String {
        let Some(lists) = self.lists.get(rule.index).copied() else { return String::new() };
        let OverTime { sequence, count, suppress, .. } = &rule.over_time;
        let mut text = String::new();
        if let Some(sequence) = sequence {
            let steps = sequence.nodes.len() + 1;
            let key = if sequence.by.is_tree() { self.root_of(lists.sequence, event) } else { None };
            match key {
                Some(process) => self.renderer.process(process),
                None => self.renderer.event(&sequence.by, event),
            }
            let seen = match self.known(lists.sequence) {
                Some(State::Chain(chain)) => chain.progress(),
                _ => 0,
            };
            let seen = if seen == 0 { "no step".to_owned() } else { format!("step {seen}") };
            text.push_str(&format!("sequence: {seen} of {steps} seen{}\n", self.key_text(&sequence.by)));
        }
        if let Some(count) = count {
            self.renderer.event(&count.by, event);
            let seen = match self.known(lists.count) {
                Some(State::Times(times)) => times.len(),
                Some(State::Values(values)) => values.len(),
                _ => 0,
            };
            text.push_str(&format!("count is {seen} of {}{}\n", count.at_least, self.key_text(&count.by)));
        }
        if let Some(suppress) = suppress {
            self.renderer.event(&suppress.by, event);
            if let Some(State::Silence(silence)) = self.known(lists.suppress) {
                let suppressed = silence.suppressed;
                text.push_str(&format!(
                    "{suppressed} suppressed since the alert{}\n",
                    self.key_text(&suppress.by)
                ));
            }
        }
        text
    }

    /// The nearest process of the event's tree with which a sequence began.
    fn root_of(&mut self, list: u32, event: &Event) -> Option<ProcessKey> {
        super::tree::lineage(event).find(|process| {
            self.renderer.process(*process);
            self.known(list).is_some()
        })
    }

    /// What is remembered of the rendered key.
    fn known(&self, list: u32) -> Option<&State> {
        let key = &self.renderer.bytes;
        self.table.find(self.table.hash(list, key), list, key).and_then(|id| self.table.state(id))
    }

    fn key_text(&self, key: &super::Key) -> String {
        let pairs = key.pairs(&self.renderer.bytes);
        let pairs: Vec<_> = pairs.iter().map(|(name, text)| format!("{name}={text}")).collect();
        if pairs.is_empty() { String::new() } else { format!(" ({})", pairs.join(" ")) }
    }
}
