//! Metrics of rules and of responses.

use super::{count, gauge, seconds, stat};
use crate::{
    metrics::{
        Metric, View,
        labels::{ACTED, DECISION, MECHANISM, REFUSED, RESULT, RULE},
        samples::Samples,
    },
    rule::Cost,
};

/// What the rules share has no name, and stands in a metric of its own.
fn by_rule(view: &View<'_>, out: &mut Samples, read: fn(&Cost) -> f64) {
    for cost in view.stats.costs.iter().filter(|cost| !cost.rule.is_empty()) {
        out.add(&[&cost.rule], read(cost));
    }
}

pub(super) const METRICS: &[Metric] = &[
    // Rules: `loads = generation + failures`.
    gauge("vedette_rule_loaded", &[], "Rules at work.", stat!(rules.loaded)),
    gauge(
        "vedette_rule_generation",
        &[],
        "Which set of rules is at work, counted from 1.",
        stat!(rules.generation),
    ),
    count("vedette_rule_loads_total", &[RESULT], "Attempts to load a set of rules.", |view, out| {
        let rules = &view.stats.rules;
        out.each(&[], [("ok", rules.loads.saturating_sub(rules.failures)), ("failed", rules.failures)]);
    }),
    gauge(
        "vedette_rule_failing",
        &[],
        "Whether the rules on disk have errors, so that an older set is at work.",
        stat!(rules.failing),
    ),
    gauge(
        "vedette_rule_blind",
        &[],
        "Rules that miss something, since a hook that they need is not attached.",
        |view, out| out.one(view.stats.rules.blind.len()),
    ),
    count("vedette_rule_matches_total", &[RULE], "Events that a rule matched.", |view, out| {
        for cost in view.stats.costs.iter().filter(|cost| !cost.rule.is_empty()) {
            out.add(&[&cost.rule], view.stats.matches_by_rule.get(&cost.rule).copied().unwrap_or_default());
        }
    }),
    count(
        "vedette_rule_evaluations_total",
        &[RULE],
        "Events for which a rule's condition was asked; from 0 with each set of rules.",
        |view, out| {
            by_rule(view, out, |cost| cost.evaluations as f64);
        },
    ),
    count(
        "vedette_rule_seconds_total",
        &[RULE],
        "Time for that, estimated from one event in 251.",
        |view, out| {
            by_rule(view, out, |cost| seconds(cost.nanoseconds));
        },
    ),
    count(
        "vedette_rule_shared_seconds_total",
        &[],
        "Time for what several rules share, estimated likewise.",
        |view, out| {
            out.one(
                view.stats
                    .costs
                    .iter()
                    .filter(|cost| cost.rule.is_empty())
                    .map(|cost| seconds(cost.nanoseconds))
                    .sum::<f64>(),
            );
        },
    ),
    gauge("vedette_rule_state_keys", &[], "Keys that rules over time remember.", stat!(correlation.keys)),
    gauge("vedette_rule_state_bytes", &[], "Memory for that.", stat!(correlation.bytes)),
    gauge(
        "vedette_rule_state_limit_bytes",
        &[],
        "The most that it may be (rules.state_bytes).",
        |view, out| out.one(view.bounds.rule_state),
    ),
    count(
        "vedette_rule_suppressed_total",
        &[],
        "Matches that were not said, since their rule asks for silence after an alert.",
        stat!(correlation.suppressed),
    ),
    count(
        "vedette_rule_evicted_total",
        &[RULE],
        "Keys forgotten before their time for want of memory; only rules that lost some.",
        |view, out| {
            out.each(&[], view.stats.correlation.evicted.iter().map(|(rule, count)| (rule.as_str(), *count)));
        },
    ),
    // Responses: `requests = Σ decisions`.
    count(
        "vedette_respond_requests_total",
        &[],
        "Responses that rules and operators asked for.",
        stat!(respond.requests),
    ),
    count("vedette_respond_decisions_total", &[DECISION], "What was decided.", |view, out| {
        out.each(&[], view.stats.respond.decisions.iter().map(|(decision, count)| (*decision, *count)));
    }),
    count("vedette_respond_refused_total", &[REFUSED], "Responses that were refused.", |view, out| {
        out.each(&[], view.stats.respond.refused.iter().map(|(reason, count)| (*reason, *count)));
    }),
    count(
        "vedette_respond_acted_total",
        &[MECHANISM],
        "Responses that were carried out, well or not.",
        |view, out| {
            out.each(
                &[],
                view.stats.respond.mechanisms.iter().map(|(mechanism, count)| (*mechanism, *count)),
            );
        },
    ),
    count(
        "vedette_respond_failed_total",
        &[],
        "Responses that were carried out and failed.",
        stat!(respond.failed),
    ),
    gauge(
        "vedette_respond_fuses_open",
        &[],
        "Fuses that keep rules from responding.",
        stat!(respond.open_fuses),
    ),
    count(
        "vedette_verdict_enforced_total",
        &[ACTED],
        "Events that were refused, or their processes killed, before any user code ran on.",
        |view, out| {
            let enforced = |how| (how, view.stats.enforced.get(how).copied().unwrap_or_default());
            out.each(&[], ["refused", "refused-by-fanotify", "killed"].map(enforced));
        },
    ),
    count(
        "vedette_fanotify_asked_total",
        &[],
        "Execs and opens that waited for an answer of fanotify's.",
        stat!(fanotify.asked),
    ),
    count(
        "vedette_fanotify_let_go_total",
        &[],
        "Times that an answer took too long, and fanotify refused nothing any more.",
        stat!(fanotify.let_go),
    ),
];
