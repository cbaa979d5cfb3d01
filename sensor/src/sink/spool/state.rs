//! What a spool knows: segments in their order, what is done, what has to be told to the disk. It touches no file.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

use uuid::Uuid;

use super::{
    CACHED, GAPS, Gap, GapReason, SpoolCounts,
    segment::{Kept, decode},
    store::{Change, Found},
};

/// Everything but the disk.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Not in a segment yet: nobody can take it.
    pub(super) pending: Vec<u8>,
    pub(super) pending_records: u32,
    pub(super) segments: VecDeque<Kept>,
    pub(super) next_key: u64,
    /// Records of the first segment that are done.
    pub(super) head_done: u32,
    /// The same, as it is on disk.
    pub(super) stored_head_done: u32,
    /// Segments that are done and still on disk.
    pub(super) removable: Vec<u64>,
    pub(super) cached: usize,
    pub(super) counts: SpoolCounts,
    pub(super) gaps: VecDeque<Gap>,
    /// Why the disk cannot be written, while it cannot.
    pub(super) failure: Option<String>,
}

impl State {
    /// What an earlier run left goes first, but for a segment that is under way. Keys follow that order: nothing of this run
    /// is on disk yet, so its segments are numbered anew around what was found. Two runs that began in one millisecond
    /// would otherwise give one key twice.
    pub(super) fn take_over(&mut self, found: Found) {
        let last = found.segments.last().map_or(0, |segment| segment.key + 1);
        self.next_key = self.next_key.max(last).max(milliseconds() << 16).max(1);
        let done = if self.segments.is_empty() { found.head_done } else { 0 };
        let records: u64 = found.segments.iter().map(|segment| u64::from(segment.records)).sum();
        let records = records.saturating_sub(u64::from(done));
        self.counts.inherited += records;
        self.counts.waiting += records;
        self.counts.waiting_bytes += found.segments.iter().map(|segment| segment.bytes as u64).sum::<u64>();
        if self.segments.is_empty() {
            (self.head_done, self.stored_head_done) = (done, done);
        }
        let mut behind = self.segments.split_off(usize::from(self.head_done > 0).min(self.segments.len()));
        if let (Some(head), Some(first)) = (self.segments.front_mut(), found.segments.first()) {
            head.key = first.key.saturating_sub(1);
        }
        for segment in &mut behind {
            segment.key = self.next_key;
            self.next_key += 1;
        }
        self.segments.extend(found.segments);
        self.segments.extend(behind);
    }

    /// Makes a segment of what is pending.
    pub(super) fn seal(&mut self) {
        if self.pending_records == 0 {
            return;
        }
        let data: Arc<[u8]> = std::mem::take(&mut self.pending).into();
        self.cached += data.len();
        self.segments.push_back(Kept {
            key: self.next_key,
            records: std::mem::take(&mut self.pending_records),
            bytes: data.len(),
            stored_at: milliseconds(),
            stored: false,
            data: Some(data),
        });
        self.next_key += 1;
    }

    /// What the disk has to be told.
    pub(super) fn change(&self) -> Change {
        let new = self.segments.iter().filter(|segment| !segment.stored).cloned().collect();
        let head = self.segments.front().map_or(self.next_key, |segment| segment.key);
        let head_done = (self.head_done != self.stored_head_done).then_some((head, self.head_done));
        Change { new, removed: self.removable.clone(), head_done }
    }

    /// The disk has it.
    pub(super) fn written(&mut self, change: &Change) {
        self.removable.retain(|key| !change.removed.contains(key));
        if let Some((_, done)) = change.head_done {
            self.stored_head_done = done;
        }
        // Both are in the order of their keys; what is done meanwhile is no longer here.
        let mut new = change.new.iter().map(|segment| segment.key).peekable();
        for segment in self.segments.iter_mut().filter(|segment| !segment.stored) {
            while new.next_if(|key| *key < segment.key).is_some() {}
            segment.stored |= new.next_if_eq(&segment.key).is_some();
        }
        let done: Vec<u64> = change.new.iter().map(|segment| segment.key).collect();
        let first = self.segments.front().map_or(self.next_key, |segment| segment.key);
        // Written just now, and done before that was over.
        self.removable.extend(
            done.into_iter().filter(|key| *key < first && !self.removable.contains(key)).collect::<Vec<_>>(),
        );
        // The newest are those that wait longest for their turn.
        for segment in self.segments.iter_mut().skip(1).rev() {
            if self.cached <= CACHED {
                break;
            }
            if segment.stored
                && let Some(data) = segment.data.take()
            {
                self.cached -= data.len();
            }
        }
    }

    /// One record is done.
    pub(super) fn advance(&mut self) {
        let Some(head) = self.segments.front() else { return };
        self.head_done += 1;
        self.counts.waiting = self.counts.waiting.saturating_sub(1);
        if self.head_done >= head.records {
            self.pop();
        }
    }

    /// Takes the first segment out.
    pub(super) fn pop(&mut self) {
        let Some(head) = self.segments.pop_front() else { return };
        self.counts.waiting_bytes = self.counts.waiting_bytes.saturating_sub(head.bytes as u64);
        if let Some(data) = &head.data {
            self.cached -= data.len();
        }
        if head.stored {
            self.removable.push(head.key);
        }
        self.head_done = 0;
    }

    /// Gives the first segment up.
    pub(super) fn drop_head(&mut self, data: Option<&[u8]>, reason: GapReason) {
        let Some(head) = self.segments.front() else { return };
        let left = u64::from(head.records.saturating_sub(self.head_done));
        let skip = self.head_done as usize;
        self.counts.waiting = self.counts.waiting.saturating_sub(left);
        match (reason, data) {
            (GapReason::Expired, Some(data)) => {
                self.counts.expired += left;
                for record in decode(data).skip(skip) {
                    self.lose(record.stream, (record.number, record.number), reason);
                }
            }
            (GapReason::Expired, None) => self.counts.expired += left,
            // Which they were cannot be told: the receiver sees the hole in the numbers.
            _ => self.counts.lost += left,
        }
        self.pop();
    }

    /// Notes what will never arrive; ranges that touch become one.
    pub(super) fn lose(&mut self, stream: Uuid, (from, to): (u64, u64), reason: GapReason) {
        let full = self.gaps.len() >= GAPS;
        if let Some(last) = self.gaps.back_mut()
            && last.stream == stream
            && ((last.reason == reason && last.to + 1 == from) || full)
        {
            last.to = last.to.max(to);
            return;
        }
        self.gaps.push_back(Gap { stream, from, to, reason });
    }
}

/// Since 1970. A clock that jumps makes records older or younger than they are, and no more.
pub(super) fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    since.as_millis() as u64
}
