//! YAML text into a tree in which every value knows its bytes. It knows nothing of rules.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as Marks};

use super::diagnostic::{Diagnostics, Source, Span};

/// Past this depth a file is refused: rules need six levels, and the tree is walked recursively.
const MAX_DEPTH: usize = 64;
/// Past this many values a file is refused: aliases multiply what a few lines say.
const MAX_NODES: usize = 1_000_000;
/// A longer file is refused: a thousand rules take half a megabyte, and the tree takes many times the text.
const MAX_BYTES: usize = 4 << 20;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
    size: Size,
}

/// What a value takes, aliases counted.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

impl Size {
    const fn add(self, other: Self) -> Self {
        Self { nodes: self.nodes + other.nodes, bytes: self.bytes + other.bytes }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    style: ScalarStyle,
}

impl Node {
    /// The text of a scalar, whatever its type.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// `true` or `false`, unquoted.
    pub(crate) fn bool(&self) -> Option<bool> {
        match (self.plain()?, self.text()?) {
            (true, "true" | "True" | "TRUE") => Some(true),
            (true, "false" | "False" | "FALSE") => Some(false),
            _ => None,
        }
    }

    pub(crate) fn list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    pub(crate) fn map(&self) -> Option<&[(Self, Self)]> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// Whether it is written as nothing: an empty value, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        self.plain() == Some(true) && matches!(self.text(), Some("" | "~" | "null" | "Null" | "NULL"))
    }

    /// For messages.
    pub(crate) const fn kind(&self) -> &'static str {
        match self.value {
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    fn plain(&self) -> Option<bool> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar.style == ScalarStyle::Plain),
            _ => None,
        }
    }
}

/// A text with the place of each of its bytes, so that a piece of a folded or quoted scalar can be underlined.
#[derive(Clone, Debug, Default)]
pub(crate) struct Located {
    pub(crate) text: String,
    places: Vec<(u32, u32)>,
}

impl Located {
    /// The scalar at `node`; empty for anything else.
    pub(crate) fn new(node: &Node, sources: &[Source]) -> Self {
        let Value::Scalar(scalar) = &node.value else { return Self::default() };
        let source = sources.get(node.span.file as usize).map_or("", |source| &source.text);
        let file = node.span.file;
        let places = align(&scalar.text, source, node.span, scalar.style);
        Self { text: scalar.text.clone(), places: places.into_iter().map(|at| (file, at)).collect() }
    }

    /// A text that is a source from its first byte on.
    pub(crate) fn whole(source: &Source, file: u32) -> Self {
        let places = (0..source.text.len() as u32).map(|at| (file, at)).collect();
        Self { text: source.text.clone(), places }
    }

    /// Appends another text after a blank.
    pub(crate) fn append(&mut self, other: &Self) {
        self.text.push(' ');
        self.places.push(other.places.first().copied().unwrap_or_default());
        self.text.push_str(&other.text);
        self.places.extend_from_slice(&other.places);
    }

    /// The place of a piece; a piece that crosses files ends where the first file does.
    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        let last = self.places.last().map_or((0, 0), |(file, at)| (*file, at + 1));
        let (file, from) = self.places.get(start).copied().unwrap_or(last);
        let to = match end.checked_sub(1).and_then(|end| self.places.get(end)) {
            Some((other, to)) if *other == file && *to >= from && end > start => to + 1,
            _ => from,
        };
        Span { file, start: from, end: to }
    }
}

/// Where each byte of a scalar's value stands in the source: values keep the order of what was written, so blanks
/// aside, each character is looked for behind the one before.
fn align(text: &str, source: &str, span: Span, style: ScalarStyle) -> Vec<u32> {
    let mut at = span.start as usize;
    let raw = source.get(at..).unwrap_or_default();
    at += match style {
        ScalarStyle::Plain => 0,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 1,
        // The indicator, `>-` or `|2+`, and what may follow it on its line.
        ScalarStyle::Literal | ScalarStyle::Folded if raw.starts_with(['>', '|']) => {
            raw.find('\n').map_or(raw.len(), |line| line + 1)
        }
        ScalarStyle::Literal | ScalarStyle::Folded => 0,
    };
    let mut places = Vec::with_capacity(text.len());
    for (_, character) in text.char_indices() {
        let rest = source.get(at..).unwrap_or_default();
        let skipped = if character.is_whitespace() {
            usize::from(style == ScalarStyle::DoubleQuoted && rest.starts_with("\\n"))
        } else {
            rest.char_indices()
                .find(|(_, found)| *found == character || !(found.is_whitespace() || *found == '\\'))
                .map_or(0, |(skipped, _)| skipped)
        };
        at += skipped;
        places.extend(std::iter::repeat_n(at as u32, character.len_utf8()));
        let here = source.get(at..).and_then(|rest| rest.chars().next());
        if here.is_some_and(|here| here == character || !character.is_whitespace() || here.is_whitespace()) {
            at += here.map_or(0, char::len_utf8);
        }
        if character == '\'' && style == ScalarStyle::SingleQuoted {
            at += 1;
        }
    }
    places
}

/// Reads a source; what cannot be read is reported, what stands before it is returned.
pub(crate) fn read(file: u32, source: &Source, found: &mut Diagnostics<'_>) -> Vec<Node> {
    if source.text.len() > MAX_BYTES {
        let message = format!("this file has more than {} MiB", MAX_BYTES >> 20);
        found.error(Span { file, start: 0, end: 0 }, message).hint =
            Some("split it into several files".into());
        return Vec::new();
    }
    let mut reader = Reader {
        file,
        offsets: Offsets::new(&source.text),
        parser: Parser::new_from_str(&source.text),
        anchors: HashMap::new(),
        size: Size::default(),
    };
    let mut documents = Vec::new();
    if let Err(problem) = reader.documents(&mut documents) {
        found.error(problem.span, problem.message);
    }
    documents
}

struct Problem {
    span: Span,
    message: String,
}

/// Positions of the parser count characters; everything else here counts bytes.
struct Offsets(Option<Vec<u32>>, u32);

impl Offsets {
    fn new(text: &str) -> Self {
        let table = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at as u32).collect());
        Self(table, text.len() as u32)
    }

    fn byte(&self, index: usize) -> u32 {
        match &self.0 {
            Some(table) => table.get(index).copied().unwrap_or(self.1),
            None => (index as u32).min(self.1),
        }
    }
}

struct Reader<'s> {
    file: u32,
    offsets: Offsets,
    parser: Parser<'s, saphyr_parser::StrInput<'s>>,
    anchors: HashMap<usize, Node>,
    size: Size,
}

impl<'s> Reader<'s> {
    fn documents(&mut self, documents: &mut Vec<Node>) -> Result<(), Problem> {
        while let Some((event, marks)) = self.next()? {
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                event => documents.push(self.node(event, marks, 0)?),
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<(Event<'s>, Marks)>, Problem> {
        self.parser.next_event().transpose().map_err(|error| self.refused(&error))
    }

    fn refused(&self, error: &ScanError) -> Problem {
        let start = self.offsets.byte(error.marker().index());
        Problem {
            span: Span { file: self.file, start, end: start },
            message: match error.info() {
                tab if tab.contains("tab") => {
                    "this is not YAML: a tab, where only blanks may stand".to_owned()
                }
                anchor if anchor.contains("unknown anchor") => {
                    "there is no `&` anchor of this name before".to_owned()
                }
                info => format!("this is not YAML: {info}"),
            },
        }
    }

    fn span(&self, marks: Marks) -> Span {
        let (start, end) = (self.offsets.byte(marks.start.index()), self.offsets.byte(marks.end.index()));
        Span { file: self.file, start, end }
    }

    fn node(&mut self, event: Event<'s>, marks: Marks, depth: usize) -> Result<Node, Problem> {
        let mut span = self.span(marks);
        if depth > MAX_DEPTH {
            return Err(Problem { span, message: format!("nested deeper than {MAX_DEPTH} levels") });
        }
        let bytes = if let Event::Scalar(text, ..) = &event { text.len() } else { 0 };
        let before = self.size;
        self.count(Size { nodes: 1, bytes }, span)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                (Value::Scalar(Scalar { text: text.into_owned(), style }), anchor)
            }
            Event::SequenceStart(anchor, _) => {
                let mut list = Vec::new();
                loop {
                    match self.inner(span)? {
                        (Event::SequenceEnd, _) => break,
                        (event, marks) => list.push(self.node(event, marks, depth + 1)?),
                    }
                }
                span.end = list.last().map_or(span.end, |node| node.span.end);
                (Value::List(list), anchor)
            }
            Event::MappingStart(anchor, _) => {
                let mut map = Vec::new();
                loop {
                    let key = match self.inner(span)? {
                        (Event::MappingEnd, _) => break,
                        (event, marks) => self.node(event, marks, depth + 1)?,
                    };
                    let (event, marks) = self.inner(span)?;
                    map.push((key, self.node(event, marks, depth + 1)?));
                }
                span.end = map.last().map_or(span.end, |(_, node)| node.span.end);
                (Value::Map(map), anchor)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Problem {
                        span,
                        message: "an alias of something that is not complete".into(),
                    });
                };
                self.count(node.size, span)?;
                return Ok(node);
            }
            _ => return Err(Problem { span, message: "the YAML ends in the middle of a value".into() }),
        };
        let Size { nodes, bytes } = self.size;
        let size = Size { nodes: nodes - before.nodes, bytes: bytes - before.bytes };
        let node = Node { span, value, size };
        if anchor != 0 {
            self.count(size, span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn inner(&mut self, span: Span) -> Result<(Event<'s>, Marks), Problem> {
        self.next()?.ok_or(Problem { span, message: "the YAML ends in the middle of a value".into() })
    }

    fn count(&mut self, size: Size, span: Span) -> Result<(), Problem> {
        self.size = self.size.add(size);
        let too_much = if self.size.nodes > MAX_NODES {
            format!("{MAX_NODES} values")
        } else if self.size.bytes > 2 * MAX_BYTES {
            format!("{} MiB of text", (2 * MAX_BYTES) >> 20)
        } else {
            return Ok(());
        };
        Err(Problem { span, message: format!("this makes more than {too_much}, aliases counted") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, word: &str) -> String {
        let source = Source { name: "t".into(), text: text.into() };
        let sources = [source.clone()];
        let mut found = Diagnostics::new(&sources);
        let documents = read(0, &source, &mut found);
        let (_, value) = &documents[0].map().unwrap()[0];
        let located = Located::new(value, &sources);
        let at = located.text.find(word).unwrap();
        let span = located.span(at, at + word.len());
        text[span.start as usize..span.end as usize].to_owned()
    }

    #[test]
    fn a_word_of_a_scalar_is_found_where_it_was_written() {
        for text in [
            "k: aa bb cc\n",
            "k: >\n  aa\n  bb\n  cc\n",
            "k: >-\n    aa\n\n      bb cc\n",
            "k: |\n  aa\n  bb\n",
            "k: 'aa ''x'' bb'\n",
            "k: \"aa \\\"x\\\" bb\"\n",
            "ü: aa ü bb\n",
            "k: aa\n  bb cc\n",
        ] {
            assert_eq!(place(text, "bb"), "bb", "{text:?}");
        }
        assert_eq!(place("k: \"a = \\\"é\\\" and bb\"\n", "bb"), "bb");
    }

    #[test]
    fn hostile_yaml_ends_soon() {
        let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
        for (name, of) in "bcdefghij".chars().zip("abcdefghi".chars()) {
            let list = vec![format!("*{of}"); 10].join(",");
            bomb += &format!("{name}: &{name} [{list}]\n");
        }
        let long = format!("a: &a '{}'\nb: [{}]\n", "x".repeat(1 << 20), "*a,".repeat(100_000));
        let nested =
            ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000), "? ".repeat(100_000)];
        let wrong = ["a: *b\n".into(), "a: &a [*a]\n".into(), "x".repeat(MAX_BYTES + 1)];
        for text in [bomb, long].into_iter().chain(nested).chain(wrong) {
            let source = Source { name: "t".into(), text };
            let sources = [source.clone()];
            let mut found = Diagnostics::new(&sources);
            read(0, &source, &mut found);
            assert_eq!(found.errors(), 1);
        }
    }
}
