//! The table and what comes out of it.

use std::collections::BTreeSet;

use super::*;
use crate::{
    config::Config,
    pipeline::Stats,
    probe::{Counts, Fill, HookReport, Mode, ProgramRun, Share},
    rule::Cost,
    sink::SinkStats,
};

/// Accounts in which nothing is empty.
fn stats() -> Stats {
    let mut stats = Stats::default();
    let counts = Counts {
        seen: 21,
        submitted: 1,
        filtered: 2,
        limited: 3,
        ring_full: 5,
        failed: 10,
        ..Counts::default()
    };
    stats.kinds.insert("file_open", counts);
    stats.malformed.insert("size", 4);
    stats.kernel.maps.insert("HOST_GROUPS", Fill { entries: 7, capacity: 8192, refused: Some(1) });
    stats.kernel.programs.push(ProgramRun {
        program: "sys_exit".to_owned(),
        nanoseconds: 1_500_000_000,
        runs: 9,
    });
    let hook = |hook, chosen: Option<&'static str>| HookReport {
        hook,
        kind: None,
        share: Share::Whole,
        wanted: true,
        chosen,
        mode: chosen.map(|_| Mode::Full),
        via: None,
        instructions: None,
        refused: Vec::new(),
        absent: Vec::new(),
    };
    stats.hooks = vec![hook("file_open", Some("tc_file_open")), hook("net_bind", None)];
    let cost = |rule: &str| Cost {
        rule: rule.to_owned(),
        evaluations: 100,
        matches: 3,
        nanoseconds: 2_000_000_000,
        gates: Vec::new(),
    };
    stats.costs = vec![cost("Shell \"in\"\na container"), cost("quiet"), cost("")];
    stats.matches_by_rule.insert("Shell \"in\"\na container".to_owned(), 3);
    stats.correlation.evicted.insert("quiet".to_owned(), 1);
    stats.identity.missing.insert("image", 1);
    stats.identity.answers.insert("bundle", 1);
    stats.respond.decisions.insert("act", 1);
    stats.respond.refused.insert("gone", 1);
    stats.respond.mechanisms.insert("pidfd", 1);
    let mut sink = SinkStats { to: "webhook", oldest_ms: 1500, volatile: true, ..SinkStats::default() };
    sink.failures.insert("timeout", 2);
    (sink.latency[0], sink.latency[3], sink.latency[10], sink.latency_seconds) = (1, 2, 4, 9000.5);
    stats.sinks.insert("siem".to_owned(), sink);
    stats
}

fn rendered(stats: &Stats) -> String {
    let sets = [r#"sinks={"siem": {"to": {"webhook": {"url": "http://127.0.0.1"}}}}"#.to_owned()];
    let empty = tempfile::NamedTempFile::new().unwrap();
    let bounds = Bounds::of(&Config::load(Some(empty.path()), &sets).unwrap());
    let process = Process::read();
    let age = Duration::from_millis(250);
    render(&View { stats, age, ready: true, bounds: &bounds, process: &process }).unwrap()
}

#[test]
fn every_metric_is_rendered_with_its_help_its_type_and_its_labels() {
    let text = rendered(&stats());
    for metric in metrics() {
        let kind = format!("{:?}", metric.kind).to_lowercase();
        assert!(text.contains(&format!("# TYPE {} {kind}\n", metric.name)), "{} is not there", metric.name);
        let line = text.lines().find(|line| {
            line.strip_prefix(metric.name).is_some_and(|rest| rest.starts_with([' ', '{', '_']))
        });
        let line = line.unwrap_or_else(|| panic!("{} has no value", metric.name));
        for label in metric.labels {
            assert!(line.contains(&format!("{}=\"", label.name)), "{line} lacks {}", label.name);
        }
    }
    for line in [
        "vedette_kernel_lost_total{kind=\"file_open\",reason=\"ring_full\"} 5",
        "vedette_kernel_program_seconds_total{program=\"sys_exit\"} 1.5",
        "vedette_kernel_hook_blind{hook=\"net_bind\"} 1",
        "vedette_kernel_hook_attached{hook=\"file_open\",mode=\"full\"} 1",
        "vedette_rule_matches_total{rule=\"Shell \\\"in\\\"\\na container\"} 3",
        "vedette_rule_matches_total{rule=\"quiet\"} 0",
        "vedette_rule_shared_seconds_total 2",
        "vedette_sink_failures_total{sink=\"siem\",to=\"webhook\",reason=\"timeout\"} 2",
        "vedette_sink_limit_bytes{sink=\"siem\"} 268435456",
        "vedette_sink_oldest_seconds{sink=\"siem\",to=\"webhook\"} 1.5",
        "vedette_sink_delivery_seconds_bucket{sink=\"siem\",to=\"webhook\",le=\"0.02\"} 1",
        "vedette_sink_delivery_seconds_bucket{sink=\"siem\",to=\"webhook\",le=\"0.25\"} 3",
        "vedette_sink_delivery_seconds_bucket{sink=\"siem\",to=\"webhook\",le=\"+Inf\"} 7",
        "vedette_sink_delivery_seconds_sum{sink=\"siem\",to=\"webhook\"} 9000.5",
        "vedette_pipeline_accounts_age_seconds 0.25",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is missing in\n{text}");
    }
    // The name of what rules share is no rule's.
    assert!(!text.contains("rule=\"\""));
    let resident = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    assert!(resident.unwrap().parse::<f64>().unwrap() > 1e6);
}

#[test]
fn a_sensor_without_events_tells_what_it_can() {
    let text = rendered(&Stats::default());
    assert!(
        text.contains("vedette_rule_loaded 0\n") && !text.contains("vedette_kernel_seen_total"),
        "{text}"
    );
}

#[test]
fn names_follow_the_rules_and_stand_once() {
    let mut names = BTreeSet::new();
    for metric in metrics() {
        assert!(names.insert(metric.name), "{} twice", metric.name);
        let is_count = metric.kind == MetricType::COUNTER;
        assert_eq!(metric.name.ends_with("_total"), is_count, "{}", metric.name);
        let ours = metric.name.starts_with("vedette_") || metric.name.starts_with("process_");
        assert!(ours && !metric.name.contains("__"), "{}", metric.name);
        assert!(metric.help.ends_with(['.', ')']), "{} says it in no sentence", metric.name);
        assert!(!metric.help.contains('|'), "{} breaks the page's table", metric.name);
    }
    let page = page();
    for metric in metrics() {
        assert!(page.contains(&format!("| `{}` |", metric.name)), "{}", metric.name);
        assert!(
            metric
                .labels
                .iter()
                .all(|label| page.contains(&format!("| `{}` | {}", label.name, label.values)))
        );
    }
}

/// The names of metrics that a text of `deploy/` has, without what a distribution adds to its own.
fn names_in(file: &str) -> BTreeSet<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| word.starts_with("vedette_") || word.starts_with("process_"));
    // What rules say of a key of the configuration or of Grafana's own.
    let ours = ours.filter(|word| word.matches('_').count() > 1);
    let own = |word: &str| {
        let ends = ["_bucket", "_sum", "_count"];
        ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
    };
    ours.map(own).collect()
}

#[test]
fn dashboard_and_alert_rules_name_metrics_of_the_table() {
    for (file, least) in [("grafana/vedette.json", 30), ("prometheus/vedette.rules.yml", 20)] {
        let names = names_in(file);
        assert!(names.len() >= least, "{file} names only {names:?}");
        for name in names {
            assert!(metrics().any(|metric| metric.name == name), "{file}: there is no metric {name}");
        }
    }
}
