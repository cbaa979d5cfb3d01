//! A rule cuts a container off from the network, and an operator gives it back.

use std::{net::TcpListener, path::Path, process::Command, time::Instant};

use sensor_tests::{cgroup::unified, deadline, needs_kernel, require::skip, test_name};
use serde_json::Value;

use crate::{
    respond::{Responding, mark, rule},
    verdict::Container,
};

/// What comes of a connect in the container.
fn connect(container: &Container, program: &Path, to: &str) -> i64 {
    let steps = ["socket", "2", "1", "0", "--", "connect", "3", to];
    let output = container.command(program, &steps).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    last["result"].as_i64().unwrap()
}

#[test]
fn respond_isolate_cuts_the_network_until_it_is_released() {
    needs_kernel!();
    let Some(unified) = unified() else { return skip(test_name!(), "no unified hierarchy is mounted") };
    let mark = mark("isolate");
    let condition = rule("Cut off", &mark, "isolate");
    let condition = condition.replacen("proc.args", "container.id != host and proc.args", 1);
    let sensor = Responding::start(&condition, &[]);
    let container = Container::new(&unified);
    let program = container.program("client");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let connect = || connect(&container, &program, &to);
    assert_eq!(connect(), 0);
    assert!(container.command(&program, &["exit", "0", "--", &mark]).status().is_ok());
    let alert = sensor.watcher.alert("Cut off", 1);
    assert_eq!(alert["response"]["result"], "done", "{}", alert["response"]);
    assert_eq!(connect(), i64::from(-libc::EPERM));
    assert!(std::net::TcpStream::connect(&to).is_ok(), "the host is let alone");
    let released = sensor.watcher.order(&["release", &container.id]);
    assert!(released.status.success(), "{}", String::from_utf8_lossy(&released.stderr));
    let end = Instant::now() + deadline();
    while connect() != 0 {
        assert!(Instant::now() < end, "it has no network");
    }
    let (_, _, records) = sensor.stop();
    let actions: Vec<_> = records.iter().filter(|record| record["record"] == "response").collect();
    assert_eq!(actions.len(), 2, "isolate and release are recorded: {records:?}");
}

#[test]
fn respond_isolate_ends_with_a_sensor_that_does_not_keep_it() {
    needs_kernel!();
    let Some(unified) = unified() else { return skip(test_name!(), "no unified hierarchy is mounted") };
    let mark = mark("ends");
    let condition = rule("Cut off", &mark, "isolate");
    let condition = condition.replacen("proc.args", "container.id != host and proc.args", 1);
    let container = Container::new(&unified);
    let held = container.path("held.json");
    let held = format!("respond.held={}", held.display());
    let sensor = Responding::start(&condition, &["--set", &held]);
    let program = container.program("client");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let connect = || connect(&container, &program, &to);
    assert!(container.command(&program, &["exit", "0", "--", &mark]).status().is_ok());
    let alert = sensor.watcher.alert("Cut off", 1);
    assert_eq!(alert["response"]["result"], "done", "{}", alert["response"]);
    assert_eq!(connect(), i64::from(-libc::EPERM));
    sensor.watcher.signal(libc::SIGKILL);
    drop(sensor);
    let again = Responding::start(&condition, &["--set", &held]);
    again.watcher.says("has its network again");
    assert_eq!(connect(), 0);
    let status = again.watcher.order(&["status"]);
    let said = String::from_utf8(status.stdout).unwrap();
    assert!(status.status.success() && !said.contains("isolated"), "{said}");
    let _ = again.stop();
}

/// No assertion: how fast it is, a machine's speed decides. `cargo xtask test` shows the line.
#[test]
fn respond_isolate_says_how_long_a_container_had_its_network() {
    const TRIES: usize = 20;
    needs_kernel!();
    let Some(unified) = unified() else { return skip(test_name!(), "no unified hierarchy is mounted") };
    let mark = mark("latency");
    let condition = rule("Cut off", &mark, "isolate");
    let condition = condition.replacen("proc.args", "container.id != host and proc.args", 1);
    // No runtime says who such a container is, for which its events would wait.
    let sets = ["--set", "respond.limit.per_workload_per_minute=0", "--set", "identity.wait_ms=0"];
    // A sensor that has alerted is through with its start, which on an emulated processor takes half a second beyond its word.
    let seen = rule("Seen", &format!("{mark}-seen"), "alert");
    let sensor = Responding::start(&format!("{condition}{seen}"), &sets);
    assert!(Command::new("/bin/echo").arg(format!("{mark}-seen")).status().unwrap().success());
    let _ = sensor.watcher.alert("Seen", 1);
    for times in 1..=TRIES {
        // Each is another one: nothing of it is known before.
        let container = Container::new(&unified);
        let program = container.program("client");
        assert!(container.command(&program, &["exit", "0", "--", &mark]).status().is_ok());
        let alert = sensor.watcher.alert("Cut off", times);
        assert_eq!(alert["response"]["result"], "done", "{}", alert["response"]);
        assert_eq!(connect(&container, &program, "127.0.0.1:9"), i64::from(-libc::EPERM), "it is cut off");
    }
    let (_, _, records) = sensor.stop();
    let of_rule = records.iter().filter(|record| record["record"] == "response");
    let of_rule: Vec<_> = of_rule.collect();
    assert_eq!(of_rule.len(), TRIES, "{records:?}");
    for (since, key) in [("event", "latency_us"), ("match", "response_us")] {
        let of = |record: &&Value| record[key].as_f64().unwrap() / 1000.0;
        let mut took: Vec<f64> = of_rule.iter().map(of).collect();
        let first = took[0];
        took.sort_by(f64::total_cmp);
        println!(
            "measured: {since} to isolated, {TRIES} containers: first {first:.2} ms, min {:.2} ms, median {:.2} ms, max {:.2} ms",
            took[0],
            f64::midpoint(took[TRIES / 2 - 1], took[TRIES / 2]),
            took[TRIES - 1]
        );
    }
}
