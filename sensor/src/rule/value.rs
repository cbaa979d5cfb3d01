//! The value of a field: borrowed from the event wherever it can be, rendered once per event where it cannot. It knows
//! no field.

use std::{
    fmt,
    io::{self, Write},
    net::IpAddr,
};

use crate::event::flags::{self, Flag};

/// What a field says of one event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'v> {
    Bytes(&'v [u8]),
    Number(i64),
    Bool(bool),
    Ip(IpAddr),
    Flags(Flags),
    /// Nanoseconds since 1970, with the way to write them.
    Time(u64, Clock),
}

/// A word of named bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags {
    pub(crate) table: &'static [Flag],
    pub(crate) word: u64,
    pub(crate) separator: &'static str,
}

/// Ways to write a moment; all in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// `23:59:59.000000000`
    Time,
    /// `23:59:59`
    Seconds,
    /// `2026-01-31T23:59:59.000000000+0000`
    Iso8601,
    /// `2026-01-31 23:59:59.000000000`
    DateTime,
}

impl Flags {
    /// Whether the rendered text is `text`, without rendering it.
    pub(crate) fn is(self, text: &[u8]) -> bool {
        let mut rest = text;
        let mut first = true;
        for name in flags::names(self.table, self.word) {
            if !first {
                let Some(behind) = rest.strip_prefix(self.separator.as_bytes()) else { return false };
                rest = behind;
            }
            let Some(behind) = rest.strip_prefix(name.as_bytes()) else { return false };
            rest = behind;
            first = false;
        }
        if first { text == b"0" } else { rest.is_empty() }
    }
}

impl Value<'_> {
    /// Appends the text that rules compare and outputs print.
    pub(crate) fn write(self, to: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = self.render(to);
    }

    fn render(self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Value::Bytes(bytes) => to.write_all(bytes),
            Value::Number(number) => write!(to, "{number}"),
            Value::Bool(bool) => write!(to, "{bool}"),
            Value::Ip(ip) => write!(to, "{ip}"),
            Value::Flags(Flags { table, word, separator }) => {
                let mut first = true;
                for name in flags::names(table, word) {
                    if !first {
                        to.write_all(separator.as_bytes())?;
                    }
                    to.write_all(name.as_bytes())?;
                    first = false;
                }
                if first { to.write_all(b"0") } else { Ok(()) }
            }
            Value::Time(nanoseconds, clock) => write!(to, "{}", Moment(nanoseconds, clock)),
        }
    }

    /// Passes on the text. It is written on the stack, where every value but a text has room: all capabilities together
    /// have 660 bytes.
    pub(crate) fn with_text<T>(self, with: impl FnOnce(&[u8]) -> T) -> T {
        if let Value::Bytes(bytes) = self {
            return with(bytes);
        }
        let mut buffer = [0; 1024];
        let mut rest = buffer.as_mut_slice();
        let written = self.render(&mut rest).is_ok();
        let free = rest.len();
        match buffer.get(..1024 - free) {
            Some(text) if written => with(text),
            _ => {
                let mut text = Vec::new();
                self.write(&mut text);
                with(&text)
            }
        }
    }

    /// The number that the value is, where it is one.
    pub(crate) const fn number(self) -> Option<i64> {
        match self {
            Value::Number(number) => Some(number),
            Value::Bool(bool) => Some(bool as i64),
            Value::Flags(flags) => Some(flags.word.cast_signed()),
            Value::Time(nanoseconds, _) => Some(nanoseconds.cast_signed()),
            Value::Bytes(_) | Value::Ip(_) => None,
        }
    }
}

/// A moment to be written.
struct Moment(u64, Clock);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let (year, month, day) = date(days);
        match self.1 {
            Clock::Time => write!(f, "{hour:02}:{minute:02}:{second:02}.{nanoseconds:09}"),
            Clock::Seconds => write!(f, "{hour:02}:{minute:02}:{second:02}"),
            Clock::Iso8601 => {
                write!(
                    f,
                    "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanoseconds:09}+0000"
                )
            }
            Clock::DateTime => {
                write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{nanoseconds:09}")
            }
        }
    }
}

/// Year, month and day of a number of days since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
const fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + (month <= 2) as u64, month, day)
}

/// A field's rendered text, kept while the event lasts.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    generation: u64,
    bytes: Vec<u8>,
}

impl Slot {
    /// The buffer, empty, for whatever is rendered into it next.
    pub(crate) fn clear(&mut self) -> &mut Vec<u8> {
        self.generation = 0;
        self.bytes.clear();
        &mut self.bytes
    }
}

/// All that one evaluator renders texts into.
#[derive(Debug)]
pub(crate) struct Slots {
    pub(crate) generation: u64,
    /// One for each field that renders.
    pub(crate) fields: Vec<Slot>,
    /// For the check that is being evaluated: see [`crate::rule::check::Computed`].
    pub(crate) buffers: Vec<Slot>,
}

impl Slots {
    pub(crate) fn new(fields: usize, buffers: usize) -> Self {
        let slots = |count| std::iter::repeat_with(Slot::default).take(count).collect();
        Self { generation: 0, fields: slots(fields), buffers: slots(buffers) }
    }
}

/// Where a field puts its values: each is shown to a visitor, and the first that the visitor accepts ends it.
pub(crate) struct Out<'o> {
    slot: &'o mut Slot,
    generation: u64,
    visit: &'o mut dyn FnMut(Value<'_>) -> bool,
}

impl<'o> Out<'o> {
    /// `generation` tells events apart: a slot that another generation filled is rendered anew. It is never 0.
    pub(crate) fn new(
        slot: &'o mut Slot,
        generation: u64,
        visit: &'o mut dyn FnMut(Value<'_>) -> bool,
    ) -> Self {
        Self { slot, generation, visit }
    }

    pub(crate) fn value(&mut self, value: Value<'_>) -> bool {
        (self.visit)(value)
    }

    pub(crate) fn text(&mut self, bytes: &[u8]) -> bool {
        (self.visit)(Value::Bytes(bytes))
    }

    /// Text of which empty means unknown.
    pub(crate) fn known(&mut self, bytes: &[u8]) -> bool {
        !bytes.is_empty() && self.text(bytes)
    }

    pub(crate) fn maybe(&mut self, bytes: Option<&[u8]>) -> bool {
        bytes.is_some_and(|bytes| self.text(bytes))
    }

    pub(crate) fn number(&mut self, number: impl Into<i64>) -> bool {
        (self.visit)(Value::Number(number.into()))
    }

    /// Unsigned 64-bit values past the signed range keep their bits.
    pub(crate) fn wide(&mut self, number: u64) -> bool {
        (self.visit)(Value::Number(number.cast_signed()))
    }

    pub(crate) fn maybe_number(&mut self, number: Option<impl Into<i64>>) -> bool {
        number.is_some_and(|number| self.number(number))
    }

    pub(crate) fn bool(&mut self, bool: bool) -> bool {
        (self.visit)(Value::Bool(bool))
    }

    pub(crate) fn ip(&mut self, ip: Option<IpAddr>) -> bool {
        ip.is_some_and(|ip| (self.visit)(Value::Ip(ip)))
    }

    pub(crate) fn flags(&mut self, table: &'static [Flag], word: u64, separator: &'static str) -> bool {
        (self.visit)(Value::Flags(Flags { table, word, separator }))
    }

    /// Text that has to be put together: once per event, whoever asks.
    pub(crate) fn rendered(&mut self, render: impl FnOnce(&mut Vec<u8>)) -> bool {
        if self.slot.generation != self.generation {
            self.slot.bytes.clear();
            render(&mut self.slot.bytes);
            self.slot.generation = self.generation;
        }
        (self.visit)(Value::Bytes(&self.slot.bytes))
    }

    /// Text that has to be put together, one of several of the field.
    pub(crate) fn rendered_each(&mut self, render: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.slot.generation = 0;
        self.slot.bytes.clear();
        render(&mut self.slot.bytes);
        (self.visit)(Value::Bytes(&self.slot.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: Value<'_>) -> String {
        let mut to = Vec::new();
        value.write(&mut to);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn moments_are_written_in_utc() {
        let leap = 1_709_210_096_000_000_007;
        assert_eq!(written(Value::Time(leap, Clock::Time)), "12:34:56.000000007");
        assert_eq!(written(Value::Time(leap, Clock::Iso8601)), "2024-02-29T12:34:56.000000007+0000");
        assert_eq!(written(Value::Time(0, Clock::DateTime)), "1970-01-01 00:00:00.000000000");
        assert_eq!(written(Value::Time(leap, Clock::Seconds)), "12:34:56");
    }

    #[test]
    fn flags_are_compared_as_if_they_were_written() {
        for word in [0, 1, 0o101, 0o1102, 0o4_010_002] {
            let flags = Flags { table: flags::OPEN, word, separator: "|" };
            let text = written(Value::Flags(flags));
            assert!(flags.is(text.as_bytes()), "{text}");
            assert!(!flags.is(format!("{text}|O_X").as_bytes()));
            assert!(!flags.is(b""));
            assert!(!flags.is(&text.as_bytes()[1..]));
        }
        assert!(Flags { table: flags::CLONE, word: 0, separator: "|" }.is(b"0"));
    }
}
