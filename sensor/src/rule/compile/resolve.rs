//! Names of macros and lists to what they stand for. Used too early, missing and cyclic are three different errors,
//! each with the place of the definition where there is one.

use std::collections::HashSet;

use super::{Compiler, Context, Macro, limits::MAX_LEVELS};
use crate::rule::{
    diagnostic::{Span, nearest},
    program::NodeId,
    syntax::Word,
};

impl<'d> Compiler<'d, '_, '_> {
    /// The node of a macro.
    pub(super) fn macro_node(&mut self, word: &Word, cx: Context) -> Option<NodeId> {
        let Some((name, definition)) = self.definitions.macros.get_key_value(&word.text) else {
            let message = format!("macro `{}` is not defined anywhere", word.text);
            let hint = self.near_macro(&word.text);
            self.found.error(word.span, message).hint = hint;
            return None;
        };
        if let Some(at) = self.open.iter().position(|open| *open == name) {
            let mut circle: Vec<&str> = self.open.get(at..).unwrap_or_default().to_vec();
            circle.push(name);
            let message = format!("macro `{name}` uses itself: {}", circle.join(" → "));
            let related = self.found.related(definition.name.span, "defined here");
            self.found.error(word.span, message).related = Some(related);
            return None;
        }
        if definition.order.first >= cx.order && !self.leads_back(name) {
            let message = format!("macro `{name}` is defined too late: it must stand before what uses it");
            let related = self.found.related(definition.name.span, "defined here");
            self.found.error(word.span, message).related = Some(related);
            return None;
        }
        let levels = match self.macros.get(name.as_str()) {
            Some(Macro::Compiled(_, levels)) => *levels,
            Some(Macro::Parsed(_)) => 0,
            _ => return None,
        };
        if self.depth + levels > MAX_LEVELS {
            let message = format!("macro `{name}` makes this nest deeper than {MAX_LEVELS} levels");
            let related = self.found.related(definition.name.span, "defined here");
            self.found.error(word.span, message).related = Some(related);
            return None;
        }
        self.deepest = self.deepest.max(self.depth + levels);
        if let Some(Macro::Compiled(node, _)) = self.macros.get(name.as_str()) {
            return Some(*node);
        }
        let Some(Macro::Parsed(condition)) = self.macros.insert(name, Macro::Wrong) else { return None };
        let deepest = std::mem::replace(&mut self.deepest, self.depth);
        self.open.push(name);
        let node = self.compiled(&condition, Context { order: definition.order.last });
        self.open.pop();
        let levels = self.deepest - self.depth;
        self.deepest = self.deepest.max(deepest);
        self.macros.insert(name, Macro::Compiled(node?, levels));
        node
    }

    /// Whether a macro that is defined later uses, directly or not, one that is being compiled: then the circle is the
    /// error, and not the order.
    fn leads_back(&self, name: &str) -> bool {
        let (mut seen, mut next) = (HashSet::from([name]), vec![name]);
        while let Some(name) = next.pop() {
            let Some(Macro::Parsed(condition)) = self.macros.get(name) else { continue };
            let mut used = Vec::new();
            macros_of(&condition.expr, &mut used);
            for name in used {
                if self.open.contains(&name) {
                    return true;
                }
                if seen.insert(name) {
                    next.push(name);
                }
            }
        }
        false
    }

    /// The words of a list behind an operator: names of lists are spliced, unless they are quoted.
    pub(super) fn spliced(&mut self, words: &[Word]) -> Option<Vec<Word>> {
        let mut out = Vec::with_capacity(words.len());
        for word in words {
            match self.definitions.lists.get_key_value(&word.text) {
                Some((name, _)) if !word.quoted => out.extend(self.list(name, word.span, &mut Vec::new())?),
                _ => out.push(word.clone()),
            }
        }
        Some(out)
    }

    /// The words of a list that a condition names.
    pub(super) fn named_list(&mut self, word: &Word) -> Option<Vec<Word>> {
        let Some((name, _)) = self.definitions.lists.get_key_value(&word.text) else {
            let message = format!("list `{}` is not defined anywhere", word.text);
            let near = nearest(&word.text, self.definitions.lists.keys().map(String::as_str));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            self.found.error(word.span, message).hint =
                hint.or_else(|| Some(format!("a single value stands in parentheses: `({})`", word.text)));
            return None;
        };
        self.list(name, word.span, &mut Vec::new())
    }

    fn list(&mut self, name: &'d str, span: Span, open: &mut Vec<&'d str>) -> Option<Vec<Word>> {
        if let Some(known) = self.lists.get(name) {
            return self.limits.spend_values(known.len()).then(|| known.clone());
        }
        let definition = self.definitions.lists.get(name)?;
        if let Some(at) = open.iter().position(|open| *open == name) {
            let mut circle: Vec<&str> = open.get(at..).unwrap_or_default().to_vec();
            circle.push(name);
            let message = format!("list `{name}` contains itself: {}", circle.join(" → "));
            let related = self.found.related(definition.name.span, "defined here");
            self.found.error(span, message).related = Some(related);
            return None;
        }
        if open.len() >= MAX_LEVELS {
            self.found.error(span, format!("list `{name}` makes this nest deeper than {MAX_LEVELS} levels"));
            return None;
        }
        if !self.limits.spend_values(definition.items.len()) {
            return None;
        }
        open.push(name);
        let mut words = Vec::with_capacity(definition.items.len());
        let mut wrong = false;
        for item in &definition.items {
            if self.found.full() {
                break;
            }
            match self.definitions.lists.get_key_value(&item.text) {
                Some((inner, other)) => {
                    let late = other.order.first >= definition.order.last;
                    if late && !open.contains(&inner.as_str()) && !self.list_leads_back(inner, open) {
                        let message = format!(
                            "list `{inner}` is defined too late: it must stand before what contains it"
                        );
                        let related = self.found.related(other.name.span, "defined here");
                        self.found.error(item.span, message).related = Some(related);
                        wrong = true;
                        continue;
                    }
                    match self.list(inner, item.span, open) {
                        Some(inner) => words.extend(inner),
                        None => wrong = true,
                    }
                }
                None => words.push(unquoted(item)),
            }
        }
        open.pop();
        if wrong {
            // Reported once: whoever else uses the list sees what is right of it.
            self.lists.insert(name, words);
            return None;
        }
        self.lists.insert(name, words.clone());
        Some(words)
    }

    fn list_leads_back(&self, name: &str, open: &[&str]) -> bool {
        let (mut seen, mut next) = (HashSet::from([name]), vec![name]);
        while let Some(name) = next.pop() {
            let Some(definition) = self.definitions.lists.get(name) else { continue };
            for item in &definition.items {
                if open.contains(&item.text.as_str()) {
                    return true;
                }
                if self.definitions.lists.contains_key(&item.text) && seen.insert(&item.text) {
                    next.push(&item.text);
                }
            }
        }
        false
    }
}

/// An item that brings its own quotes stands for what is in them.
pub(super) fn unquoted(item: &Word) -> Word {
    let text = item.text.trim();
    let inner = ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
    match inner {
        Some(inner) => Word { text: inner.to_owned(), quoted: true, ..item.clone() },
        None => item.clone(),
    }
}

fn macros_of<'e>(expr: &'e crate::rule::syntax::Expr, to: &mut Vec<&'e str>) {
    use crate::rule::syntax::Expr;
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| macros_of(part, to)),
        Expr::Not(inner) => macros_of(inner, to),
        Expr::Macro(word) => to.push(&word.text),
        Expr::Error(Some(readable)) => macros_of(readable, to),
        Expr::Check(_) | Expr::Error(None) => {}
    }
}
