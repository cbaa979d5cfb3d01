//! Values made of other values: transformers and `val()`. Rules use them rarely; they may allocate.

use std::net::IpAddr;

use crate::{
    event::Event,
    rule::{
        field::Reading,
        syntax::Function,
        value::{Out, Slot, Value},
    },
};

/// A transformer with its arguments, a field, a constant or a list of them.
#[derive(Debug)]
pub(crate) enum Computed {
    Field(Reading),
    Text(Box<[u8]>),
    List(Vec<Self>),
    Call { function: Function, args: Vec<Self>, index: Option<Box<str>> },
}

/// A value that outlives what it was read from.
#[derive(Clone, Debug)]
pub(crate) enum Owned {
    Bytes(Vec<u8>),
    Number(i64),
    Bool(bool),
    Ip(IpAddr),
}

impl Owned {
    pub(crate) fn borrow(&self) -> Value<'_> {
        match self {
            Self::Bytes(bytes) => Value::Bytes(bytes),
            Self::Number(number) => Value::Number(*number),
            Self::Bool(bool) => Value::Bool(*bool),
            Self::Ip(ip) => Value::Ip(*ip),
        }
    }

    fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        self.borrow().write(&mut text);
        text
    }
}

impl From<Value<'_>> for Owned {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Number(number) => Self::Number(number),
            Value::Bool(bool) => Self::Bool(bool),
            Value::Ip(ip) => Self::Ip(ip),
            other => {
                let mut bytes = Vec::new();
                other.write(&mut bytes);
                Self::Bytes(bytes)
            }
        }
    }
}

impl Computed {
    /// The values of the event; none where a field that it needs has none.
    pub(crate) fn values(&self, event: &Event) -> Vec<Owned> {
        match self {
            Self::Text(text) => vec![Owned::Bytes(text.to_vec())],
            Self::List(list) => list.iter().flat_map(|item| item.values(event)).collect(),
            Self::Field(reading) => {
                let mut values = Vec::new();
                let mut slot = Slot::default();
                let mut visit = |value: Value<'_>| {
                    values.push(Owned::from(value));
                    false
                };
                reading.read(event, &mut Out::new(&mut slot, 1, &mut visit));
                values
            }
            Self::Call { function, args, index } => call(*function, args, index.as_deref(), event),
        }
    }
}

fn call(function: Function, args: &[Computed], index: Option<&str>, event: &Event) -> Vec<Owned> {
    let Some(first) = args.first() else { return Vec::new() };
    let each = |map: fn(Vec<u8>) -> Option<Vec<u8>>| -> Vec<Owned> {
        first.values(event).iter().filter_map(|value| map(value.text())).map(Owned::Bytes).collect()
    };
    let values = match function {
        Function::Val => first.values(event),
        Function::ToLower => each(|text| Some(text.to_ascii_lowercase())),
        Function::ToUpper => each(|text| Some(text.to_ascii_uppercase())),
        Function::Basename => each(|text| Some(text.rsplit(|byte| *byte == b'/').next()?.to_vec())),
        Function::B64 => each(|text| decode(&text)),
        Function::Len => len(first, event),
        Function::Join => join(args, event),
        Function::Concat => {
            let parts: Vec<_> = args.iter().map(|arg| arg.values(event)).collect();
            if parts.iter().any(Vec::is_empty) {
                return Vec::new();
            }
            vec![Owned::Bytes(parts.iter().flatten().flat_map(Owned::text).collect())]
        }
        Function::GetOpt => return getopt(args, index, event),
    };
    match index {
        Some(index) => {
            let place = index.parse().unwrap_or(usize::MAX);
            values.into_iter().nth(place).into_iter().collect()
        }
        None => values,
    }
}

/// Bytes of a text, or number of values of a list.
fn len(of: &Computed, event: &Event) -> Vec<Owned> {
    let values = of.values(event);
    match (of, values.as_slice()) {
        (Computed::List(_), list) => vec![Owned::Number(list.len() as i64)],
        (_, []) => Vec::new(),
        (_, [one]) => vec![Owned::Number(one.text().len() as i64)],
        (_, several) => vec![Owned::Number(several.len() as i64)],
    }
}

fn join(args: &[Computed], event: &Event) -> Vec<Owned> {
    let [separator, list] = args else { return Vec::new() };
    let Some(separator) = separator.values(event).first().map(Owned::text) else { return Vec::new() };
    let parts: Vec<_> = list.values(event).iter().map(Owned::text).collect();
    if parts.is_empty() { Vec::new() } else { vec![Owned::Bytes(parts.join(separator.as_slice()))] }
}

/// The options of a command line that `optstring` names, as `getopt(3)` reads it: all letters that are there, or with
/// an index the value of that letter (empty for one that takes none).
fn getopt(args: &[Computed], index: Option<&str>, event: &Event) -> Vec<Owned> {
    let [line, known] = args else { return Vec::new() };
    let Some(known) = known.values(event).first().map(Owned::text) else { return Vec::new() };
    let words: Vec<Vec<u8>> = line
        .values(event)
        .iter()
        .flat_map(|value| value.text().split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect::<Vec<_>>())
        .collect();
    let mut found: Vec<(u8, Vec<u8>)> = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix(b"-").filter(|letters| !letters.is_empty()) else { continue };
        if letters == b"-" {
            break;
        }
        let mut letters = letters.iter();
        while let Some(letter) = letters.next() {
            let Some(at) = known.iter().position(|known| known == letter && *known != b':') else { break };
            if known.get(at + 1) != Some(&b':') {
                found.push((*letter, Vec::new()));
                continue;
            }
            let rest = letters.as_slice().to_vec();
            let value = if rest.is_empty() { words.next().unwrap_or_default() } else { rest };
            found.push((*letter, value));
            break;
        }
    }
    match index {
        Some(index) => found
            .into_iter()
            .filter(|(letter, _)| index.as_bytes() == [*letter])
            .map(|(_, value)| Owned::Bytes(value))
            .collect(),
        None => found.into_iter().map(|(letter, _)| Owned::Bytes(vec![letter])).collect(),
    }
}

/// Base64 (RFC 4648, both alphabets, padding optional) as bytes; `None` where it is not.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut word, mut bits) = (0u32, 0u32);
    for byte in text {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        word = word << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
        }
    }
    Some(bytes)
}
