//! Operations through `io_uring`: each is the event of the system call that means the same, whichever thread of the kernel does
//! it, and rules that know nothing of rings see it.

use std::{fs, process::Command};

use sensor::probe::btf::Btf;
use sensor_tests::{Act, Done, Event, alerts::Watcher, needs_kernel, require, shared, test_name, vedette};
use serde_json::{Value, json};
use tempfile::TempDir;

const AT_CWD: &str = "-100";
/// What is as old as the requests in the tracepoints.
const IN_6_0: &str = "IORING_OP_SEND_ZC";

/// Whether the kernel has an operation, by the name of its number.
pub(crate) fn has_operation(name: &str) -> bool {
    Btf::of_kernel().unwrap().enumerator(name).is_some()
}

/// Ends the test as skipped where the kernel does not say which request it completes.
macro_rules! needs_rings {
    () => {
        needs_kernel!();
        if !has_operation(IN_6_0) {
            require::skip(test_name!(), "operations through io_uring are seen since Linux 6.0");
            return;
        }
    };
}

/// Runs steps, and gives what was done through a ring.
#[track_caller]
fn rings<S: AsRef<str>>(steps: &[&[S]]) -> (Done, Vec<Event>) {
    let steps: Vec<Vec<&str>> = steps.iter().map(|step| step.iter().map(AsRef::as_ref).collect()).collect();
    let (done, mut events) = Act::new(steps.join(&"--")).seen_by(&shared());
    events.retain(|event| event["io_uring"] == true);
    (done, events)
}

/// A directory whose path has no symlinks, with a file in it.
fn place() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let name = fs::canonicalize(dir.path()).unwrap().display().to_string();
    fs::write(dir.path().join("data"), "x").unwrap();
    (dir, name)
}

/// Type, result and path.
fn said(events: &[Event]) -> Vec<(&str, i64, &str)> {
    events.iter().map(|event| (event.kind(), event.result(), event.path())).collect()
}

#[test]
fn uring_file_open_by_every_thread() {
    needs_rings!();
    let (dir, base) = place();
    let (data, none) = (format!("{base}/data"), format!("{base}/none"));
    let how = ["plain", "worker", "polled"];
    let steps: Vec<[&str; 7]> = how
        .iter()
        .flat_map(|how| [&data, &none].map(|name| ["uring", how, "openat", AT_CWD, name, "0o1", "0"]))
        .collect();
    let steps: Vec<&[&str]> = steps.iter().map(<[&str; 7]>::as_slice).collect();
    let (done, events) = rings(&steps);
    let enoent = i64::from(-libc::ENOENT);
    let expected: Vec<_> = (0..6)
        .map(|step| ("openat", done.result(step), if step % 2 == 0 { data.as_str() } else { none.as_str() }))
        .collect();
    assert_eq!(said(&events), expected);
    for step in [1, 3, 5] {
        assert_eq!(events[step].result(), enoent);
        assert_eq!(events[step]["/detail/name"], none);
    }
    for step in [0, 2, 4] {
        for field in ["ino", "dev", "mode", "nlink", "uid", "gid"] {
            assert_eq!(&events[step]["/detail/file"][field], done.said(step, field), "{field}");
        }
        assert_eq!(events[step]["/detail/flags"].as_u64().unwrap() & 3, 1);
    }
    // Whoever does it, it is the process, and goes by its name.
    for event in &events {
        assert_eq!((event.pid(), &event["/task/comm"]), (done.pid, &json!("act")));
    }
    assert_eq!(events[0]["/task/tid"], done.pid);
    for step in [2, 4] {
        assert_ne!(events[step]["/task/tid"], done.pid, "a thread of the kernel opened it");
    }
    drop(dir);
}

#[test]
fn uring_file_open_into_the_ring() {
    needs_rings!();
    let (dir, base) = place();
    let (data, new) = (format!("{base}/data"), format!("{base}/new"));
    let (done, events) = rings(&[
        &["chdir", &base][..],
        &["uring", "slot", "openat", AT_CWD, "./data", "0", "0"],
        &["uring", "any-slot", "openat2", AT_CWD, &new, "0o101", "0o640", "4"],
        &["openat", AT_CWD, &base, "0o200000", "0"],
        &["uring", "plain", "openat", "3", "data", "0", "0"],
    ]);
    assert_eq!(done.result(4), 5);
    assert_eq!(said(&events), [("openat", 0, data.as_str()), ("openat2", 0, &new), ("openat", 5, &data)]);
    assert_eq!(events[1]["/detail/created"], true);
    assert_eq!((&events[1]["/detail/mode"], &events[1]["/detail/resolve"]), (&json!(0o640), &json!(4)));
    assert!(events.iter().all(|event| event["/detail/file/ino"].is_u64()));
    drop(dir);
}

#[test]
fn uring_file_changes() {
    needs_rings!();
    let (dir, base) = place();
    let long = format!("{}x", "./".repeat(150));
    let at = |name: &str| format!("{base}/{name}");
    let (done, events) = rings(&[
        &["chdir", &base][..],
        &["uring", "plain", "mkdirat", AT_CWD, "sub", "0o750"],
        &["openat", AT_CWD, &at("sub"), "0o200000", "0"],
        &["uring", "worker", "linkat", AT_CWD, "data", "3", "hard", "0"],
        &["uring", "polled", "symlinkat", "some/where", AT_CWD, &at("soft")],
        &["uring", "plain", "renameat", "3", "hard", AT_CWD, "data", "2"],
        &["uring", "plain", "unlinkat", "3", "hard", "0"],
        &["uring", "plain", "unlinkat", AT_CWD, "sub", "512"],
        &["uring", "plain", "unlinkat", AT_CWD, "none", "0"],
        &["uring", "plain", "unlinkat", AT_CWD, &long, "0"],
    ]);
    let enoent = i64::from(-libc::ENOENT);
    for step in [1, 3, 4, 5, 6, 7] {
        assert_eq!(done.result(step), 0, "{:?}", done.steps[step]);
    }
    let change = |event: &Event| {
        let new = event["/detail/new_path"].as_str().unwrap_or("").to_owned();
        (event.kind().to_owned(), event.result(), event.path().to_owned(), new)
    };
    let table = [
        ("mkdirat", 0, at("sub"), String::new()),
        ("linkat", 0, at("data"), at("sub/hard")),
        ("symlinkat", 0, "some/where".to_owned(), at("soft")),
        ("renameat2", 0, at("sub/hard"), at("data")),
        ("unlinkat", 0, at("sub/hard"), String::new()),
        ("unlinkat", 0, at("sub"), String::new()),
        ("unlinkat", enoent, at("none"), String::new()),
    ];
    let table: Vec<_> =
        table.into_iter().map(|(call, result, old, new)| (call.to_owned(), result, old, new)).collect();
    assert_eq!(events[..7].iter().map(change).collect::<Vec<_>>(), table);
    assert_eq!(events[0]["/detail/mode"], 0o750);
    assert_eq!(events[3]["/detail/flags"], 2);
    assert_eq!(events[5]["/detail/flags"], 512);
    // Of the longest name its beginning is remembered.
    assert_eq!(events[7].result(), enoent);
    assert_eq!(events[7]["/detail/name"].as_str().map(str::len), Some(255));
    drop(dir);
}

#[test]
fn uring_without_a_completion() {
    needs_rings!();
    let (dir, base) = place();
    let data = format!("{base}/data");
    let (_, events) = rings(&[
        &["uring", "silent", "openat", AT_CWD, &data, "0o2", "0"][..],
        &["uring", "silent,worker", "unlinkat", AT_CWD, &data, "0"],
        &["uring", "silent", "openat", AT_CWD, &data, "0", "0"],
    ]);
    assert!(!dir.path().join("data").exists());
    // The open that failed is told of twice: when it was submitted, and when it had a completion after all.
    let enoent = i64::from(-libc::ENOENT);
    let expected = [("openat", 0), ("unlinkat", 0), ("openat", 0), ("openat", enoent)];
    assert_eq!(said(&events), expected.map(|(call, result)| (call, result, data.as_str())));
}

#[test]
fn uring_net_both_ends() {
    needs_rings!();
    let (done, events) = rings(&[
        &["socket", "2", "1", "0"][..],
        &["bind", "3", "127.0.0.1:0"],
        &["listen", "3", "5"],
        &["socket", "2", "1", "0"],
        &["uring", "plain", "connect-to-port-of", "4", "3", "127.0.0.1"],
        &["uring", "plain", "accept", "3", "2048"],
        &["port-of", "4"],
        &["socket", "2", "1", "0"],
        &["uring", "worker", "connect", "5", "127.0.0.1:1"],
        &["socket", "2", "2", "0"],
        &["uring", "plain", "sendmsg", "7", "127.0.0.1:9"],
        &["uring", "plain", "connect", "0", "127.0.0.1:9"],
        &["uring", "plain", "socket", "2", "2", "17"],
        &["uring", "slot", "socket", "10", "1", "0"],
        &["uring", "plain", "socket", "2", "1", "17"],
    ]);
    let kinds: Vec<_> = events.iter().map(|event| (event.kind(), event.result())).collect();
    let refused = i64::from(-libc::ECONNREFUSED);
    let no_socket = i64::from(-libc::ENOTSOCK);
    let unknown = i64::from(-libc::EPROTONOSUPPORT);
    let expected = [
        ("connect", 0),
        ("accept4", 6),
        ("connect", refused),
        ("sendmsg", 1),
        ("connect", no_socket),
        ("socket", 9),
        ("socket", 0),
        ("socket", unknown),
    ];
    assert_eq!(kinds, expected);
    let end = |port: &Value| json!({ "ip": "127.0.0.1", "port": port });
    let (server, client) = (done.said(1, "port"), done.said(6, "port"));
    assert_eq!(events[0]["/detail/remote"], end(server));
    assert_eq!(events[0]["/detail/local"], end(client));
    assert_eq!(events[0]["/detail/ino"], *done.said(3, "ino"));
    assert_eq!(events[0]["/detail/untrusted"], false);
    assert_eq!(events[1]["/detail/remote"], end(client));
    assert_eq!(events[1]["/detail/local"], end(server));
    assert_eq!((&events[1]["/detail/fd"], &events[1]["/detail/arg"]), (&json!(6), &json!(2048)));
    assert_eq!(events[3]["/detail/remote"], end(&json!(9)));
    assert_eq!(events[3]["/detail/type"], libc::SOCK_DGRAM);
    let made =
        |event: &Event| ["fd", "domain", "type", "protocol"].map(|name| event["detail"][name].as_i64());
    assert_eq!(made(&events[5]), [9, 2, 2, 17].map(Some));
    assert_eq!(made(&events[6]), [-1, 10, 1, 6].map(Some));
    assert_eq!(made(&events[7])[1..], [2, 1, 17].map(Some));
}

#[test]
fn uring_net_bind_and_listen() {
    needs_rings!();
    if !has_operation("IORING_OP_BIND") {
        return require::skip(test_name!(), "io_uring binds since Linux 6.11");
    }
    let (done, events) = rings(&[
        &["socket", "2", "1", "0"][..],
        &["uring", "plain", "bind", "3", "127.0.0.1:0"],
        &["uring", "plain", "listen", "3", "7"],
        &["port-of", "3"],
    ]);
    let kinds: Vec<_> = events.iter().map(|event| (event.kind(), event.result())).collect();
    assert_eq!(kinds, [("bind", 0), ("listen", 0)]);
    for event in &events {
        assert_eq!(event["/detail/local"], json!({ "ip": "127.0.0.1", "port": done.said(3, "port") }));
    }
    assert_eq!(events[1]["/detail/arg"], 7);
}

/// The built-in rules say nothing of rings.
#[test]
fn uring_open_of_password_hashes_alerts() {
    needs_rings!();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    fs::write(dir.path().join("etc/shadow"), "x").unwrap();
    let watcher = Watcher::builtin();
    let root = dir.path().display().to_string();
    let opens = |how: &str| {
        let open = ["uring", how, "openat", AT_CWD, "/etc/shadow", "0", "0"];
        Act::new([&["chroot", root.as_str(), "--"][..], &open].concat()).run()
    };
    for (times, how) in ["plain", "worker", "polled", "slot", "silent"].into_iter().enumerate() {
        let done = opens(how);
        let alert = watcher.alert("Password hashes read", times + 1);
        assert_eq!(alert["output_fields"]["fd.name"], "/etc/shadow", "{how}: {done:?} {alert}");
    }
}

/// Also where the kernel half is asked for the name: the thread that works for the process has one of its own.
#[test]
fn uring_rules_tell_it_apart_and_know_the_process() {
    needs_rings!();
    let (dir, base) = place();
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("rules.yaml");
    let rule = |name: &str, condition: &str| {
        let condition =
            format!("evt.type = openat and proc.name = act and fd.name = {base}/data and {condition}");
        format!("- rule: {name}\n  desc: d\n  condition: '{condition}'\n  output: o\n  priority: INFO\n")
    };
    let rules = rule("ring", "evt.is_io_uring = true") + &rule("call", "evt.is_io_uring = false");
    fs::write(&file, rules).unwrap();
    let watcher = Watcher::start(&file, &[]);
    let data = format!("{base}/data");
    let steps = [
        &["uring", "worker", "openat", AT_CWD, &data, "0", "0", "--"][..],
        &["uring", "polled", "openat", AT_CWD, &data, "0", "0", "--"],
        &["openat", AT_CWD, &data, "0", "0"],
    ];
    let _ = Act::new(steps.concat()).run();
    let _ = watcher.alert("call", 1);
    let (alerts, _) = watcher.stop();
    let rules = alerts.iter().filter_map(|alert| alert["rule"].as_str());
    // A slow machine may also say that it lost something.
    let rules: Vec<&str> = rules.filter(|rule| ["ring", "call"].contains(rule)).collect();
    assert_eq!(rules, ["ring", "ring", "call"]);
    drop(dir);
}

/// A kernel on which it cannot be seen is not passed over in silence.
#[test]
fn uring_is_blind_where_doctor_says_so() {
    needs_kernel!();
    let output = Command::new(vedette()).args(["doctor", "--json"]).output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    let report: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    let hooks = report["report"]["hooks"].as_array().unwrap();
    let rings: Vec<&Value> =
        hooks.iter().filter(|hook| hook["hook"].as_str().unwrap().starts_with("uring_")).collect();
    assert_eq!(rings.len(), 11);
    let seen = has_operation(IN_6_0);
    for hook in rings {
        assert_eq!(hook["chosen"].is_string(), seen, "{hook}");
        assert!(seen || hook["refused"].to_string().contains("before Linux 6.0"), "{hook}");
    }
}
