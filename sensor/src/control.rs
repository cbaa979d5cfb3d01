//! The operator's socket: one JSON line is an order, one JSON line the answer, and that is all of a connection. It knows who
//! asks from the kernel, not from what he says; what is done and recorded is the responder's.

mod known;
mod peer;
mod serve;

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{
    known::Known,
    serve::{Options, start},
};
use crate::respond::Outcome;

/// Longest line in either direction. An order has about 100 bytes, an answer lists at most what is held back.
pub const LONGEST: usize = 1 << 20;
/// Longest order.
const LONGEST_ORDER: usize = 4096;

/// What can be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// Say how things stand.
    Status,
    /// Freeze a container.
    Pause {
        /// By its id or the beginning of it, its name, or `namespace/pod` with or without `/container`.
        container: String,
    },
    /// Undo that.
    Resume {
        /// See [`Order::Pause`].
        container: String,
    },
    /// Cut a container's network.
    Isolate {
        /// See [`Order::Pause`].
        container: String,
    },
    /// Undo that.
    Release {
        /// See [`Order::Pause`].
        container: String,
    },
    /// Load the rules again.
    Reload,
    /// Close every fuse.
    Reset,
}

/// What comes back.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What became of an order about a container.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub outcome: Value,
    /// How things stand.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub status: Value,
}

impl Answer {
    fn refusal(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), ..Self::default() }
    }

    fn of(outcome: &Outcome) -> Self {
        use crate::respond::Result;
        let ok = matches!(outcome.result, Some(Result::Done | Result::Pending | Result::Already))
            || outcome.decision == "rehearse";
        let error = (!ok).then(|| outcome.to_string());
        Self { ok, error, outcome: serde_json::to_value(outcome).unwrap_or_default(), ..Self::default() }
    }
}

/// Sends an order to the sensor at a socket, and waits for the answer.
///
/// # Errors
/// Where nobody answers there.
pub fn send(socket: &PathBuf, order: &Order) -> io::Result<Answer> {
    use std::io::{BufRead, Read, Write};
    let mut stream = std::os::unix::net::UnixStream::connect(socket)?;
    stream.write_all(&[&serde_json::to_vec(order)?[..], b"\n"].concat())?;
    let mut line = String::new();
    io::BufReader::new(stream.take(LONGEST as u64)).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection"));
    }
    serde_json::from_str(&line).map_err(io::Error::other)
}
