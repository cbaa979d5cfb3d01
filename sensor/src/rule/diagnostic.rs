//! What is wrong with a rule file, where, and what would help. It knows text and places, nothing of rules.

use std::{cell::OnceCell, fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

/// One file (or one text that a user typed) with the name that diagnostics give it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Path, or what the text is.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// A place: bytes of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    /// Index of the source in load order.
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is lost.
    Notice,
    /// The rules load, but something is not what its author may think.
    Warning,
    /// The rules cannot be used.
    Error,
}

impl Severity {
    /// In lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Name of the source.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Bytes of the source.
    pub span: Range<usize>,
    /// What would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// A second place that belongs to it, such as a definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<Related>,
    /// The lines around it.
    #[serde(skip)]
    excerpt: Excerpt,
}

/// A second place.
#[derive(Clone, Debug, Serialize)]
pub struct Related {
    /// What is there.
    pub message: String,
    /// Name of the source.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

#[derive(Clone, Debug, Default)]
struct Excerpt {
    text: String,
    line: usize,
    span: Range<usize>,
}

impl Diagnostic {
    /// The excerpt with the place underlined, and the hint below it.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Notice => Level::NOTE,
        };
        let snippet = Snippet::source(self.excerpt.text.as_str())
            .line_start(self.excerpt.line)
            .path(self.file.as_str())
            .annotation(AnnotationKind::Primary.span(self.excerpt.span.clone()));
        let mut group = Group::with_title(level.primary_title(self.message.as_str())).element(snippet);
        if let Some(related) = &self.related {
            let note = format!("{}: {}:{}:{}", related.message, related.file, related.line, related.column);
            group = group.element(Level::NOTE.message(note));
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, message, file, line, column, .. } = self;
        write!(f, "{file}:{line}:{column}: {}: {message}", severity.name())?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Collects findings while sources are read.
#[derive(Debug)]
pub(crate) struct Diagnostics<'s> {
    sources: &'s [Source],
    found: Vec<Diagnostic>,
    errors: usize,
    /// For each source, where its lines begin; made when it is first asked for.
    lines: Vec<OnceCell<Vec<usize>>>,
}

/// More than this and nobody reads on; a hostile file must not fill the memory with findings.
const MAX_FOUND: usize = 1000;

impl<'s> Diagnostics<'s> {
    pub(crate) fn new(sources: &'s [Source]) -> Self {
        Self { sources, found: Vec::new(), errors: 0, lines: vec![OnceCell::new(); sources.len()] }
    }

    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Error, span, message.into())
    }

    pub(crate) fn warning(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Warning, span, message.into())
    }

    pub(crate) fn notice(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Notice, span, message.into())
    }

    pub(crate) fn related(&self, span: Span, message: impl Into<String>) -> Related {
        let (file, text) = self.source(span);
        let (line, column) = self.position(span.file, text, span.start as usize);
        Related { message: message.into(), file: file.to_owned(), line, column }
    }

    pub(crate) const fn errors(&self) -> usize {
        self.errors
    }

    /// Whether more would only be thrown away: then there is no use in looking for it.
    pub(crate) const fn full(&self) -> bool {
        self.found.len() >= MAX_FOUND
    }

    /// The state to which [`Diagnostics::roll_back`] leads back.
    pub(crate) const fn mark(&self) -> (usize, usize) {
        (self.found.len(), self.errors)
    }

    /// Forgets what was found since the mark.
    pub(crate) fn roll_back(&mut self, (found, errors): (usize, usize)) {
        self.found.truncate(found);
        self.errors = errors;
    }

    /// In the order of the sources and lines.
    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        let order = |found: &Diagnostic| self.sources.iter().position(|source| source.name == found.file);
        let mut found: Vec<_> = self.found.into_iter().map(|found| (order(&found), found)).collect();
        found.sort_by_key(|(file, found)| (*file, found.span.start));
        found.into_iter().map(|(_, found)| found).collect()
    }

    fn source(&self, span: Span) -> (&'s str, &'s str) {
        self.sources.get(span.file as usize).map_or(("", ""), |source| (&*source.name, &*source.text))
    }

    /// Line and column of a byte, both from 1.
    fn position(&self, file: u32, text: &str, at: usize) -> (u32, u32) {
        let at = floor(text, at);
        let starts = || std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let Some(starts) = self.lines.get(file as usize).map(|lines| lines.get_or_init(starts)) else {
            return (1, 1);
        };
        let line = starts.partition_point(|start| *start <= at);
        let start = starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = text.get(start..at).unwrap_or_default().chars().count() + 1;
        (line as u32, column as u32)
    }

    fn push(&mut self, severity: Severity, span: Span, message: String) -> &mut Diagnostic {
        if severity == Severity::Error {
            self.errors += 1;
        }
        let (file, text) = self.source(span);
        let start = floor(text, span.start as usize);
        let end = floor(text, span.end as usize).max(start);
        let (line, column) = self.position(span.file, text, start);
        let found = Diagnostic {
            severity,
            message,
            file: file.to_owned(),
            line,
            column,
            span: start..end,
            hint: None,
            related: None,
            excerpt: excerpt(text, start..end, line as usize),
        };
        if self.full() {
            self.found.pop();
        }
        let at = self.found.len();
        self.found.push(found);
        // The vector holds what was just pushed; `insert` semantics without an index panic are not offered for `Vec`.
        #[expect(clippy::indexing_slicing, reason = "`at` is the index of the element pushed one line above")]
        &mut self.found[at]
    }
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The lines that the span touches, at most three: a longer span is cut.
fn excerpt(text: &str, span: Range<usize>, line: usize) -> Excerpt {
    let start = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let tail = text.get(span.start..).unwrap_or_default();
    let wanted = span.len();
    let mut end = tail.len();
    for (lines, (at, _)) in tail.match_indices('\n').enumerate() {
        if at >= wanted || lines == 2 {
            end = at;
            break;
        }
    }
    let cut = text.get(start..span.start + end).unwrap_or_default().to_owned();
    let from = span.start - start;
    let to = (span.end - start).min(cut.len()).max(from);
    Excerpt { text: cut, line, span: from..to }
}

/// Nobody mistypes a longer name than this, and comparing such names takes long.
const LONGEST_NAME: usize = 100;

/// The candidate that `name` was most likely meant to be: at most a third of its letters differ, or it was cut short.
pub(crate) fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let limit = (name.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let cut = name.len() > 2 && candidate.starts_with(name);
            let near = candidate.len().abs_diff(name.len()) <= limit;
            let distance = if near { distance(name, candidate, limit) } else { usize::MAX };
            let distance = if cut { distance.min(limit) } else { distance };
            (distance <= limit).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) that lead from one to the other, or something above the limit.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = vec![usize::MAX / 2; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, from) in a.chars().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, to) in b.iter().enumerate() {
            let at = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut best =
                (at(&last, j) + usize::from(from != *to)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = j > 0 && previous == Some(*to) && b.get(j - 1) == Some(&from);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        if row.iter().chain(&last).all(|edits| *edits > limit) {
            return usize::MAX;
        }
        before = std::mem::replace(&mut last, row);
        previous = Some(from);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        let names = ["proc.name", "proc.pname", "fd.name"];
        assert_eq!(nearest("proc.nmae", names), Some("proc.name"));
        assert_eq!(nearest("proc.aexepaht", ["proc.aexepath", "proc.exepath"]), Some("proc.aexepath"));
        assert_eq!(nearest("warn", ["warning", "error"]), Some("warning"));
        assert_eq!(nearest("container.id", names), None);
        assert_eq!(distance("", "abc", 3), 3);
    }

    #[test]
    fn a_place_is_shown_with_its_line_and_hint() {
        let sources = [Source { name: "a.yaml".into(), text: "x: 1\nü: proc.nmae = sh\nz: 3\n".into() }];
        let mut found = Diagnostics::new(&sources);
        let at = sources[0].text.find("proc.nmae").unwrap() as u32;
        found.error(Span { file: 0, start: at, end: at + 9 }, "unknown field `proc.nmae`").hint =
            Some("did you mean `proc.name`?".into());
        let found = found.finish();
        assert_eq!(
            found[0].to_string(),
            "a.yaml:2:4: error: unknown field `proc.nmae` (did you mean `proc.name`?)"
        );
        let shown = found[0].render(false);
        assert!(shown.contains("a.yaml:2:4"), "{shown}");
        assert!(shown.contains("^^^^^^^^^"), "{shown}");
        assert!(shown.contains("did you mean"), "{shown}");
    }
}
