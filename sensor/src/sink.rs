//! Where alerts and events leave the sensor. Each destination is behind a [`Queue`], so that a slow one never holds up the
//! event path; what does not fit is counted.

mod alert;
mod counts;
pub mod http;
mod queue;
mod record;
mod remote;
mod secret;
mod terminal;
mod tls;
mod webhook;

use std::io;

pub use self::{
    alert::{Alert, AlertOverTime, timestamp},
    counts::{LATENCY_SECONDS, SinkStats},
    queue::{Entrance, Queue, QueueCounts, Work},
    record::{Class, Delivery, Item, Record},
    remote::{Answer, Failure, Reason, Remote},
    secret::Secret,
    terminal::{Lines, event_line},
    tls::client as tls_client,
    webhook::Webhook,
};

/// A destination.
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
