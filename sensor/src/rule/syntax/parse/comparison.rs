//! What stands behind a field: the operator and its values.

use super::{
    Parsed, Parser, SyntaxError,
    lex::{bare, identifier, is_blank, number, run},
    unexpected::meant,
};
use crate::rule::syntax::{Check, Each, Expr, Op, Operand, Right, Word};

impl Parser<'_> {
    /// A check, of which the left side is read.
    pub(super) fn check(&mut self, left: Operand, start: usize) -> Expr {
        match self.comparison() {
            Ok((op, right)) => {
                let span = self.places.span(start, self.at);
                Expr::Check(Box::new(Check { left, op, right, span }))
            }
            Err(error) => {
                self.report_and_skip(error, start);
                Expr::Error(Some(Box::new(left.exists())))
            }
        }
    }

    fn comparison(&mut self) -> Parsed<(Op, Right)> {
        self.blanks();
        let Some((op, length)) = self.operator_here() else { return Err(self.no_operator()) };
        self.at += length;
        self.blanks();
        let right = match op {
            Op::Exists => Right::Nothing,
            Op::Lt | Op::Le | Op::Gt | Op::Ge => self.number_or_operand()?,
            Op::In | Op::Intersects | Op::Pmatch => self.list_or_operand()?,
            _ => self.text_or_operand()?,
        };
        Ok((op, right))
    }

    /// The operator that stands here, and its length.
    pub(super) fn operator_here(&self) -> Option<(Op, usize)> {
        if self.rest().starts_with("==") {
            return Some((Op::Eq, 2));
        }
        let op = *Op::ALL.iter().find(|op| {
            // Of the words, only those that a string follows need a blank: `in(…)` is common, `containsfoo` is not.
            let needs_blank = op.word().starts_with(char::is_alphabetic)
                && !matches!(op, Op::Exists | Op::In | Op::Intersects | Op::Pmatch);
            self.rest()
                .strip_prefix(op.word())
                .is_some_and(|behind| !needs_blank || behind.starts_with(is_blank))
        })?;
        Some((op, op.word().len()))
    }

    fn no_operator(&self) -> SyntaxError {
        let word = run(self.rest());
        let words = Op::ALL.iter().map(|op| op.word());
        let glued = words.clone().find(|op| op.starts_with(char::is_alphabetic) && word.starts_with(op));
        if glued == Some(word) {
            let message = match self.rest().strip_prefix(word) {
                Some("") => format!("`{word}` has no value behind it"),
                _ => format!("expected a blank behind `{word}`"),
            };
            return self.error(self.at, self.at + word.len(), message);
        }
        let mut error = self.expected("an operator");
        error.hint = match word {
            "not" => Some("`not` stands before the field: `not proc.name in (…)`".to_owned()),
            "=~" | "~=" | "~" | "matches" => Some("regular expressions are compared with `regex`".to_owned()),
            "is" | "eq" | "equals" | ":" | ":=" => Some("write `=`".to_owned()),
            "ne" | "<>" => Some("write `!=`".to_owned()),
            "like" => Some("patterns with `*` are compared with `glob`".to_owned()),
            "and" | "or" | ")" | "" => Some("`exists` asks whether there is a value".to_owned()),
            word => match glued {
                Some(op) => Some(format!("a blank has to follow `{op}`")),
                None => meant(word, words),
            },
        };
        error
    }

    fn number_or_operand(&mut self) -> Parsed<Right> {
        if let Some(operand) = self.right_operand()? {
            return Ok(Right::Operand(operand));
        }
        let start = self.at;
        let Some(text) = number(self.rest()) else {
            let mut error = self.expected("a number");
            if self.rest().starts_with(['"', '\'']) {
                error.hint = Some("numbers are written without quotes".to_owned());
            }
            return Err(error);
        };
        self.at += text.len();
        Ok(Right::Text(self.word(text, start)))
    }

    fn text_or_operand(&mut self) -> Parsed<Right> {
        if let Some(each) = self.each() {
            return match self.list_or_name()? {
                Some(list) => Ok(Right::Each(each, Box::new(list))),
                None => Err(self.expected("a list")),
            };
        }
        if let Some(operand) = self.right_operand()? {
            return Ok(Right::Operand(operand));
        }
        match self.text()? {
            Some(word) => Ok(Right::Text(word)),
            None => {
                let mut error = self.expected("a string");
                error.hint = match run(self.rest()) {
                    "(" => Some("a list is compared with `in`: `in (…)`".to_owned()),
                    "" | ")" | "," => None,
                    word => Some(format!("a value that starts with `{}` stands in quotes", run(word))),
                };
                Err(error)
            }
        }
    }

    /// A modifier, where one stands here with a list behind it; alone it is a string like any other.
    fn each(&mut self) -> Option<Each> {
        let each = *Each::ALL.iter().find(|each| self.rest().starts_with(each.word()))?;
        let behind = self.rest().get(each.word().len()..)?;
        let list = behind.trim_start_matches(is_blank);
        let named =
            list.len() < behind.len() && identifier(list).is_some_and(|name| !matches!(name, "and" | "or"));
        if !list.starts_with('(') && !named {
            return None;
        }
        self.at += each.word().len();
        self.blanks();
        Some(each)
    }

    fn list_or_operand(&mut self) -> Parsed<Right> {
        if let Some(operand) = self.right_operand()? {
            return Ok(Right::Operand(operand));
        }
        if let Some(list) = self.list_or_name()? {
            return Ok(list);
        }
        let mut error = self.expected("a list");
        if let Some(word) = self.text()? {
            let hint = Some(match word.text.starts_with(['[', '{']) {
                true => "a list stands in parentheses: `(a, b)`".to_owned(),
                false => format!("put parentheses around the value: `({word})`"),
            });
            error =
                SyntaxError { span: word.span, message: format!("expected a list, found `{word}`"), hint };
        }
        Err(error)
    }

    fn list_or_name(&mut self) -> Parsed<Option<Right>> {
        let start = self.at;
        if self.take("(") {
            return self.list(start).map(|list| Some(Right::List(list)));
        }
        let Some(name) = identifier(self.rest()) else { return Ok(None) };
        self.at += name.len();
        Ok(Some(Right::Named(self.word(name, start))))
    }

    fn list(&mut self, start: usize) -> Parsed<Vec<Word>> {
        let mut words = Vec::new();
        self.blanks();
        if self.take(")") {
            return Ok(words);
        }
        loop {
            self.blanks();
            match self.text()? {
                Some(word) => words.push(word),
                None => return Err(self.no_item(start)),
            }
            self.blanks();
            if self.take(")") {
                return Ok(words);
            }
            if !self.take(",") {
                return Err(self.no_separator(start));
            }
        }
    }

    fn no_item(&self, start: usize) -> SyntaxError {
        let mut error = self.expected("a string");
        error.hint = match run(self.rest()) {
            ")" | "," => Some("there is a comma too many".to_owned()),
            "(" => Some("lists do not nest; a list by its name is one of the items".to_owned()),
            "" => return self.open_list(start),
            word => Some(format!("a value that starts with `{word}` stands in quotes")),
        };
        error
    }

    /// What stands behind an item of a list and is neither `,` nor `)`.
    fn no_separator(&self, start: usize) -> SyntaxError {
        let word = run(self.rest());
        if word.is_empty() || (matches!(word, "and" | "or") && !self.closes_all(start)) {
            return self.open_list(start);
        }
        let mut error = self.expected("`,` or `)`");
        let glued = self.text.get(..self.at).is_some_and(|before| !before.ends_with(is_blank));
        error.hint = Some(match word.chars().next() {
            Some('(') => "a list holds texts; transformers stand outside".to_owned(),
            Some(first @ ('=' | '"' | '\'')) if glued => {
                format!("a value that contains `{first}` stands in quotes")
            }
            _ => "items are separated by commas; one with a blank stands in quotes".to_owned(),
        });
        error
    }

    fn open_list(&self, start: usize) -> SyntaxError {
        let mut error = self.error(start, start + 1, "this list is never closed");
        error.hint = Some("add a `)` behind the last item".to_owned());
        error
    }

    /// A string, quoted or bare, where one starts here.
    fn text(&mut self) -> Parsed<Option<Word>> {
        if let Some(word) = self.quoted()? {
            return Ok(Some(word));
        }
        let start = self.at;
        let Some(text) = bare(self.rest()) else { return Ok(None) };
        self.at += text.len();
        Ok(Some(self.word(text, start)))
    }
}
