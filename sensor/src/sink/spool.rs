//! What waits for a remote destination: records in their order, on disk within the flush interval, gone from it when the
//! destination has them.
//!
//! ```text
//! append ─▶ pending ──seal──▶ segments ──next──▶ batch ──done──▶ gone
//!                                │ sync ▲
//!                                ▼      │ (at the start, and when memory has no copy)
//!                               store (redb)
//! ```
//!
//! Two threads use it: one appends, one takes. A store that cannot be written leaves segments in memory, as far as there is
//! room, and is tried again; what finds no room is counted and told of as a gap.

mod segment;
mod state;
mod store;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use uuid::Uuid;

use self::{
    segment::{decode, encode},
    state::{State, milliseconds},
    store::Store,
};
use super::Record;
use crate::config::SpoolConfig;

/// Bytes of segments that are kept in memory beside the disk, so that what waits only a moment is never read back.
const CACHED: usize = 4 << 20;
/// Bytes and records at which a segment is full.
const SEGMENT_BYTES: usize = 256 << 10;
const SEGMENT_RECORDS: usize = 4096;
/// Records that a spool loses at once are told of by this many ranges at most; more are one.
const GAPS: usize = 64;

/// Why records will never arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The spool was full.
    Overflowed,
    /// They waited too long.
    Expired,
    /// The destination refused them for good.
    Refused,
    /// The spool could not be read.
    Lost,
}

/// Records of a stream that will never arrive.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Gap {
    /// Which stream.
    pub stream: Uuid,
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// Why.
    pub reason: GapReason,
}

/// Sums of what a spool did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolCounts {
    /// Records that found it full.
    pub overflowed: u64,
    /// Records that waited too long.
    pub expired: u64,
    /// Records that could not be read back.
    pub lost: u64,
    /// Records found at the start.
    pub inherited: u64,
    /// Records that wait now.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// Milliseconds since the oldest of them was put in.
    pub oldest_ms: u64,
}

/// Records that wait.
#[derive(Debug)]
pub struct Spool {
    config: SpoolConfig,
    state: Mutex<State>,
    /// Held while the disk is written; never together with `state` but to look.
    store: Mutex<Store>,
    /// Called when there is something to take.
    ready: Notify,
}

impl Spool {
    /// Opens the spool `name`, with what an earlier run left in it. One that cannot be opened is empty, keeps records in
    /// memory, and is tried again: see [`Spool::failure`].
    #[must_use]
    pub fn open(config: &SpoolConfig, name: &str) -> Self {
        let mut store = Store::new(&config.directory, name);
        let mut state = State::default();
        match store.open() {
            Ok(found) => state.take_over(found.unwrap_or_default()),
            Err(error) => {
                state.take_over(store::Found::default());
                state.failure = Some(error.to_string());
            }
        }
        Self {
            config: config.clone(),
            state: Mutex::new(state),
            store: Mutex::new(store),
            ready: Notify::new(),
        }
    }

    /// Puts a record in; it can be taken after [`Spool::sync`]. `false`: there is no room, and that is told of as a gap.
    pub fn append(&self, record: &Record) -> bool {
        let mut state = self.state();
        let bytes = encode(record, &mut state.pending);
        let limit = if state.failure.is_some() { self.config.max_bytes / 8 } else { self.config.max_bytes };
        if state.counts.waiting_bytes + bytes as u64 > limit {
            let kept = state.pending.len() - bytes;
            state.pending.truncate(kept);
            state.counts.overflowed += 1;
            state.lose(record.stream, (record.number, record.number), GapReason::Overflowed);
            return false;
        }
        state.counts.waiting += 1;
        state.counts.waiting_bytes += bytes as u64;
        state.pending_records += 1;
        if state.pending.len() >= SEGMENT_BYTES || state.pending_records as usize >= SEGMENT_RECORDS {
            state.seal();
        }
        true
    }

    /// Writes to disk what is not there, and removes from it what is done. What was appended before can be taken after,
    /// also where the disk refuses.
    pub fn sync(&self) {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = store.open();
        let change = {
            let mut state = self.state();
            state.seal();
            if let Ok(Some(found)) = &opened {
                state.take_over(found.clone());
            }
            state.change()
        };
        // Where it could not be written before, an empty transaction says whether it can be now.
        let idle = change.is_empty() && !self.is_volatile();
        let outcome = opened.and_then(|_| if idle { Ok(()) } else { store.write(&change) });
        let mut state = self.state();
        match outcome {
            Ok(()) => {
                state.written(&change);
                state.failure = None;
            }
            Err(error) => state.failure = Some(error.to_string()),
        }
        let empty = state.counts.waiting == 0;
        drop(state);
        if empty {
            store.shrink();
        }
        self.ready.notify_one();
    }

    /// The next records, as many as `records` and `bytes` allow and one at least. Nothing is taken out until it is
    /// [`Spool::done`]. Empty where nothing waits.
    pub fn next(&self, records: usize, bytes: usize) -> Vec<Record> {
        self.expire();
        let mut batch = Vec::new();
        let mut size = 0;
        let (mut segment, mut skip) = (0, self.state().head_done as usize);
        while let Some(data) = self.segment(segment) {
            let Ok(data) = data else {
                if batch.is_empty() {
                    self.forget_unreadable();
                    (segment, skip) = (0, 0);
                    continue;
                }
                break;
            };
            for record in decode(&data).skip(skip) {
                size += record.body.len();
                if batch.len() >= records || (size > bytes && !batch.is_empty()) {
                    return batch;
                }
                batch.push(record);
            }
            (segment, skip) = (segment + 1, 0);
        }
        batch
    }

    /// Waits until there may be something to take.
    pub async fn wait(&self) {
        self.ready.notified().await;
    }

    /// Wakes whoever waits.
    pub fn wake(&self) {
        self.ready.notify_one();
    }

    /// Takes the first so many records out. They are gone for good after the next [`Spool::sync`].
    pub fn done(&self, records: usize) {
        let mut state = self.state();
        for _ in 0..records {
            state.advance();
        }
    }

    /// Tells of a record that the destination refused.
    pub fn refuse(&self, record: &Record) {
        self.state().lose(record.stream, (record.number, record.number), GapReason::Refused);
    }

    /// What will never arrive and was not told of yet.
    pub fn gaps(&self) -> Vec<Gap> {
        self.state().gaps.drain(..).collect()
    }

    /// Sums so far.
    #[must_use]
    pub fn counts(&self) -> SpoolCounts {
        let state = self.state();
        let oldest = state.segments.front().map(|segment| milliseconds().saturating_sub(segment.stored_at));
        SpoolCounts { oldest_ms: oldest.unwrap_or_default(), ..state.counts }
    }

    /// Why records wait in memory alone; `None` where they do not.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    fn is_volatile(&self) -> bool {
        self.state().failure.is_some()
    }

    /// Drops segments that are too old.
    fn expire(&self) {
        let limit = self.config.max_age_s.saturating_mul(1000);
        let now = milliseconds();
        loop {
            let old = {
                let state = self.state();
                state.segments.front().is_some_and(|segment| now.saturating_sub(segment.stored_at) > limit)
            };
            if !old || limit == 0 {
                return;
            }
            // Which numbers they had stands in the records alone.
            let data = self.segment(0).and_then(Result::ok);
            self.state().drop_head(data.as_deref(), GapReason::Expired);
        }
    }

    /// The first segment cannot be read back: it is given up, so that those behind it go on.
    fn forget_unreadable(&self) {
        self.state().drop_head(None, GapReason::Lost);
    }

    /// The bytes of a segment, from memory or from disk. `None`: there is no such segment.
    fn segment(&self, place: usize) -> Option<io::Result<Arc<[u8]>>> {
        let (key, data) = {
            let state = self.state();
            let segment = state.segments.get(place)?;
            (segment.key, segment.data.clone())
        };
        if let Some(data) = data {
            return Some(Ok(data));
        }
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let read = store.read(key);
        drop(store);
        let mut state = self.state();
        match read {
            Ok(bytes) => {
                let data: Arc<[u8]> = bytes.into();
                // Kept for the next batch out of it; what is done is dropped with its segment.
                if let Some(segment) = state.segments.get_mut(place).filter(|segment| segment.key == key) {
                    segment.data = Some(Arc::clone(&data));
                    state.cached += data.len();
                }
                Some(Ok(data))
            }
            Err(error) => {
                tracing::warn!(%error, "a segment of a spool cannot be read");
                Some(Err(error))
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file of a spool.
fn file(directory: &Path, name: &str) -> std::path::PathBuf {
    directory.join(format!("{name}.redb"))
}
