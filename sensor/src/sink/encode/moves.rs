//! Moves values from their own places to those that a schema has for them: what nobody moves is left over, so that nothing
//! is lost by being forgotten here. It knows no schema.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// A record on its way into a schema.
pub(super) struct Moves {
    rest: Map<String, Value>,
    out: Map<String, Value>,
    whole: bool,
}

impl Moves {
    /// A statement that is left over as it is, also what of it says nothing.
    pub(super) fn whole(record: &impl Serialize) -> Self {
        Self { whole: true, ..Self::of(record) }
    }

    /// All of `record` is left over at first.
    pub(super) fn of(record: &impl Serialize) -> Self {
        let rest = match serde_json::to_value(record) {
            Ok(Value::Object(rest)) => rest,
            // Records are structs, so neither happens; it would be seen where the rest is.
            Ok(other) => Map::from_iter([("record".to_owned(), other)]),
            Err(error) => Map::from_iter([("error".to_owned(), error.to_string().into())]),
        };
        Self { rest, out: Map::new(), whole: false }
    }

    /// Takes what is at `path` (names with dots between them) out of what is left; `null` where there is nothing.
    pub(super) fn take(&mut self, path: &str) -> Value {
        remove(&mut self.rest, path).unwrap_or_default()
    }

    /// Writes `value` at `path`, where it says anything.
    pub(super) fn put(&mut self, path: &str, value: impl Into<Value>) {
        let value = value.into();
        if !is_nothing(&value) {
            set(&mut self.out, path, value);
        }
    }

    /// Takes out again what was written at `path`.
    pub(super) fn take_back(&mut self, path: &str) -> Value {
        remove(&mut self.out, path).unwrap_or_default()
    }

    /// Moves a value.
    pub(super) fn shift(&mut self, from: &str, to: &str) {
        let value = self.take(from);
        self.put(to, value);
    }

    /// Moves a value and makes it text: schemas have ids as text, also those that are numbers.
    pub(super) fn shift_text(&mut self, from: &str, to: &str) {
        let value = self.take(from);
        self.put(to, text(value));
    }

    /// Puts something back into what is left.
    pub(super) fn leave(&mut self, path: &str, value: impl Into<Value>) {
        set(&mut self.rest, path, value.into());
    }

    /// The record, with what is left over at `place`.
    pub(super) fn finish(mut self, place: &str) -> Vec<u8> {
        let mut rest = Value::Object(self.rest);
        if !self.whole {
            prune(&mut rest);
        }
        self.out.insert(place.to_owned(), rest);
        Value::Object(self.out).to_string().into_bytes()
    }
}

/// Text stays, what is no text becomes it.
pub(super) fn text(value: Value) -> Value {
    match value {
        Value::Number(number) => number.to_string().into(),
        Value::Bool(flag) => flag.to_string().into(),
        other => other,
    }
}

/// An object whose names have no dots, since Elasticsearch makes objects of them, and one name cannot be a value and an
/// object.
pub(super) fn without_dots(value: Value, as_text: bool) -> Value {
    let Value::Object(map) = value else { return value };
    let value = |value: Value| match value {
        value if !as_text => value,
        Value::Array(list) => Value::Array(list.into_iter().map(text).collect()),
        Value::Object(_) => Value::String(value.to_string()),
        value => text(value),
    };
    Value::Object(map.into_iter().map(|(name, it)| (name.replace('.', "_"), value(it))).collect())
}

/// `name:value` of each.
pub(super) fn pairs(value: &Value) -> Value {
    let pair = |(name, value): (&String, &Value)| {
        json!(format!("{name}:{}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    };
    value.as_object().map_or(Value::Null, |map| map.iter().map(pair).collect())
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn prune(value: &mut Value) {
    if let Value::Object(map) = value {
        map.values_mut().for_each(prune);
        map.retain(|_, value| !is_nothing(value));
    }
}

fn set(map: &mut Map<String, Value>, path: &str, value: Value) {
    let Some((first, rest)) = path.split_once('.') else {
        map.insert(path.to_owned(), value);
        return;
    };
    let inner = map.entry(first).or_insert_with(|| Value::Object(Map::new()));
    if !inner.is_object() {
        *inner = json!({ "value": inner.take() });
    }
    if let Value::Object(inner) = inner {
        set(inner, rest, value);
    }
}

fn remove(map: &mut Map<String, Value>, path: &str) -> Option<Value> {
    match path.split_once('.') {
        None => map.remove(path),
        Some((first, rest)) => remove(map.get_mut(first)?.as_object_mut()?, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_moved_is_left_over() {
        let mut moves = Moves::of(&json!({ "a": { "b": 1, "c": 2, "d": null }, "e": { "f": 3 } }));
        moves.shift("a.b", "x.y");
        moves.shift_text("e.f", "x.z");
        moves.shift("a.nothing", "x.nothing");
        let done: Value = serde_json::from_slice(&moves.finish("rest")).unwrap();
        assert_eq!(done, json!({ "x": { "y": 1, "z": "3" }, "rest": { "a": { "c": 2 } } }));
    }

    #[test]
    fn names_lose_their_dots() {
        let fields = json!({ "evt.arg": 1, "evt.arg.fd": [2, "x"], "n": { "a": null } });
        assert_eq!(
            without_dots(fields, true),
            json!({ "evt_arg": "1", "evt_arg_fd": ["2", "x"], "n": "{\"a\":null}" })
        );
    }
}
