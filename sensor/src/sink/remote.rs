//! What every remote destination can be asked, and what it can answer. A destination knows its protocol and nothing of
//! queues, spools, retries or of the other sinks.

use std::{future::Future, time::Duration};

use serde::Serialize;

use super::Record;

/// A destination that is reached over some connection.
pub trait Remote {
    /// Sends records, in their order, and says what became of each. It may keep connections open between two calls. It is
    /// given up, by dropping the future, when it takes longer than the configured time; whatever it held is made anew then.
    fn send(&mut self, batch: &[Record]) -> impl Future<Output = Result<Answer, Failure>>;
}

/// What became of a batch that was understood as a whole: what stands in neither list was accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Places in the batch of records that will never be accepted, with the destination's words.
    pub refused: Vec<(usize, String)>,
    /// Places in the batch of records that may be accepted later.
    pub again: Vec<usize>,
    /// Why they were not accepted now; `None` where there are none.
    pub why: Option<Failure>,
}

/// Why a batch was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// By which it is counted.
    pub reason: Reason,
    /// What was attempted and what was answered; no secret.
    pub message: String,
    /// How long the destination asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// Why a batch was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its name cannot be resolved.
    Name,
    /// No connection, or it broke.
    Connection,
    /// The certificate or the handshake is wrong.
    Tls,
    /// No answer in time.
    Timeout,
    /// It does not know us, or does not allow it: the secret may be replaced meanwhile.
    Unauthorized,
    /// It wants less.
    Throttled,
    /// It has trouble of its own.
    Server,
    /// The answer cannot be understood.
    Protocol,
    /// It will never take this batch as it is. It is halved until it is known which record is the reason.
    Refused,
    /// Something is missing on this side, such as the file of a secret.
    Local,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Name,
        Self::Connection,
        Self::Tls,
        Self::Timeout,
        Self::Unauthorized,
        Self::Throttled,
        Self::Server,
        Self::Protocol,
        Self::Refused,
        Self::Local,
    ];

    /// The word by which it is counted.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Unauthorized => "unauthorized",
            Self::Throttled => "throttled",
            Self::Server => "server",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::Local => "local",
        }
    }
}

impl Failure {
    /// A failure without a wish of the destination.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retry_after: None }
    }
}
