//! The latest accounts, for whoever looks at them from another thread: drawn up once a second on the way of the events, and
//! never by the one who looks.

use std::{sync::Arc, time::Instant};

use arc_swap::ArcSwapOption;

use super::Stats;

/// Accounts as they stood at a time.
#[derive(Debug)]
pub struct Snapshot {
    /// The accounts.
    pub stats: Stats,
    /// When they were drawn up.
    pub at: Instant,
}

/// Where the latest accounts are.
#[derive(Clone, Debug, Default)]
pub struct Published(Arc<ArcSwapOption<Snapshot>>);

impl Published {
    /// These are the latest. Whoever still looks at older ones keeps them.
    pub fn publish(&self, stats: &Stats) {
        self.0.store(Some(Arc::new(Snapshot { stats: stats.clone(), at: Instant::now() })));
    }

    /// The latest; `None` before the first.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Snapshot>> {
        self.0.load_full()
    }
}
