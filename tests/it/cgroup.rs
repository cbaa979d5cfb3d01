//! Control groups: which container a process belongs to, from the group's path alone, also for groups that come and go.

use std::path::Path;

use sensor_tests::{
    Act, Event,
    cgroup::{Group, legacy, unified},
    needs_kernel,
    require::skip,
    scaled, shared, test_name,
};
use serde_json::{Value, json};

use crate::exec::execs;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Another id for each test: their groups must not be the same.
fn id(n: u8) -> String {
    format!("{n:02x}{:08x}{}", std::process::id(), &ID[10..])
}

/// Runs a helper in a group of this path, and gives its exec event.
fn exec_in(hierarchy: &Path, path: &str) -> (Event, Group) {
    let group = Group::new(hierarchy, path);
    let (done, events) = group.join(Act::new(["exit", "3"])).seen_by(&shared());
    assert_eq!(done.code, 3);
    let exec = execs(&events)[0].clone();
    let from_there = events.iter().skip_while(|event| !event.is_exec());
    assert!(from_there.into_iter().all(|event| event["container"] == exec["container"]));
    (exec, group)
}

#[test]
fn cgroup_unified_names_the_container() {
    needs_kernel!();
    let Some(unified) = unified() else { return skip(test_name!(), "no unified hierarchy is mounted") };
    let id = id(1);
    let (exec, group) = exec_in(&unified, &format!("/docker/{id}"));
    let expected = json!({
        "id": &id[..12], "full_id": id, "type": "docker", "cgroup": format!("/docker/{id}"),
    });
    assert_eq!(exec["container"], expected);
    assert_eq!(exec["/task/cgroup"], group.id());
}

#[test]
fn cgroup_v1_names_the_container() {
    needs_kernel!();
    let Some(legacy) = legacy() else {
        return skip(test_name!(), "no v1 hierarchy identifies processes here");
    };
    let id = id(2);
    let (exec, group) = exec_in(&legacy, &format!("/docker/{id}"));
    assert_eq!(exec["/container/full_id"], id);
    assert_eq!(exec["/task/cgroup"], group.id() | 1 << 63);
}

#[test]
fn cgroup_of_a_pod() {
    needs_kernel!();
    let Some(unified) = unified() else { return skip(test_name!(), "no unified hierarchy is mounted") };
    let (id, pod) = (id(3), format!("7bb0d1f4-2a51-4b6c-9d39-{:012x}", std::process::id()));
    let (exec, _group) = exec_in(&unified, &format!("/kubepods/burstable/pod{pod}/{id}"));
    assert_eq!(exec["/container/full_id"], id);
    assert_eq!(exec["/kubernetes/pod_uid"], pod);
}

#[test]
fn cgroup_nested_is_the_innermost_container() {
    needs_kernel!();
    let Some(unified) = unified() else { return skip(test_name!(), "no unified hierarchy is mounted") };
    let (outer, inner) = (id(4), id(5));
    let (exec, group) = exec_in(&unified, &format!("/docker/{outer}/docker/{inner}"));
    assert_eq!(exec["/container/full_id"], inner);
    drop(group);
    // A group that a container makes for itself belongs to it.
    let (exec, _group) = exec_in(&unified, &format!("/docker/{outer}/init.scope"));
    assert_eq!(exec["/container/full_id"], outer);
    assert_eq!(exec["/container/cgroup"], format!("/docker/{outer}"));
}

#[test]
fn cgroup_with_a_name_like_an_id_is_no_container() {
    needs_kernel!();
    let Some(unified) = unified() else { return skip(test_name!(), "no unified hierarchy is mounted") };
    let (exec, _group) = exec_in(&unified, &format!("/vedette-test/{}", id(6)));
    assert_eq!(exec["container"], Value::Null);
}

#[test]
fn cgroup_that_was_there_before_the_sensor() {
    needs_kernel!();
    let Some(unified) = unified() else { return skip(test_name!(), "no unified hierarchy is mounted") };
    let id = id(7);
    let group = Group::new(&unified, &format!("/docker/{id}"));
    let inside =
        group.join(Act::new(["wait-for-input", "--", "openat", "-100", "/dev/null", "0", "0"])).start();
    let sensor = sensor_tests::Sensor::start(&["--kinds", "file_open"]);
    sensor.follow(inside.id());
    // Records are read after what was there before: once one shows, the helper may go on.
    let _ = Act::new(["exit", "0"]).seen_by(&sensor);
    let done = sensor_tests::act::finish(inside);
    let open = sensor.event_of(done.pid, "the open", |event| event.path() == "/dev/null");
    assert_eq!(open["/container/full_id"], id);
    // It was there before, too, and what `/proc` said of it is all that is known.
    assert_eq!(open.args()[1], "wait-for-input");
    assert_eq!(open["/process/exe"], sensor_tests::act::program().display().to_string());
    assert_eq!(open["/process/ppid"], std::process::id());
    assert_eq!(open["/process/vppid"], std::process::id());
}

#[test]
fn cgroup_of_processes_that_move() {
    needs_kernel!();
    let Some(unified) = unified() else { return skip(test_name!(), "no unified hierarchy is mounted") };
    let id = id(8);
    let group = Group::new(&unified, &format!("/docker/{id}"));
    let sensor = shared();
    let before = ["openat", "-100", "/dev/null", "0", "0", "--", "wait-for-input", "--"];
    let child = Act::new([&before[..], &["openat", "-100", "/dev/zero", "0", "0"]].concat()).start();
    let outside = sensor.event_of(child.id(), "the first open", |event| event.path() == "/dev/null");
    assert_eq!(outside["container"], Value::Null);
    group.add(child.id());
    let done = sensor_tests::act::finish(child);
    let inside = sensor.event_of(done.pid, "the second open", |event| event.path() == "/dev/zero");
    assert_eq!(inside["/container/full_id"], id);
}

#[test]
fn cgroup_comes_and_goes_fast() {
    needs_kernel!();
    let Some(unified) = unified() else { return skip(test_name!(), "no unified hierarchy is mounted") };
    for n in 0..scaled(50).max(5) as u8 {
        let id = id(100 + n);
        let (exec, _group) = exec_in(&unified, &format!("/docker/{id}"));
        assert_eq!(exec["/container/full_id"], id);
    }
}

/// Resident memory of a process in KiB.
fn resident(pid: u32) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

#[test]
fn cgroup_churn_leaves_memory_where_it_was() {
    needs_kernel!();
    let Some(unified) = unified() else { return skip(test_name!(), "no unified hierarchy is mounted") };
    let _alone = sensor_tests::exclusive();
    let dir = tempfile::tempdir().unwrap();
    let stats = dir.path().join("stats");
    let sets = [
        format!("stats_file={}", stats.display()),
        format!("identity.bundles=[\"{}/*/{{id}}\"]", dir.path().display()),
    ];
    // Alerts, not events: this is how the daemon runs, and nobody has to read.
    let sensor = sensor_tests::Sensor::launch(&[
        "run",
        "--set",
        &sets[0],
        "--set",
        &sets[1],
        "--set",
        &format!("lock={}", dir.path().join("lock").display()),
        "--set",
        "metrics.listen=",
    ]);
    let labels: String = (0..20).map(|n| format!("\"label-{n}\": \"{}\",", "x".repeat(50))).collect();
    let json = format!("{{\"annotations\": {{{labels} \"nerdctl/name\": \"NAME\"}}}}");
    // A few at a time, so that the sensor, which may be busy, still finds the bundle of each.
    let cycle = |numbers: std::ops::Range<u32>| {
        let mut living = std::collections::VecDeque::new();
        let end_one = |living: &mut std::collections::VecDeque<(std::path::PathBuf, Group)>| {
            let Some((bundle, group)) = living.pop_front() else { return };
            drop(group);
            std::fs::remove_dir_all(bundle).unwrap();
        };
        for number in numbers {
            let name = format!("churn-{}-{number}", std::process::id());
            let bundle = dir.path().join("default").join(&name);
            std::fs::create_dir_all(&bundle).unwrap();
            std::fs::write(bundle.join("config.json"), json.replace("NAME", &name)).unwrap();
            living.push_back((bundle, Group::new(&unified, &format!("/default/{name}"))));
            if living.len() > 200 {
                end_one(&mut living);
            }
        }
        while !living.is_empty() {
            end_one(&mut living);
        }
    };
    // What is gone is remembered for a few seconds; then nothing may be left of it. Some others may run here.
    let settled = |at_least: u64| {
        let end = std::time::Instant::now() + sensor_tests::deadline();
        loop {
            let read =
                std::fs::read(&stats).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
            let identity = read.map(|stats| {
                (stats["kinds"]["cgroup_rmdir"]["submitted"].as_u64(), stats["identity"].clone())
            });
            if let Some((Some(seen), identity)) = identity
                && seen >= at_least
                && identity["containers"].as_u64() < Some(60)
            {
                return (resident(sensor.pid()), identity);
            }
            assert!(std::time::Instant::now() < end, "containers are not forgotten");
            // The accounts change once a second; looking all the time would only keep the sensor from its work.
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    cycle(0..1000);
    let (before, _) = settled(1000);
    cycle(1000..20_000);
    let (after, identity) = settled(20_000);
    println!("resident after 1,000 containers {before} KiB, after 20,000 {after} KiB; {identity}");
    // A busy sensor may come too late for many of them; those it found had something to leave behind.
    assert!(identity["answers"]["bundle"].as_u64() > Some(2_000), "{identity}");
    assert!(after - before < 5 << 10, "{before} KiB, then {after} KiB");
    assert!(sensor.stop().success(), "{}", sensor.stderr());
}
