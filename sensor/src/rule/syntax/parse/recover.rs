//! Behind an error: where reading can go on, so that a second mistake is found and the first is not found twice.

use super::{
    Parser, SyntaxError,
    lex::{Pieces, field_name, is_blank, is_space},
};
use crate::rule::syntax::Function;

/// More than this and nobody reads on; a hostile condition must not fill the memory with findings.
const MAX_ERRORS: usize = 20;

impl Parser<'_> {
    /// One error at one place: the first says what is wrong, another what follows from it.
    pub(super) fn report(&mut self, error: SyntaxError) {
        if self
            .errors
            .iter()
            .any(|known| known.span.file == error.span.file && known.span.start == error.span.start)
        {
            return;
        }
        self.errors.push(error);
        if self.errors.len() >= MAX_ERRORS {
            self.give_up();
        }
    }

    /// What follows makes no sense any more.
    pub(super) const fn give_up(&mut self) {
        self.at = self.text.len();
        self.lost = true;
    }

    /// Reports what is wrong with the part that began at `start`, and goes on to where the next one can begin.
    pub(super) fn report_and_skip(&mut self, error: SyntaxError, start: usize) {
        let at = self.at;
        self.report(error);
        if !self.lost && self.closes_all(start) {
            // Every parenthesis has its partner: those of this part are skipped in pairs.
            self.at = start;
        }
        self.skip(at);
    }

    /// Goes on to `and`, `or`, a `)` that this part did not open, or the end; at least to `least`.
    pub(super) fn skip(&mut self, least: usize) {
        let mut open = 0_usize;
        for piece in Pieces::new(self.rest()) {
            if open == 0 && self.at >= least && matches!(piece, "and" | "or" | ")") {
                return;
            }
            match piece {
                "(" => open += 1,
                ")" => open = open.saturating_sub(1),
                _ => {}
            }
            self.at += piece.len();
        }
    }

    /// Whether what follows `start` closes all that is open there: otherwise a `)` is missing somewhere.
    pub(super) fn closes_all(&self, start: usize) -> bool {
        let (mut opened, mut closed) = (self.open, 0);
        for piece in Pieces::new(self.text.get(start..).unwrap_or_default()) {
            opened += usize::from(piece == "(");
            closed += usize::from(piece == ")");
        }
        closed >= opened
    }

    /// Behind a quote that is never closed nobody knows what is text: goes on where a check certainly begins. What the
    /// parentheses say is not trusted from here on.
    pub(super) fn skip_open_quote(&mut self) {
        self.lost = true;
        let rest = self.rest();
        let blanks = rest.char_indices().filter(|(_, c)| is_blank(*c));
        let next = blanks.map(|(at, _)| at + 1).find(|at| {
            let behind = rest.get(*at..).unwrap_or_default();
            ["and", "or"].iter().any(|word| behind.strip_prefix(word).is_some_and(begins_check))
        });
        self.at = next.map_or(self.text.len(), |next| self.at + next);
    }
}

/// Whether a check begins behind blanks, parentheses and `not`.
fn begins_check(text: &str) -> bool {
    let separates = |c| is_blank(c) || is_space(c) || c == '(';
    let mut rest = text.trim_start_matches(separates);
    if rest.len() == text.len() {
        return false;
    }
    while let Some(behind) = rest.strip_prefix("not").filter(|behind| behind.starts_with(separates)) {
        rest = behind.trim_start_matches(separates);
    }
    field_name(rest).is_some() || Function::at(rest).is_some()
}
