//! Segments: records one behind the other, as they lie in memory and on disk.

use std::sync::Arc;

use uuid::Uuid;

use crate::sink::{Class, Record};

/// Bytes in front of each body: id, stream, number, time, severity, class, length.
const HEADER: usize = 16 + 16 + 8 + 8 + 1 + 1 + 4;

/// A segment that waits.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Orders segments.
    pub(super) key: u64,
    /// Records in it.
    pub(super) records: u32,
    /// Bytes of it.
    pub(super) bytes: usize,
    /// When it was made, milliseconds since 1970.
    pub(super) stored_at: u64,
    /// Whether the disk has it.
    pub(super) stored: bool,
    /// The records; `None` where only the disk has them.
    pub(super) data: Option<Arc<[u8]>>,
}

/// Appends a record; returns the bytes that it takes.
pub(super) fn encode(record: &Record, into: &mut Vec<u8>) -> usize {
    into.reserve(HEADER + record.body.len());
    into.extend_from_slice(record.id.as_bytes());
    into.extend_from_slice(record.stream.as_bytes());
    into.extend_from_slice(&record.number.to_le_bytes());
    into.extend_from_slice(&record.time.to_le_bytes());
    into.push(record.severity);
    into.push(record.class as u8);
    into.extend_from_slice(&(record.body.len() as u32).to_le_bytes());
    into.extend_from_slice(&record.body);
    HEADER + record.body.len()
}

/// The records of a segment. It ends at the first that is not whole: what is behind it cannot be told apart.
pub(super) fn decode(mut data: &[u8]) -> impl Iterator<Item = Record> {
    std::iter::from_fn(move || {
        let (id, rest) = data.split_first_chunk::<16>()?;
        let (stream, rest) = rest.split_first_chunk::<16>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let ([severity, class], rest) = rest.split_first_chunk::<2>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (body, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        data = rest;
        Some(Record {
            id: Uuid::from_bytes(*id),
            stream: Uuid::from_bytes(*stream),
            number: u64::from_le_bytes(*number),
            time: u64::from_le_bytes(*time),
            severity: *severity,
            class: *Class::ALL.get(usize::from(*class))?,
            body: body.into(),
        })
    })
}
