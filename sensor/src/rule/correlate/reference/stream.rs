//! Random streams of execs: some programs, containers and processes, in order or nearly so.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    event::{Comm, Event, Process, ProcessKey},
    rule::testing::event,
};

/// The unit of all times: 100 milliseconds.
pub(super) const UNIT: u64 = 100_000_000;

/// What a random event is made of: how long after the one before, how much it is delayed, who, where, with what.
pub(super) type Draft = (u64, u64, &'static str, &'static str, usize, &'static str);

pub(super) fn drafts(most: usize) -> impl Strategy<Value = Vec<Draft>> {
    let name = select(vec!["a", "b", "c", "d"]);
    let container = select(vec!["c1", "c1", "c1", "c2"]);
    let value = select(vec!["/v1", "/v2", "/v3", "/v4"]);
    vec((0_u64..12, 0_u64..=1000, name, container, 0_usize..5, value), 1..most)
}

/// Many of some programs and few of others, close together.
pub(super) fn crowd() -> impl Strategy<Value = Vec<(u64, &'static str)>> {
    let few = vec((0_u64..3, select(vec!["a", "b", "c", "d"])), 0..8);
    let many = |names: &'static [&'static str]| vec((0_u64..2, select(names)), 0..80);
    (few.clone(), many(&["a"]), few, many(&["a", "b"]), many(&["a", "a", "b", "c", "d"]))
        .prop_map(|(a, b, c, d, e)| [a, b, c, d, e].concat())
}

/// Processes: 1, 2 created by it, 3 by 2, 4 by 1, and 5 alone.
fn processes() -> Vec<Arc<Process>> {
    let mut all: Vec<Arc<Process>> = Vec::new();
    for (pid, parent) in [(1, None), (2, Some(0)), (3, Some(1)), (4, Some(0)), (5, None)] {
        let parent: Option<usize> = parent;
        let parent = parent.map(|at| Arc::clone(&all[at]));
        let process = Process { key: ProcessKey { pid, start: 7 }, parent, ..Process::default() };
        all.push(Arc::new(process));
    }
    all
}

/// The events in the order of their arrival, none later than `lateness`.
pub(super) fn stream(drafts: &[Draft], lateness: u64) -> Vec<Event> {
    let template = event("{evt.type: execve, container.id: c1}");
    let processes = processes();
    let mut at = 3600 * 1_000_000_000;
    let mut events = Vec::new();
    for (after, delay, name, container, process, value) in drafts {
        at += after * UNIT;
        let mut event = template.clone();
        (event.boot_time, event.time) = (at, at + 1_767_000_000_000_000_000);
        event.task.comm = Comm::from(name.as_bytes());
        let own = &processes[*process];
        event.process = Arc::new(Process { exe: (*value).into(), ..Process::clone(own) });
        let mut place = crate::event::Container::clone(event.container.as_deref().unwrap());
        place.id = (*container).into();
        event.container = Some(Arc::new(place));
        events.push((at + lateness * delay / 1000, event));
    }
    events.sort_by_key(|(arrival, _)| *arrival);
    (1..).zip(events).map(|(number, (_, event))| Event { number, ..event }).collect()
}
