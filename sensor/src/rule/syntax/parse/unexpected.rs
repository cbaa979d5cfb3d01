//! What stands behind a part of a condition and belongs to nothing: what was most likely meant.

use std::ops::Range;

use super::{
    PART, Parser, SyntaxError,
    lex::{is_blank, run},
};
use crate::rule::{
    diagnostic::nearest,
    syntax::{Expr, Function, Op, Right, Word},
};

impl Parser<'_> {
    /// Reports what stands behind `part` and belongs to nothing, and goes on to the next part.
    pub(super) fn unexpected(&mut self, part: Expr) -> Expr {
        let start = self.at;
        if self.take(")") {
            if !self.lost {
                self.report(self.error(start, start + 1, "this `)` closes nothing"));
            }
            self.skip(self.at);
            return Expr::Error(Some(Box::new(part)));
        }
        if let Some(word) = self.joining_word_before() {
            let (what, readable) = match part {
                Expr::Check(check) => ("a value", Some(Box::new(check.left.exists()))),
                _ => (PART, None),
            };
            self.at = word.start;
            self.report(self.expected(what));
            return Expr::Error(readable);
        }
        if let Some(word) = self.foreign_joining_word() {
            let mut error = self.expected("`and` or `or`");
            error.hint = Some(format!("write `{word}`"));
            self.report(error);
            self.at = self.text.len().min(self.at + run(self.rest()).len());
            return Expr::Error(Some(Box::new(Expr::And(vec![part, self.not()]))));
        }
        if matches!(part, Expr::Error(_)) {
            // It is wrong already, and what follows is most likely wrong for the same reason.
            self.skip(start);
            return part;
        }
        // A name that is called or compared was never meant to be a macro: one error is enough.
        if let Some(error) = macro_of(&part).and_then(|name| self.misread(name)) {
            self.report_and_skip(error, start);
            return Expr::Error(None);
        }
        let error = self.not_expected(&part);
        self.report_and_skip(error, start);
        Expr::Error(Some(Box::new(part)))
    }

    /// An `and` or `or` that was read as a name or a string, and was meant to join two parts: what follows shows it.
    fn joining_word_before(&self) -> Option<Range<usize>> {
        let before = self.text.get(..self.at)?;
        let end = before.trim_end_matches(is_blank).len();
        let last = before.get(..end)?.rsplit(|c| is_blank(c) || c == '(').next()?;
        (end < self.at && matches!(last, "and" | "or")).then(|| end - last.len()..end)
    }

    /// `and` or `or` as other languages write it.
    fn foreign_joining_word(&self) -> Option<&'static str> {
        match run(self.rest()) {
            "&&" | "AND" | "And" => Some("and"),
            "||" | "OR" | "Or" => Some("or"),
            _ => None,
        }
    }

    fn not_expected(&self, part: &Expr) -> SyntaxError {
        let end = if self.open > 0 { "`)`" } else { "the end" };
        let mut error = self.expected(&format!("`and`, `or` or {end}"));
        let word = run(self.rest());
        error.hint = match word {
            "not" => Some("`not` stands before a part, behind `and` or `or`".to_owned()),
            word => match meant(word, ["and", "or"]) {
                Some(near) => Some(near),
                None => self.value_cut_short(part),
            },
        };
        error
    }

    /// What would help where a comparison has a value, and more of it seems to follow.
    fn value_cut_short(&self, part: &Expr) -> Option<String> {
        let Expr::Check(check) = part else { return None };
        let before = self.text.get(..self.at)?;
        let glued = !before.ends_with(is_blank);
        let before = before.trim_end_matches(is_blank);
        let first = self.rest().chars().next().filter(|first| !first.is_whitespace())?;
        let value = match &check.right {
            Right::Text(value) if value.quoted && before.ends_with(['"', '\'']) => {
                return Some("a quote inside of a string stands behind a backslash".to_owned());
            }
            Right::Text(value) if before.ends_with(&value.text) => value.text.as_str(),
            Right::Named(_) if first == ',' => {
                return Some("a list stands in parentheses: `(a, b)`".to_owned());
            }
            _ => return None,
        };
        let number = matches!(check.op, Op::Lt | Op::Le | Op::Gt | Op::Ge);
        Some(match value {
            _ if number && glued => {
                "numbers are decimal, or hexadecimal behind `0x`; an exponent has a sign: `1e+5`".to_owned()
            }
            _ if number => return None,
            "<" | ">" if !glued => format!("write `{value}=`"),
            "~" => "regular expressions are compared with `regex`".to_owned(),
            "oneof" | "anyof" | "allof" => format!("`{value}` takes a list: `{value} (a, b)`"),
            _ if first == '(' && functions().any(|function| function == value) => {
                format!("write `{value}(` without a blank")
            }
            _ if first == '(' && meant(value, functions()).is_some() => meant(value, functions())?,
            _ if glued => format!("a value that contains `{first}` stands in quotes"),
            _ => "a value that contains a blank stands in quotes".to_owned(),
        })
    }

    /// What is wrong where a macro's name is followed by what only a field or a transformer can have.
    fn misread(&self, name: &Word) -> Option<SyntaxError> {
        let before = self.text.get(..self.at)?;
        if !before.trim_end_matches(is_blank).ends_with(&name.text) {
            return None;
        }
        let error = |message: &str, hint: String| {
            let message = format!("`{}` is not {message}", name.text);
            Some(SyntaxError { span: name.span, message, hint: Some(hint) })
        };
        if self.rest().starts_with('(') {
            let hint = match functions().find(|known| *known == name.text) {
                Some("val") => "`val` stands on the right side of a comparison".to_owned(),
                Some(known) => format!("write `{known}(` without a blank"),
                None if !before.ends_with(&name.text) => return None,
                None => meant(&name.text, functions())
                    .unwrap_or_else(|| format!("there are {}", functions().collect::<Vec<_>>().join(", "))),
            };
            return error("a transformer", hint);
        }
        if name.text != "not" && name.text.eq_ignore_ascii_case("not") {
            return error("the word `not`", "write it in lower case".to_owned());
        }
        if self.operator_here().is_some() || self.rest().starts_with(['[', '.']) {
            return error("a field", "the name of a field has a dot: `proc.name`".to_owned());
        }
        None
    }
}

fn functions() -> impl Iterator<Item = &'static str> {
    Function::ALL.iter().map(|function| function.word())
}

/// The question whether `word` was meant to be one of those that are known.
pub(super) fn meant<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let word = Some(word).filter(|word| word.len() > 1 && word.starts_with(char::is_alphabetic))?;
    nearest(&word.to_lowercase(), known).map(|near| format!("did you mean `{near}`?"))
}

fn macro_of(expr: &Expr) -> Option<&Word> {
    match expr {
        Expr::Macro(name) => Some(name),
        Expr::Not(inner) => macro_of(inner),
        _ => None,
    }
}
