//! Values of checks → what compares fast: automata, networks, bytes, regular expressions for globs.

use std::net::IpAddr;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use ipnet::IpNet;

use super::test::TestError;

/// Whether the bytes hold the part in any case.
pub(super) fn contains_any_case(bytes: &[u8], part: &[u8]) -> bool {
    let Some(first) = part.first() else { return true };
    memchr::memchr2_iter(first.to_ascii_lowercase(), first.to_ascii_uppercase(), bytes)
        .filter_map(|at| bytes.get(at..at + part.len()))
        .any(|window| window.eq_ignore_ascii_case(part))
}

/// An automaton for texts of which any will do. The table of states is the fastest form and the largest: past a
/// thousand bytes of text the library chooses for itself.
pub(super) fn automaton(texts: &[Box<[u8]>]) -> Option<Box<AhoCorasick>> {
    let small = texts.iter().map(|text| text.len()).sum::<usize>() <= 1000;
    AhoCorasick::builder().kind(small.then_some(AhoCorasickKind::DFA)).build(texts).ok().map(Box::new)
}

pub(super) fn net(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

pub(super) fn hex(text: &str) -> Result<Vec<u8>, TestError> {
    let error = || TestError::Hex(text.to_owned());
    if text.is_empty() || text.len() % 2 == 1 || !text.is_ascii() {
        return Err(error());
    }
    let byte = |pair: &[u8]| {
        std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(error)
    };
    text.as_bytes().chunks(2).map(byte).collect()
}

/// A shell pattern (`*`, `?`, `[…]`, `\`) as a regular expression over bytes.
pub(super) fn glob(pattern: &str) -> String {
    let mut out = String::from("(?s)^");
    let mut rest = pattern.chars();
    let literal = |c: char, out: &mut String| out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    while let Some(c) = rest.next() {
        match c {
            '*' => out.push_str("(?-u:.*)"),
            '?' => out.push('.'),
            '\\' => literal(rest.next().unwrap_or('\\'), &mut out),
            '[' => {
                let class: String = rest
                    .clone()
                    .enumerate()
                    .take_while(|(at, c)| *c != ']' || *at == 0)
                    .map(|(_, c)| c)
                    .collect();
                if rest.clone().nth(class.chars().count()).is_none() {
                    out.push_str("\\[");
                    continue;
                }
                let inner = class.strip_prefix(['!', '^']);
                out.push_str(if inner.is_some() { "[^" } else { "[" });
                for c in inner.unwrap_or(&class).chars() {
                    if matches!(c, '[' | ']' | '\\' | '^' | '&' | '~') {
                        out.push('\\');
                    }
                    out.push(c);
                }
                out.push(']');
                rest.nth(class.chars().count());
            }
            other => literal(other, &mut out),
        }
    }
    out.push('$');
    out
}
