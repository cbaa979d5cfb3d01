//! Where each key stands in a file: dotted names to lines. It reads the text for itself, since what reads the values forgets
//! where they stood; it knows no keys.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser};

/// A collection that is not over yet.
enum Open {
    /// A mapping, with the key whose value comes next.
    Map(Option<String>),
    /// A list, with the place of the value that comes next.
    List(usize),
}

/// The line of every key, counted from 1; values of lists have their places as names (`rules.toggles.0.disable`). A text that
/// is no YAML has none behind its first error.
pub(super) fn lines(text: &str) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    let mut open: Vec<Open> = Vec::new();
    let mut parser = Parser::new_from_str(text);
    while let Some(Ok((event, marks))) = parser.next_event() {
        match event {
            Event::Scalar(text, ..) => match open.last_mut() {
                Some(Open::Map(key @ None)) => {
                    *key = Some(text.into_owned());
                    lines.insert(path(&open), marks.start.line());
                }
                _ => value_is_over(&mut open),
            },
            Event::MappingStart(..) => open.push(Open::Map(None)),
            Event::SequenceStart(..) => open.push(Open::List(0)),
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
                value_is_over(&mut open);
            }
            Event::Alias(_) => value_is_over(&mut open),
            _ => {}
        }
    }
    lines
}

/// The name of the value that comes next.
fn path(open: &[Open]) -> String {
    let names = open.iter().filter_map(|open| match open {
        Open::Map(key) => key.clone(),
        Open::List(at) => Some(at.to_string()),
    });
    names.collect::<Vec<_>>().join(".")
}

fn value_is_over(open: &mut [Open]) {
    match open.last_mut() {
        Some(Open::Map(key)) => *key = None,
        Some(Open::List(at)) => *at += 1,
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_where_they_are_written() {
        let text = "# a comment\nkernel:\n  mode: full\n\n  ring_bytes: 65536\nrules: {watch: true,\n  paths: [a,\n   b]}\n\
                    sinks:\n  siem:\n    to:\n      file: {path: /x}\nrespond:\n  isolate:\n    allow:\n      - a\n      - b: 1\n";
        let lines = lines(text);
        for (key, line) in [
            ("kernel", 2),
            ("kernel.mode", 3),
            ("kernel.ring_bytes", 5),
            ("rules", 6),
            ("rules.watch", 6),
            ("rules.paths", 7),
            ("sinks.siem.to.file.path", 12),
            ("respond.isolate.allow", 15),
            ("respond.isolate.allow.1.b", 17),
        ] {
            assert_eq!(lines.get(key), Some(&line), "{key} in {lines:?}");
        }
        assert_eq!(super::lines("a: 1\nb: [\n").get("a"), Some(&1));
    }
}
