//! The values of a mapping, each asked for by key with the type that it must have: a wrong type is reported where it
//! stands.

use std::time::Duration;

use super::{Change, Exception, Reaction, Response, Tests};
use crate::rule::{
    diagnostic::{Diagnostics, Source, Span, nearest},
    syntax::{Op, Word},
    yaml::{Located, Node},
};

/// A mapping under inspection.
pub(crate) struct Keys<'m, 's, 'd> {
    map: &'m [(Node, Node)],
    span: Span,
    pub(super) sources: &'m [Source],
    pub(crate) found: &'d mut Diagnostics<'s>,
}

impl<'m, 's, 'd> Keys<'m, 's, 'd> {
    pub(crate) const fn new(
        map: &'m [(Node, Node)],
        span: Span,
        sources: &'m [Source],
        found: &'d mut Diagnostics<'s>,
    ) -> Self {
        Self { map, span, sources, found }
    }

    /// Warns of every key that is none of these, and of every key that is written twice.
    pub(crate) fn expect(&mut self, known: &[&str], of: &str) {
        for (at, (key, _)) in self.map.iter().enumerate() {
            let name = key.text().unwrap_or_default();
            if !known.contains(&name) {
                let near = nearest(name, known.iter().copied());
                let message = format!("unknown key `{name}` of {of} is ignored");
                self.found.warning(key.span, message).hint =
                    near.map(|near| format!("did you mean `{near}`?"));
            }
            if self.map.iter().take(at).any(|(other, _)| other.text() == Some(name)) {
                self.found.error(key.span, format!("`{name}` is written twice"));
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'m Node> {
        self.map.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
    }

    /// The value, or an error that it is missing.
    pub(crate) fn required(&mut self, name: &str, of: &str) -> Option<&'m Node> {
        let value = self.get(name);
        if value.is_none() {
            let span = self.map.first().map_or(self.span, |(_, value)| value.span);
            self.found.error(span, format!("this {of} has no `{name}`"));
        }
        value
    }

    fn wrong(&mut self, node: &Node, name: &str, wanted: &str) {
        self.found.error(node.span, format!("`{name}` must be {wanted}, this is {}", node.kind()));
    }

    pub(crate) fn written(&self) -> Vec<(String, Span)> {
        self.map.iter().map(|(key, _)| (key.text().unwrap_or_default().to_owned(), key.span)).collect()
    }

    pub(crate) fn word(&mut self, name: &str) -> Option<Word> {
        let node = self.get(name)?;
        match node.text() {
            Some(text) => Some(Word { text: text.to_owned(), span: node.span, quoted: false }),
            None => {
                self.wrong(node, name, "a text");
                None
            }
        }
    }

    pub(crate) fn located(&mut self, name: &str) -> Option<Located> {
        let node = self.get(name)?;
        if node.text().is_none() {
            self.wrong(node, name, "a text");
            return None;
        }
        Some(Located::new(node, self.sources))
    }

    pub(crate) fn bool(&mut self, name: &str) -> Option<bool> {
        let node = self.get(name)?;
        let bool = node.bool();
        if bool.is_none() {
            self.found.error(node.span, format!("`{name}` must be `true` or `false`"));
        }
        bool
    }

    pub(crate) fn list(&mut self, name: &str) -> Option<&'m [Node]> {
        let node = self.get(name)?;
        if node.is_null() {
            return Some(&[]);
        }
        let list = node.list();
        if list.is_none() {
            self.wrong(node, name, "a list");
        }
        list
    }

    pub(crate) fn words(&mut self, name: &str) -> Option<Vec<Word>> {
        let list = self.list(name)?;
        let mut words = Vec::with_capacity(list.len());
        for node in list {
            match node.text() {
                Some(text) => words.push(Word { text: text.to_owned(), span: node.span, quoted: false }),
                None => {
                    self.found
                        .error(node.span, format!("`{name}` holds texts, this is {}", node.kind()))
                        .hint = None
                }
            }
        }
        Some(words)
    }

    /// One text, or a list of texts.
    pub(super) fn word_or_words(&mut self, name: &str) -> Option<(bool, Vec<Word>)> {
        match self.get(name)?.text() {
            Some(_) => self.word(name).map(|word| (true, vec![word])),
            None => self.words(name).map(|words| (false, words)),
        }
    }

    pub(super) fn map(&mut self, name: &str) -> Option<(&'m [(Node, Node)], Span)> {
        let node = self.get(name)?;
        let map = node.map();
        if map.is_none() {
            self.wrong(node, name, "a mapping");
        }
        map.map(|map| (map, node.span))
    }

    pub(super) fn inner(&mut self, map: &'m [(Node, Node)], span: Span) -> Keys<'m, 's, '_> {
        Keys { map, span, sources: self.sources, found: self.found }
    }

    pub(super) fn time(&mut self, name: &str) -> Option<Duration> {
        let word = self.word(name)?;
        let time = duration(&word.text);
        if time.is_none() {
            self.found.error(word.span, format!("`{}` is not a duration", word.text)).hint =
                Some("write a number and a unit: `500ms`, `30s`, `5m`, `1h`".into());
        }
        time
    }

    /// `override`: what happens to which key.
    pub(crate) fn changes(&mut self, known: &[&str]) -> Vec<(String, Change, Span)> {
        let Some((map, _)) = self.map("override") else { return Vec::new() };
        let mut changes = Vec::new();
        for (key, value) in map {
            let name = key.text().unwrap_or_default();
            if !known.contains(&name) {
                self.found.error(key.span, format!("`{name}` cannot be overridden"));
                continue;
            }
            if self.get(name).is_none() {
                self.found
                    .error(key.span, format!("`{name}` is to be overridden, but the item does not have it"));
                continue;
            }
            match value.text() {
                Some("append") => changes.push((name.to_owned(), Change::Append, key.span)),
                Some("replace") => changes.push((name.to_owned(), Change::Replace, key.span)),
                _ => {
                    self.found.error(value.span, "an override is `append` or `replace`");
                    changes.push((name.to_owned(), Change::Wrong, key.span));
                }
            }
        }
        changes
    }

    pub(crate) fn exceptions(&mut self) -> Option<Vec<Exception>> {
        let list = self.list("exceptions")?;
        let mut exceptions = Vec::new();
        for node in list {
            let Some(map) = node.map() else {
                self.found.error(node.span, format!("an exception is a mapping, this is {}", node.kind()));
                continue;
            };
            let mut keys = self.inner(map, node.span);
            keys.expect(&["name", "fields", "comps", "values"], "an exception");
            if keys.required("name", "exception").is_none() {
                continue;
            }
            let Some(name) = keys.word("name") else { continue };
            let (single, fields) = keys.word_or_words("fields").unwrap_or((false, Vec::new()));
            let mut comps = Vec::new();
            for word in keys.word_or_words("comps").map(|(_, comps)| comps).unwrap_or_default() {
                let op =
                    Op::ALL.iter().find(|op| op.word() == word.text || (word.text == "==" && **op == Op::Eq));
                match op {
                    Some(op) => comps.push((*op, word.span)),
                    None => {
                        let near = nearest(&word.text, Op::ALL.iter().map(|op| op.word()));
                        keys.found.error(word.span, format!("`{}` is not an operator", word.text)).hint =
                            near.map(|near| format!("did you mean `{near}`?"));
                    }
                }
            }
            let values = match keys.get("values") {
                // A single list by name.
                Some(node) if node.text().is_some() && !node.is_null() => vec![node.clone()],
                _ => keys.list("values").unwrap_or_default().to_vec(),
            };
            exceptions.push(Exception { name, single, fields, comps, values });
        }
        Some(exceptions)
    }

    pub(crate) fn reaction(&mut self) -> Option<Reaction> {
        let node = self.get("response")?;
        if node.text().is_some() {
            return self.response("response").map(|response| Reaction { response, or: None });
        }
        let (map, span) = self.map("response")?;
        let mut keys = self.inner(map, span);
        keys.expect(&["block"], "a response");
        let block = keys.required("block", "response")?;
        if block.map().is_none() {
            keys.found.error(block.span, "`block` says what to do where the kernel cannot refuse").hint =
                Some("write `{block: {or: kill}}`, or `response: block`".to_owned());
            return None;
        }
        let (map, span) = keys.map("block")?;
        let mut keys = keys.inner(map, span);
        keys.expect(&["or"], "`block`");
        keys.required("or", "`block`")?;
        let or = keys.response("or")?;
        Some(Reaction { response: Response::Block, or: Some(or) })
    }

    fn response(&mut self, name: &str) -> Option<Response> {
        let word = self.word(name)?;
        let response = Response::ALL.into_iter().find(|response| response.name() == word.text);
        if response.is_none() {
            let near = nearest(&word.text, Response::ALL.iter().map(|response| response.name()));
            self.found.error(word.span, format!("`{}` is not a response", word.text)).hint =
                Some(near.map_or_else(
                    || "one of alert, kill, kill-tree, kill-container, pause, isolate, block".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                ));
        }
        response
    }

    pub(crate) fn tests(&mut self) -> Option<Tests> {
        let (map, span) = self.map("tests")?;
        let mut keys = self.inner(map, span);
        keys.expect(&["fires", "quiet"], "`tests`");
        let fires = keys.list("fires").unwrap_or_default().to_vec();
        let quiet = keys.list("quiet").unwrap_or_default().to_vec();
        Some(Tests { fires, quiet })
    }
}

/// A number and a unit.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    let nanoseconds: u64 = match unit.trim() {
        "ns" => 1,
        "us" => 1000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    number.checked_mul(nanoseconds).map(Duration::from_nanos)
}
