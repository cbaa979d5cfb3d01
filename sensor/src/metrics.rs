//! Every metric of the sensor in one table, and the HTTP server that tells them. Out of the table come the answer to a scrape
//! and the reference page. A scrape reads the accounts that the pipeline published last: it never touches the way of the events.

mod health;
mod labels;
mod page;
mod process;
mod samples;
mod server;
mod table;
mod tls;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use prometheus::{TextEncoder, proto::MetricType};

pub use self::{
    labels::Label,
    page::page,
    server::{MetricsError, start},
    table::metrics,
};
use self::{process::Process, samples::Samples};
use crate::{
    config::{Config, Destination},
    pipeline::Stats,
};

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it says, with the unit where it is not in the name.
    pub help: &'static str,
    /// What it is.
    pub kind: MetricType,
    /// By what it is told apart.
    pub labels: &'static [Label],
    read: fn(&View<'_>, &mut Samples),
}

/// The bounds that the configuration sets, and what else does not change while the sensor runs.
#[derive(Clone, Debug)]
pub struct Bounds {
    started: Instant,
    /// Seconds since 1970.
    start_time: f64,
    queue: u64,
    processes: u64,
    containers: u64,
    held: u64,
    rule_state: u64,
    spools: BTreeMap<String, u64>,
    backlog_share: f64,
}

/// What metrics are read from.
struct View<'a> {
    /// The latest accounts; empty before the first.
    stats: &'a Stats,
    /// How old they are.
    age: Duration,
    ready: bool,
    bounds: &'a Bounds,
    process: &'a Process,
}

impl Bounds {
    /// Those of a configuration; the sensor starts now.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        // Records for a file do not wait: it has no spool.
        let spools = config.sinks.iter().filter(|(_, sink)| !matches!(sink.to, Destination::File(_)));
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started: Instant::now(),
            start_time: since.as_secs_f64(),
            queue: config.stdout.queue as u64,
            processes: config.processes.limit_bytes as u64,
            containers: config.identity.limit_bytes as u64,
            held: config.identity.hold_bytes as u64,
            rule_state: config.rules.state_bytes as u64,
            spools: spools.map(|(name, sink)| (name.clone(), sink.spool.max_bytes)).collect(),
            backlog_share: config.metrics.backlog_share,
        }
    }
}

/// All metrics as Prometheus reads them.
fn render(view: &View<'_>) -> Result<String, prometheus::Error> {
    let families: Vec<_> = metrics().filter_map(|metric| samples::family(metric, view)).collect();
    TextEncoder::new().encode_to_string(&families)
}

#[cfg(test)]
mod tests;
