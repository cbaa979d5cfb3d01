//! Reading an audit log: every line against its own hash, its number and the line before.

use std::io::{self, BufRead};

use serde::Deserialize;
use thiserror::Error;

use super::{FIRST, HASH, TAIL, sha256};

/// Longest line: longer than any record. A file that is something else is not read into memory.
const LONGEST: u64 = 1 << 20;

/// A log that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Number of the first record: greater than 1 where the files before are gone, since there were too many.
    pub first: u64,
    /// Number of the last.
    pub records: u64,
    /// Hash of the last.
    pub last: String,
    /// Lines that were torn when they were written, and said to be so by the record behind them.
    pub torn: u64,
    /// Records that could not be written, and were counted by the one behind them.
    pub missing: u64,
    /// Whether the last line is torn: a sensor that starts will say so.
    pub torn_end: bool,
}

/// Why a log is not whole.
#[derive(Debug, Error)]
pub enum Broken {
    /// It cannot be read.
    #[error("cannot read line {line}: {error}")]
    Read {
        /// Which, from 1.
        line: u64,
        /// The system's words.
        error: io::Error,
    },
    /// A record is not what was written.
    #[error("line {line}{}: {why}", .seq.map(|seq| format!(" (record {seq})")).unwrap_or_default())]
    Record {
        /// Which, from 1.
        line: u64,
        /// The number that it should have.
        seq: Option<u64>,
        /// What is wrong.
        why: String,
    },
}

/// What verification needs to know of a record.
#[derive(Debug, Deserialize)]
pub(super) struct Head {
    pub(super) seq: u64,
    pub(super) prev: String,
    record: String,
    #[serde(default)]
    bytes: usize,
    #[serde(default)]
    sha256: String,
    #[serde(default)]
    records: u64,
}

/// Takes a line apart, and compares it with its own hash.
pub(super) fn head(line: &[u8]) -> Result<(Head, String), String> {
    let at = line.len().checked_sub(TAIL).ok_or("it is too short")?;
    let (body, tail) = line.split_at_checked(at).ok_or("it is too short")?;
    let hash = tail.strip_prefix(HASH.as_bytes()).and_then(|rest| rest.strip_suffix(b"\"}"));
    let hash = hash.ok_or("it does not end with a hash")?;
    let body = [body, b"}"].concat();
    let own = sha256(&body);
    if own.as_bytes() != hash {
        return Err("its hash is not that of its content".to_owned());
    }
    let head = serde_json::from_slice(&body).map_err(|error| format!("it is no record: {error}"))?;
    Ok((head, own))
}

/// Reads a log from its first line on.
///
/// # Errors
/// [`Broken`], with the first line that is wrong.
pub fn verify(mut log: impl BufRead) -> Result<Verified, Broken> {
    let mut found =
        Verified { first: 1, records: 0, last: FIRST.to_owned(), torn: 0, missing: 0, torn_end: false };
    let mut number = 0;
    let mut torn: Option<(u64, Vec<u8>, String)> = None;
    loop {
        number += 1;
        let mut line = Vec::new();
        io::Read::take(&mut log, LONGEST)
            .read_until(b'\n', &mut line)
            .map_err(|error| Broken::Read { line: number, error })?;
        if line.is_empty() {
            break;
        }
        let whole = line.pop_if(|last| *last == b'\n').is_some();
        let mut expected = found.records + 1;
        // What goes on with a file that is gone says so in its first record.
        if number == 1
            && let Ok((record, _)) = head(&line)
            && record.record == "continued"
        {
            expected = record.seq;
            (found.first, found.last) = (record.seq, record.prev);
        }
        let broken = |why: String| Broken::Record { line: number, seq: Some(expected), why };
        let (record, hash) = match head(&line) {
            Ok(read) => read,
            // The next record has to say that it was torn; at the end of the file nobody can have said so yet.
            Err(why) => match torn.take() {
                Some((line, _, why)) => return Err(Broken::Record { line, seq: Some(expected), why }),
                None => {
                    // What was torn is the beginning of a record, and no whole one with something else behind it.
                    let begin = line.split_last().map_or(&[][..], |(_, begin)| begin);
                    if !whole && head(begin).is_ok() {
                        return Err(broken("it does not end with a line break".to_owned()));
                    }
                    found.torn_end = !whole;
                    torn = Some((number, line, why));
                    continue;
                }
            },
        };
        if let Some((line, text, why)) = torn.take() {
            if record.record != "torn" || record.bytes != text.len() || record.sha256 != sha256(&text) {
                return Err(Broken::Record { line, seq: Some(expected), why });
            }
            found.torn += 1;
        }
        if record.seq != expected {
            return Err(broken(format!("it has the number {}, records in between are gone", record.seq)));
        }
        if record.prev != found.last {
            return Err(broken("it does not follow the record before it".to_owned()));
        }
        if record.record == "missing" {
            found.missing += record.records;
        }
        (found.records, found.last) = (record.seq, hash);
    }
    match torn {
        Some((line, _, why)) if !found.torn_end => {
            Err(Broken::Record { line, seq: Some(found.records + 1), why })
        }
        _ => Ok(found),
    }
}
