//! The table: every metric, and where its value is read from.

mod delivery;
mod event;
mod kernel;
mod rule;

use prometheus::proto::MetricType;

use super::{Label, Metric, View, samples::Samples};

/// Every metric, in the order of the way of the events.
pub fn metrics() -> impl Iterator<Item = &'static Metric> {
    [kernel::METRICS, event::METRICS, rule::METRICS, delivery::METRICS].into_iter().flatten()
}

type Read = fn(&View<'_>, &mut Samples);

const fn count(name: &'static str, labels: &'static [Label], help: &'static str, read: Read) -> Metric {
    Metric { name, help, kind: MetricType::COUNTER, labels, read }
}

const fn gauge(name: &'static str, labels: &'static [Label], help: &'static str, read: Read) -> Metric {
    Metric { name, help, kind: MetricType::GAUGE, labels, read }
}

const fn distribution(
    name: &'static str,
    labels: &'static [Label],
    help: &'static str,
    read: Read,
) -> Metric {
    Metric { name, help, kind: MetricType::HISTOGRAM, labels, read }
}

/// Nanoseconds in seconds.
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// A number of the accounts as the only value.
macro_rules! stat {
    ($($field:ident).+) => { |view, out| out.one(view.stats.$($field).+) };
}
use stat;
