//! The values of one metric on their way into the form that the encoder takes.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric as Sample, MetricFamily, MetricType,
};

use super::{Metric, View};

/// The values of a metric.
pub(super) struct Samples {
    metric: &'static Metric,
    samples: Vec<Sample>,
}

/// A metric with its values; `None` where there are none, which the format does not know.
pub(super) fn family(metric: &'static Metric, view: &View<'_>) -> Option<MetricFamily> {
    let mut samples = Samples { metric, samples: Vec::new() };
    (metric.read)(view, &mut samples);
    if samples.samples.is_empty() {
        return None;
    }
    let mut family = MetricFamily::default();
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    family.set_field_type(metric.kind);
    family.set_metric(samples.samples);
    Some(family)
}

/// Numbers that a metric can have. Beyond 2^53 the last digits are lost, as Prometheus itself loses them.
pub(super) trait Number {
    fn value(self) -> f64;
}

impl Number for u64 {
    fn value(self) -> f64 {
        self as f64
    }
}

impl Number for usize {
    fn value(self) -> f64 {
        self as f64
    }
}

impl Number for f64 {
    fn value(self) -> f64 {
        self
    }
}

impl Number for bool {
    fn value(self) -> f64 {
        f64::from(u8::from(self))
    }
}

impl Samples {
    /// The only value of a metric without labels.
    pub(super) fn one(&mut self, value: impl Number) {
        self.add(&[], value);
    }

    /// The value for these labels, in the order of the table.
    pub(super) fn add(&mut self, labels: &[&str], value: impl Number) {
        let mut sample = self.sample(labels);
        match self.metric.kind {
            MetricType::GAUGE => {
                let mut gauge = Gauge::default();
                gauge.set_value(value.value());
                sample.set_gauge(gauge);
            }
            _ => {
                let mut counter = Counter::default();
                counter.set_value(value.value());
                sample.set_counter(counter);
            }
        }
        self.samples.push(sample);
    }

    /// A value for each key, with `before` in front of it among the labels.
    pub(super) fn each<'k>(&mut self, before: &[&str], values: impl IntoIterator<Item = (&'k str, u64)>) {
        for (key, value) in values {
            self.add(&[before, &[key]].concat(), value);
        }
    }

    /// A distribution. `classes`: how many fell below each of `ends` and not below the one before; one more for the rest.
    pub(super) fn distribution(&mut self, labels: &[&str], ends: &[f64], classes: &[u64], sum: f64) {
        let mut below = 0;
        let buckets = ends.iter().zip(classes).map(|(end, count)| {
            below += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*end);
            bucket.set_cumulative_count(below);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(classes.iter().sum());
        histogram.set_sample_sum(sum);
        let mut sample = self.sample(labels);
        sample.set_histogram(histogram);
        self.samples.push(sample);
    }

    fn sample(&self, labels: &[&str]) -> Sample {
        let labels = self.metric.labels.iter().zip(labels);
        let pair = |(label, value): (&super::Label, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name(label.name.to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        Sample::from_label(labels.map(pair).collect())
    }
}
