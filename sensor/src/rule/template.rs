//! `output:` into a line and the fields that it names. A missing value prints as `<NA>`.

use serde_json::{Map, Number};

use super::{
    diagnostic::Diagnostics,
    field::{self, Reading, Type, Unknown},
    syntax::field_name,
    value::{Out, Slot, Value},
    yaml::Located,
};
use crate::event::{Event, printable};

/// What stands for `%container.info`, which other tools fill in by an option.
const CONTAINER_INFO: &str = "container_id=%container.id container_name=%container.name";

/// Fields that an alert from inside a container has whether the rule names them or not.
const IN_CONTAINER: &[&str] = &[
    "container.id",
    "container.name",
    "container.image.repository",
    "container.image.tag",
    "k8s.ns.name",
    "k8s.pod.name",
];

#[derive(Debug)]
enum Part {
    Text(String),
    Field(Placed),
}

#[derive(Debug)]
struct Placed {
    /// As the rule wrote it, the key in `output_fields`.
    name: String,
    reading: Reading,
}

/// An output, compiled.
#[derive(Debug, Default)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// Reads an output; unknown fields are reported where they stand.
    pub(crate) fn compile(text: &Located, found: &mut Diagnostics<'_>) -> Self {
        let mut template = Self::default();
        template.read(text, &text.text, 0, found);
        template
    }

    fn read(&mut self, place: &Located, text: &str, base: usize, found: &mut Diagnostics<'_>) {
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            let start = text.len() - rest.len() + at;
            self.text(rest.get(..at).unwrap_or_default());
            let behind = rest.get(at + 1..).unwrap_or_default();
            let (inner, paren) = behind.strip_prefix('(').map_or((behind, false), |inner| (inner, true));
            let Some(name) = field_name(inner) else {
                self.text("%");
                rest = behind;
                continue;
            };
            let arg = inner
                .get(name.len()..)
                .and_then(|rest| rest.strip_prefix('['))
                .and_then(|rest| rest.split_once(']'));
            let mut length = name.len() + arg.map_or(0, |(arg, _)| arg.len() + 2);
            let written = inner.get(..length).unwrap_or_default();
            let closed = paren && inner.get(length..).is_some_and(|rest| rest.starts_with(')'));
            if paren && !closed {
                self.text("%");
                rest = behind;
                continue;
            }
            length += if paren { 2 } else { 0 };
            rest = behind.get(length..).unwrap_or_default();
            if name == "container.info" {
                self.read(place, CONTAINER_INFO, usize::MAX, found);
                continue;
            }
            let arg = arg.map(|(arg, _)| arg.trim_matches(['"', '\'']));
            match Reading::resolve(name, arg) {
                Ok(reading) => self.parts.push(Part::Field(Placed { name: written.to_owned(), reading })),
                Err(unknown) => {
                    let from = base.saturating_add(start).saturating_add(1);
                    let span = place.span(from, from.saturating_add(written.len()));
                    match unknown {
                        Unknown::Field { near } => {
                            found.error(span, format!("there is no field `{name}`")).hint =
                                near.map(|near| format!("did you mean `{near}`?"));
                        }
                        Unknown::Argument { message, near } => {
                            found.error(span, message).hint =
                                near.map(|near| format!("did you mean `{near}`?"));
                        }
                    }
                }
            }
        }
        self.text(rest);
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.parts.last_mut() {
            Some(Part::Text(before)) => before.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    /// The fields that it names.
    pub(crate) fn readings(&self) -> impl Iterator<Item = &Reading> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(placed) => Some(&placed.reading),
            Part::Text(_) => None,
        })
    }

    /// The line, and the fields that it names.
    pub(crate) fn render(&self, event: &Event) -> (String, Map<String, serde_json::Value>) {
        let mut line = Vec::new();
        let mut fields = Map::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => line.extend_from_slice(text.as_bytes()),
                Part::Field(Placed { name, reading }) => {
                    let start = line.len();
                    if !reading.write(event, &mut line) {
                        line.truncate(start);
                        line.extend_from_slice(b"<NA>");
                    }
                    fields.insert(name.clone(), json(reading, event));
                }
            }
        }
        if event.container.is_some() {
            for name in IN_CONTAINER {
                if let Some(reading) = field::find(name).and_then(|_| Reading::resolve(name, None).ok()) {
                    fields.entry(*name).or_insert_with(|| json(&reading, event));
                }
            }
        }
        (printable(&line).into_owned(), fields)
    }
}

/// A field's value as JSON: numbers as numbers, moments as nanoseconds, what is missing as `null`.
fn json(reading: &Reading, event: &Event) -> serde_json::Value {
    let mut json = serde_json::Value::Null;
    let kind = reading.field.kind;
    let mut visit = |value: Value<'_>| {
        json = match value {
            Value::Bool(bool) => bool.into(),
            Value::Time(nanoseconds, _) => nanoseconds.into(),
            Value::Number(number) if kind == Type::Number => Number::from(number).into(),
            other => {
                let mut text = Vec::new();
                other.write(&mut text);
                printable(&text).into_owned().into()
            }
        };
        true
    };
    reading.read(event, &mut Out::new(&mut Slot::default(), 1, &mut visit));
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{Source, testing::event};

    fn render(output: &str, of: &str) -> (String, Map<String, serde_json::Value>, usize) {
        let sources = [Source { name: "t".into(), text: output.into() }];
        let mut found = Diagnostics::new(&sources);
        let template = Template::compile(&Located::whole(&sources[0], 0), &mut found);
        let (line, fields) = template.render(&event(of));
        (line, fields, found.errors())
    }

    #[test]
    fn fields_are_filled_in() {
        let of = "{evt.type: execve, proc.name: sh, proc.pid: 7, 'proc.aname[1]': bash, evt.rawtime: 1709210096000000007}";
        let (line, fields, errors) = render(
            "%evt.time %proc.name=%proc.pid. 100% of %(proc.name)s %proc.aname[1] %proc.aname[2] (%container.id) %fd.name%",
            of,
        );
        assert_eq!(line, "12:34:56.000000007 sh=7. 100% of shs bash <NA> (host) <NA>%");
        assert_eq!(errors, 0);
        assert_eq!(fields["proc.pid"], 7);
        assert_eq!(fields["evt.time"], 1_709_210_096_000_000_007_u64);
        assert_eq!(fields["proc.aname[1]"], "bash");
        assert!(fields["fd.name"].is_null());
        assert!(!fields.contains_key("container.name"));
    }

    #[test]
    fn in_a_container_its_fields_are_there() {
        let (line, fields, _) = render("%container.info", "{evt.type: execve, container.id: c1}");
        assert_eq!(line, "container_id=c1 container_name=<NA>");
        assert_eq!(fields["container.id"], "c1");
        assert!(fields.contains_key("k8s.pod.name"));
    }

    #[test]
    fn unknown_fields_are_errors() {
        assert_eq!(render("%proc.nmae %x.y %evt.arg.nothing", "{evt.type: execve}").2, 3);
    }
}
