//! The sensor's own form, which everything that reads Falco's output reads: what is there is written as it is, straight
//! into the text.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Own;
use crate::sink::{Class, Delivery, Item, timestamp};

/// What nearly every alert fits into, so that its text is not moved while it grows.
const USUAL: usize = 2048;

#[derive(Serialize)]
struct Delivered<'a, T> {
    #[serde(flatten)]
    record: T,
    delivery: &'a Delivery,
}

/// Events do not name the machine, since a recording is of one.
#[derive(Serialize)]
struct OfHost<'a, T> {
    #[serde(flatten)]
    event: T,
    hostname: &'a str,
}

/// What Falco's readers ask for, and the statement.
#[derive(Serialize)]
struct Statement<'a> {
    time: String,
    rule: &'static str,
    priority: &'static str,
    source: &'static str,
    output: String,
    output_fields: Map<String, Value>,
    hostname: &'a str,
    tags: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<&'a Value>,
}

pub(super) fn item(item: &Item, delivery: &Delivery, hostname: &str) -> Vec<u8> {
    match item {
        Item::Alert(alert) => line(&Delivered { record: &**alert, delivery }),
        Item::Event(event) => line(&Delivered { record: OfHost { event: &**event, hostname }, delivery }),
    }
}

pub(super) fn own(own: &Own<'_>) -> Vec<u8> {
    let gap = own.delivery.class == Class::Gap;
    let statement = Statement {
        time: timestamp(own.time),
        rule: own.title(),
        priority: own.severity().priority,
        source: "vedette",
        output: own.sentence(),
        output_fields: Map::new(),
        hostname: own.hostname,
        tags: ["vedette"],
        gap: gap.then_some(own.what),
        checkpoint: (!gap).then_some(own.what),
    };
    line(&Delivered { record: statement, delivery: own.delivery })
}

fn line(record: &impl Serialize) -> Vec<u8> {
    let mut line = Vec::with_capacity(USUAL);
    match serde_json::to_writer(&mut line, record) {
        Ok(()) => line,
        // Names of members are text everywhere, so this does not happen; if it did, it would not be silent.
        Err(error) => json!({ "rule": "Record not written", "error": error.to_string() }).to_string().into(),
    }
}
