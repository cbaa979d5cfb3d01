//! Metrics of what leaves the sensor, and of the sensor as a process.

use super::{count, distribution, gauge, stat};
use crate::{
    metrics::{
        Metric, View,
        labels::{ABI, DELIVERY, SINK, TO, VERSION},
        samples::Samples,
    },
    sink::{LATENCY_SECONDS, SinkStats},
};

fn by_sink(view: &View<'_>, out: &mut Samples, read: fn(&SinkStats) -> f64) {
    for (name, sink) in &view.stats.sinks {
        out.add(&[name, sink.to], read(sink));
    }
}

macro_rules! sinks {
    ($field:ident) => {
        |view, out| by_sink(view, out, |sink| sink.$field as f64)
    };
}

pub(super) const METRICS: &[Metric] = &[
    // The queue of alerts: `offered = taken + dropped + waiting`.
    count(
        "vedette_queue_offered_total",
        &[],
        "Alerts handed to the queue in front of standard output.",
        stat!(queue.offered),
    ),
    count("vedette_queue_taken_total", &[], "Alerts that left it.", stat!(queue.taken)),
    count("vedette_queue_dropped_total", &[], "Alerts that found it full.", stat!(queue.dropped)),
    gauge("vedette_queue_waiting", &[], "Alerts that wait in it.", |view, out| {
        out.one(view.stats.queue.waiting())
    }),
    gauge("vedette_queue_capacity", &[], "Alerts for which it has room (stdout.queue).", |view, out| {
        out.one(view.bounds.queue)
    }),
    // Sinks: `offered = filtered + taken + dropped`, and `taken + own + inherited = delivered + refused + expired + overflowed
    // + lost + waiting`.
    count(
        "vedette_sink_offered_total",
        &[SINK, TO],
        "Alerts and events that there were for a sink.",
        sinks!(offered),
    ),
    count("vedette_sink_filtered_total", &[SINK, TO], "Those that its filter left out.", sinks!(filtered)),
    count("vedette_sink_taken_total", &[SINK, TO], "Those that its queue took.", sinks!(taken)),
    count("vedette_sink_dropped_total", &[SINK, TO], "Those that found its queue full.", sinks!(dropped)),
    count(
        "vedette_sink_own_total",
        &[SINK, TO],
        "Records that it wrote about its own stream: gaps and checkpoints.",
        sinks!(own),
    ),
    count(
        "vedette_sink_inherited_total",
        &[SINK, TO],
        "Records that waited from an earlier run.",
        sinks!(inherited),
    ),
    count(
        "vedette_sink_delivered_total",
        &[SINK, TO],
        "Records that the destination has.",
        sinks!(delivered),
    ),
    count("vedette_sink_refused_total", &[SINK, TO], "Records that it refused for good.", sinks!(refused)),
    count("vedette_sink_expired_total", &[SINK, TO], "Records that waited too long.", sinks!(expired)),
    count(
        "vedette_sink_overflowed_total",
        &[SINK, TO],
        "Records that found the spool full.",
        sinks!(overflowed),
    ),
    count("vedette_sink_lost_total", &[SINK, TO], "Records of a spool that could not be read.", sinks!(lost)),
    count("vedette_sink_failures_total", &[SINK, TO, DELIVERY], "Tries that failed.", |view, out| {
        for (name, sink) in &view.stats.sinks {
            out.each(&[name, sink.to], sink.failures.iter().map(|(reason, count)| (*reason, *count)));
        }
    }),
    gauge("vedette_sink_waiting", &[SINK, TO], "Records that wait.", sinks!(waiting)),
    gauge("vedette_sink_waiting_bytes", &[SINK, TO], "Bytes of them.", sinks!(waiting_bytes)),
    gauge("vedette_sink_limit_bytes", &[SINK], "The most that may wait (spool.max_bytes).", |view, out| {
        out.each(&[], view.bounds.spools.iter().map(|(name, bytes)| (name.as_str(), *bytes)));
    }),
    gauge(
        "vedette_sink_oldest_seconds",
        &[SINK, TO],
        "How long the oldest of them has waited.",
        |view, out| {
            by_sink(view, out, |sink| sink.oldest_ms as f64 / 1e3);
        },
    ),
    gauge(
        "vedette_sink_volatile",
        &[SINK, TO],
        "Whether records wait in memory alone, since the spool cannot be written.",
        |view, out| {
            by_sink(view, out, |sink| f64::from(u8::from(sink.volatile)));
        },
    ),
    gauge("vedette_sink_failing", &[SINK, TO], "Whether the last try failed.", |view, out| {
        by_sink(view, out, |sink| f64::from(u8::from(sink.failing)));
    }),
    distribution(
        "vedette_sink_delivery_seconds",
        &[SINK, TO],
        "Time from the alert to the acknowledgement.",
        |view, out| {
            for (name, sink) in &view.stats.sinks {
                out.distribution(&[name, sink.to], &LATENCY_SECONDS, &sink.latency, sink.latency_seconds);
            }
        },
    ),
    gauge("vedette_build_info", &[VERSION, ABI], "Always 1; the labels say what is at work.", |_, out| {
        out.add(&[env!("CARGO_PKG_VERSION"), &sensor_common::ABI_VERSION.to_string()], 1_u64);
    }),
    gauge("vedette_pipeline_ready", &[], "Whether /readyz says yes.", |view, out| out.one(view.ready)),
    gauge(
        "vedette_pipeline_accounts_age_seconds",
        &[],
        "Age of the accounts behind these metrics, which the way of the events draws up once a second.",
        |view, out| {
            out.one(view.age.as_secs_f64());
        },
    ),
    // The sensor itself, under the names that every Prometheus library uses.
    gauge("process_resident_memory_bytes", &[], "Memory of the sensor.", |view, out| {
        out.one(view.process.resident)
    }),
    count(
        "process_cpu_seconds_total",
        &[],
        "Time of the sensor on a processor, kernel programs not included.",
        |view, out| out.one(view.process.cpu_seconds),
    ),
    gauge("process_start_time_seconds", &[], "When the sensor was started, since 1970.", |view, out| {
        out.one(view.bounds.start_time)
    }),
    gauge("process_threads", &[], "Threads of the sensor.", |view, out| out.one(view.process.threads)),
    gauge("process_open_fds", &[], "Files that it has open.", |view, out| out.one(view.process.open_files)),
    gauge("process_max_fds", &[], "Files that it may have open.", |view, out| {
        out.one(view.process.most_files)
    }),
];
