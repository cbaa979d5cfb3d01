//! Items → text, as a sink's encoding has it.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Delivery, Item, timestamp};
use crate::config::Encoding;

/// One line, without a line break at its end.
#[must_use]
pub fn encode(_encoding: Encoding, item: &Item, delivery: &Delivery, _hostname: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Delivered<'a, T> {
        #[serde(flatten)]
        what: &'a T,
        delivery: &'a Delivery,
    }
    match item {
        Item::Alert(what) => serde_json::to_vec(&Delivered { what: &**what, delivery }),
        Item::Event(what) => serde_json::to_vec(&Delivered { what: &**what, delivery }),
    }
    .unwrap_or_default()
}

/// What the sink says of its own stream.
#[must_use]
pub fn encode_own(
    _encoding: Encoding,
    delivery: &Delivery,
    hostname: &str,
    time: u64,
    what: &Value,
) -> Vec<u8> {
    let record = json!({ "time": timestamp(time), "hostname": hostname, "delivery": delivery, delivery.class.name(): what });
    serde_json::to_vec(&record).unwrap_or_default()
}
