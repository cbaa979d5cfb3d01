//! Where alerts and events leave the sensor. Each destination is behind a [`Queue`], so that a slow one never holds up the
//! event path; what does not fit is counted.
//!
//! ```text
//!            ┌─▶ queue ─▶ lines                                        (standard output)
//! Outputs ───┼─▶ queue ─▶ intake ─▶ file                                (number, encode, chain)
//!            └─▶ queue ─▶ intake ─▶ spool (disk) ─▶ courier ─▶ remote   (retry, halve, dead letters)
//! ```

mod alert;
mod connect;
mod counts;
mod courier;
mod elasticsearch;
mod encode;
mod file;
mod filter;
pub mod http;
mod intake;
mod kafka;
mod letters;
mod nats;
mod open;
mod otlp;
mod outputs;
pub mod proof;
mod queue;
mod record;
mod redact;
mod remote;
mod secret;
mod severity;
mod sign;
mod splunk;
mod spool;
pub mod stream;
mod syslog;
mod terminal;
mod tls;
mod webhook;

use std::io;

pub use self::{
    alert::{Alert, AlertOverTime, timestamp},
    counts::{LATENCY_SECONDS, SinkStats},
    courier::{Courier, CourierCounts},
    elasticsearch::Elasticsearch,
    encode::{encode, encode_own},
    file::{FileCounts, FileSink},
    filter::Taste,
    intake::{Hold, Intake, IntakeOptions},
    kafka::Kafka,
    letters::Letters,
    nats::Nats,
    open::{Shared, open},
    otlp::Otlp,
    outputs::{Output, Outputs, OutputsEntrance},
    queue::{Entrance, Queue, QueueCounts, Work},
    record::{Class, Delivery, Item, Record},
    redact::{PatternError, Redactor},
    remote::{Answer, Failure, Reason, Remote},
    secret::Secret,
    severity::Severity,
    sign::signing_key,
    splunk::Splunk,
    spool::{Gap, GapReason, Spool, SpoolCounts},
    syslog::Syslog,
    terminal::{Lines, event_line},
    tls::client as tls_client,
    webhook::Webhook,
};

/// A destination that is written to at once.
pub trait Sink: Send {
    /// Hands over one alert.
    ///
    /// # Errors
    /// Where the destination is gone for good; a sink retries by itself what may pass.
    fn deliver(&mut self, alert: &Alert) -> io::Result<()>;

    /// Called when nothing more is waiting.
    ///
    /// # Errors
    /// As for [`Sink::deliver`].
    fn flush(&mut self) -> io::Result<()>;
}
