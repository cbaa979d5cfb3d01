//! The audit log: one JSON object for each decision, in lines that are chained by their hashes. Each line has its number, the
//! hash of the line before (`prev`), and last of all its own: SHA-256 of the object without it. Who changes, removes or inserts
//! a line breaks the chain there. It knows nothing of how decisions are made.
//!
//! What a chain alone cannot tell: that its end was cut off, that its oldest files are gone, or that all of it was written anew. For
//! that a hash has to be known elsewhere; alerts leave the machine, and `vedette audit verify` prints the last.

mod log;
mod rotate;
mod verify;
mod writer;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

pub use self::{
    log::Log,
    rotate::{Rotation, files},
    verify::{Broken, Verified, verify},
    writer::{Heard, Writer},
};
use super::{fuse::Trip, outcome::Outcome, request::Evidence};

/// What the first line of a log has as the hash of the line before.
pub const FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// What stands in front of a line's own hash, and the length of all from there on.
const HASH: &str = ",\"hash\":\"";
const TAIL: usize = HASH.len() + FIRST.len() + 2;

/// What is recorded.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Entry {
    /// A sensor began to write.
    Started {
        /// Its process.
        pid: u32,
        /// Its version.
        version: &'static str,
    },
    /// A response was decided, and what came of it.
    Response {
        /// Who asked.
        asked_by: AskedBy,
        /// Why.
        evidence: Evidence,
        /// When the event happened, RFC 3339.
        event_time: String,
        /// What.
        #[serde(flatten)]
        outcome: Box<Outcome>,
    },
    /// A fuse opened or closed.
    Fuse {
        /// Which.
        #[serde(flatten)]
        trip: Trip,
        /// Who closed it, where somebody did.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<AskedBy>,
    },
    /// An operator's order that is about no container.
    Order {
        /// Which.
        order: &'static str,
        /// Whose.
        by: AskedBy,
    },
    /// Nothing is refused by fanotify any more.
    LetGo {
        /// Why.
        why: String,
        /// How many were waiting for an answer, and went on.
        waiting: usize,
    },
    /// The first of a file that follows a full one: the chain goes on. The file before may be gone, when there are too many.
    Continued,
    /// Records before this one could not be written.
    Missing {
        /// How many.
        records: u64,
    },
    /// The line before this one is no whole record: the machine or the sensor ended while it was written.
    Torn {
        /// Its length.
        bytes: usize,
        /// SHA-256 of it.
        sha256: String,
    },
    /// The last record that was there is not what was written; what follows is chained to it as it stands.
    Damaged {
        /// What is wrong with it.
        why: String,
    },
}

/// Who asked for something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskedBy {
    /// A rule, and the file that defines it.
    Rule {
        /// Its name.
        name: String,
        /// Its file.
        file: String,
    },
    /// Somebody at the operator's socket.
    Operator {
        /// The user.
        uid: u32,
        /// The process.
        pid: u32,
    },
}

/// A time as RFC 3339 in UTC. `nanoseconds`: since 1970.
pub(super) fn time(nanoseconds: u64) -> String {
    Timestamp::from_nanosecond(i128::from(nanoseconds))
        .map_or_else(|_| nanoseconds.to_string(), |time| format!("{time:.9}"))
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A line, with its line break, and its hash.
fn line(seq: u64, entry: &Entry, prev: &str) -> serde_json::Result<(Vec<u8>, String)> {
    #[derive(Serialize)]
    struct Line<'l> {
        seq: u64,
        time: String,
        #[serde(flatten)]
        entry: &'l Entry,
        prev: &'l str,
    }
    let time = format!("{:.9}", Timestamp::now());
    let mut bytes = serde_json::to_vec(&Line { seq, time, entry, prev })?;
    let hash = sha256(&bytes);
    bytes.pop();
    bytes.extend_from_slice(HASH.as_bytes());
    bytes.extend_from_slice(hash.as_bytes());
    bytes.extend_from_slice(b"\"}\n");
    Ok((bytes, hash))
}

#[cfg(test)]
mod tests;
