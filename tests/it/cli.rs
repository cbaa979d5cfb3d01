//! Ways in and ways out: what is refused and how, and that no program stays in the kernel whichever way it ends.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, Output, Stdio},
};

use sensor_tests::{
    Act, FEW, Sensor,
    daemon::{programs_of, run, wait_until_unloaded},
    exclusive, needs_kernel, scaled, vedette,
};

use crate::exec::steps;

#[track_caller]
fn words(output: &Output) -> String {
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Ends a sensor in some way, and checks its exit code and that its programs are gone.
#[track_caller]
fn ends(how: impl FnOnce(&Sensor), code: Option<i32>) {
    let sensor = Sensor::start(&FEW);
    let programs = programs_of(sensor.pid());
    how(&sensor);
    assert_eq!(sensor.ended().code(), code, "{}", sensor.stderr());
    wait_until_unloaded(&programs);
}

#[test]
fn cli_sigterm_ends_in_good_order() {
    needs_kernel!();
    ends(|sensor| sensor.signal(libc::SIGTERM), Some(0));
}

#[test]
fn cli_sigint_ends_in_good_order() {
    needs_kernel!();
    let sensor = Sensor::start(&FEW);
    sensor.signal(libc::SIGINT);
    assert_eq!(sensor.ended().code(), Some(0));
    let last = sensor.stderr().lines().last().unwrap_or_default().to_owned();
    assert!(last.ends_with(" lost, 0 not shown"), "{last}");
}

#[test]
fn cli_sigkill_leaves_nothing_in_the_kernel() {
    needs_kernel!();
    ends(|sensor| sensor.signal(libc::SIGKILL), None);
}

#[test]
fn cli_sighup_does_not_end_it() {
    needs_kernel!();
    let sensor = Sensor::start(&FEW);
    sensor.signal(libc::SIGHUP);
    let (done, events) = Act::new(["exit", "7"]).seen_by(&sensor);
    assert_eq!((done.code, events.last().unwrap()["/detail/status"].as_u64()), (7, Some(7 << 8)));
    assert!(sensor.stop().success());
}

#[test]
fn cli_events_end_when_nobody_reads() {
    needs_kernel!();
    let mut reader =
        Command::new("head").args(["-n", "3"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut sensor = Command::new(vedette())
        .args(["events", "--json"])
        .stdout(reader.stdin.take().unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Something to read: at the latest the second write after the reader is gone says so.
    while sensor.try_wait().unwrap().is_none() {
        let _ = Act::new(["exit", "0"]).run();
    }
    assert_eq!(sensor.wait().unwrap().code(), Some(0));
    assert!(reader.wait().unwrap().success());
}

#[test]
fn cli_two_that_show_events_do_not_disturb_each_other() {
    needs_kernel!();
    let (one, other) = (Sensor::start(&FEW), Sensor::start(&FEW));
    let (done, events) = Act::new(["exit", "0", "for both"]).seen_by(&one);
    let same = other.until_exit(done.pid);
    assert_eq!(events.len(), same.len());
    assert!(one.stop().success() && other.stop().success());
}

#[test]
fn cli_second_daemon_is_refused() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let lock = format!("lock={}", dir.path().join("lock").display());
    let files = [
        "--set",
        "stats_file=",
        "--set",
        "respond.audit=",
        "--set",
        "respond.held=",
        "--set",
        "control.socket=",
        "--set",
        "metrics.listen=",
    ];
    let own = [&["run", "--json", "--set", &lock][..], &files].concat();
    let first = Sensor::launch(&own);
    let programs = programs_of(first.pid());
    let second = run(&own);
    let said = words(&second);
    assert_eq!(second.status.code(), Some(3), "{said}");
    let line = said.lines().last().unwrap();
    assert!(line.contains(&format!("pid {}", first.pid())), "{said}");
    assert!(first.stop().success(), "{}", first.stderr());
    wait_until_unloaded(&programs);
    // Nobody holds it any more.
    let third = Sensor::launch(&own);
    assert!(third.stop().success());
}

#[test]
fn cli_without_privileges() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.path().join("vedette");
    sensor_tests::act::copy_program(vedette(), &copy);
    let lock = format!("lock={}", dir.path().join("lock").display());
    fs::write(dir.path().join("lock"), "").unwrap();
    fs::set_permissions(dir.path().join("lock"), fs::Permissions::from_mode(0o666)).unwrap();
    for command in ["events", "run"] {
        let output = Command::new(&copy)
            .args([command, "--set", &lock, "--set", "metrics.listen="])
            .uid(65534)
            .gid(65534)
            .output()
            .unwrap();
        let said = words(&output);
        assert_eq!(output.status.code(), Some(3), "{command}: {said}");
        assert_eq!(said.lines().count(), 1, "{command}: {said}");
        assert!(said.contains("root"), "{command}: {said}");
    }
}

#[test]
fn cli_wrong_usage() {
    for args in [
        &["events", "--kinds", "file_opne"][..],
        &["events", "--set", "kernel.ring_bites=1"],
        &["events", "--set", "kernel.ring_bytes=100"],
        &["events", "--set", "kernel.ring_bytes"],
        &["events", "--config", "/nowhere/vedette.yaml"],
        &["events", "no such = field ="],
        &["evnets"],
    ] {
        let output = run(args);
        let said = words(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn cli_rules_are_chosen_by_flags() {
    let list = |flags: &[&str]| {
        let output = run(&[&["rules", "list"], flags].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap().lines().count();
        (lines, String::from_utf8(output.stderr).unwrap())
    };
    let (all, said) = list(&[]);
    assert!(all > 5 && said.is_empty(), "{said}");
    assert_eq!(list(&["--disable", "*"]).0, 0);
    assert_eq!(list(&["--enable", "*", "--disable", "*", "--enable", "Password hashes read"]).0, 1);
    let (impact, _) = list(&["--disable", "*", "--enable", "tag:mitre_impact"]);
    assert!((1..all).contains(&impact), "{impact}");
    let (mining, _) = list(&["--disable", "*", "--enable", "file:mining.yaml"]);
    assert!((1..=impact).contains(&mining), "{mining} of {impact}");
    assert_eq!(list(&["--minimum-priority", "emergency"]).0, 0);
    let (same, said) = list(&["--disable", "tag:mitre_impcat"]);
    assert!(same == all && said.contains("did you mean `mitre_impact`?"), "{said}");
    assert_eq!(run(&["rules", "list", "--minimum-priority", "high"]).status.code(), Some(2));
}

#[test]
fn cli_recording_that_cannot_be_written() {
    needs_kernel!();
    let output = run(&["record", "/dev/full", "--seconds", "5"]);
    let said = words(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left"), "{said}");
    let output = run(&["record", "/nowhere/file"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn cli_starts_while_processes_come_and_go() {
    needs_kernel!();
    let _alone = exclusive();
    // `/proc` changes under the reader's hands: what vanishes is left out, and nothing is made up.
    let storm = Act::new(steps(&["spawn-storm", &scaled(1500).max(200).to_string(), "ACT"])).start();
    for _ in 0..3 {
        let sensor = Sensor::start(&FEW);
        let (done, events) = Act::new(["exit", "0"]).seen_by(&sensor);
        assert_eq!(events.last().unwrap().pid(), done.pid);
        assert!(sensor.stop().success(), "{}", sensor.stderr());
        assert!(!sensor.stderr().contains("panicked"), "{}", sensor.stderr());
    }
    let _ = sensor_tests::act::finish(storm);
}
