//! The tree of a condition, with the place of every part, and its text form. It knows no field and no type.

mod parse;

use std::fmt;

pub(crate) use self::parse::{field_name, parse};
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

/// Conditions nested deeper than this are refused, as in the language's first implementation.
pub(crate) const MAX_DEPTH: usize = 100;

fn quote(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
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
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::Macro(word) => write!(f, "{word}"),
            Self::Check(check) => write!(f, "{check}"),
        }
    }
}

/// The macros that a condition names; none where it cannot be read.
pub(crate) fn names(text: &Located) -> Vec<String> {
    fn collect(expr: Expr, to: &mut Vec<String>) {
        match expr {
            Expr::And(parts) | Expr::Or(parts) => parts.into_iter().for_each(|part| collect(part, to)),
            Expr::Not(inner) => collect(*inner, to),
            Expr::Macro(word) => to.push(word.text),
            Expr::Check(_) => {}
        }
    }
    let mut names = Vec::new();
    if let Ok(expr) = parse(text) {
        collect(expr, &mut names);
    }
    names
}

#[cfg(test)]
mod tests;
