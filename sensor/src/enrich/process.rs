//! The process table: every process that is alive, by pid, told from its predecessors by its start time.
//!
//! It is bounded in bytes. Whatever holds a process image (the table, its children, an event on its way) is counted by the
//! image itself, so the figure is what is really in use. Near the limit new images keep only the head of their arguments
//! and a short ancestry; beyond it processes are forgotten, and read from `/proc` again when they next do something.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::event::{Account, Args, Process, ProcessKey};

/// Ancestors kept at most. A chain of processes that each fork and exit would otherwise grow for ever.
const DEPTH: u16 = 128;
/// Ancestors kept when a chain is cut, and near the limit.
const SHORT_DEPTH: u16 = 48;
/// Argument bytes kept near the limit.
const SHORT_ARGS: usize = 512;
/// `/proc` gives start times in ticks of this many nanoseconds (`USER_HZ` is 100 on every Linux of today).
pub(super) const TICK: u64 = 10_000_000;

/// Every process that is alive, as far as the sensor knows.
#[derive(Debug)]
pub struct ProcessTable {
    by_pid: HashMap<u32, Entry>,
    account: Account,
    limit: usize,
    evicted: u64,
}

#[derive(Debug)]
struct Entry {
    process: Arc<Process>,
    /// Start time known only to the tick.
    approximate: bool,
}

impl ProcessTable {
    /// An empty table that may use about `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { by_pid: HashMap::new(), account: Account::default(), limit, evicted: 0 }
    }

    /// Processes known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_pid.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_pid.is_empty()
    }

    /// Bytes in use by all images that are still referred to.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.account.bytes()
    }

    /// Processes forgotten for want of memory.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The process with this key. A start time that `/proc` gave to the tick is made exact by the first record that has it.
    pub fn get(&mut self, key: ProcessKey) -> Option<&Arc<Process>> {
        let entry = self.by_pid.get_mut(&key.pid)?;
        let known = entry.process.key.start;
        if known == key.start {
            return Some(&entry.process);
        }
        if entry.approximate && known / TICK == key.start / TICK {
            Arc::make_mut(&mut entry.process).key.start = key.start;
            entry.approximate = false;
            return Some(&entry.process);
        }
        None
    }

    /// The process that has this pid now.
    #[must_use]
    pub fn by_pid(&self, pid: u32) -> Option<&Arc<Process>> {
        self.by_pid.get(&pid).map(|entry| &entry.process)
    }

    /// Takes a new image in place of whatever had the pid, and returns it as it is kept.
    pub fn insert(&mut self, mut process: Process, approximate: bool) -> Arc<Process> {
        process.depth = process.parent.as_ref().map_or(0, |parent| parent.depth.saturating_add(1));
        let near = self.account.bytes() > self.limit / 4 * 3;
        if near {
            shorten(&mut process.args);
            process.env = None;
        }
        if process.depth > DEPTH || (near && process.depth > SHORT_DEPTH) {
            process.parent = process.parent.map(|parent| Arc::new(cut(&parent, SHORT_DEPTH)));
            process.depth = process.parent.as_ref().map_or(0, |parent| parent.depth + 1);
        }
        process.account = self.account.open(process.heap_bytes());
        let process = Arc::new(process);
        self.by_pid.insert(process.key.pid, Entry { process: Arc::clone(&process), approximate });
        if self.account.bytes() > self.limit {
            self.evict(process.key.pid);
        }
        process
    }

    /// Forgets a process that ended; `None` where it is not there (any more).
    pub fn remove(&mut self, key: ProcessKey) -> Option<Arc<Process>> {
        self.get(key)?;
        self.by_pid.remove(&key.pid).map(|entry| entry.process)
    }

    /// Forgets every process that `alive` does not confirm, and says how many.
    pub fn retain(&mut self, mut alive: impl FnMut(u32) -> bool) -> usize {
        let before = self.by_pid.len();
        self.by_pid.retain(|pid, _| alive(*pid));
        before - self.by_pid.len()
    }

    /// Forgets a few processes other than `keep`, those with the largest images among a handful.
    fn evict(&mut self, keep: u32) {
        for _ in 0..4 {
            let largest = self
                .by_pid
                .iter()
                .filter(|(pid, _)| **pid != keep)
                .take(16)
                .max_by_key(|(_, entry)| entry.process.heap_bytes())
                .map(|(pid, _)| *pid);
            let Some(pid) = largest else { return };
            self.by_pid.remove(&pid);
            self.evicted += 1;
            if self.account.bytes() <= self.limit {
                return;
            }
        }
    }
}

fn shorten(args: &mut Args) {
    if let Some(head) = args.as_bytes().get(..SHORT_ARGS) {
        *args = Args::from_raw(head, args.full_len());
    }
}

/// A copy of the process with at most `depth` ancestors.
fn cut(process: &Process, depth: u16) -> Process {
    let chain: Vec<&Process> =
        std::iter::once(process).chain(process.ancestors()).take(usize::from(depth)).collect();
    let mut parent: Option<Arc<Process>> = None;
    for ancestor in chain.into_iter().rev() {
        let depth = parent.as_ref().map_or(0, |parent| parent.depth + 1);
        parent = Some(Arc::new(Process { parent, depth, ..ancestor.clone() }));
    }
    parent.map_or_else(|| process.clone(), |parent| (*parent).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, start: u64) -> Process {
        Process { key: ProcessKey { pid, start }, ..Process::default() }
    }

    fn child(pid: u32, parent: &Arc<Process>) -> Process {
        Process { parent: Some(Arc::clone(parent)), ..process(pid, u64::from(pid)) }
    }

    #[test]
    fn a_reused_pid_is_another_process() {
        let mut table = ProcessTable::new(1 << 20);
        table.insert(process(7, 100), false);
        assert!(table.get(ProcessKey { pid: 7, start: 101 }).is_none());
        assert!(table.remove(ProcessKey { pid: 7, start: 101 }).is_none());
        table.insert(process(7, 200), false);
        assert!(table.get(ProcessKey { pid: 7, start: 100 }).is_none());
        assert!(table.remove(ProcessKey { pid: 7, start: 200 }).is_some());
        assert!(table.remove(ProcessKey { pid: 7, start: 200 }).is_none(), "a second exit finds nothing");
        assert_eq!((table.len(), table.bytes()), (0, 0));
    }

    #[test]
    fn a_start_time_from_proc_becomes_exact() {
        let mut table = ProcessTable::new(1 << 20);
        table.insert(process(7, 5 * TICK), true);
        assert!(table.get(ProcessKey { pid: 7, start: 6 * TICK }).is_none());
        assert_eq!(table.get(ProcessKey { pid: 7, start: 5 * TICK + 3 }).unwrap().key.start, 5 * TICK + 3);
        assert!(table.get(ProcessKey { pid: 7, start: 5 * TICK + 4 }).is_none(), "it is exact now");
    }

    #[test]
    fn a_chain_of_forks_that_exit_does_not_grow_for_ever() {
        let mut table = ProcessTable::new(64 << 20);
        let mut last = table.insert(process(1, 1), false);
        let mut most = 0;
        for pid in 2..5000 {
            let next = table.insert(child(pid, &last), false);
            table.remove(last.key);
            last = next;
            assert_eq!(last.ancestors().count(), usize::from(last.depth));
            most = most.max(table.bytes());
        }
        assert!(usize::from(last.depth) <= usize::from(DEPTH) && last.depth > 30);
        assert_eq!(last.ancestors().next().unwrap().key.pid, 4998);
        assert!(most < 256 * 2 * size_of::<Process>(), "{most} bytes");
    }

    #[test]
    fn memory_stays_below_the_limit() {
        let mut table = ProcessTable::new(1 << 20);
        for pid in 1..3000 {
            let args = Args::from_raw(vec![b'x'; 32 << 10], 32 << 10);
            table.insert(Process { args, ..process(pid, 1) }, false);
            assert!(table.bytes() <= (1 << 20) + (40 << 10), "{} bytes", table.bytes());
        }
        assert!(table.evicted() > 0 && table.len() > 100);
        assert!(table.by_pid(2999).unwrap().args.is_truncated());
    }
}
