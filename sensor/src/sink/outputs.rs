//! All sinks of the sensor: what is offered goes to each that takes it, and none waits for another.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{Alert, Entrance, Item, Queue, QueueCounts, SinkStats, Taste};
use crate::event::{Event, EventType};

/// The sinks.
#[derive(Debug)]
pub struct Outputs {
    /// Standard output, or whatever the alerts of a replay go to: without it nothing can go on.
    first: Queue<Arc<Alert>>,
    others: Vec<Output>,
}

/// A sink beside it.
#[derive(Debug)]
pub struct Output {
    /// Its name in the configuration.
    pub name: String,
    /// What it takes.
    pub taste: Taste,
    /// The way to its thread.
    pub queue: Queue<Item>,
    /// What its thread did.
    pub account: Box<dyn Account>,
    /// What it was asked to take, and did not.
    pub asked: Arc<Asked>,
}

/// What a sink was asked to take, and did not want.
#[derive(Debug, Default)]
pub struct Asked {
    offered: AtomicU64,
    filtered: AtomicU64,
}

/// The accounts behind a sink's queue.
pub trait Account: std::fmt::Debug + Send {
    /// Fills them in.
    fn fill(&self, stats: &mut SinkStats);

    /// Asks what is behind the queue to come to an end.
    fn end(&self) {}

    /// Waits for it.
    fn join(&mut self) {}
}

/// A way to all sinks, for another thread.
#[derive(Debug)]
pub struct OutputsEntrance {
    first: Entrance<Arc<Alert>>,
    others: Vec<(Taste, Entrance<Item>, Arc<Asked>)>,
}

/// How often a sink's thread looks after what waits while nothing comes.
pub(super) const PULSE: Duration = Duration::from_secs(1);

impl Outputs {
    /// One sink, and no other.
    #[must_use]
    pub const fn new(first: Queue<Arc<Alert>>) -> Self {
        Self { first, others: Vec::new() }
    }

    /// The same with others beside it.
    #[must_use]
    pub fn with(mut self, others: Vec<Output>) -> Self {
        self.others = others;
        self
    }

    /// The types of events that some sink takes beside alerts.
    #[must_use]
    pub fn event_types(&self) -> Vec<EventType> {
        let mut types: Vec<_> = self.others.iter().flat_map(|output| output.taste.types()).copied().collect();
        types.sort_unstable();
        types.dedup();
        types
    }

    /// Gives an alert to every sink that takes it and has room. `patient`: waits for room in the first.
    ///
    /// # Errors
    /// That of the first, once it has ended.
    pub fn alert(&mut self, alert: Alert, patient: bool) -> io::Result<()> {
        let alert = Arc::new(alert);
        for output in &mut self.others {
            output.offer(Item::Alert(Arc::clone(&alert)));
        }
        if patient { self.first.put(alert) } else { self.first.offer(alert) }
    }

    /// Gives an event to every sink that takes it and has room.
    pub fn event(&mut self, event: Event) {
        let event = Arc::new(event);
        for output in self.others.iter_mut().filter(|output| output.taste.wants(event.event_type)) {
            output.offer(Item::Event(Arc::clone(&event)));
        }
    }

    /// A way in for another thread; `None` once the first sink has ended.
    #[must_use]
    pub fn entrance(&self) -> Option<OutputsEntrance> {
        let others = self.others.iter();
        let others = others
            .filter_map(|output| {
                Some((output.taste.clone(), output.queue.entrance()?, Arc::clone(&output.asked)))
            })
            .collect();
        Some(OutputsEntrance { first: self.first.entrance()?, others })
    }

    /// What went through the first.
    #[must_use]
    pub fn counts(&self) -> QueueCounts {
        self.first.counts()
    }

    /// What went through the others.
    #[must_use]
    pub fn stats(&self) -> BTreeMap<String, SinkStats> {
        self.others
            .iter()
            .map(|output| {
                (output.name.clone(), stats(&output.asked, output.queue.counts(), &*output.account))
            })
            .collect()
    }

    /// Waits until everything is dealt with, or left for the next start. Returns the accounts of the first and of the others.
    ///
    /// # Errors
    /// Where the first failed.
    pub fn finish(self) -> io::Result<(QueueCounts, BTreeMap<String, SinkStats>)> {
        let first = self.first.finish();
        let mut rest = Vec::new();
        for Output { name, queue, account, asked, .. } in self.others {
            let counts = queue.counts();
            let _ = queue.finish();
            account.end();
            rest.push((name, counts, account, asked));
        }
        let finished =
            |(name, counts, mut account, asked): (String, QueueCounts, Box<dyn Account>, Arc<Asked>)| {
                account.join();
                (name, stats(&asked, counts, &*account))
            };
        let others = rest.into_iter().map(finished).collect();
        Ok((first?, others))
    }
}

fn stats(asked: &Asked, queue: QueueCounts, account: &dyn Account) -> SinkStats {
    let mut stats = SinkStats {
        offered: asked.offered.load(Ordering::Relaxed),
        filtered: asked.filtered.load(Ordering::Relaxed),
        taken: queue.offered - queue.dropped,
        dropped: queue.dropped,
        ..SinkStats::default()
    };
    account.fill(&mut stats);
    stats
}

impl Output {
    fn offer(&mut self, item: Item) {
        self.asked.offered.fetch_add(1, Ordering::Relaxed);
        if self.taste.takes(&item) {
            // Its thread never fails: what it cannot do it counts.
            let _ = self.queue.offer(item);
        } else {
            self.asked.filtered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl OutputsEntrance {
    /// Gives an alert to every sink that takes it and has room.
    pub fn offer(&mut self, alert: Alert) {
        let alert = Arc::new(alert);
        for (taste, queue, asked) in &mut self.others {
            let item = Item::Alert(Arc::clone(&alert));
            asked.offered.fetch_add(1, Ordering::Relaxed);
            if taste.takes(&item) {
                queue.offer(item);
            } else {
                asked.filtered.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.first.offer(alert);
    }
}
