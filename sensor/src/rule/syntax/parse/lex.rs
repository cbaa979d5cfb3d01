//! The words of a condition, by the letter of the language's first implementation. It knows no structure.

/// What separates words.
pub(super) const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{8}' | '\r' | '\n')
}

/// What ends a bare string, and what has to follow a `not`: not quite the blanks.
pub(super) const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{b}' | '\u{c}')
}

/// The field name that `text` starts with: at least two parts joined by dots.
pub(crate) fn field_name(text: &str) -> Option<&str> {
    let mut end = identifier(text)?.len();
    let mut parts = 1;
    while let Some(part) = text.get(end..).and_then(|rest| rest.strip_prefix('.')).and_then(identifier) {
        end += 1 + part.len();
        parts += 1;
    }
    if parts > 1 { text.get(..end) } else { None }
}

/// The name of a macro or a list that `text` starts with.
pub(super) fn identifier(text: &str) -> Option<&str> {
    if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return None;
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.get(..end)
}

/// `0x…` or decimal with an optional fraction and signed exponent.
pub(super) fn number(text: &str) -> Option<&str> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let end = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
        if end > 0 {
            return text.get(..2 + end);
        }
    }
    let mut end = usize::from(text.starts_with(['+', '-']));
    let whole = digits(text.get(end..)?);
    if whole == 0 {
        return None;
    }
    end += whole;
    if text.get(end..)?.starts_with('.') {
        end += 1;
        end += digits(text.get(end..)?);
    }
    if let Some(exponent) = text.get(end..)?.strip_prefix(['e', 'E'])
        && exponent.starts_with(['+', '-'])
    {
        let length = digits(exponent.get(1..)?);
        if length > 0 {
            end += 2 + length;
        }
    }
    text.get(..end)
}

/// The string without quotes that `text` starts with.
pub(super) fn bare(text: &str) -> Option<&str> {
    up_to(text, |c| matches!(c, '(' | ')' | '"' | '\'' | '=' | ',') || is_space(c))
}

/// The argument of a field without quotes that `text` starts with.
pub(super) fn bare_argument(text: &str) -> Option<&str> {
    up_to(text, |c| matches!(c, '[' | ']' | '"' | '\'') || is_space(c))
}

/// What `text` starts with, for messages and to skip it: up to a blank, a parenthesis, a comma or a quote.
pub(super) fn run(text: &str) -> &str {
    let end = up_to(text, |c| is_space(c) || is_blank(c) || matches!(c, '(' | ')' | ',' | '"' | '\''));
    end.or_else(|| text.get(..text.chars().next()?.len_utf8())).unwrap_or_default()
}

/// A text in pieces: quoted strings, which stay whole, and runs.
pub(super) struct Pieces<'t> {
    rest: &'t str,
    /// A kind of quote that is not closed once is not closed later either: looking for it again would take for ever.
    unclosed: Vec<char>,
}

impl<'t> Pieces<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { rest: text, unclosed: Vec::new() }
    }
}

impl<'t> Iterator for Pieces<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let first = self.rest.chars().next()?;
        let mut piece = run(self.rest);
        if matches!(first, '"' | '\'') && !self.unclosed.contains(&first) {
            match quoted(self.rest) {
                Some(whole) => piece = whole,
                None => self.unclosed.push(first),
            }
        }
        self.rest = self.rest.get(piece.len()..)?;
        Some(piece)
    }
}

fn up_to(text: &str, stop: impl Fn(char) -> bool) -> Option<&str> {
    let end = text.find(stop).unwrap_or(text.len());
    text.get(..end).filter(|found| !found.is_empty())
}

/// The quoted string that `text` starts with, quotes included. A quote behind a backslash does not close, not even
/// where that backslash is itself escaped: the first implementation looks one byte back and no further.
pub(super) fn quoted(text: &str) -> Option<&str> {
    let quote = text.bytes().next().filter(|byte| matches!(byte, b'"' | b'\''))?;
    let mut before = quote;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        if byte == quote && before != b'\\' {
            return text.get(..=at);
        }
        before = byte;
    }
    None
}

/// A backslash with something behind it that makes no escape.
pub(super) struct BadEscape {
    /// Place of the backslash.
    pub(super) at: usize,
    pub(super) escaped: char,
}

/// What a string between `quote`s stands for. A backslash and a blank are a backslash, as in the first implementation:
/// the only way to end a string with one.
pub(super) fn unescape(inner: &str, quote: char) -> Result<String, BadEscape> {
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        text.push(match chars.next().map_or('\\', |(_, escaped)| escaped) {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            ' ' | '\\' => '\\',
            '/' => '/',
            escaped if escaped == quote => quote,
            escaped => return Err(BadEscape { at, escaped }),
        });
    }
    Ok(text)
}
