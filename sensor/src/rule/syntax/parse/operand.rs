//! Fields and transformers, with their arguments.

use super::{
    Parsed, Parser, SyntaxError,
    lex::{bare_argument, field_name, number, quoted, unescape},
};
use crate::rule::syntax::{Argument, Call, Field, Function, Operand, Word};

impl Parser<'_> {
    /// A field or a transformer, where one starts here.
    pub(super) fn operand(&mut self) -> Parsed<Option<Operand>> {
        if let Some(name) = field_name(self.rest()) {
            return self.field(name).map(|field| Some(Operand::Field(field)));
        }
        match Function::at(self.rest()) {
            Some(Function::Val) | None => Ok(None),
            Some(function) => self.call(function).map(|call| Some(Operand::Call(call))),
        }
    }

    /// `val(field)`, or a transformer: what stands on a right side for something of the event.
    pub(super) fn right_operand(&mut self) -> Parsed<Option<Operand>> {
        match Function::at(self.rest()) {
            Some(Function::Val) => self.val().map(|call| Some(Operand::Call(call))),
            // A bare string may look like a field: `proc.name = fd.name` compares with the text.
            Some(_) => self.operand(),
            None => Ok(None),
        }
    }

    pub(super) fn field(&mut self, name: &str) -> Parsed<Field> {
        let start = self.at;
        self.at += name.len();
        let arg = self.index()?;
        Ok(Field { name: name.to_owned(), arg, span: self.places.span(start, self.at) })
    }

    fn index(&mut self) -> Parsed<Option<Word>> {
        if !self.take("[") {
            return Ok(None);
        }
        let start = self.at;
        let word = match self.quoted()? {
            Some(word) => word,
            None => {
                let Some(arg) = bare_argument(self.rest()) else { return Err(self.expected("an argument")) };
                self.at += arg.len();
                self.word(arg, start)
            }
        };
        if self.take("]") { Ok(Some(word)) } else { Err(self.expected("`]`")) }
    }

    fn val(&mut self) -> Parsed<Call> {
        let start = self.at;
        self.at += "val(".len();
        self.blanks();
        let Some(name) = field_name(self.rest()) else { return Err(self.expected("a field")) };
        let field = self.field(name)?;
        self.blanks();
        if !self.take(")") {
            return Err(self.expected("`)`"));
        }
        let span = self.places.span(start, self.at);
        let args = vec![Argument::Operand(Operand::Field(field))];
        Ok(Call { function: Function::Val, args, index: None, span })
    }

    fn call(&mut self, function: Function) -> Parsed<Call> {
        let start = self.at;
        self.at += function.word().len() + 1;
        let args = self.deeper(Self::arguments)?;
        let index = self.index()?;
        let span = self.places.span(start, self.at);
        let wanted = match function {
            Function::Concat => 1..=usize::MAX,
            Function::Join | Function::GetOpt => 2..=2,
            _ => 1..=1,
        };
        if !wanted.contains(&args.len()) {
            let (word, number) = (function.word(), args.len());
            let plural = if *wanted.start() == 1 { "argument" } else { "arguments" };
            let message = format!("`{word}` takes {} {plural}, these are {number}", wanted.start());
            self.report(SyntaxError { span, message, hint: None });
        }
        Ok(Call { function, args, index, span })
    }

    /// What stands between the parentheses of a transformer, the closing one included.
    fn arguments(&mut self) -> Parsed<Vec<Argument>> {
        let mut args = Vec::new();
        loop {
            self.blanks();
            args.push(if self.take("(") { Argument::List(self.argument_list()?) } else { self.argument()? });
            if self.ends_list()? {
                return Ok(args);
            }
        }
    }

    fn argument_list(&mut self) -> Parsed<Vec<Argument>> {
        let mut args = Vec::new();
        self.blanks();
        if self.take(")") {
            return Ok(args);
        }
        loop {
            self.blanks();
            args.push(self.argument()?);
            if self.ends_list()? {
                return Ok(args);
            }
        }
    }

    /// Reads `)`, which ends a list, or `,`, which does not.
    fn ends_list(&mut self) -> Parsed<bool> {
        self.blanks();
        match self.take(")") {
            false if !self.take(",") => Err(self.expected("`,` or `)`")),
            ends => Ok(ends),
        }
    }

    fn argument(&mut self) -> Parsed<Argument> {
        if let Some(operand) = self.operand()? {
            return Ok(Argument::Operand(operand));
        }
        if let Some(word) = self.quoted()? {
            return Ok(Argument::Text(word));
        }
        let start = self.at;
        if let Some(number) = number(self.rest()) {
            self.at += number.len();
            return Ok(Argument::Text(self.word(number, start)));
        }
        let mut error = self.expected("a field, a transformer, a quoted string or a number");
        if Function::at(self.rest()) == Some(Function::Val) {
            error.hint = Some("`val` stands alone on the right side of a comparison".to_owned());
        }
        Err(error)
    }

    /// A string in quotes, where one starts here. An escape that means nothing is reported; reading goes on.
    pub(super) fn quoted(&mut self) -> Parsed<Option<Word>> {
        let start = self.at;
        let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            return Ok(None);
        };
        let Some(written) = quoted(self.rest()) else { return Err(self.open_quote(quote)) };
        let inner = written.get(1..written.len() - 1).unwrap_or_default();
        self.at += written.len();
        let text = unescape(inner, quote).unwrap_or_else(|bad| {
            let at = start + 1 + bad.at;
            let escape = format!("\\{}", bad.escaped);
            let message = match bad.escaped.is_whitespace() {
                true => "a backslash before the end of a line or a tab is not an escape".to_owned(),
                false => format!("`{escape}` is not an escape"),
            };
            let mut error = self.error(at, at + escape.len(), message);
            error.hint = Some(match bad.escaped {
                '"' => "between single quotes, a double quote has no backslash".to_owned(),
                '\'' => "between double quotes, a single quote has no backslash".to_owned(),
                other if other.is_whitespace() => "a backslash in quotes is written twice".to_owned(),
                _ => format!("a backslash in quotes is written twice: `\\{escape}`"),
            });
            self.report(error);
            inner.to_owned()
        });
        Ok(Some(Word { text, span: self.places.span(start, start + written.len()), quoted: true }))
    }

    fn open_quote(&mut self, quote: char) -> SyntaxError {
        let mut error = self.error(self.at, self.at + 1, "this quote is never closed");
        let escaped = self.rest().contains(&format!("\\{quote}"));
        error.hint = Some(if escaped {
            "a quote behind a backslash does not close; for a backslash at the end write `\\ `".to_owned()
        } else {
            format!("add a `{quote}` at the end of the string")
        });
        self.skip_open_quote();
        error
    }
}
