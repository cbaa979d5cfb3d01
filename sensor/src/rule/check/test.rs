//! The test of one value. Texts are compared as bytes; words of flags are compared bit by bit, without writing them.

use aho_corasick::AhoCorasick;
use hashbrown::HashSet;
use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};
use rustc_hash::FxBuildHasher;
use thiserror::Error;

use super::pattern::{automaton, contains_any_case, glob, hex, net};
use crate::{
    event::flags::{self, Flag},
    rule::{
        field::Type,
        index::{Key, Ranges},
        syntax::Op,
        value::{Flags, Value},
    },
};

/// Past this a compiled regular expression is refused, so that no rule can eat the memory.
const REGEX_BYTES: usize = 1 << 20;

/// Up to so many paths are compared one by one: past this, hashing every prefix of the path is cheaper.
const FEW: usize = 16;

/// A number as rules write it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Whole(i64),
    Fraction(f64),
}

impl Number {
    /// Decimal or `0x…`; with a fraction or an exponent it is a fraction, unless it is whole.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            return u64::from_str_radix(hex, 16).ok().map(|number| Self::Whole(number.cast_signed()));
        }
        if let Ok(number) = text.parse::<i64>() {
            return Some(Self::Whole(number));
        }
        if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-')) {
            return None;
        }
        let number: f64 = text.parse().ok()?;
        // Whole numbers up to 2^53 are exact.
        let whole = number.fract() == 0.0 && number.abs() < 9e15;
        number.is_finite().then_some(if whole { Self::Whole(number as i64) } else { Self::Fraction(number) })
    }

    fn holds(self, op: Op, value: i64) -> bool {
        let order = match self {
            Self::Whole(number) => value.cmp(&number),
            Self::Fraction(number) => (value as f64).total_cmp(&number),
        };
        match op {
            Op::Lt => order.is_lt(),
            Op::Le => order.is_le(),
            Op::Gt => order.is_gt(),
            Op::Ge => order.is_ge(),
            _ => order.is_eq(),
        }
    }
}

type ByteSet = HashSet<Box<[u8]>, FxBuildHasher>;

/// What is asked of a value.
#[derive(Debug)]
pub(crate) enum Test {
    Exists,
    Number(Op, Number),
    Numbers(Vec<Number>),
    Bools {
        yes: bool,
        no: bool,
    },
    Nets(Ranges),
    Equal(Box<[u8]>),
    Set(ByteSet),
    Contains(Box<Finder<'static>>, FlagTests),
    ContainsAnyCase(Box<[u8]>),
    Starts(Box<[u8]>),
    Ends(Box<[u8]>),
    /// Several texts of which one is looked for.
    ContainsAny(Box<AhoCorasick>, Vec<Box<[u8]>>),
    /// Directories of which one holds the path: few, compared one by one.
    FewPaths(Vec<Box<[u8]>>),
    /// Directories of which one holds the path.
    Paths(ByteSet),
    Regex(Box<Regex>),
}

/// For each table of flags, the flags whose name holds the text that is looked for.
#[derive(Debug, Default)]
pub(crate) struct FlagTests(Vec<TableTests>);

/// A table, and mask and value of the flags of it that count.
type TableTests = (&'static [Flag], Vec<(u64, u64)>);

impl FlagTests {
    fn new(part: &str) -> Self {
        // Text that spans two names cannot be told from the bits: it is compared as text.
        if part.contains(['|', ' ']) || part == "0" || part.is_empty() {
            return Self::default();
        }
        let masks = |table: &[Flag]| {
            let named = table.iter().filter(|flag| flag.name.contains(part));
            named.map(|flag| (flag.mask, flag.value)).collect()
        };
        Self(flags::TABLES.into_iter().map(|table| (table, masks(table))).collect())
    }

    fn holds(&self, flags: Flags) -> Option<bool> {
        let (_, tests) = self.0.iter().find(|(table, _)| std::ptr::eq(*table, flags.table))?;
        Some(tests.iter().any(|(mask, value)| flags.word & mask == *value))
    }
}

/// Why a value cannot be compared so.
#[derive(Debug, Error)]
pub(crate) enum TestError {
    #[error("`{0}` is not a number")]
    Number(String),
    #[error("`{0}` is not `true` or `false`")]
    Bool(String),
    #[error("`{0}` is not an IP address")]
    Address(String),
    #[error("`{0}` is not a network")]
    Network(String),
    #[error("`{0}` is not hexadecimal")]
    Hex(String),
    #[error("not a regular expression: {0}")]
    Regex(String),
}

impl Test {
    pub(crate) fn number(op: Op, text: &str) -> Result<Self, TestError> {
        let number = Number::parse(text).ok_or_else(|| TestError::Number(text.to_owned()))?;
        Ok(Self::Number(op, number))
    }

    pub(crate) fn numbers<'t>(texts: impl Iterator<Item = &'t str>) -> Result<Self, TestError> {
        let number = |text: &str| Number::parse(text).ok_or_else(|| TestError::Number(text.to_owned()));
        texts.map(number).collect::<Result<_, _>>().map(Self::Numbers)
    }

    pub(crate) fn bools<'t>(texts: impl Iterator<Item = &'t str>) -> Result<Self, TestError> {
        let (mut yes, mut no) = (false, false);
        for text in texts {
            match text {
                "true" | "True" | "TRUE" | "1" => yes = true,
                "false" | "False" | "FALSE" | "0" => no = true,
                other => return Err(TestError::Bool(other.to_owned())),
            }
        }
        Ok(Self::Bools { yes, no })
    }

    pub(crate) fn addresses<'t>(texts: impl Iterator<Item = &'t str>) -> Result<Self, TestError> {
        // An address that is written as a network is one: the first implementation takes both.
        let address = |text: &str| net(text).ok_or_else(|| TestError::Address(text.to_owned()));
        texts.map(address).collect::<Result<Vec<_>, _>>().map(|nets| Self::Nets(Ranges::new(&nets)))
    }

    pub(crate) fn networks<'t>(texts: impl Iterator<Item = &'t str>) -> Result<Self, TestError> {
        let network = |text: &str| net(text).ok_or_else(|| TestError::Network(text.to_owned()));
        texts.map(network).collect::<Result<Vec<_>, _>>().map(|nets| Self::Nets(Ranges::new(&nets)))
    }

    pub(crate) fn set<'t>(texts: impl Iterator<Item = &'t str>) -> Self {
        let mut texts: Vec<Box<[u8]>> = texts.map(|text| text.as_bytes().into()).collect();
        match texts.pop() {
            Some(one) if texts.is_empty() => Self::Equal(one),
            last => Self::Set(texts.into_iter().chain(last).collect()),
        }
    }

    pub(crate) fn paths<'t>(texts: impl Iterator<Item = &'t str>) -> Self {
        let paths: Vec<Box<[u8]>> = texts.map(|text| text.trim_end_matches('/').as_bytes().into()).collect();
        if paths.len() <= FEW { Self::FewPaths(paths) } else { Self::Paths(paths.into_iter().collect()) }
    }

    /// One automaton for several texts of which any will do; `None` where it cannot be built.
    pub(crate) fn contains_any<'t>(texts: impl Iterator<Item = &'t [u8]>) -> Option<Self> {
        let texts: Vec<Box<[u8]>> = texts.map(Into::into).collect();
        automaton(&texts).map(|automaton| Self::ContainsAny(automaton, texts))
    }

    /// The text that `contains` looks for.
    pub(crate) fn part(&self) -> Option<&[u8]> {
        match self {
            Self::Contains(finder, _) => Some(finder.needle()),
            _ => None,
        }
    }

    /// The test of a text with one word.
    pub(crate) fn text(op: Op, word: &str) -> Result<Self, TestError> {
        let bytes = || word.as_bytes().into();
        Ok(match op {
            Op::Contains => Self::Contains(Box::new(Finder::new(word).into_owned()), FlagTests::new(word)),
            Op::Bcontains => {
                Self::Contains(Box::new(Finder::new(&hex(word)?).into_owned()), FlagTests::default())
            }
            Op::Icontains => Self::ContainsAnyCase(word.to_ascii_lowercase().into_bytes().into()),
            Op::Startswith => Self::Starts(bytes()),
            Op::Bstartswith => Self::Starts(hex(word)?.into()),
            Op::Endswith => Self::Ends(bytes()),
            Op::Glob => Self::regex(&glob(word), false)?,
            Op::Iglob => Self::regex(&glob(word), true)?,
            // The whole text must match, as in the language's first implementation.
            Op::Regex => Self::regex(&format!("^(?:{word})$"), false)?,
            _ => Self::Equal(bytes()),
        })
    }

    fn regex(pattern: &str, any_case: bool) -> Result<Self, TestError> {
        let built = RegexBuilder::new(pattern)
            .case_insensitive(any_case)
            .size_limit(REGEX_BYTES)
            .dfa_size_limit(REGEX_BYTES)
            .build();
        match built {
            Ok(regex) => Ok(Self::Regex(Box::new(regex))),
            Err(error) => {
                let said = error.to_string();
                Err(TestError::Regex(
                    said.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
                ))
            }
        }
    }

    /// Whether the value passes.
    pub(crate) fn holds(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Exists, _) => true,
            (Self::Number(op, number), value) => value.number().is_some_and(|value| number.holds(*op, value)),
            (Self::Numbers(numbers), value) => {
                value.number().is_some_and(|value| numbers.iter().any(|number| number.holds(Op::Eq, value)))
            }
            (Self::Bools { yes, no }, Value::Bool(value)) => {
                if value {
                    *yes
                } else {
                    *no
                }
            }
            (Self::Nets(nets), Value::Ip(ip)) => nets.contain(ip),
            (Self::Bools { .. } | Self::Nets(_), _) => false,
            (_, Value::Bytes(bytes)) => self.bytes_hold(bytes),
            (_, Value::Flags(flags)) => self.flags_hold(flags),
            (_, value) => value.with_text(|text| self.bytes_hold(text)),
        }
    }

    fn flags_hold(&self, flags: Flags) -> bool {
        match self {
            Self::Equal(text) => flags.is(text),
            Self::Set(texts) => texts.iter().any(|text| flags.is(text)),
            Self::Contains(_, tests) if let Some(holds) = tests.holds(flags) => holds,
            _ => Value::Flags(flags).with_text(|text| self.bytes_hold(text)),
        }
    }

    fn bytes_hold(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Equal(text) => bytes == &**text,
            Self::Set(texts) => texts.contains(bytes),
            Self::Contains(finder, _) => finder.find(bytes).is_some(),
            Self::ContainsAnyCase(part) => contains_any_case(bytes, part),
            Self::Starts(text) => bytes.starts_with(text),
            Self::Ends(text) => bytes.ends_with(text),
            Self::ContainsAny(automaton, _) => automaton.is_match(bytes),
            Self::FewPaths(paths) => paths.iter().any(|path| {
                bytes.strip_prefix(&**path).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            }),
            Self::Paths(paths) => {
                let parents = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
                paths.contains(bytes)
                    || parents.filter_map(|at| bytes.get(..at)).any(|parent| paths.contains(parent))
            }
            Self::Regex(regex) => regex.is_match(bytes),
            Self::Exists => true,
            Self::Number(..) | Self::Numbers(_) | Self::Bools { .. } | Self::Nets(_) => false,
        }
    }

    /// The keys under which an index finds every value of a field of this type that passes; `None` where there are none.
    pub(crate) fn keys(&self, kind: Type) -> Option<Vec<Key>> {
        let texts = kind == Type::Text;
        Some(match self {
            Self::Equal(text) if texts => vec![Key::Exact(text.clone())],
            Self::Set(set) if texts => set.iter().cloned().map(Key::Exact).collect(),
            Self::Starts(text) if texts && text.len() > 1 => vec![Key::Prefix(text.clone())],
            Self::Ends(text) if texts && text.len() > 1 => vec![Key::Suffix(text.clone())],
            Self::FewPaths(paths) if texts => paths.iter().cloned().map(Key::Path).collect(),
            Self::Paths(paths) if texts => paths.iter().cloned().map(Key::Path).collect(),
            Self::Contains(finder, _) if texts && finder.needle().len() > 1 => {
                vec![Key::Part(finder.needle().into())]
            }
            Self::ContainsAnyCase(part) if texts && part.len() > 1 => vec![Key::Part(part.clone())],
            Self::ContainsAny(_, parts) if texts => parts.iter().cloned().map(Key::Part).collect(),
            Self::Number(Op::Eq, Number::Whole(number)) if kind == Type::Number => vec![Key::Number(*number)],
            Self::Numbers(numbers) if kind == Type::Number => {
                let whole = |number: &Number| match number {
                    Number::Whole(number) => Some(Key::Number(*number)),
                    Number::Fraction(_) => None,
                };
                numbers.iter().map(whole).collect::<Option<_>>()?
            }
            _ => return None,
        })
    }
}

/// Compares two values of an event.
pub(crate) fn compare(op: Op, left: Value<'_>, right: Value<'_>) -> bool {
    if let (Some(left), Some(right)) = (left.number(), right.number())
        && matches!(op, Op::Lt | Op::Le | Op::Gt | Op::Ge | Op::Eq | Op::Ne | Op::In | Op::Intersects)
    {
        return Number::Whole(right).holds(op, left);
    }
    left.with_text(|text| right.with_text(|other| compare_texts(op, text, other)))
}

fn compare_texts(op: Op, text: &[u8], other: &[u8]) -> bool {
    match op {
        Op::Lt => text < other,
        Op::Le => text <= other,
        Op::Gt => text > other,
        Op::Ge => text >= other,
        Op::Contains | Op::Bcontains => memchr::memmem::find(text, other).is_some(),
        Op::Icontains => contains_any_case(text, other),
        Op::Startswith | Op::Bstartswith => text.starts_with(other),
        Op::Endswith => text.ends_with(other),
        Op::Pmatch => {
            let directory = other.strip_suffix(b"/").unwrap_or(other);
            text.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        }
        // Patterns are compiled at load: one that an event brings is compared as it is.
        _ => text == other,
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
