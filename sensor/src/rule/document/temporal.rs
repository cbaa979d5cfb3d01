//! `count`, `sequence` and `suppress` as they are written. Which fields and conditions they name is looked up later.

use std::time::Duration;

use super::Keys;
use crate::rule::{diagnostic::Span, syntax::Word, yaml::Located};

/// Most that `at_least` may ask for: the times of one key are then 1 MiB of state at most.
const AT_LEAST_LIMIT: u32 = 65_536;
/// Most that `at_least` may ask for with `distinct`, where each event is compared with every value that its key knows.
const DISTINCT_LIMIT: u32 = 1024;
/// Most steps that may follow the first.
const THEN_LIMIT: usize = 8;

/// The three keys of one rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct Temporal {
    pub(crate) count: Option<CountKey>,
    pub(crate) sequence: Option<SequenceKey>,
    pub(crate) suppress: Option<SuppressKey>,
}

#[derive(Clone, Debug)]
pub(crate) struct CountKey {
    pub(crate) at_least: u32,
    pub(crate) within: Duration,
    pub(crate) by: Vec<Word>,
    pub(crate) distinct: Option<Word>,
}

#[derive(Clone, Debug)]
pub(crate) struct SequenceKey {
    pub(crate) within: Duration,
    pub(crate) by: Vec<Word>,
    pub(crate) then: Vec<Located>,
}

#[derive(Clone, Debug)]
pub(crate) struct SuppressKey {
    pub(crate) lasting: Duration,
    pub(crate) by: Vec<Word>,
}

impl<'m> Keys<'m, '_, '_> {
    pub(crate) fn temporal(&mut self) -> Temporal {
        Temporal { count: self.count(), sequence: self.sequence(), suppress: self.suppress() }
    }

    fn count(&mut self) -> Option<CountKey> {
        let (map, span) = self.map("count")?;
        let mut keys = self.inner(map, span);
        keys.expect(&["at_least", "within", "by", "distinct"], "`count`");
        let at_least = keys.at_least();
        let within = keys.needed_time("within", "`count`");
        let by = keys.by();
        let distinct = keys.word("distinct");
        Some(CountKey { at_least: at_least?, within: within?, by, distinct })
    }

    fn at_least(&mut self) -> Option<u32> {
        self.required("at_least", "`count`")?;
        let word = self.word("at_least")?;
        let limit = if self.get("distinct").is_some() { DISTINCT_LIMIT } else { AT_LEAST_LIMIT };
        let number = word.text.parse().ok().filter(|at_least| (1..=limit).contains(at_least));
        if number.is_none() {
            self.found.error(word.span, format!("`at_least` must be a number from 1 to {limit}"));
        }
        number
    }

    fn suppress(&mut self) -> Option<SuppressKey> {
        let (map, span) = self.map("suppress")?;
        let mut keys = self.inner(map, span);
        keys.expect(&["by", "for"], "`suppress`");
        let lasting = keys.needed_time("for", "`suppress`");
        let by = keys.by();
        Some(SuppressKey { lasting: lasting?, by })
    }

    fn sequence(&mut self) -> Option<SequenceKey> {
        let (map, span) = self.map("sequence")?;
        let mut keys = self.inner(map, span);
        keys.expect(&["by", "within", "then"], "`sequence`");
        keys.required("by", "`sequence`");
        let within = keys.needed_time("within", "`sequence`");
        let by = keys.by();
        let then = keys.then(span);
        Some(SequenceKey { within: within?, by, then: then? })
    }

    fn then(&mut self, span: Span) -> Option<Vec<Located>> {
        self.required("then", "`sequence`")?;
        let list: &'m [_] = self.list("then")?;
        let texts = list.iter().filter(|node| node.text().is_some());
        let then: Vec<_> = texts.map(|node| Located::new(node, self.sources)).collect();
        if then.is_empty() || then.len() < list.len() {
            self.found.error(span, "`then` must be a list of conditions");
            return None;
        }
        if then.len() > THEN_LIMIT {
            self.found.error(span, format!("`then` may have {THEN_LIMIT} conditions, not {}", then.len()));
            return None;
        }
        Some(then)
    }

    fn by(&mut self) -> Vec<Word> {
        self.word_or_words("by").map(|(_, by)| by).unwrap_or_default()
    }

    fn needed_time(&mut self, name: &str, of: &str) -> Option<Duration> {
        self.required(name, of)?;
        let time = self.time(name)?;
        if time.is_zero() {
            let span = self.get(name).map_or(Span::default(), |node| node.span);
            self.found.error(span, format!("`{name}` must be longer than nothing"));
            return None;
        }
        Some(time)
    }
}
