//! What rules over time really take from the allocator, beside what they account for. A program of its own, because it
//! counts every allocation.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use sensor::{
    event::{Event, Process, ProcessKey},
    rule::{Engine, Options, RuleSet, Source, testing},
};

/// Counts what the allocator gave out, its rounding and its own eight bytes included.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed to the system's allocator; only a number is kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised.
        let block = unsafe { System.alloc(layout) };
        // SAFETY: a block of this allocator, or null, of which the size is 0.
        let size = unsafe { libc::malloc_usable_size(block.cast()) };
        LIVE.fetch_add(size + 8, Ordering::Relaxed);
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: a block of this allocator.
        let size = unsafe { libc::malloc_usable_size(block.cast()) };
        LIVE.fetch_sub(size + 8, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RULES: &str = "
- rule: counted
  desc: d
  condition: evt.type = connect
  count: {at_least: 5, within: 1h, by: [process, fd.name]}
  output: o
  priority: INFO
- rule: distinct
  desc: d
  condition: evt.type = connect
  count: {at_least: 5, within: 1h, by: process, distinct: fd.name}
  output: o
  priority: INFO
- rule: chained
  desc: d
  condition: evt.type = connect
  sequence: {by: process-tree, within: 1h, then: [evt.type = execve, evt.type = openat]}
  output: o
  priority: INFO
- rule: silent
  desc: d
  condition: evt.type = execve
  suppress: {by: process, for: 1h}
  output: o
  priority: INFO
";

#[test]
fn state_takes_what_it_accounts_for_and_no_more_than_its_budget() {
    let limit = 4 << 20;
    let sources = [Source { name: "rules".to_owned(), text: RULES.to_owned() }];
    let (set, found) = RuleSet::compile(&sources, &Options::default());
    let set = Arc::new(set.unwrap_or_else(|| panic!("{found:?}")));
    let events =
        "- {evt.type: connect, fd.name: '10.0.0.1:1->10.0.0.2:2'}\n- {evt.type: execve, proc.name: sh}\n";
    let events = testing::events("events", events).unwrap();
    let mut engine = Engine::with_state(set, limit);
    let mut matches = Vec::with_capacity(16);
    let play = |engine: &mut Engine, matches: &mut Vec<_>, pid: u32| {
        for event in &events {
            let key = ProcessKey { pid, start: 1 };
            let process = Arc::new(Process { key, ..Process::clone(&event.process) });
            let event = Event { process, number: event.number + u64::from(pid) * 2, ..event.clone() };
            engine.evaluate(&event, matches);
            matches.clear();
        }
    };
    // Buffers that are kept for ever are there after one event of each.
    play(&mut engine, &mut matches, 0);
    let base = LIVE.load(Ordering::Relaxed) - engine.correlation().bytes;
    let (mut most, mut full) = (0, Vec::new());
    for pid in 1..60_000 {
        play(&mut engine, &mut matches, pid);
        let live = LIVE.load(Ordering::Relaxed) - base;
        most = most.max(live);
        if pid % 1000 == 0 {
            full.push((live, engine.correlation().bytes));
        }
    }
    assert!(most <= limit, "{most} bytes at most, of {limit}");
    for (live, accounted) in &full {
        let difference = live.abs_diff(*accounted);
        assert!(difference * 20 < *accounted, "{live} bytes are taken, {accounted} are accounted for");
    }
    assert!(full.iter().any(|(live, _)| *live > limit * 9 / 10), "the budget was reached: {full:?}");
    while engine.expire(u64::MAX, &mut Vec::new()) {}
    let left = LIVE.load(Ordering::Relaxed).saturating_sub(base);
    assert!(left < limit / 20, "{left} bytes are left when all is over");
}
