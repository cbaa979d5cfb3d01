//! How hooks are attached: at the ends of functions or behind the tracepoint of all system calls, by choice and by force, and
//! that a sensor without one of them works and says what it misses.

use std::{collections::BTreeSet, fs, path::Path};

use sensor::probe::HOOKS;
use sensor_tests::{
    Act, Sensor, act,
    alerts::Watcher,
    daemon::{programs_of, run, wait_until_unloaded},
    needs_kernel, require, scaled, test_name,
};
use serde_json::{Value, json};

/// Name of the program behind the tracepoint of all system calls.
const DISPATCHER: &str = "sys_exit";

/// Names of the programs that a sensor holds.
fn names_of(sensor: &Sensor) -> BTreeSet<String> {
    let held = programs_of(sensor.pid());
    let loaded = aya::programs::loaded_programs().filter_map(Result::ok);
    let ours = loaded.filter(|program| held.contains(&program.id()));
    ours.filter_map(|program| Some(program.name_as_str()?.to_owned())).collect()
}

/// The accounts that a sensor leaves behind.
fn accounts(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn hook<'a>(stats: &'a Value, stem: &str) -> &'a Value {
    stats["hooks"].as_array().unwrap().iter().find(|hook| hook["hook"] == stem).unwrap()
}

/// Opens a file under a sensor in this mode, and returns the names of its programs and its accounts.
fn opens_in(mode: &str) -> (BTreeSet<String>, Value) {
    let dir = tempfile::tempdir().unwrap();
    let (file, stats) = (dir.path().join("file"), dir.path().join("stats"));
    fs::write(&file, "").unwrap();
    let (mode, own) = (format!("kernel.mode={mode}"), format!("stats_file={}", stats.display()));
    let sensor = Sensor::start(&["--kinds", "file_open,net_listen", "--set", &mode, "--set", &own]);
    let programs = programs_of(sensor.pid());
    let names = names_of(&sensor);
    let file = file.display().to_string();
    let (done, events) = Act::new(["open", &file, "0", "0"]).seen_by(&sensor);
    assert!(done.result(0) >= 0, "{done:?}");
    let seen = events.iter().filter(|event| event.is_open() && event.path() == file).count();
    assert_eq!(seen, 1, "{mode}");
    assert!(sensor.stop().success(), "{}", sensor.stderr());
    wait_until_unloaded(&programs);
    (names, accounts(&stats))
}

#[test]
fn hooks_in_full_mode_leave_other_calls_alone() {
    needs_kernel!();
    if !require::full_mode(test_name!()) {
        return;
    }
    let (names, stats) = opens_in("full");
    assert!(!names.contains(DISPATCHER), "{names:?}");
    assert!(names.contains("sys_return"), "{names:?}");
    for stem in ["file_open", "net_listen"] {
        let hook = hook(&stats, stem);
        assert_eq!((&hook["mode"], &hook["wanted"]), (&"full".into(), &true.into()), "{hook}");
        assert_eq!(hook["refused"].as_array().unwrap().len(), 0, "{hook}");
    }
    assert_eq!(hook(&stats, "net_bind")["wanted"], false);
}

#[test]
fn hooks_in_tracepoint_mode_share_one() {
    needs_kernel!();
    if !require::tracepoint_mode(test_name!()) {
        return;
    }
    let (names, stats) = opens_in("tracepoint");
    assert!(names.contains(DISPATCHER) && !names.contains("sys_return"), "{names:?}");
    let hook = hook(&stats, "file_open");
    assert_eq!((&hook["mode"], &hook["chosen"]), (&"tracepoint".into(), &"sx_file_open".into()), "{hook}");
    assert_eq!(hook["refused"][0], "fx_file_open: kernel.mode is tracepoint");
}

#[test]
fn hooks_take_the_best_way_by_themselves() {
    needs_kernel!();
    let can = require::full_mode(test_name!());
    let (names, stats) = opens_in("auto");
    let hook = hook(&stats, "file_open");
    let refused: Vec<&str> = hook["refused"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    // A mode that could be had is not taken where it would miss calls. A better way that is not taken is said, in the kernel's
    // words or in ours.
    let misses = refused.iter().any(|why| why.contains("this kernel preempts itself"));
    let full = can && !misses;
    assert_eq!(hook["mode"], if full { "full" } else { "tracepoint" }, "{hook}");
    assert_eq!(names.contains(DISPATCHER), !full, "{names:?}");
    assert_eq!(refused.is_empty(), full, "{hook}");
}

#[test]
fn hooks_of_a_mode_that_is_not_to_be_had_end_the_start() {
    needs_kernel!();
    let output = run(&["events", "--set", "kernel.mode=full", "--kinds", "file_open", "--seconds", "0.1"]);
    let said = String::from_utf8(output.stderr).unwrap();
    if require::full_mode(test_name!()) {
        assert_eq!(output.status.code(), Some(0), "{said}");
        return;
    }
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("file_open cannot be attached in full mode, and kernel.mode allows no other"),
        "{said}"
    );
}

#[test]
fn hooks_can_be_missed_one_by_one() {
    needs_kernel!();
    // Which of them is missed is nothing that the kernel has a say in: a slow machine tries some.
    for switched_off in HOOKS.iter().step_by(HOOKS.len() / scaled(HOOKS.len())) {
        let (stem, kind) = (switched_off.stem, switched_off.kind.stem());
        let dir = tempfile::tempdir().unwrap();
        let stats = dir.path().join("stats");
        let own = format!("stats_file={}", stats.display());
        let sensor = Sensor::start(&["--kinds", kind, "--disable-hook", stem, "--set", &own]);
        let child = Act::new(["wait-for-input", "--", "fork", "1", "--", "exit", "0"]).start();
        sensor.follow(child.id());
        let pid = child.id();
        let done = act::finish(child);
        assert_eq!(done.code, 0, "{stem}: {done:?}");
        let _ = sensor.event_of(pid, &format!("something without {stem}"), |event| match stem {
            "proc_exit" => event.is_fork(),
            _ => event.is_exit(),
        });
        assert!(sensor.stop().success(), "{stem}: {}", sensor.stderr());
        let stats = accounts(&stats);
        let hooks = stats["hooks"].as_array().unwrap();
        let blind = hooks.iter().filter(|hook| hook["wanted"] == true && hook["chosen"].is_null());
        // What this kernel does not have is missed all the time.
        let blind = blind.filter(|hook| !hook["refused"].to_string().contains("before Linux 6.0"));
        let blind: Vec<&Value> = blind.map(|hook| &hook["hook"]).collect();
        assert_eq!(blind, [stem], "{stats}");
        assert_eq!(hook(&stats, stem)["refused"][0], "switched off (kernel.disabled_hooks)");
        let seen = &stats["kinds"][kind]["seen"];
        // Failed execs and what comes through `io_uring` have hooks of their own, and write the same kind of record.
        let alone = HOOKS.iter().filter(|hook| hook.kind == switched_off.kind).count() == 1;
        assert!(*seen == 0 || !alone, "{stem}: {}", stats["kinds"]);
    }
}

#[test]
fn hooks_that_rules_miss_are_said_and_come_with_a_reload() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let rule = |name: &str, condition: &str| {
        format!("- {{rule: {name}, desc: d, condition: {condition}, output: o, priority: INFO}}\n")
    };
    let file = dir.path().join("a.yaml");
    fs::write(&file, rule("ends", "evt.type = procexit and proc.name = no-such")).unwrap();
    let watcher = Watcher::start(dir.path(), &["--disable-hook", "net_bind"]);
    let rules = watcher.rules("the first set", |rules| rules["generation"] == 1);
    assert_eq!(rules["blind"].as_array().unwrap().len(), 0, "{rules}");
    let mark = dir.path().join("mark").display().to_string();
    fs::write(&mark, "").unwrap();
    let opens = format!("evt.type in (open, openat) and fd.name = {mark}");
    fs::write(&file, rule("binds", "evt.type = bind") + &rule("opens", &format!("'{opens}'"))).unwrap();
    // The other one too where io_uring cannot be seen.
    let binds =
        |rules: &Value| rules["blind"].as_array().is_some_and(|blind| blind.contains(&json!("binds")));
    let _ = watcher.rules("blind rules are in the accounts", binds);
    watcher.says("blind: not attached");
    assert!(Act::new(["open", &mark, "0", "0"]).run().result(0) >= 0);
    let _ = watcher.alert("opens", 1);
    let (_, stats) = watcher.stop();
    assert!(!hook(&stats, "file_open")["mode"].is_null(), "{stats}");
    assert!(hook(&stats, "net_bind")["chosen"].is_null(), "{stats}");
}
