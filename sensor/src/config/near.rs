//! What is wrong with a value, in words that help: for a key that does not exist, the nearest one that does.

use serde_json::Value;

use super::{Config, keys};

/// What serde says of a key that does not exist. It has no other form: the words are those of the `Error` trait of serde, and a
/// test compares them.
const UNKNOWN: &str = "unknown field `";

/// What is wrong, and where.
pub(super) struct Wrong {
    /// Dotted name of the key.
    pub(super) key: String,
    /// What is wrong with it.
    pub(super) message: String,
}

impl Wrong {
    /// Out of an error of serde; `path`: the place at which it occurred.
    pub(super) fn new(path: &str, error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let path = if path == "." { "" } else { path };
        let Some((unknown, siblings)) = unknown(&text) else {
            return Self { key: path.to_owned(), message: text };
        };
        // The place of an unknown key is said with it or without.
        let parent = path.strip_suffix(unknown).map_or(path, |rest| rest.trim_end_matches('.'));
        let within =
            |name: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
        let key = within(unknown);
        let near = near_sibling(unknown, &siblings).map(within).or_else(|| near_anywhere(&key));
        let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        Self { message: format!("there is no key {key}{near}"), key }
    }
}

/// The key that is not known, and those that could stand in its place.
fn unknown(text: &str) -> Option<(&str, Vec<&str>)> {
    let mut parts = text.strip_prefix(UNKNOWN)?.split('`');
    let unknown = parts.next()?;
    Some((unknown, parts.skip(1).step_by(2).collect()))
}

fn near_sibling<'k>(unknown: &str, siblings: &[&'k str]) -> Option<&'k str> {
    nearest(unknown, siblings.iter().copied())
}

/// A key elsewhere: of the same last name, or of a name that is near as a whole.
fn near_anywhere(key: &str) -> Option<String> {
    let all = keys("", &serde_json::to_value(Config::default()).unwrap_or(Value::Null));
    let last = |key: &str| key.rsplit('.').next().map(str::to_owned);
    let same = all.iter().find(|known| last(known) == last(key));
    same.map(String::as_str).or_else(|| nearest(key, all.iter().map(String::as_str))).map(str::to_owned)
}

/// The nearest name, unless all are far: a third of the letters may be wrong.
pub(super) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let far = (name.chars().count() / 3).max(1);
    let near = known.map(|known| (strsim::damerau_levenshtein(name, known), known));
    near.filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}
