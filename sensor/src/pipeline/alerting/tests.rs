//! Alerts of rules over time, up to the sink.

use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use super::*;
use crate::{
    rule::{Options, Source, testing},
    sink::{Queue, Work},
};

const SECOND: u64 = 1_000_000_000;

fn alerting(keys: &str, bytes: usize) -> (Alerting, Receiver<Value>) {
    let text = format!(
        "- {{rule: r, desc: d, condition: evt.type = connect, output: to %fd.name, priority: WARNING, tags: [t], {keys}}}"
    );
    let (rules, found) = RuleSet::compile(&[Source { name: "r".into(), text }], &Options::default());
    let rules = rules.unwrap_or_else(|| panic!("{found:?}"));
    let (sender, alerts) = channel();
    let queue = Queue::new("test", 10_000, move |work| {
        if let Work::Item(alert) = work {
            let alert: Arc<Alert> = alert;
            sender.send(serde_json::to_value(&*alert).unwrap()).unwrap();
        }
        Ok(())
    });
    (Alerting::new(rules, Outputs::new(queue.unwrap()), "h", true).with_state(bytes), alerts)
}

fn connects(number: u32) -> Vec<Event> {
    let one = "- {after: 1s, evt.type: connect, container.id: c1, fd.name: '10.0.0.1:1->10.0.0.2:";
    let text: String = (1..=number).map(|port| format!("{one}{port}'}}\n")).collect();
    testing::events("connects", &text).unwrap()
}

fn tick(alerting: &mut Alerting, seen_until: u64) -> Stats {
    let mut stats = Stats { seen_until, ..Stats::default() };
    alerting.tick(&mut stats).unwrap();
    stats
}

#[test]
fn what_is_suppressed_is_said_with_the_next_alert_or_by_itself() {
    let (mut alerting, alerts) = alerting("suppress: {by: container.id, for: 3s}", 1 << 20);
    let events = connects(7);
    let last = events.last().unwrap().boot_time;
    for event in events {
        alerting.event(event).unwrap();
    }
    let stats = tick(&mut alerting, last);
    assert_eq!((stats.correlation.keys, stats.correlation.suppressed, stats.matches), (1, 5, 2));
    assert!(stats.correlation.bytes > 0);
    tick(&mut alerting, last + 10 * SECOND);
    alerting.finish(&mut Stats::default()).unwrap();
    let alerts: Vec<Value> = alerts.iter().collect();
    assert_eq!(alerts.len(), 3, "{alerts:#?}");
    assert_eq!(alerts[0].get("suppressed"), None);
    assert_eq!(
        (&alerts[1]["suppressed"], &alerts[1]["output"]),
        (&json!(3), &json!("to 10.0.0.1:1->10.0.0.2:5"))
    );
    assert_eq!(alerts[1]["by"], json!({"container.id": "c1"}));
    let summary = &alerts[2];
    assert_eq!(
        (&summary["rule"], &summary["priority"], &summary["tags"]),
        (&json!("r"), &json!("Warning"), &json!(["t"]))
    );
    assert_eq!(summary["output"], "r: 2 more in 3s (container.id=c1)");
    assert_eq!((&summary["summary"], &summary["suppressed"]), (&json!(true), &json!(2)));
    assert_eq!((&summary["event"]["number"], &summary["container"]["id"]), (&json!(7), &json!("c1")));
    assert_eq!(summary["time"], "2026-01-01T00:00:07.000000000Z");
}

#[test]
fn the_end_of_a_run_says_what_is_still_unsaid() {
    let (mut alerting, alerts) = alerting("suppress: {for: 1h}", 1 << 20);
    connects(3).into_iter().for_each(|event| alerting.event(event).unwrap());
    alerting.finish(&mut Stats::default()).unwrap();
    let outputs: Vec<_> = alerts.iter().map(|alert| alert["output"].clone()).collect();
    assert_eq!(outputs, ["to 10.0.0.1:1->10.0.0.2:1", "r: 2 more in 1h"]);
}

#[test]
fn counts_and_sequences_say_what_came_together() {
    let keys = "sequence: {by: container.id, within: 1m, then: [evt.type = connect]}, count: {at_least: 2, within: 1m}";
    let (mut alerting, alerts) = alerting(keys, 1 << 20);
    connects(4).into_iter().for_each(|event| alerting.event(event).unwrap());
    alerting.finish(&mut Stats::default()).unwrap();
    let alerts: Vec<Value> = alerts.iter().collect();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["count"], json!({"number": 2, "since": "2026-01-01T00:00:02.000000000Z"}));
    let step = |step: u32| {
        json!({"step": step, "number": step + 2, "pid": 1000, "type": "connect",
            "time": format!("2026-01-01T00:00:0{}.000000000Z", step + 2)})
    };
    assert_eq!(alerts[0]["sequence"], json!([step(1), step(2)]));
}

#[test]
fn what_rules_forget_is_said_once_a_minute() {
    let (mut alerting, alerts) = alerting("suppress: {by: fd.name, for: 1h}", 128 << 10);
    let events = connects(3000);
    let mut now = 0;
    for (number, event) in events.into_iter().enumerate() {
        now = event.boot_time;
        alerting.event(event.clone()).unwrap();
        alerting.event(event).unwrap();
        if number % 10 == 0 {
            tick(&mut alerting, now);
        }
    }
    let stats = tick(&mut alerting, now);
    alerting.finish(&mut Stats::default()).unwrap();
    let alerts: Vec<Value> = alerts.iter().collect();
    let evicted: Vec<_> =
        alerts.iter().filter(|alert| alert["rule"] == "Correlation state evicted").collect();
    let keys: u64 =
        evicted.iter().filter_map(|alert| alert["output_fields"]["correlation.evicted"]["r"].as_u64()).sum();
    assert_eq!(stats.correlation.evicted["r"], keys);
    // 3000 events in as many seconds.
    assert!(keys > 1000 && (2..=51).contains(&evicted.len()), "{keys} in {} alerts", evicted.len());
    let first = evicted[0]["output"].as_str().unwrap();
    assert!(first.contains("(r: ") && first.contains("suppressed alerts"), "{first}");
    // The rest was said in summaries of their own.
    let summed = alerts.iter().filter(|alert| alert["summary"] == true).count() as u64;
    assert_eq!(summed + keys, 3000);
}

/// What DNS answers is read where a rule asks for it or for names, and where events of sockets are handed on, which have names.
#[test]
fn answers_are_needed_by_who_asks_and_by_who_gets_events_of_sockets() {
    let set = |condition: &str| {
        let text = format!("- {{rule: r, desc: d, condition: '{condition}', output: o, priority: INFO}}\n");
        RuleSet::compile(&[Source { name: "r.yaml".to_owned(), text }], &Options::default()).0.unwrap()
    };
    let needed = |condition: &str, streamed: &[EventType]| {
        let wanted = needs(&set(condition), streamed.iter().copied().collect()).wanted;
        (wanted.kinds.contains(&Kind::NetDns), wanted.answers)
    };
    assert_eq!(needed("evt.type = dns and dns.answer = false", &[]), (true, false));
    assert_eq!(needed("evt.type = dns", &[]), (true, true));
    assert_eq!(needed("evt.type = connect and fd.sip.name = a.example", &[]), (true, true));
    assert_eq!(needed("evt.type = execve", &[EventType::Openat]), (false, false));
    assert_eq!(needed("evt.type = execve", &[EventType::Connect]), (true, true));
    assert_eq!(needed("evt.type = execve", &[EventType::Dns]), (true, true));
    // Every packet that comes in would be looked at.
    let builtin = RuleSet::compile(&crate::rule::builtin::sources(), &Options::default()).0.unwrap();
    assert_eq!(builtin.needing_answers().collect::<Vec<_>>(), [""; 0]);
}
