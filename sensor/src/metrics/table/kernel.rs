//! Metrics of the kernel half.

use super::{count, gauge, seconds, stat};
use crate::{
    metrics::{
        Metric, View,
        labels::{HOOK, KIND, LOST, MAP, MODE, PROGRAM},
        samples::Samples,
    },
    probe::Counts,
};

fn by_kind(view: &View<'_>, out: &mut Samples, read: fn(&Counts) -> u64) {
    out.each(&[], view.stats.kinds.iter().map(|(kind, counts)| (*kind, read(counts))));
}

pub(super) const METRICS: &[Metric] = &[
    // The kernel half: `seen = submitted + filtered + limited + lost` for each kind.
    count(
        "vedette_kernel_seen_total",
        &[KIND],
        "Times that a kernel program ran for something it is there for.",
        |view, out| by_kind(view, out, |counts| counts.seen),
    ),
    count("vedette_kernel_submitted_total", &[KIND], "Records written to the ring.", |view, out| {
        by_kind(view, out, |counts| counts.submitted)
    }),
    count(
        "vedette_kernel_filtered_total",
        &[KIND],
        "Events that no rule can match, dropped in the kernel.",
        |view, out| by_kind(view, out, |counts| counts.filtered),
    ),
    count(
        "vedette_kernel_limited_total",
        &[KIND],
        "Records held back, since one control group sent too many.",
        |view, out| by_kind(view, out, |counts| counts.limited),
    ),
    count(
        "vedette_kernel_lost_total",
        &[KIND, LOST],
        "Records that should have come and did not.",
        |view, out| {
            for (kind, counts) in &view.stats.kinds {
                out.each(&[kind], [("ring_full", counts.ring_full), ("failed", counts.failed)]);
            }
        },
    ),
    gauge("vedette_kernel_ring_bytes", &[], "Size of the event ring.", stat!(kernel.ring_bytes)),
    gauge(
        "vedette_kernel_ring_waiting_bytes",
        &[],
        "The most that waited in the ring during the last second.",
        stat!(kernel.ring_waiting_bytes),
    ),
    gauge("vedette_kernel_map_entries", &[MAP], "Entries of a map of the kernel half.", |view, out| {
        out.each(&[], view.stats.kernel.maps.iter().map(|(map, fill)| (*map, fill.entries)));
    }),
    gauge("vedette_kernel_map_capacity", &[MAP], "Entries for which the map has room.", |view, out| {
        out.each(&[], view.stats.kernel.maps.iter().map(|(map, fill)| (*map, fill.capacity)));
    }),
    count(
        "vedette_kernel_map_refused_total",
        &[MAP],
        "Entries for which the map had no room; the daemon does what they would have saved.",
        |view, out| {
            let maps = view.stats.kernel.maps.iter();
            out.each(&[], maps.filter_map(|(map, fill)| Some((*map, fill.refused?))));
        },
    ),
    count(
        "vedette_kernel_program_seconds_total",
        &[PROGRAM],
        "Run time of a kernel program and of those that it hands over to.",
        |view, out| {
            view.stats
                .kernel
                .programs
                .iter()
                .for_each(|run| out.add(&[&run.program], seconds(run.nanoseconds)));
        },
    ),
    count("vedette_kernel_program_runs_total", &[PROGRAM], "Runs of a kernel program.", |view, out| {
        view.stats.kernel.programs.iter().for_each(|run| out.add(&[&run.program], run.runs));
    }),
    gauge(
        "vedette_kernel_hook_attached",
        &[HOOK, MODE],
        "1 for each hook that is attached, with its mode.",
        |view, out| {
            for hook in &view.stats.hooks {
                if let Some(mode) = hook.mode.filter(|_| hook.chosen.is_some()) {
                    out.add(&[hook.hook, &mode.to_string()], 1_u64);
                }
            }
        },
    ),
    gauge(
        "vedette_kernel_hook_blind",
        &[HOOK],
        "Whether a hook that rules need is not attached.",
        |view, out| {
            for hook in view.stats.hooks.iter().filter(|hook| hook.wanted) {
                out.add(&[hook.hook], hook.is_blind());
            }
        },
    ),
];
