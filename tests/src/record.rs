//! Records to deliver, and a place for futures to run.

use std::future::Future;

use sensor::sink::{Class, Record};
use uuid::Uuid;

/// A record with this number and text.
#[must_use]
pub fn record(number: u64, body: &[u8]) -> Record {
    Record {
        id: Uuid::from_u128(number.into()),
        stream: Uuid::from_u128(7),
        number,
        time: 1_700_000_000_123_456_789,
        severity: 4,
        class: Class::Alert,
        body: body.into(),
    }
}

/// `count` records from this number on, each `{"n":…}`.
#[must_use]
pub fn records(first: u64, count: u64) -> Vec<Record> {
    (first..first + count).map(|number| record(number, format!("{{\"n\":{number}}}").as_bytes())).collect()
}

/// Runs a future to its end on this thread.
///
/// # Panics
/// Where the system gives no descriptors for it.
pub fn by<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}
