//! The text of a condition into its tree. Hand-written recursive descent: the language decides by the letter what
//! needs a blank behind it, and every error has to name what was expected at which byte.
//!
//! An error ends one part of a condition and not the condition: what cannot be read becomes [`Expr::Error`], and
//! reading goes on at the next `and`, `or` or `)`.

mod comparison;
mod lex;
mod operand;
mod recover;
mod unexpected;

pub(crate) use self::lex::field_name;
use self::lex::{identifier, is_blank, is_space, run};
use super::{Expr, MAX_DEPTH, Word};
use crate::rule::{diagnostic::Span, yaml::Located};

/// Why a part of a condition could not be read.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// A condition as far as it could be read, and what is wrong with it: where there are errors, it must not be executed.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) expr: Expr,
    pub(crate) errors: Vec<SyntaxError>,
}

/// Reads a whole condition.
pub(crate) fn parse(text: &Located) -> Condition {
    let mut parser =
        Parser { text: &text.text, at: 0, places: text, open: 0, lost: false, errors: Vec::new() };
    parser.blanks();
    let expr = if parser.rest().is_empty() {
        parser.report(parser.error(0, text.text.len(), "the condition is empty"));
        Expr::Error(None)
    } else {
        parser.or()
    };
    Condition { expr, errors: parser.errors }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    places: &'t Located,
    /// Parentheses that are open: groups, and inside a check those of transformers.
    open: usize,
    /// Whether an error makes it useless to say which parentheses have no partner.
    lost: bool,
    errors: Vec<SyntaxError>,
}

type Parsed<T> = Result<T, SyntaxError>;

/// What a part begins with, for messages.
const PART: &str = "a field, a macro or `(`";

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blanks(&mut self) -> bool {
        let blank = self.rest().find(|c| !is_blank(c)).unwrap_or(self.rest().len());
        self.at += blank;
        blank > 0
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn error(&self, start: usize, end: usize, message: impl Into<String>) -> SyntaxError {
        SyntaxError { span: self.places.span(start, end), message: message.into(), hint: None }
    }

    fn expected(&self, what: &str) -> SyntaxError {
        let word = run(self.rest());
        let found = match word {
            "" => "the end".to_owned(),
            word => match word.chars().next() {
                Some(blank) if blank.is_whitespace() && !blank.is_ascii() => {
                    format!("U+{:04X}, which is not a blank here", u32::from(blank))
                }
                Some(blank) if blank.is_whitespace() => "a blank".to_owned(),
                _ => format!("`{word}`"),
            },
        };
        self.error(self.at, self.at + word.len(), format!("expected {what}, found {found}"))
    }

    /// The word from `start` to here, without quotes.
    fn word(&self, text: &str, start: usize) -> Word {
        Word { text: text.to_owned(), span: self.places.span(start, self.at), quoted: false }
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.open >= MAX_DEPTH {
            let error = self.error(self.at, self.at + 1, format!("nested deeper than {MAX_DEPTH} levels"));
            self.give_up();
            return Err(error);
        }
        self.open += 1;
        let result = inner(self);
        self.open -= 1;
        result
    }

    fn or(&mut self) -> Expr {
        let first = self.part();
        let mut parts = vec![self.and(first, false)];
        while self.take("or") {
            let tight = self.rest().starts_with('(');
            let first = self.part_behind("or");
            parts.push(self.and(first, tight));
        }
        if parts.len() > 1 { Expr::Or(parts) } else { parts.swap_remove(0) }
    }

    /// `tight` where an `or(` without a blank stands before: the first implementation reads no `and` behind its `)`,
    /// and a rule that it refuses must not come to mean something here.
    fn and(&mut self, first: Expr, tight: bool) -> Expr {
        let mut parts = vec![first];
        while self.rest().starts_with("and") {
            if tight && parts.len() == 1 {
                let mut error = self.error(self.at, self.at + 3, "`or(…)` cannot be followed by `and`");
                error.hint = Some("write a blank between `or` and `(`".to_owned());
                self.report(error);
            }
            if self.take("and") {
                parts.push(self.part_behind("and"));
            }
        }
        if parts.len() > 1 { Expr::And(parts) } else { parts.swap_remove(0) }
    }

    /// The part behind a word that joins parts, which a blank or `(` has to follow.
    fn part_behind(&mut self, word: &str) -> Expr {
        if self.blanks() || self.rest().starts_with('(') {
            return self.part();
        }
        let error = match self.rest() {
            rest if rest.is_empty() || rest.starts_with(')') => self.expected(PART),
            _ => self.expected(&format!("a blank or `(` behind `{word}`")),
        };
        self.report_and_skip(error, self.at);
        self.end_part(Expr::Error(None))
    }

    /// What stands between `and` and `or`, up to the next of them.
    fn part(&mut self) -> Expr {
        let part = self.not();
        self.end_part(part)
    }

    fn end_part(&mut self, mut part: Expr) -> Expr {
        while !self.part_ends() {
            part = self.unexpected(part);
        }
        part
    }

    fn part_ends(&mut self) -> bool {
        self.blanks();
        let rest = self.rest();
        let closes = self.open > 0 && rest.starts_with(')');
        closes || rest.is_empty() || rest.starts_with("and") || rest.starts_with("or")
    }

    fn not(&mut self) -> Expr {
        self.blanks();
        let mut negated = false;
        while let Some(behind) = self.rest().strip_prefix("not")
            && let inner = behind.trim_start_matches(is_space)
            && (inner.len() < behind.len() || inner.starts_with('('))
        {
            negated = !negated;
            self.at = self.text.len() - inner.len();
        }
        self.blanks();
        let inner = self.primary();
        if negated { Expr::Not(Box::new(inner)) } else { inner }
    }

    fn primary(&mut self) -> Expr {
        let start = self.at;
        if self.take("(") {
            return self.group(start);
        }
        let error = match self.operand() {
            Ok(Some(left)) => return self.check(left, start),
            Ok(None) => {
                if let Some(name) = identifier(self.rest()) {
                    self.at += name.len();
                    return Expr::Macro(self.word(name, start));
                }
                if self.open == 0 && self.rest().starts_with(')') {
                    // It closes nothing, and that is said of it where the part ends.
                    return Expr::Error(None);
                }
                let mut error = self.expected(PART);
                error.hint = match self.rest().chars().next() {
                    Some('!') => Some("write `not`".to_owned()),
                    Some('"' | '\'' | '0'..='9') => Some("a field stands before its value".to_owned()),
                    _ => None,
                };
                error
            }
            Err(error) => error,
        };
        self.report_and_skip(error, start);
        Expr::Error(None)
    }

    fn group(&mut self, start: usize) -> Expr {
        self.blanks();
        let inner = match self.deeper(|parser| Ok((!parser.rest().is_empty()).then(|| parser.or()))) {
            Ok(inner) => inner,
            Err(error) => {
                self.report(error);
                None
            }
        };
        if self.take(")") {
            return inner.unwrap_or(Expr::Error(None));
        }
        if !self.lost {
            let mut error = self.error(start, start + 1, "this `(` is never closed");
            error.hint = Some("add the `)` where the group ends".to_owned());
            self.report(error);
        }
        Expr::Error(inner.map(Box::new))
    }
}
