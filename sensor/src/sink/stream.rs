//! The numbers of a sink's records, and what makes a hole among them show: counts by class and place, a chain of hashes, and
//! signed statements of both in the stream itself. `vedette verify` reads them again.

use std::{collections::HashMap, sync::Arc};

use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Class, Delivery};

/// Places that a stream counts. One more, and another stream is begun: it costs a statement, and memory stays bounded.
const PLACES: usize = 65_536;
/// What is signed begins with this: no other text that this key may sign one day reads the same.
const DOMAIN: &str = "vedette checkpoint 1";

/// Where a stream is.
#[derive(Debug)]
pub struct Stream {
    id: Uuid,
    number: u64,
    classes: [u64; Class::ALL.len()],
    places: HashMap<Box<str>, u64>,
    chain: [u8; 32],
    /// The number of the last record that a checkpoint spoke for.
    sealed: u64,
    key: Option<Arc<Ed25519KeyPair>>,
}

impl Stream {
    /// A stream that begins. `key`: signs its checkpoints.
    #[must_use]
    pub fn new(key: Option<Arc<Ed25519KeyPair>>) -> Self {
        Self {
            id: Uuid::new_v4(),
            number: 0,
            classes: [0; Class::ALL.len()],
            places: HashMap::new(),
            chain: [0; 32],
            sealed: 0,
            key,
        }
    }

    /// Tells it from every other.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// Numbers the next record.
    pub fn next(&mut self, class: Class, place: &str) -> Delivery {
        self.number += 1;
        let count = |at: &mut u64| {
            *at += 1;
            *at
        };
        let class_number = self.classes.get_mut(class as usize).map_or(0, count);
        let place_number = match self.places.get_mut(place) {
            Some(at) => count(at),
            None => count(self.places.entry(place.into()).or_default()),
        };
        let stream = self.id;
        Delivery { stream, number: self.number, class, class_number, place: place.to_owned(), place_number }
    }

    /// Takes the encoded record into the chain: each link is the hash of the one before and of the record's hash.
    pub fn link(&mut self, body: &[u8]) {
        self.chain = link(&self.chain, &digest(body));
    }

    /// Whether anything was sent since the last checkpoint.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.number > self.sealed
    }

    /// Whether it counts as many places as it may.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.places.len() >= PLACES
    }

    /// Whether it signs.
    #[must_use]
    pub const fn signs(&self) -> bool {
        self.key.is_some()
    }

    /// States what was sent so far. `last`: nothing follows in this stream.
    pub fn checkpoint(&mut self, last: bool) -> Value {
        let chain = hex(&self.chain);
        let from = self.sealed + 1;
        let (stream, to) = (self.id, self.number);
        // The statement itself is the next record.
        self.sealed = to + 1;
        let text = signed(&stream.to_string(), from, to, &chain, last);
        let classes: serde_json::Map<_, _> = Class::ALL
            .into_iter()
            .map(|class| {
                (
                    class.name().to_owned(),
                    self.classes.get(class as usize).copied().unwrap_or_default().into(),
                )
            })
            .collect();
        let (key, signature) = self.key.as_ref().map_or((None, None), |key| {
            (Some(hex(key.public_key().as_ref())), Some(hex(key.sign(text.as_bytes()).as_ref())))
        });
        json!({ "stream": stream, "from": from, "to": to, "records": classes, "chain": chain, "last": last,
            "key": key, "signature": signature })
    }
}

/// The hash of a record.
#[must_use]
pub fn digest(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// The next link of a chain, behind a record with this hash.
#[must_use]
pub fn link(chain: &[u8; 32], digest: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(chain).chain_update(digest).finalize().into()
}

/// What a checkpoint's signature is of.
#[must_use]
pub fn signed(stream: &str, from: u64, to: u64, chain: &str, last: bool) -> String {
    format!("{DOMAIN}\n{stream}\n{from}\n{to}\n{chain}\n{last}\n")
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_hole_and_places_count_for_themselves() {
        let mut stream = Stream::new(None);
        let first = stream.next(Class::Alert, "host");
        let second = stream.next(Class::Alert, "abc");
        let third = stream.next(Class::Gap, "host");
        let numbers = [&first, &second, &third].map(|it| (it.number, it.class_number, it.place_number));
        assert_eq!(numbers, [(1, 1, 1), (2, 2, 1), (3, 1, 2)]);
        assert!(stream.is_open());
        stream.checkpoint(false);
        stream.next(Class::Checkpoint, "host");
        assert!(!stream.is_open());
    }
}
