//! `count`, `sequence` and `suppress` against the field table: what they name is looked up as a condition's names are.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{Compiler, Context};
use crate::rule::{
    correlate::{Count, Key, OverTime, PROCESS, Part, Sequence, Suppress, TREE},
    diagnostic::nearest,
    document::Response,
    load::RuleDef,
    program::NodeId,
    syntax::{Word, field_name},
};

impl<'d> Compiler<'d, '_, '_> {
    /// What the rule asks for over time; `None` where it has errors or is skipped. `node`: its condition, where that
    /// has no errors.
    pub(in crate::rule) fn over_time(&mut self, rule: &'d RuleDef, node: Option<NodeId>) -> Option<OverTime> {
        let mark = self.found.mark();
        let errors = self.found.errors();
        self.unknown = false;
        let temporal = &rule.temporal;
        let sequence = temporal.sequence.as_ref().map(|sequence| {
            let cx = Context { order: rule.order.last };
            Sequence {
                by: self.key(&sequence.by, true),
                within: sequence.within,
                then: sequence.then.iter().map(|step| step.text.clone()).collect(),
                nodes: sequence.then.iter().filter_map(|step| self.condition(step, cx)).collect(),
            }
        });
        let count = temporal.count.as_ref().map(|count| Count {
            at_least: count.at_least,
            within: count.within,
            by: self.key(&count.by, false),
            distinct: count.distinct.as_ref().map(|field| self.key(std::slice::from_ref(field), false)),
        });
        let suppress = temporal
            .suppress
            .as_ref()
            .map(|suppress| Suppress { by: self.key(&suppress.by, false), lasting: suppress.lasting });
        if rule.skip_unknown && self.unknown {
            self.skip(rule, mark);
            return None;
        }
        // The kernel refuses an action before it happens, and knows nothing of those before it.
        let refuses = rule.reaction.response == Response::Block && rule.reaction.or.is_none();
        if refuses && (sequence.is_some() || count.is_some()) {
            let key = if sequence.is_some() { "sequence" } else { "count" };
            let message =
                format!("rule `{}` cannot block: its `{key}` is not known in the kernel", rule.name.text);
            self.found.error(rule.name.span, message).hint =
                Some("say what to do instead: `response: {block: {or: kill}}`".into());
        }
        let mut over_time = OverTime { sequence, count, suppress, digests: [0; 3] };
        if let Some(node) = node.filter(|_| self.found.errors() == errors) {
            self.sign(&mut over_time, node);
        }
        (self.found.errors() == errors).then_some(over_time)
    }

    /// What `by` or `distinct` names. `tree`: whether a process tree can be followed.
    fn key(&mut self, words: &[Word], tree: bool) -> Key {
        let mut parts = Vec::with_capacity(words.len());
        for word in words {
            let part = match word.text.as_str() {
                PROCESS => Some(Part::Process),
                TREE if tree && words.len() == 1 => Some(Part::Tree),
                TREE => {
                    let message = if tree {
                        "`process-tree` stands alone: the tree says which container it is in"
                    } else {
                        "only a sequence can follow a process tree"
                    };
                    self.found.error(word.span, message).hint =
                        Some("`process` is the process itself".into());
                    None
                }
                _ => self.key_field(word),
            };
            parts.extend(part.map(|part| (word.text.clone(), part)));
        }
        Key::new(parts)
    }

    /// A field, with its argument in brackets where it has one.
    fn key_field(&mut self, word: &Word) -> Option<Part> {
        let name = field_name(&word.text).unwrap_or(&word.text);
        let rest = word.text.get(name.len()..).unwrap_or_default();
        let arg = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if arg.is_none() && !rest.is_empty() {
            self.found.error(word.span, format!("`{}` is not a field", word.text));
            return None;
        }
        if arg.is_none()
            && let Some(near) = nearest(name, [PROCESS, TREE])
        {
            self.unknown = true;
            self.found.error(word.span, format!("there is no field `{name}`")).hint =
                Some(format!("did you mean `{near}`?"));
            return None;
        }
        let arg = arg.map(|arg| arg.trim_matches(['"', '\'']));
        self.reading(name, arg, word.span).map(Part::Field)
    }

    /// Numbers for what each of the three is about. Each includes those before it: a count of sequences is another count
    /// when the sequence changes.
    fn sign(&self, over_time: &mut OverTime, node: NodeId) {
        let mut done = HashMap::new();
        let mut hasher = DefaultHasher::new();
        self.program.digest(node, &mut done).hash(&mut hasher);
        if let Some(sequence) = &over_time.sequence {
            let nodes = sequence.nodes.iter().map(|node| self.program.digest(*node, &mut done));
            (nodes.collect::<Vec<_>>(), sequence.by.to_string(), sequence.within).hash(&mut hasher);
        }
        let first = hasher.finish();
        if let Some(Count { at_least, within, by, distinct }) = &over_time.count {
            let distinct = distinct.as_ref().map(Key::to_string);
            (at_least, within, by.to_string(), distinct).hash(&mut hasher);
        }
        let second = hasher.finish();
        if let Some(Suppress { by, lasting }) = &over_time.suppress {
            (by.to_string(), lasting).hash(&mut hasher);
        }
        over_time.digests = [first, second, hasher.finish()];
    }
}
