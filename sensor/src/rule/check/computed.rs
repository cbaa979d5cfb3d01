//! Values made of other values: transformers and `val()`. Each is rendered into a buffer that lasts, so nothing is
//! allocated for an event.

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

type Visit<'v> = dyn FnMut(Value<'_>) -> bool + 'v;

impl Computed {
    /// Buffers that it needs: a call has two, and its arguments, one after the other, share those behind.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Text(_) => 0,
            Self::Field(_) => 1,
            Self::List(list) => list.iter().map(Self::depth).max().unwrap_or_default(),
            Self::Call { args, .. } => 2 + args.iter().map(Self::depth).max().unwrap_or_default(),
        }
    }

    /// Appends every field that it reads.
    pub(crate) fn readings<'c>(&'c self, to: &mut Vec<&'c Reading>) {
        match self {
            Self::Field(reading) => to.push(reading),
            Self::Text(_) => {}
            Self::List(parts) | Self::Call { args: parts, .. } => {
                parts.iter().for_each(|part| part.readings(to));
            }
        }
    }

    /// Shows the values of the event to the visitor until it accepts one; none where a field that it needs has none.
    pub(crate) fn read(&self, event: &Event, buffers: &mut [Slot], visit: &mut Visit<'_>) -> bool {
        match self {
            Self::Text(text) => visit(Value::Bytes(text)),
            Self::List(list) => list.iter().any(|item| item.read(event, buffers, visit)),
            Self::Field(reading) => {
                let Some(slot) = buffers.first_mut() else { return false };
                slot.clear();
                reading.read(event, &mut Out::new(slot, 1, visit))
            }
            Self::Call { function: Function::GetOpt, args, index } => {
                getopt(args, index.as_deref(), event, buffers, visit)
            }
            Self::Call { function, args, index: None } => call(*function, args, event, buffers, visit),
            Self::Call { function, args, index: Some(index) } => {
                let mut left: usize = index.parse().unwrap_or(usize::MAX);
                let mut accepted = false;
                call(*function, args, event, buffers, &mut |value| {
                    let here = left == 0;
                    if here {
                        accepted = visit(value);
                    }
                    left = left.wrapping_sub(1);
                    here
                });
                accepted
            }
        }
    }

    /// Appends the values' texts with something between them, and says how many there are.
    fn append(&self, between: &[u8], event: &Event, buffers: &mut [Slot], to: &mut Vec<u8>) -> usize {
        let mut count = 0;
        self.read(event, buffers, &mut |value| {
            if count > 0 {
                to.extend_from_slice(between);
            }
            value.write(to);
            count += 1;
            false
        });
        count
    }
}

fn call(
    function: Function,
    args: &[Computed],
    event: &Event,
    buffers: &mut [Slot],
    visit: &mut Visit<'_>,
) -> bool {
    let (Some(first), [own, other, rest @ ..]) = (args.first(), buffers) else { return false };
    let (own, other) = (own.clear(), other.clear());
    let mut each = |change: fn(&mut Vec<u8>)| {
        first.read(event, rest, &mut |value| {
            own.clear();
            value.write(own);
            change(own);
            visit(Value::Bytes(own))
        })
    };
    match function {
        Function::ToLower => each(|text| text.make_ascii_lowercase()),
        Function::ToUpper => each(|text| text.make_ascii_uppercase()),
        Function::Basename => each(|text| {
            let start = text.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
            text.drain(..start);
        }),
        Function::B64 => first.read(event, rest, &mut |value| {
            other.clear();
            value.with_text(|text| decode(text, other)) && visit(Value::Bytes(other))
        }),
        Function::Len => {
            // Bytes of a text, or number of values of a list.
            let count = first.append(b"", event, rest, own);
            match (first, count) {
                (Computed::List(_), count) => visit(Value::Number(count as i64)),
                (_, 0) => false,
                (_, 1) => visit(Value::Number(own.len() as i64)),
                (_, count) => visit(Value::Number(count as i64)),
            }
        }
        Function::Join => {
            let [separator, list] = args else { return false };
            separator.append(b"", event, rest, other) > 0
                && list.append(other, event, rest, own) > 0
                && visit(Value::Bytes(own))
        }
        Function::Concat => {
            args.iter().all(|arg| arg.append(b"", event, rest, own) > 0) && visit(Value::Bytes(own))
        }
        Function::Val | Function::GetOpt => first.read(event, rest, visit),
    }
}

/// The options of a command line that `optstring` names, as `getopt(3)` reads it: all letters that are there, or with
/// an index the value of that letter (empty for one that takes none).
fn getopt(
    args: &[Computed],
    index: Option<&str>,
    event: &Event,
    buffers: &mut [Slot],
    visit: &mut Visit<'_>,
) -> bool {
    let ([line, options], [words, known, rest @ ..]) = (args, buffers) else { return false };
    let (words, known) = (words.clear(), known.clear());
    if options.append(b"", event, rest, known) == 0 {
        return false;
    }
    line.append(b" ", event, rest, words);
    let mut found = |letter: u8, value: &[u8]| match index {
        Some(index) => index.as_bytes() == [letter] && visit(Value::Bytes(value)),
        None => visit(Value::Bytes(&[letter])),
    };
    let mut words = words.split(|byte| *byte == b' ');
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix(b"-").filter(|letters| !letters.is_empty()) else { continue };
        if letters == b"-" {
            break;
        }
        let mut letters = letters.iter();
        while let Some(letter) = letters.next() {
            let Some(at) = known.iter().position(|known| known == letter && *known != b':') else { break };
            if known.get(at + 1) != Some(&b':') {
                if found(*letter, b"") {
                    return true;
                }
                continue;
            }
            let rest = letters.as_slice();
            let value = if rest.is_empty() { words.next().unwrap_or_default() } else { rest };
            if found(*letter, value) {
                return true;
            }
            break;
        }
    }
    false
}

/// Appends what base64 (RFC 4648, both alphabets, padding optional) stands for; `false` where it is not.
fn decode(text: &[u8], bytes: &mut Vec<u8>) -> bool {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let (mut word, mut bits) = (0u32, 0u32);
    for byte in text {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return false,
        };
        word = word << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits) as u8);
        }
    }
    true
}
