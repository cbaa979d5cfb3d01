//! What the class of an event (its type, and whether the call failed) says of a check before the event is looked into.

use crate::{
    event::errno_name,
    rule::{
        check::{Against, Check, Test},
        syntax::Op,
        types::{Class, Classes, TypeSet},
        value::Value,
    },
};

/// The classes on which a check can be true, and those on which it can be false.
pub(super) struct Decided {
    pub(super) may_true: Classes,
    pub(super) may_false: Classes,
}

/// Decides what can be decided of a check on the field `name`, which only events of the types `on` can have.
pub(super) fn decide(name: &str, check: &Check, on: TypeSet) -> Decided {
    let mut decided = Decided { may_true: Classes::both(on), may_false: Classes::ALL };
    if !DECIDED.contains(&name) || check.holds_of(Value::Bool(true)).is_none() {
        return decided;
    }
    (decided.may_true, decided.may_false) = (Classes::NONE, Classes::NONE);
    let results = name == "evt.res" || name == "evt.rawres";
    // These say the same of every type.
    let by_outcome = results.then(|| [false, true].map(|failed| result(check, name, failed)));
    for class in Class::all() {
        let (may_true, may_false) = match by_outcome {
            _ if !on.contains(class.event_type) => (false, true),
            Some([done, failed]) => {
                if class.failed {
                    failed
                } else {
                    done
                }
            }
            None => values(name, class).map_or((true, true), |values| answers(check, &values)),
        };
        if may_true {
            decided.may_true.insert(class);
        }
        if may_false {
            decided.may_false.insert(class);
        }
    }
    decided
}

/// The fields that some class decides.
const DECIDED: [&str; 9] = [
    "evt.type",
    "evt.dir",
    "evt.failed",
    "evt.res",
    "evt.rawres",
    "evt.is_open_read",
    "evt.is_open_write",
    "evt.is_open_exec",
    "fd.typechar",
];

/// Whether some of the values make the check true, and whether some make it false.
fn answers(check: &Check, values: &[Value<'static>]) -> (bool, bool) {
    let is = |answer| values.iter().any(|value| check.holds_of(*value) == Some(answer));
    (is(true), is(false))
}

/// Every value that the field can have on events of a class; `None` where they cannot be told, or it may be missing.
fn values(name: &str, class: Class) -> Option<Vec<Value<'static>>> {
    let texts = |texts: &[&'static str]| texts.iter().map(|text| Value::Bytes(text.as_bytes())).collect();
    Some(match name {
        "evt.type" => vec![Value::Bytes(class.event_type.name().as_bytes())],
        "evt.dir" => texts(&["<"]),
        "evt.failed" => vec![Value::Bool(class.failed)],
        // A file that could not be opened is open for nothing.
        "evt.is_open_read" | "evt.is_open_write" | "evt.is_open_exec" if class.failed => {
            vec![Value::Bool(false)]
        }
        // What it would have been is not known of a file that could not be opened.
        "fd.typechar" if TypeSet::OPEN.contains(class.event_type) && class.failed => texts(&["f"]),
        "fd.typechar" if TypeSet::OPEN.contains(class.event_type) => texts(&["f", "d"]),
        _ => return None,
    })
}

/// The same for results.
fn result(check: &Check, name: &str, failed: bool) -> (bool, bool) {
    let number = |number: i64| Value::Number(number);
    match (name, failed) {
        ("evt.res", false) => answers(check, &[Value::Bytes(b"SUCCESS")]),
        ("evt.res", true) => {
            let names: Vec<_> =
                (1..4096).filter_map(errno_name).map(|name| Value::Bytes(name.as_bytes())).collect();
            // An error without a name has no value.
            (answers(check, &names).0, true)
        }
        (_, true) => answers(check, &(-4095..0).map(number).collect::<Vec<_>>()),
        // What compares with an order and says the same of both ends says it of all between.
        (_, false) => match (&check.against, answers(check, &[number(0), number(i64::MAX)])) {
            (Against::Test(Test::Number(Op::Lt | Op::Le | Op::Gt | Op::Ge, _)), answers) => answers,
            _ => (true, true),
        },
    }
}
