//! The first events of a container wait here until it is known who it is, or long enough: in order, each container by itself,
//! bounded in bytes. It knows no source; whoever learns something says whom to let go.

use std::collections::{HashMap, VecDeque};

use crate::event::{Detail, Event};

/// How long and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HoldLimits {
    /// How long an event waits at most, in nanoseconds.
    pub(super) wait: u64,
    /// Bytes of all events that wait.
    pub(super) bytes: usize,
}

/// Events that wait, by container.
#[derive(Debug)]
pub(super) struct Hold {
    waiting: HashMap<u64, Waiting>,
    /// Until when each may wait, the first to go first; some have gone before.
    order: VecDeque<(u64, u64)>,
    bytes: usize,
    limits: HoldLimits,
}

#[derive(Debug)]
struct Waiting {
    events: Vec<Event>,
    bytes: usize,
}

impl Hold {
    pub(super) fn new(limits: HoldLimits) -> Self {
        Self { waiting: HashMap::new(), order: VecDeque::new(), bytes: 0, limits }
    }

    /// Whether an event has to wait.
    pub(super) fn has_to_wait(event: &Event) -> bool {
        event.container.as_ref().is_some_and(|container| !container.is_settled())
    }

    /// Takes an event that has to wait. `now`: nanoseconds since boot.
    pub(super) fn keep(&mut self, event: Event, now: u64) {
        let Some(container) = &event.container else { return };
        let bytes = bytes(&event);
        let waiting = self.waiting.entry(container.instance).or_insert_with(|| {
            self.order.push_back((now.saturating_add(self.limits.wait), container.instance));
            Waiting { events: Vec::new(), bytes: 0 }
        });
        waiting.events.push(event);
        waiting.bytes += bytes;
        self.bytes += bytes;
    }

    /// The events of a container, to be let go.
    pub(super) fn take(&mut self, instance: u64) -> Vec<Event> {
        let Some(waiting) = self.waiting.remove(&instance) else { return Vec::new() };
        self.bytes -= waiting.bytes;
        if self.waiting.is_empty() {
            // A burst of containers must not leave its tables behind.
            self.waiting.shrink_to(64);
            self.order.clear();
            self.order.shrink_to(64);
        }
        waiting.events
    }

    /// A container that has waited long enough, or that has to go because all together hold too much: the one that has
    /// waited longest first. The second value tells whether there was no room.
    pub(super) fn due(&mut self, now: u64) -> Option<(u64, bool)> {
        while let Some((until, instance)) = self.order.front().copied() {
            if !self.waiting.contains_key(&instance) {
                self.order.pop_front();
            } else if until <= now {
                return Some((instance, false));
            } else {
                return (self.bytes > self.limits.bytes).then_some((instance, true));
            }
        }
        None
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// About what an event holds; a process that several events share counts for each, so the limit errs on the safe side.
fn bytes(event: &Event) -> usize {
    let texts = match &event.detail {
        Detail::Open(open) => {
            open.path.as_bytes().len() + open.name.as_ref().map_or(0, |name| name.as_bytes().len())
        }
        Detail::Exec(exec) => exec.filename.as_bytes().len(),
        _ => 128,
    };
    size_of::<Event>() + texts + event.process.heap_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{Container, EventType, Exit, Process, Runtime, Task};

    fn event(instance: u64, number: u64) -> Event {
        let container = Container { instance, ..Container::new("c", Runtime::Docker, "/c", None) };
        Event {
            event_type: EventType::Procexit,
            number,
            time: 0,
            boot_time: 0,
            cpu: 0,
            result: 0,
            compat: false,
            io_uring: false,
            enforced: None,
            task: Task::default(),
            process: Arc::new(Process::default()),
            container: (instance > 0).then(|| Arc::new(container)),
            detail: Detail::Exit(Exit::default()),
        }
    }

    fn numbers(events: &[Event]) -> Vec<u64> {
        events.iter().map(|event| event.number).collect()
    }

    #[test]
    fn each_container_waits_by_itself_and_in_order() {
        let mut hold = Hold::new(HoldLimits { wait: 100, bytes: 1 << 20 });
        assert!(!Hold::has_to_wait(&event(0, 1)), "the host never waits");
        for (instance, number, now) in [(1, 2, 0), (2, 3, 50), (1, 4, 60)] {
            assert!(Hold::has_to_wait(&event(instance, number)));
            hold.keep(event(instance, number), now);
        }
        let mut settled = event(1, 5);
        Arc::make_mut(settled.container.as_mut().unwrap()).settled = true;
        assert!(!Hold::has_to_wait(&settled));
        assert_eq!(hold.due(99), None);
        assert_eq!(hold.due(100), Some((1, false)));
        assert_eq!(numbers(&hold.take(1)), [2, 4]);
        assert_eq!((hold.due(149), hold.due(150)), (None, Some((2, false))));
        assert_eq!((numbers(&hold.take(2)), hold.bytes(), hold.is_empty()), (vec![3], 0, true));
        assert!(hold.take(2).is_empty());
    }

    #[test]
    fn a_full_hold_lets_the_oldest_go() {
        let mut hold = Hold::new(HoldLimits { wait: 100, bytes: 3 * bytes(&event(1, 1)) });
        for number in 1..=4 {
            assert_eq!(hold.due(number), None);
            hold.keep(event(number, number), number);
        }
        assert_eq!(hold.due(5), Some((1, true)));
        assert_eq!(numbers(&hold.take(1)), [1]);
        assert_eq!(hold.due(5), None);
    }
}
