//! What stands behind a field: the operator and its values.

use super::{Parsed, Parser, field_name, identifier, is_blank, number};
use crate::rule::{
    diagnostic::nearest,
    syntax::{Argument, Call, Check, Each, Expr, Function, Op, Operand, Right, Word},
};

impl Parser<'_> {
    pub(super) fn check(&mut self, left: Operand, start: usize) -> Parsed<Expr> {
        self.blanks();
        let Some(op) = self.operator() else {
            let mut error = self.expected("an operator");
            let word = self.word_here();
            let words = Op::ALL.iter().map(|op| op.word());
            error.hint = match word {
                "not" => Some("`not` stands before the field: `not proc.name in (…)`".to_owned()),
                "=~" | "~=" | "matches" => Some("regular expressions are compared with `regex`".to_owned()),
                word => nearest(word, words).map(|near| format!("did you mean `{near}`?")),
            };
            return Err(error);
        };
        self.blanks();
        let right = match op {
            Op::Exists => Right::Nothing,
            Op::Lt | Op::Le | Op::Gt | Op::Ge => self.number_or_operand()?,
            Op::In | Op::Intersects | Op::Pmatch => self.list_or_operand()?,
            _ => self.text_or_operand()?,
        };
        let span = self.places.span(start, self.at);
        Ok(Expr::Check(Box::new(Check { left, op, right, span })))
    }

    fn operator(&mut self) -> Option<Op> {
        if self.take("==") {
            return Some(Op::Eq);
        }
        let op = *Op::ALL.iter().find(|op| {
            // Of the words, only those that a string follows need a blank: `in(…)` is common, `containsfoo` is not.
            let needs_blank = op.word().starts_with(char::is_alphabetic)
                && !matches!(op, Op::Exists | Op::In | Op::Intersects | Op::Pmatch);
            self.rest()
                .strip_prefix(op.word())
                .is_some_and(|behind| !needs_blank || behind.starts_with(is_blank))
        })?;
        self.at += op.word().len();
        Some(op)
    }

    /// `val(field)`, or a transformer.
    fn right_operand(&mut self) -> Parsed<Option<Operand>> {
        if self.rest().starts_with("val(") {
            let start = self.at;
            self.at += 4;
            self.blanks();
            let Some(name) = field_name(self.rest()) else { return Err(self.expected("a field")) };
            let field = self.field(name)?;
            self.blanks();
            if !self.take(")") {
                return Err(self.expected("`)`"));
            }
            let span = self.places.span(start, self.at);
            let args = vec![Argument::Operand(Operand::Field(field))];
            return Ok(Some(Operand::Call(Call { function: Function::Val, args, index: None, span })));
        }
        // A bare string may look like a field: `proc.name = fd.name` compares with the text.
        if field_name(self.rest()).is_some() { Ok(None) } else { self.operand() }
    }

    fn number_or_operand(&mut self) -> Parsed<Right> {
        if let Some(operand) = self.right_operand()? {
            return Ok(Right::Operand(operand));
        }
        let start = self.at;
        let Some(text) = number(self.rest()) else { return Err(self.expected("a number")) };
        self.at += text.len();
        Ok(Right::Text(self.word(text.to_owned(), start, false)))
    }

    fn text_or_operand(&mut self) -> Parsed<Right> {
        if let Some(each) = self.each() {
            let list = self.list_or_operand()?;
            return Ok(Right::Each(each, Box::new(list)));
        }
        if let Some(operand) = self.right_operand()? {
            return Ok(Right::Operand(operand));
        }
        match self.text()? {
            Some(word) => Ok(Right::Text(word)),
            None => Err(self.expected("a string")),
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
        let open = self.at;
        if self.take("(") {
            return self.list(open).map(Right::List);
        }
        if let Some(operand) = self.right_operand()? {
            return Ok(Right::Operand(operand));
        }
        let start = self.at;
        let Some(name) = identifier(self.rest()) else {
            let mut error = self.expected("a list");
            if self.quoted().is_ok_and(|word| word.is_some()) {
                error.hint = Some("put parentheses around the value: `in (\"…\")`".to_owned());
            }
            return Err(error);
        };
        self.at += name.len();
        Ok(Right::Named(self.word(name.to_owned(), start, false)))
    }

    fn list(&mut self, open: usize) -> Parsed<Vec<Word>> {
        let mut words = Vec::new();
        self.blanks();
        if self.take(")") {
            return Ok(words);
        }
        loop {
            self.blanks();
            match self.text()? {
                Some(word) => words.push(word),
                None => return Err(self.expected("a string")),
            }
            self.blanks();
            if self.take(")") {
                return Ok(words);
            }
            if !self.take(",") {
                let mut error = self.expected("`,` or `)`");
                if self.rest().is_empty() {
                    error.span = self.places.span(open, open + 1);
                    error.message = "this list is never closed".to_owned();
                }
                return Err(error);
            }
        }
    }

    fn text(&mut self) -> Parsed<Option<Word>> {
        if let Some(word) = self.quoted()? {
            return Ok(Some(word));
        }
        let start = self.at;
        let rest = self.rest();
        let stop = |c: char| {
            matches!(c, '(' | ')' | '"' | '\'' | '=' | ',') || c.is_ascii_whitespace() || c == '\u{b}'
        };
        let end = rest.find(stop).unwrap_or(rest.len());
        if end == 0 {
            return Ok(None);
        }
        self.at += end;
        Ok(Some(self.word(rest.get(..end).unwrap_or_default().to_owned(), start, false)))
    }

    pub(super) fn quoted(&mut self) -> Parsed<Option<Word>> {
        let start = self.at;
        let Some(delimiter) = self.rest().chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            return Ok(None);
        };
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == delimiter => {
                    self.at += at + 1;
                    return Ok(Some(self.word(text, start, true)));
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, 'b')) => text.push('\u{8}'),
                    Some((_, escaped @ ('"' | '\'' | '\\'))) => text.push(escaped),
                    // Any other backslash stays: regular expressions and globs are full of them.
                    Some((_, other)) => text.extend(['\\', other]),
                    None => break,
                },
                other => text.push(other),
            }
        }
        let mut error = self.error(start, start + 1, "this quote is never closed");
        error.hint = Some(format!("add a `{delimiter}` at the end of the string"));
        Err(error)
    }
}
