//! What the sensor tells Prometheus: clean, balanced, and enough for the alert rules of `deploy/` to fire when they should.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use sensor_tests::{
    Act,
    alerts::{Watcher, flags},
    daemon::run,
    deadline, exclusive, needs_kernel,
    prometheus::{Prometheus, get, values},
    require::{has_program, skip},
    scaled, test_name, vedette,
};

/// Rules of alerts that are delivered with the sensor.
fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus").join(name)
}

/// A rule on each open of a file, and one that needs connections.
fn rules(dir: &Path) -> PathBuf {
    let rules = dir.join("rules.yaml");
    let text = format!(
        "- rule: Opened\n  desc: An open\n  condition: evt.type = openat and fd.name = {}/file\n  output: opened\n  priority: NOTICE\n\
         - rule: Connected\n  desc: A connection\n  condition: evt.type = connect and fd.sport = 1\n  output: connected\n  priority: NOTICE\n",
        dir.display()
    );
    fs::write(dir.join("file"), "x").unwrap();
    fs::write(&rules, text).unwrap();
    rules
}

/// What promtool says of an answer, or of files; empty where it finds nothing.
fn promtool(args: &[&str], dir: &Path, input: &str) -> (bool, String) {
    fs::write(dir.join("input"), input).unwrap();
    let output = Command::new("promtool")
        .args(args)
        .stdin(fs::File::open(dir.join("input")).unwrap())
        .output()
        .expect("promtool can be run");
    let words = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&words).into_owned())
}

/// The sum of the values whose names, labels included, begin so.
fn sum(text: &str, beginning: &str) -> f64 {
    values(text).iter().filter(|(key, _)| key.starts_with(beginning)).map(|(_, value)| value).sum()
}

/// Whether the sums of the accounts hold in an answer; what is under way while they are drawn up is missing in one of them.
fn balanced(text: &str) -> bool {
    let all = values(text);
    let one = |key: &str| all.get(key).copied().unwrap_or_default();
    let kinds = all.keys().filter_map(|key| key.strip_prefix("vedette_kernel_seen_total{"));
    let kinds = kinds.filter_map(|rest| rest.strip_suffix('}')).all(|kind| {
        let parts = ["submitted", "filtered", "limited"]
            .map(|what| one(&format!("vedette_kernel_{what}_total{{{kind}}}")));
        let lost = sum(text, &format!("vedette_kernel_lost_total{{{kind},"));
        one(&format!("vedette_kernel_seen_total{{{kind}}}")) == parts.iter().sum::<f64>() + lost
    });
    let received = one("vedette_decode_received_total");
    let queue = ["taken_total", "dropped_total", "waiting"].map(|what| one(&format!("vedette_queue_{what}")));
    kinds
        && received > 0.0
        && sum(text, "vedette_kernel_submitted_total") == received
        && received + one("vedette_decode_snapshots_total")
            == one("vedette_decode_decoded_total") + sum(text, "vedette_decode_malformed_total")
        && one("vedette_queue_offered_total") == queue.iter().sum::<f64>()
}

#[test]
fn metrics_are_clean_and_their_sums_hold() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file").display().to_string();
    let watcher = Watcher::start(
        &rules(dir.path()),
        &["--set", "metrics.listen=127.0.0.1:0", "--set", "metrics.program_stats=true"],
    );
    let address = watcher.metrics();
    let _ = Act::new(["openat", "-100", file.as_str(), "0", "0"]).run();
    let _ = watcher.alert("Opened", 1);
    let end = Instant::now() + deadline();
    let text = loop {
        let (status, text) = get(&address, "/metrics");
        assert_eq!(status, 200);
        let seen = values(&text).get("vedette_rule_matches_total{rule=\"Opened\"}") == Some(&1.0);
        if seen && balanced(&text) {
            break text;
        }
        assert!(Instant::now() < end, "the sums never hold:\n{text}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    let all = values(&text);
    assert_eq!(all.get("vedette_rule_loaded"), Some(&2.0));
    assert_eq!(all.get("vedette_kernel_hook_blind{hook=\"file_open\"}"), Some(&0.0));
    assert!(sum(&text, "vedette_kernel_program_runs_total") > 0.0, "{text}");
    assert!(sum(&text, "vedette_kernel_map_entries") > 0.0, "{text}");
    assert_eq!(get(&address, "/readyz"), (200, "{\"ready\":true,\"reasons\":[],\"blind\":[]}\n".to_owned()));
    assert_eq!(get(&address, "/healthz").0, 200);
    if !has_program("promtool") {
        return skip(test_name!(), "promtool, to check the format, is not installed");
    }
    let (fine, words) = promtool(&["check", "metrics"], dir.path(), &text);
    assert!(fine && words.is_empty(), "{words}");
}

#[test]
fn metrics_alert_rules_pass_their_own_tests() {
    if !has_program("promtool") {
        return skip(test_name!(), "promtool is not installed");
    }
    let dir = tempfile::tempdir().unwrap();
    for (what, file) in [("check", "vedette.rules.yml"), ("test", "vedette.rules_test.yml")] {
        let (fine, words) = promtool(&[what, "rules", deployed(file).to_str().unwrap()], dir.path(), "");
        assert!(fine, "{words}");
    }
}

/// A daemon whose alerts nobody reads; dropping it kills it.
struct Unread(Child, String);

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts one, and returns it with the address of its metrics.
fn unread(dir: &Path) -> Unread {
    let mut child = Command::new(vedette())
        .args(["run", "--json"])
        .args(flags(dir, rules(dir).to_str().unwrap()))
        .args(["--set", "metrics.listen=127.0.0.1:0", "--set", "stdout.queue=64"])
        .args(["--set", "kernel.ring_bytes=1048576", "--set", "kernel.disabled_hooks=[\"net_connect\"]"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stderr.take().unwrap());
    let mut lines = said.lines().map_while(Result::ok);
    let watching = lines.find(|line| line.contains("watching")).expect("it watches");
    // Whatever else it says must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    let address = watching.split("metrics=").nth(1).unwrap().trim().to_owned();
    Unread(child, address)
}

#[test]
fn metrics_of_loss_backlog_and_blindness_fire_in_a_real_prometheus() {
    needs_kernel!();
    if !has_program("prometheus") {
        return skip(test_name!(), "prometheus is not installed");
    }
    let _alone = exclusive();
    let dir = tempfile::tempdir().unwrap();
    let sensor = unread(dir.path());
    let Unread(child, address) = &sensor;
    let prometheus = Prometheus::start(address, &deployed("vedette.rules.yml"));
    // What grows has to be seen before it does.
    assert_eq!(prometheus.value("vedette_pipeline_ready"), 1.0);
    assert_eq!(prometheus.value("sum(vedette_kernel_lost_total)"), 0.0);
    assert_eq!(prometheus.fires("VedetteHookBlind")["hook"], "net_connect");
    let _ = prometheus.fires("VedetteRulesBlind");
    let signal = |signal| {
        // SAFETY: a child that is not waited for yet.
        assert_eq!(unsafe { libc::kill(child.id().cast_signed(), signal) }, 0);
    };
    signal(libc::SIGSTOP);
    let file = dir.path().join("file").display().to_string();
    let _ = Act::new(["storm", file.as_str(), "2", &scaled(10_000).to_string()]).run();
    signal(libc::SIGCONT);
    let lost = prometheus.fires("VedetteEventsLost");
    assert_eq!((&lost["kind"], &lost["reason"]), (&"file_open".into(), &"ring_full".into()), "{lost}");
    // Four thousand alerts are more than the pipe that nobody reads and 64 places hold.
    for alert in ["VedetteQueueFilling", "VedetteAlertsDropped", "VedetteNotReady"] {
        let _ = prometheus.fires(alert);
    }
    let (status, body) = get(address, "/readyz");
    assert!(status == 503 && body.contains(r#""reason":"backlog","of":"queue""#), "{status} {body}");
    drop(sensor);
    let _ = prometheus.fires("VedetteDown");
}

#[test]
fn metrics_port_in_use_ends_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let listen = format!("metrics.listen={}", taken.local_addr().unwrap());
    let flags = flags(dir.path(), "/none");
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let output = run(&[&["run"], &flags[..], &["--set", &listen]].concat());
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("metrics.listen: cannot listen at 127.0.0.1:"), "{words}");
}
