//! What a destination gets: one encoded alert, event or statement of the sensor about its own stream, with what tells it
//! from all others.

use std::sync::Arc;

use uuid::Uuid;

use super::Alert;
use crate::event::Event;

/// Something to deliver.
#[derive(Clone, Debug)]
pub enum Item {
    /// A rule matched.
    Alert(Arc<Alert>),
    /// Something happened, and the sink asks for its kind.
    Event(Arc<Event>),
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A rule matched.
    Alert,
    /// Something happened.
    Event,
    /// Records that this sink will never get, and why.
    Gap,
    /// A signed statement of what was sent so far.
    Checkpoint,
}

impl Class {
    /// All of them, by their numbers.
    pub const ALL: [Self; 4] = [Self::Alert, Self::Event, Self::Gap, Self::Checkpoint];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Event => "event",
            Self::Gap => "gap",
            Self::Checkpoint => "checkpoint",
        }
    }
}

/// Where a record stands in the stream of its sink; encodings write it as `delivery`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Delivery {
    /// Tells this stream from every other: a sink of one run of the sensor.
    pub stream: Uuid,
    /// Counts the records of the stream from 1, without a hole.
    pub number: u64,
    /// What it is about.
    pub class: Class,
    /// Counts the records of this class in the stream from 1.
    pub class_number: u64,
    /// The container's id, or `host`.
    pub place: String,
    /// Counts the records about this place in the stream from 1.
    pub place_number: u64,
}

/// An encoded record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Stays the same however often it is sent.
    pub id: Uuid,
    /// The stream that it belongs to; after a restart, records of earlier streams are sent first.
    pub stream: Uuid,
    /// Its number in the stream.
    pub number: u64,
    /// When it happened, nanoseconds since 1970.
    pub time: u64,
    /// 0 (emergency) to 7 (debug), as syslog has it.
    pub severity: u8,
    /// What it is about.
    pub class: Class,
    /// The encoded text, without a line break at its end. Everything but CEF is one JSON object.
    pub body: Box<[u8]>,
}

#[cfg(test)]
impl Record {
    /// An alert with this number and text, for tests.
    pub(super) fn sample(number: u64, body: &[u8]) -> Self {
        Self {
            id: Uuid::from_u128(number.into()),
            stream: Uuid::from_u128(7),
            number,
            time: 1_700_000_000_123_456_789,
            severity: 4,
            class: Class::Alert,
            body: body.into(),
        }
    }
}
