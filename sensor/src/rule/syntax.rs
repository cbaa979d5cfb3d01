//! The tree of a condition, with the place of every part, and its text form. It knows no field and no type.

mod parse;

use std::fmt;

pub(crate) use self::parse::{Condition, field_name, parse};
use super::{diagnostic::Span, yaml::Located};

/// A text and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) span: Span,
    /// Whether it was written in quotes: such a word never names a list.
    pub(crate) quoted: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Expr {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Macro(Word),
    Check(Box<Check>),
    /// What could not be read, which is reported; with the part of it that could, so that its names are checked too.
    /// Nothing that contains one is ever executed.
    Error(Option<Box<Self>>),
}

#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) left: Operand,
    pub(crate) op: Op,
    pub(crate) right: Right,
    pub(crate) span: Span,
}

/// A field, or something computed from fields.
#[derive(Clone, Debug)]
pub(crate) enum Operand {
    Field(Field),
    Call(Call),
}

impl Operand {
    pub(crate) const fn span(&self) -> Span {
        match self {
            Self::Field(field) => field.span,
            Self::Call(call) => call.span,
        }
    }

    /// The check whether it has a value, which every operand allows.
    fn exists(self) -> Expr {
        let span = self.span();
        Expr::Check(Box::new(Check { left: self, op: Op::Exists, right: Right::Nothing, span }))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) arg: Option<Word>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: Function,
    pub(crate) args: Vec<Argument>,
    pub(crate) index: Option<Word>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug)]
pub(crate) enum Argument {
    Operand(Operand),
    Text(Word),
    List(Vec<Self>),
}

#[derive(Clone, Debug)]
pub(crate) enum Right {
    Nothing,
    Text(Word),
    List(Vec<Word>),
    /// A list by its name.
    Named(Word),
    Operand(Operand),
    /// `oneof`, `anyof` or `allof` before a list.
    Each(Each, Box<Self>),
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum $name { $($variant),* }

        impl $name {
            /// Every one.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];

            /// As it is written.
            pub(crate) const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    };
}

words! {
    /// What is asked of a value. Longer words stand before the shorter ones that they start with.
    Op {
        Exists "exists",
        Le "<=", Lt "<", Ge ">=", Gt ">",
        Eq "=", Ne "!=",
        Contains "contains", Icontains "icontains", Bcontains "bcontains",
        Startswith "startswith", Bstartswith "bstartswith", Endswith "endswith",
        Glob "glob", Iglob "iglob", Regex "regex",
        Intersects "intersects", In "in", Pmatch "pmatch",
    }
}

words! {
    /// Whether one value of a list has to hold, or all.
    Each { One "oneof", Any "anyof", All "allof" }
}

words! {
    /// What makes a value of other values.
    Function {
        ToLower "tolower", ToUpper "toupper", B64 "b64", Basename "basename", Len "len", Join "join",
        Concat "concat", GetOpt "getopt", Val "val",
    }
}

impl Function {
    /// The one whose call `text` starts with.
    fn at(text: &str) -> Option<Self> {
        let call =
            |function: &&Self| text.strip_prefix(function.word()).is_some_and(|rest| rest.starts_with('('));
        Self::ALL.iter().find(call).copied()
    }
}

/// Parentheses nested deeper than this are refused: the tree is walked recursively.
pub(crate) const MAX_DEPTH: usize = 100;

fn quote(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => f.write_str("\\\"")?,
            // A backslash, however it is written, keeps the quote behind it from closing; a blank does not.
            '\\' if characters.peek().is_none() => f.write_str("\\ ")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
            '\u{8}' => f.write_str("\\b")?,
            '\u{c}' => f.write_str("\\f")?,
            other => write!(f, "{other}")?,
        }
    }
    f.write_str("\"")
}

fn joined<T: fmt::Display>(items: &[T], separator: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.quoted { quote(&self.text, f) } else { f.write_str(&self.text) }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.arg.as_ref().map_or(Ok(()), |arg| write!(f, "[{arg}]"))
    }
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operand(operand) => write!(f, "{operand}"),
            Self::Text(word) => write!(f, "{word}"),
            Self::List(list) => {
                f.write_str("(")?;
                joined(list, ", ", f)?;
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => write!(f, "{field}"),
            Self::Call(call) => {
                write!(f, "{}(", call.function.word())?;
                joined(&call.args, ", ", f)?;
                f.write_str(")")?;
                call.index.as_ref().map_or(Ok(()), |index| write!(f, "[{index}]"))
            }
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Text(word) | Self::Named(word) => write!(f, " {word}"),
            Self::List(list) => {
                f.write_str(" (")?;
                joined(list, ", ", f)?;
                f.write_str(")")
            }
            Self::Operand(operand) => write!(f, " {operand}"),
            Self::Each(each, right) => write!(f, " {}{right}", each.word()),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.left, self.op.word(), self.right)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = |inner: &[Self], word: &str, f: &mut fmt::Formatter<'_>| {
            f.write_str("(")?;
            joined(inner, word, f)?;
            f.write_str(")")
        };
        match self {
            Self::And(inner) => group(inner, " and ", f),
            Self::Or(inner) => group(inner, " or ", f),
            // Without parentheses, two in a row would be read as none.
            Self::Not(inner) if matches!(**inner, Self::Not(_)) => write!(f, "not ({inner})"),
            Self::Not(inner) => write!(f, "not {inner}"),
            // A blank behind the name would make it the word.
            Self::Macro(word) if word.text == "not" => f.write_str("(not)"),
            Self::Macro(word) => write!(f, "{word}"),
            Self::Check(check) => write!(f, "{check}"),
            Self::Error(Some(readable)) => write!(f, "<error: {readable}>"),
            Self::Error(None) => f.write_str("<error>"),
        }
    }
}

/// The macros that a condition names, as far as it can be read.
pub(crate) fn names(text: &Located) -> Vec<String> {
    fn collect(expr: Expr, to: &mut Vec<String>) {
        match expr {
            Expr::And(parts) | Expr::Or(parts) => parts.into_iter().for_each(|part| collect(part, to)),
            Expr::Not(inner) => collect(*inner, to),
            Expr::Macro(word) => to.push(word.text),
            Expr::Error(Some(readable)) => collect(*readable, to),
            Expr::Check(_) | Expr::Error(None) => {}
        }
    }
    let mut names = Vec::new();
    collect(parse(text).expr, &mut names);
    names
}

#[cfg(test)]
mod tests;
