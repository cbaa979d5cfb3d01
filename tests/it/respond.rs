//! Responses to rules, on real processes: who dies, who does not, and what is said and recorded of it.

use std::{
    fs,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use sensor_tests::{act, alerts::Watcher, cgroup, daemon, needs_kernel};
use serde_json::{Value, json};

/// A daemon with rules of the test's own, in a folder of its own.
pub(crate) struct Responding {
    _rules: tempfile::TempDir,
    pub(crate) watcher: Watcher,
}

impl Responding {
    /// Starts it with these rules and further arguments.
    pub(crate) fn start(rules: &str, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("rules.d");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("test.yaml"), rules).unwrap();
        let watcher = Watcher::start(&folder, args);
        Self { _rules: dir, watcher }
    }

    /// Ends it, checks its log, and gives back the alerts, the accounts and the log's records.
    pub(crate) fn stop(self) -> (Vec<Value>, Value, Vec<Value>) {
        let audit = self.watcher.dir().join("audit.log");
        let (alerts, stats, _dir) = self.watcher.end();
        let verified = daemon::run(&["audit", "verify", &audit.display().to_string()]);
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        (alerts, stats, records(&audit))
    }
}

pub(crate) fn records(audit: &Path) -> Vec<Value> {
    let text = fs::read_to_string(audit).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A rule that responds to every program with this mark among its arguments.
pub(crate) fn rule(name: &str, mark: &str, response: &str) -> String {
    format!(
        "- rule: {name}\n  desc: a test\n  condition: evt.type = execve and evt.failed = false and proc.args contains \"{mark}\"\n  \
         output: seen %proc.args\n  priority: CRITICAL\n  response: {response}\n"
    )
}

/// A mark that no other test has.
pub(crate) fn mark(name: &str) -> String {
    format!("vedette-{name}-{}", std::process::id())
}

/// A child that waits until its input is closed, and that input.
pub(crate) fn waiting(mark: &str) -> (Child, ChildStdin) {
    let mut command = Command::new(act::program());
    command.args(["wait-for-input", mark]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let input = child.stdin.take().unwrap();
    (child, input)
}

pub(crate) fn killed(child: &mut Child) -> bool {
    child.wait().unwrap().signal() == Some(libc::SIGKILL)
}

#[test]
fn respond_kill_ends_the_process_and_says_so() {
    needs_kernel!();
    let mark = mark("kill");
    let sensor = Responding::start(&rule("Kill it", &mark, "kill"), &[]);
    let (mut child, _input) = waiting(&mark);
    assert!(killed(&mut child));
    let alert = sensor.watcher.alert("Kill it", 1);
    let response = &alert["response"];
    assert_eq!(
        (&response["action"], &response["decision"], &response["mechanism"], &response["result"]),
        (&json!("kill"), &json!("act"), &json!("pidfd"), &json!("done")),
        "{response}"
    );
    assert_eq!(response["target"]["pid"], child.id());
    assert_eq!(response["target"]["exe"], act::program().display().to_string());
    let time = |key: &str| response[key].as_u64().unwrap();
    assert!(time("response_us") > 0 && time("response_us") < time("latency_us"), "{response}");
    let (_, stats, records) = sensor.stop();
    assert_eq!(stats["respond"]["decisions"]["act"], 1, "{}", stats["respond"]);
    let record = records.iter().find(|record| record["record"] == "response").unwrap();
    assert_eq!(record["asked_by"]["rule"]["name"], "Kill it");
    assert_eq!(record["evidence"]["alert"], alert["uuid"]);
    for key in ["action", "decision", "mechanism", "target", "result", "latency_us", "response_us"] {
        assert_eq!(record[key], response[key], "{key}");
    }
}

#[test]
fn respond_dry_run_decides_and_touches_nothing() {
    needs_kernel!();
    let mark = mark("dry");
    let sensor = Responding::start(&rule("Rehearse", &mark, "kill"), &["--dry-run"]);
    let (mut child, input) = waiting(&mark);
    let alert = sensor.watcher.alert("Rehearse", 1);
    assert_eq!(
        (&alert["response"]["decision"], &alert["response"]["reason"]),
        (&json!("rehearse"), &json!("dry-run"))
    );
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let (_, _, records) = sensor.stop();
    assert!(records.iter().any(|record| record["decision"] == "rehearse"), "{records:?}");
}

#[test]
fn respond_target_that_is_gone_is_not_looked_for() {
    needs_kernel!();
    let mark = mark("gone");
    let sensor = Responding::start(&rule("Too late", &mark, "kill"), &[]);
    // Stopped, the sensor sees nothing until the child is gone.
    sensor.watcher.signal(libc::SIGSTOP);
    let mut child = Command::new("/bin/true").arg(&mark).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // A second one stays a zombie: it is dead, and nobody has taken its status yet.
    let mut zombie = Command::new("/bin/true").arg(&mark).spawn().unwrap();
    while !fs::read_to_string(format!("/proc/{}/stat", zombie.id())).unwrap().contains(") Z") {
        std::thread::yield_now();
    }
    sensor.watcher.signal(libc::SIGCONT);
    for times in 1..=2 {
        let response = sensor.watcher.alert("Too late", times)["response"].clone();
        assert_eq!(
            (&response["decision"], &response["reason"]),
            (&json!("refuse"), &json!("gone")),
            "{response}"
        );
    }
    assert_eq!(zombie.wait().unwrap().code(), Some(0));
    let _ = sensor.stop();
}

#[test]
fn respond_kill_tree_takes_all_that_came_of_it() {
    needs_kernel!();
    let mark = mark("tree");
    // The rule is about the last of them all: its ancestors live, its descendants do not.
    let sensor = Responding::start(&rule("Kill the tree", &mark, "kill-tree"), &[]);
    let script = "sleep 1000 & sleep 1000 & sh -c 'sleep 1000 & sleep 1000; true' & exec sh -c 'sleep 1000; true' $MARK";
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("MARK", &mark).stdin(Stdio::null()).process_group(0);
    sensor.watcher.signal(libc::SIGSTOP);
    let mut child = command.spawn().unwrap();
    let group = child.id();
    // All of them are there before the sensor sees the first.
    while members(group).len() < 7 {
        std::thread::yield_now();
    }
    sensor.watcher.signal(libc::SIGCONT);
    assert!(killed(&mut child));
    let response = sensor.watcher.alert("Kill the tree", 1)["response"].clone();
    assert_eq!(
        (&response["result"], &response["action"]),
        (&json!("done"), &json!("kill-tree")),
        "{response}"
    );
    assert_eq!(response["processes"], 7, "{response}");
    assert!(members(group).is_empty(), "{:?}", members(group));
    let _ = sensor.stop();
}

/// The processes of a process group that are not dead.
fn members(group: u32) -> Vec<u32> {
    let alive = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.first().is_some_and(|state| *state != "Z")
            && fields.get(2) == Some(&group.to_string().as_str())
    };
    let numbers = fs::read_dir("/proc").unwrap().flatten();
    numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(alive).collect()
}

#[test]
fn respond_fuse_opens_at_its_limit_and_an_operator_closes_it() {
    needs_kernel!();
    let mark = mark("fuse");
    let limits = ["--set", "respond.limit.per_workload_per_minute=0", "--set", "respond.limit.per_minute=7"];
    let sensor = Responding::start(&rule("Too often", &mark, "kill"), &limits);
    // As fast as they can be started; whether one is dead before it is killed does not matter to the fuse.
    let children: Vec<Child> =
        (0..200).map(|_| Command::new("/bin/true").arg(&mark).spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().is_ok());
    }
    let alert = sensor.watcher.alert("Response fuse open", 1);
    assert_eq!(alert["priority"], "Critical");
    let _ = sensor.watcher.alert("Too often", 200);
    let status = sensor.watcher.order(&["status"]);
    let said = String::from_utf8(status.stdout).unwrap();
    assert!(said.contains("fuse open   all workloads"), "{said}");
    assert!(sensor.watcher.order(&["reset"]).status.success());
    let _ = sensor.watcher.alert("Response fuse closed", 1);
    let (mut child, _input) = waiting(&mark);
    assert!(killed(&mut child));
    let (alerts, stats, records) = sensor.stop();
    let acted = |alert: &&Value| {
        alert["rule"] == "Too often"
            && (alert["response"]["decision"] == "act" || alert["response"]["reason"] == "gone")
    };
    assert_eq!(alerts.iter().filter(acted).count(), 8, "7 before the fuse opened, 1 after it was closed");
    assert_eq!(stats["respond"]["refused"]["fuse-open"], 193, "{}", stats["respond"]);
    let fuses: Vec<_> =
        records.iter().filter(|record| record["record"] == "fuse").map(|it| it["open"].clone()).collect();
    assert_eq!(fuses, [true, false]);
}

#[test]
fn respond_to_a_thousand_at_once_is_counted_to_the_last() {
    needs_kernel!();
    let mark = mark("thousand");
    let sensor = Responding::start(&rule("Flood", &mark, "kill"), &["--set", "stdout.queue=100000"]);
    let children: Vec<Child> =
        (0..1000).map(|_| Command::new("/bin/true").arg(&mark).spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().is_ok());
    }
    let _ = sensor.watcher.alert("Flood", 1000);
    let (alerts, stats, records) = sensor.stop();
    let responses: Vec<_> = alerts.iter().filter(|alert| alert["rule"] == "Flood").collect();
    assert_eq!(responses.len(), 1000, "each match is one alert");
    assert!(responses.iter().all(|alert| alert["response"]["decision"].is_string()), "and has a decision");
    let sum = |counts: &Value| counts.as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>();
    let respond = &stats["respond"];
    assert_eq!((respond["requests"].as_u64(), sum(&respond["decisions"])), (Some(1000), 1000), "{respond}");
    // What the fuse let through is as much as it may be; all others were told that it is open.
    let open = respond["refused"]["fuse-open"].as_u64().unwrap();
    assert!(open >= 980, "{respond}");
    let of_record = |kind: &str| records.iter().filter(|record| record["record"] == kind).count();
    assert_eq!((of_record("response"), of_record("missing")), (1000, 0));
}

#[test]
fn respond_protected_list_holds_against_a_rule_that_matches_everything() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    // Under its own name, by which a busybox knows what it is.
    let (vital, other) = (dir.path().join("vital/sleep"), dir.path().join("other/sleep"));
    for copy in [&vital, &other] {
        fs::create_dir(copy.parent().unwrap()).unwrap();
        act::copy_program("/bin/sleep", copy);
    }
    // Everything on this machine is more than a test may kill: it is rehearsed, and the fuse would hide what follows.
    let everything = "- rule: Everything\n  desc: a test\n  condition: evt.num >= 0\n  output: seen %proc.exepath\n  \
                      priority: CRITICAL\n  response: kill\n";
    let protect = format!("respond.protect.exes=[\"{}\"]", vital.display());
    let sets = [
        "respond.limit.per_minute=0",
        "respond.limit.per_workload_per_minute=0",
        &protect,
        "stdout.queue=1000000",
    ];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).chain(["--dry-run"]).collect();
    let sensor = Responding::start(everything, &sets);
    let own = sensor.watcher.pid();
    for program in [&vital, &other] {
        assert!(Command::new(program).arg("0").status().unwrap().success());
    }
    // This one is there for as long as the sensor, which may be far behind: those before may have ended first.
    let mut child = Command::new(&other).arg("1000").spawn().unwrap();
    let last = child.id();
    let (alerts, ..) = sensor.stop();
    child.kill().unwrap();
    child.wait().unwrap();
    let of = |exe: &Path| {
        let exe = exe.display().to_string();
        let responses =
            alerts.iter().map(|alert| &alert["response"]).filter(|it| it["target"]["exe"] == exe.as_str());
        responses.map(|response| response["decision"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(
        !of(&vital).is_empty() && of(&vital).iter().all(|decision| decision == "refuse"),
        "{:?}",
        of(&vital)
    );
    assert!(of(&other).iter().any(|decision| decision == "rehearse"), "{last}: {:?}", of(&other));
    for alert in &alerts {
        let response = &alert["response"];
        let pid = response["target"]["pid"].as_u64().unwrap_or_default();
        let ancestors = alert["process"]["ancestors"].as_array().unwrap();
        let vital =
            pid == 1 || pid == 2 || pid == u64::from(own) || ancestors.iter().any(|it| it["pid"] == own);
        assert!(!vital || response["decision"] != "rehearse", "{alert}");
    }
}

#[test]
fn respond_process_that_cannot_die_yet_is_pending() {
    needs_kernel!();
    let Some(freezer) = cgroup::controller("freezer") else {
        return sensor_tests::require::skip(
            sensor_tests::test_name!(),
            "no freezer of cgroup version 1 is mounted",
        );
    };
    let mark = mark("pending");
    let sensor = Responding::start(&rule("Cannot die", &mark, "kill"), &[]);
    let dir = freezer.join(&mark);
    fs::create_dir(&dir).unwrap();
    sensor.watcher.signal(libc::SIGSTOP);
    let (mut child, _input) = waiting(&mark);
    fs::write(dir.join("cgroup.procs"), child.id().to_string()).unwrap();
    fs::write(dir.join("freezer.state"), "FROZEN").unwrap();
    while fs::read_to_string(dir.join("freezer.state")).unwrap() != "FROZEN\n" {
        std::thread::yield_now();
    }
    sensor.watcher.signal(libc::SIGCONT);
    let response = sensor.watcher.alert("Cannot die", 1)["response"].clone();
    assert_eq!(
        (&response["decision"], &response["result"]),
        (&json!("act"), &json!("pending")),
        "{response}"
    );
    fs::write(dir.join("freezer.state"), "THAWED").unwrap();
    assert!(killed(&mut child));
    fs::remove_dir(&dir).unwrap();
    let _ = sensor.stop();
}

#[test]
fn respond_socket_takes_nothing_from_hostile_hands() {
    use std::{
        io::{Read, Write},
        os::unix::{fs::PermissionsExt, net::UnixStream},
    };
    needs_kernel!();
    let sensor = Responding::start(&rule("Nothing", "vedette-nothing-matches", "kill"), &[]);
    let socket = sensor.watcher.dir().join("control.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let say = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        // It may close before it has read everything, which is its right.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    for (bytes, words) in [
        (&b"garbage\n"[..], "this is no order"),
        (b"{\"order\":\"status\"}", "ends with a line break"),
        (b"", "ends with a line break"),
        (b"\xff\xfe\0\n", "this is no order"),
        (b"{\"order\":\"shutdown\"}\n", "unknown variant"),
        (b"{\"order\":\"pause\"}\n", "missing field"),
        (b"{\"order\":\"pause\",\"container\":\"../../..\"}\n", "there is no container"),
        (b"{\"order\":\"pause\",\"container\":\"\"}\n", "there is no container"),
    ] {
        let answer = say(bytes);
        assert!(
            answer.contains("\"ok\":false") && answer.contains(words),
            "{:?}: {answer}",
            String::from_utf8_lossy(bytes)
        );
    }
    let deep = "[".repeat(4000) + "\n";
    assert!(say(deep.as_bytes()).contains("this is no order"));
    // A megabyte: it answers or hangs up, and does not read it.
    let answer = say(&vec![b'x'; 1 << 20]);
    assert!(answer.is_empty() || answer.contains("at most 4096 bytes"), "{answer}");
    // Many who say nothing: others wait for them, and get their turn.
    let silent: Vec<_> = (0..100).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    drop(silent);
    assert!(say(b"{\"order\":\"status\"}\n").contains("\"ok\":true"));
    let _ = sensor.stop();
}
