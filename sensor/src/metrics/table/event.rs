//! Metrics of the way from a record to an event: decoding, processes, containers.

use super::{count, gauge, stat};
use crate::metrics::{
    Metric,
    labels::{COMPLETE, IRREGULAR, LET_GO, MALFORMED, MISSING, SOURCE},
};

pub(super) const METRICS: &[Metric] = &[
    // Decoding: `received + snapshots = decoded + malformed`, and `received` is the sum of what was submitted.
    count("vedette_decode_received_total", &[], "Records taken from the ring.", stat!(received)),
    count(
        "vedette_decode_snapshots_total",
        &[],
        "Records that the sensor wrote for itself about what was there before.",
        stat!(snapshots),
    ),
    count("vedette_decode_decoded_total", &[], "Records that could be decoded.", stat!(decoded)),
    count("vedette_decode_malformed_total", &[MALFORMED], "Records that could not.", |view, out| {
        out.each(&[], view.stats.malformed.iter().map(|(reason, count)| (*reason, *count)));
    }),
    count("vedette_decode_gaps_total", &[], "Records missing by their sequence numbers.", stat!(gaps)),
    count("vedette_enrich_events_total", &[], "Events handed on to the rules.", stat!(events)),
    count(
        "vedette_enrich_absorbed_total",
        &[],
        "Records that became no event of their own: pieces of arguments, control groups, snapshots.",
        stat!(enrich.absorbed),
    ),
    count(
        "vedette_enrich_irregular_total",
        &[IRREGULAR],
        "What should not happen and was dealt with.",
        |view, out| {
            let counts = &view.stats.enrich;
            out.each(
                &[],
                [
                    ("duplicate_exit", counts.duplicate_exits),
                    ("unknown_process", counts.unknown_processes),
                    ("healed_process", counts.healed_processes),
                    ("lost_args", counts.lost_args),
                    ("unknown_cgroup", counts.unknown_cgroups),
                    ("malformed_dns", counts.malformed_dns),
                ],
            );
        },
    ),
    gauge("vedette_enrich_processes", &[], "Processes in the table.", stat!(processes)),
    gauge("vedette_enrich_process_bytes", &[], "Memory of the process table.", stat!(process_bytes)),
    gauge(
        "vedette_enrich_process_limit_bytes",
        &[],
        "The most that it may take (processes.limit_bytes).",
        |view, out| out.one(view.bounds.processes),
    ),
    gauge("vedette_enrich_names", &[], "Addresses whose names are known.", stat!(enrich.names.addresses)),
    gauge("vedette_enrich_name_bytes", &[], "Memory of these names.", stat!(enrich.names.bytes)),
    count(
        "vedette_enrich_names_evicted_total",
        &[],
        "Addresses forgotten before their time for want of room.",
        stat!(enrich.names.evicted),
    ),
    // Who containers are.
    count(
        "vedette_identity_events_total",
        &[COMPLETE],
        "Events of containers, by whether it was known who the container is.",
        |view, out| {
            let identity = &view.stats.identity;
            out.each(&[], [("true", identity.complete), ("false", identity.incomplete)]);
        },
    ),
    count(
        "vedette_identity_missing_total",
        &[MISSING],
        "What was missing where it was not; an event may miss several things.",
        |view, out| {
            out.each(&[], view.stats.identity.missing.iter().map(|(what, count)| (*what, *count)));
        },
    ),
    count(
        "vedette_identity_held_total",
        &[],
        "Events that waited for their container's identity.",
        stat!(identity.held),
    ),
    count(
        "vedette_identity_let_go_total",
        &[LET_GO],
        "Containers whose events went on without it.",
        |view, out| {
            let identity = &view.stats.identity;
            out.each(&[], [("timed_out", identity.timed_out), ("overflowed", identity.overflowed)]);
        },
    ),
    gauge("vedette_identity_held_bytes", &[], "Memory of the events that wait.", stat!(identity.held_bytes)),
    gauge(
        "vedette_identity_held_limit_bytes",
        &[],
        "The most that it may be (identity.hold_bytes).",
        |view, out| out.one(view.bounds.held),
    ),
    gauge("vedette_identity_containers", &[], "Containers known.", stat!(identity.containers)),
    gauge(
        "vedette_identity_container_bytes",
        &[],
        "Memory of what is known of them.",
        stat!(identity.container_bytes),
    ),
    gauge(
        "vedette_identity_container_limit_bytes",
        &[],
        "The most that it may be (identity.limit_bytes).",
        |view, out| out.one(view.bounds.containers),
    ),
    gauge("vedette_identity_groups", &[], "Control groups known.", stat!(identity.groups)),
    count("vedette_identity_answers_total", &[SOURCE], "Answers about containers.", |view, out| {
        out.each(&[], view.stats.identity.answers.iter().map(|(source, count)| (*source, *count)));
    }),
    count(
        "vedette_identity_unasked_total",
        &[],
        "Questions that no source had room for.",
        stat!(identity.unasked),
    ),
];
