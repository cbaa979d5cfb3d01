//! The text of a condition into its tree. Hand-written recursive descent: the language decides by the letter what
//! needs a blank behind it, and every error has to name what was expected at which byte.

mod comparison;

use super::{Argument, Call, Expr, Field, Function, MAX_DEPTH, Operand, Word};
use crate::rule::{
    diagnostic::{Span, nearest},
    yaml::Located,
};

/// Why a condition could not be read.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Reads a whole condition.
pub(crate) fn parse(text: &Located) -> Result<Expr, SyntaxError> {
    let mut parser = Parser { text: &text.text, at: 0, places: text, depth: 0 };
    parser.blanks();
    if parser.rest().is_empty() {
        return Err(parser.error(0, text.text.len(), "the condition is empty"));
    }
    let expr = parser.or()?;
    parser.blanks();
    if parser.rest().is_empty() {
        return Ok(expr);
    }
    let word = parser.word_here();
    let mut error = parser.error(parser.at, parser.at + word.len().max(1), "expected `and`, `or` or the end");
    error.hint = match word {
        ")" => Some("this `)` closes nothing".to_owned()),
        "&&" => Some("write `and`".to_owned()),
        "||" => Some("write `or`".to_owned()),
        word => nearest(word, ["and", "or"]).map(|near| format!("did you mean `{near}`?")),
    };
    Err(error)
}

/// The field name that `text` starts with: at least two parts joined by dots.
pub(crate) fn field_name(text: &str) -> Option<&str> {
    let mut end = identifier(text)?.len();
    let mut parts = 1;
    while let Some(part) = text.get(end..).and_then(|rest| rest.strip_prefix('.')).and_then(identifier) {
        end += 1 + part.len();
        parts += 1;
    }
    if parts > 1 { text.get(..end) } else { None }
}

fn identifier(text: &str) -> Option<&str> {
    if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return None;
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.get(..end)
}

/// `0x…` or decimal with an optional fraction and signed exponent.
fn number(text: &str) -> Option<&str> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let end = hex.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(hex.len());
        if end > 0 {
            return text.get(..2 + end);
        }
    }
    let mut end = usize::from(text.starts_with(['+', '-']));
    let whole = digits(text.get(end..)?);
    if whole == 0 {
        return None;
    }
    end += whole;
    if text.get(end..)?.starts_with('.') {
        end += 1;
        end += digits(text.get(end..)?);
    }
    if let Some(exponent) = text.get(end..)?.strip_prefix(['e', 'E'])
        && exponent.starts_with(['+', '-'])
    {
        let length = digits(exponent.get(1..)?);
        if length > 0 {
            end += 2 + length;
        }
    }
    text.get(..end)
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{8}' | '\r' | '\n')
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    places: &'t Located,
    depth: usize,
}

type Parsed<T> = Result<T, SyntaxError>;

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

    /// What stands here, up to the next blank or parenthesis, for messages.
    fn word_here(&self) -> &'t str {
        let rest = self.rest();
        let end =
            rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',')).unwrap_or(rest.len());
        let first = rest.chars().next().map_or(0, char::len_utf8);
        rest.get(..end.max(first)).unwrap_or_default()
    }

    fn expected(&self, what: &str) -> SyntaxError {
        let word = self.word_here();
        let found = if word.is_empty() { "the end".to_owned() } else { format!("`{word}`") };
        self.error(self.at, self.at + word.len(), format!("expected {what}, found {found}"))
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth >= MAX_DEPTH {
            return Err(self.error(self.at, self.at + 1, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn or(&mut self) -> Parsed<Expr> {
        self.chain("or", Self::and, Expr::Or)
    }

    fn and(&mut self) -> Parsed<Expr> {
        self.chain("and", Self::not, Expr::And)
    }

    fn chain(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Parsed<Expr>,
        make: fn(Vec<Expr>) -> Expr,
    ) -> Parsed<Expr> {
        let first = part(self)?;
        let mut parts = vec![first];
        self.blanks();
        while self.take(word) {
            if !self.blanks() && !self.rest().starts_with('(') {
                return Err(self.expected(&format!("a blank or `(` behind `{word}`")));
            }
            parts.push(part(self)?);
            self.blanks();
        }
        if parts.len() > 1 { Ok(make(parts)) } else { Ok(parts.remove(0)) }
    }

    fn not(&mut self) -> Parsed<Expr> {
        self.blanks();
        let mut negated = false;
        while let Some(behind) = self.rest().strip_prefix("not")
            && behind.starts_with(|c| is_blank(c) || c == '(')
        {
            self.at += 3;
            negated = !negated;
            let blank = self.blanks();
            if !blank && self.rest().starts_with('(') {
                break;
            }
        }
        let inner = self.primary()?;
        Ok(if negated { Expr::Not(Box::new(inner)) } else { inner })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let open = self.at;
        if self.take("(") {
            let inner = self.deeper(Self::or)?;
            self.blanks();
            if !self.take(")") {
                let mut error = self.expected("`and`, `or` or `)`");
                if self.rest().is_empty() {
                    error.span = self.places.span(open, open + 1);
                    error.message = "this `(` is never closed".to_owned();
                }
                return Err(error);
            }
            return Ok(inner);
        }
        let start = self.at;
        if let Some(left) = self.operand()? {
            return self.check(left, start);
        }
        if let Some(name) = identifier(self.rest()) {
            self.at += name.len();
            let word = self.word(name.to_owned(), start, false);
            return Ok(Expr::Macro(word));
        }
        let mut error = self.expected("a field, a macro or `(`");
        if self.rest().starts_with('!') {
            error.hint = Some("write `not`".to_owned());
        }
        Err(error)
    }

    fn word(&self, text: String, start: usize, quoted: bool) -> Word {
        Word { text, span: self.places.span(start, self.at), quoted }
    }

    /// A field or a call, where one starts here.
    fn operand(&mut self) -> Parsed<Option<Operand>> {
        if let Some(name) = field_name(self.rest()) {
            return self.field(name).map(|field| Some(Operand::Field(field)));
        }
        let rest = self.rest();
        let call = |function: &&Function| {
            rest.strip_prefix(function.word()).is_some_and(|behind| behind.starts_with('('))
        };
        match Function::ALL.iter().find(call) {
            Some(Function::Val) | None => Ok(None),
            Some(function) => {
                self.deeper(|parser| parser.call(*function)).map(|call| Some(Operand::Call(call)))
            }
        }
    }

    fn field(&mut self, name: &str) -> Parsed<Field> {
        let start = self.at;
        self.at += name.len();
        let arg = self.index()?;
        Ok(Field { name: name.to_owned(), arg, span: self.places.span(start, self.at) })
    }

    fn index(&mut self) -> Parsed<Option<Word>> {
        if !self.take("[") {
            return Ok(None);
        }
        let word = if let Some(word) = self.quoted()? {
            word
        } else {
            let start = self.at;
            let rest = self.rest();
            let stop = |c: char| matches!(c, '[' | ']' | '"' | '\'') || c.is_whitespace();
            let end = rest.find(stop).unwrap_or(rest.len());
            if end == 0 {
                return Err(self.expected("an argument"));
            }
            self.at += end;
            self.word(rest.get(..end).unwrap_or_default().to_owned(), start, false)
        };
        if self.take("]") { Ok(Some(word)) } else { Err(self.expected("`]`")) }
    }

    fn call(&mut self, function: Function) -> Parsed<Call> {
        let start = self.at;
        self.at += function.word().len() + 1;
        let args = self.arguments()?;
        let index = self.index()?;
        let span = self.places.span(start, self.at);
        let wanted = match function {
            Function::Concat => 1..=usize::MAX,
            Function::Join | Function::GetOpt => 2..=2,
            _ => 1..=1,
        };
        if !wanted.contains(&args.len()) {
            let message = format!("`{}` does not take {} arguments", function.word(), args.len());
            return Err(SyntaxError { span, message, hint: None });
        }
        Ok(Call { function, args, index, span })
    }

    /// What stands between parentheses, the closing one included.
    fn arguments(&mut self) -> Parsed<Vec<Argument>> {
        let mut args = Vec::new();
        loop {
            self.blanks();
            args.push(self.argument()?);
            self.blanks();
            if self.take(")") {
                return Ok(args);
            }
            if !self.take(",") {
                return Err(self.expected("`,` or `)`"));
            }
        }
    }

    fn argument(&mut self) -> Parsed<Argument> {
        if self.take("(") {
            return self.deeper(Self::arguments).map(Argument::List);
        }
        if let Some(operand) = self.operand()? {
            return Ok(Argument::Operand(operand));
        }
        match self.quoted()? {
            Some(word) => Ok(Argument::Text(word)),
            None => Err(self.expected("a field, a transformer or a quoted string")),
        }
    }
}
