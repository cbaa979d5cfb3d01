//! Dead letters: what a destination refuses for good, one JSON object per line with its words, for a person to look at.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{Record, timestamp};

/// The file of one sink.
#[derive(Debug)]
pub struct Letters {
    path: PathBuf,
    limit: u64,
    /// Whether the last one could not be kept.
    failing: bool,
}

impl Letters {
    /// Nothing is opened yet. `limit`: bytes of the file beyond which nothing is added.
    #[must_use]
    pub fn new(directory: &Path, name: &str, limit: u64) -> Self {
        Self { path: directory.join(format!("{name}.dead.jsonl")), limit, failing: false }
    }

    /// Adds one. Where it cannot be kept the log has it.
    pub fn keep(&mut self, record: &Record, why: &str) {
        let text = String::from_utf8_lossy(&record.body);
        let body = serde_json::from_str::<Value>(&text).unwrap_or_else(|_| Value::String(text.into_owned()));
        let letter = json!({ "time": timestamp(record.time), "id": record.id, "class": record.class, "why": why, "record": body });
        let kept = self.append(&letter);
        match &kept {
            Ok(()) => {
                tracing::warn!(file = %self.path.display(), why, "a record was refused for good: it is kept beside")
            }
            Err(error) if !self.failing => {
                tracing::error!(file = %self.path.display(), why, %error, "a record was refused for good, and cannot be kept");
            }
            Err(_) => {}
        }
        self.failing = kept.is_err();
    }

    fn append(&self, letter: &Value) -> io::Result<()> {
        let mut line = serde_json::to_vec(letter)?;
        line.push(b'\n');
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        let length = file.metadata()?.len();
        if length + line.len() as u64 > self.limit {
            return Err(io::Error::other(format!("it has its {} bytes already", self.limit)));
        }
        if let Err(error) = file.write_all(&line) {
            // No half line stays.
            let _ = file.set_len(length);
            return Err(error);
        }
        Ok(())
    }
}
