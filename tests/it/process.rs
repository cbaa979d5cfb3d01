//! Processes come and go: forks of every kind, ancestry, ends.

use std::collections::HashMap;

use sensor::event::{Detail, Event as Typed};
use sensor_tests::{
    Act, Event, Sensor,
    act::program,
    called, exclusive, needs_32_bit_calls, needs_kernel,
    recorded::{play, record},
    scaled, shared,
};

use crate::exec::{execs, steps};

fn exit_of(sensor: &Sensor, pid: u32) -> Event {
    sensor.until_exit(pid).into_iter().find(Event::is_exit).unwrap()
}

#[test]
fn proc_fork_every_call() {
    needs_kernel!();
    let flags = libc::CLONE_FS | libc::CLONE_FILES;
    let shared_flags = flags.to_string();
    let list = [
        &["fork", "1", "--", "clone", "0", "2", "--", "clone", &shared_flags, "3", "--"][..],
        &["clone3", "0", "4", "--", "clone3", &shared_flags, "5", "--"],
        &["vfork-exec", "ACT", "exit", "6"],
    ]
    .concat();
    let sensor = shared();
    let (done, events) = Act::new(steps(&list)).seen_by(&sensor);
    let forks: Vec<&Event> = events.iter().filter(|event| event.is_fork()).collect();
    let types: Vec<&str> = forks.iter().map(|event| event.kind()).collect();
    assert_eq!(types, ["fork", "clone", "clone", "clone3", "clone3", "vfork"].map(called));
    let shown = forks.iter().map(|event| event["/detail/flags"].as_u64().unwrap() as i32).collect::<Vec<_>>();
    assert_eq!(shown, [0, 0, flags, 0, flags, libc::CLONE_VM]);
    for (step, fork) in forks.iter().enumerate() {
        let child = done.result(step) as u32;
        assert_eq!(fork.child(), Some(child));
        assert_eq!(fork["/detail/child_vpid"], child);
        assert_eq!(fork["/task/pid"], done.pid);
        assert_eq!(fork["compat"], false);
        let exit = exit_of(&sensor, child);
        assert_eq!(exit["/detail/status"], (step as u64 + 1) << 8);
        assert_eq!(exit["/detail/status"], done.steps[step]["status"]);
        assert_eq!(exit["/task/ppid"], done.pid);
        assert_eq!(exit["/process/ppid"], done.pid);
        assert_eq!(exit["/process/start"], fork["/detail/child/start"]);
    }
    // Until it execs a child has the image of its creator.
    let child = sensor.until_exit(done.result(0) as u32);
    assert_eq!(child[0]["/process/args"], execs(&events)[0]["/process/args"]);
}

#[test]
fn proc_fork_every_call_by_a_32_bit_caller() {
    needs_kernel!();
    needs_32_bit_calls!();
    let (done, events) = Act::new(["fork32", "7"]).seen_by(&shared());
    let fork = events.iter().find(|event| event.is_fork()).expect("it forks");
    assert_eq!((fork.kind(), fork.child()), ("fork", Some(done.result(0) as u32)));
    assert_eq!(fork["compat"], true);
}

#[test]
fn proc_fork_with_the_callers_parent() {
    needs_kernel!();
    let sensor = shared();
    let done = Act::new(["clone-parent", "9"]).run();
    let (second, first) = (done.result(0) as u32, done.said(0, "by").as_u64().unwrap() as u32);
    let events = sensor.until_exit(first);
    let fork = events.iter().find(|event| event.is_fork()).expect("the first child forks");
    assert_eq!(fork.child(), Some(second));
    let exit = exit_of(&sensor, second);
    assert_eq!(exit["/task/ppid"], done.pid);
    assert_eq!(exit["/process/ppid"], done.pid, "its parent is the caller's");
    assert_eq!(exit["/process/vppid"], done.pid);
    assert_eq!(exit["/detail/status"], 9 << 8);
}

#[test]
fn proc_fork_of_a_daemon_keeps_its_creator() {
    needs_kernel!();
    let sensor = shared();
    let done = Act::new(["double-fork", "2"]).run();
    let (second, first) = (done.result(0) as u32, done.said(0, "by").as_u64().unwrap());
    let events = sensor.until_exit(second);
    let open = events.iter().find(|event| event.path() == "/dev/null").expect("it opened a file");
    // Now, and at the beginning.
    assert_eq!(open["/task/ppid"], *done.said(0, "adopted_by"));
    assert_eq!(open["/process/ppid"], first);
    assert_eq!(events.last().unwrap()["/detail/status"], 2 << 8);
}

#[test]
fn proc_exit_signals_and_codes() {
    needs_kernel!();
    let sensor = shared();
    let list =
        ["killed-child", "9", "--", "killed-child", "15", "--", "killed-child", "6", "--", "exit", "255"];
    let done = Act::new(list).run();
    for (step, signal) in [9, 15, 6].into_iter().enumerate() {
        let exit = exit_of(&sensor, done.result(step) as u32);
        assert_eq!(exit["/detail/status"], done.steps[step]["status"]);
        assert_eq!(exit["/detail/status"].as_u64().unwrap() & 0x7f, signal);
    }
    assert_eq!(done.code, 255);
    let exit = exit_of(&sensor, done.pid);
    assert_eq!(exit["/detail/status"], 255 << 8);
    // The lifetime is what lies between the two events, to the microseconds that the fork itself takes.
    let fork = sensor.event_of(std::process::id(), "the fork", |event| event.child() == Some(done.pid));
    let between = exit["boot_time"].as_u64().unwrap() - fork["boot_time"].as_u64().unwrap();
    let lifetime = exit["/detail/lifetime"].as_u64().unwrap();
    assert!(lifetime >= between, "{lifetime} against {between}");
    assert_eq!(lifetime, exit["boot_time"].as_u64().unwrap() - exit["/process/start"].as_u64().unwrap());
}

#[test]
fn proc_exit_of_many_threads_comes_once() {
    needs_kernel!();
    let sensor = shared();
    let done: Vec<_> = (0..20).map(|_| Act::new(["threads-exit", "7", "3"]).run()).collect();
    for done in done {
        let exits = sensor.until_exit(done.pid).iter().filter(|event| event.is_exit()).count();
        assert_eq!(exits, 1);
        let exit = exit_of(&sensor, done.pid);
        assert_eq!((done.code, &exit["/detail/status"]), (3, &serde_json::json!(3 << 8)));
        assert_eq!(exit["/process/pid"], done.pid);
    }
    // Threads are not processes.
    let end = Act::new(["exit", "0"]).run();
    let exits: Vec<Event> = sensor.until_exit(end.pid);
    assert!(exits.iter().all(|event| !event.is_fork()));
}

#[test]
fn proc_exec_ancestry_of_32() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rec");
    let list = steps(&["chain", "32", "ACT", "the-last", "exit", "11"]);
    let (done, _) = record(&file, &[], || Act::new(list).run());
    let (events, _) = play(&file);
    let last = events
        .iter()
        .find(|event| event.process.args.iter().next() == Some(b"the-last") && event.result == 0)
        .expect("the last one execs");
    let parents: HashMap<u32, u32> = events
        .iter()
        .filter_map(|event| match &event.detail {
            Detail::Fork(fork) => Some((fork.child.pid, event.task.pid)),
            _ => None,
        })
        .collect();
    let mut pid = last.task.pid;
    let mut expected = Vec::new();
    while let Some(parent) = parents.get(&pid) {
        expected.push(*parent);
        pid = *parent;
    }
    let found: Vec<u32> = last.process.ancestors().map(|ancestor| ancestor.key.pid).collect();
    // Up to this test by forks that were seen, and beyond it by what `/proc` said.
    assert_eq!(found[..expected.len()], expected);
    assert_eq!(found[31], done.pid);
    assert_eq!(found[32], std::process::id());
    assert_eq!(found.last(), Some(&1));
}

/// Exactly one exec, fork and exit for each of ten thousand processes, with the right arguments, parent and code.
#[test]
fn proc_exec_ten_thousand() {
    needs_kernel!();
    let times = scaled(10_000);
    let _alone = exclusive();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rec");
    let list = steps(&["spawn-storm", &times.to_string(), "ACT"]);
    // Opens of the storm's own are of no interest here, and five times as many.
    let kinds = ["--kinds", "proc_exec,proc_fork,proc_exit,proc_args"];
    let (done, said) = record(&file, &kinds, || Act::new(list).run());
    assert!(said.ends_with(" 0 lost"), "{said}");
    let (events, stats) = play(&file);
    assert_eq!((stats.gaps, stats.lost, stats.malformed.len()), (0, 0, 0));
    let mine: Vec<&Typed> = events.iter().filter(|event| event.process.ppid == done.pid).collect();
    let of = |wanted: fn(&Detail) -> bool| mine.iter().filter(move |event| wanted(&event.detail));
    let execs: Vec<_> = of(|detail| matches!(detail, Detail::Exec(_))).collect();
    assert_eq!(execs.len(), times);
    let mut codes = HashMap::new();
    for (n, event) in execs.iter().enumerate() {
        assert_eq!(event.result, 0);
        let (code, name) = ((n % 251).to_string(), format!("n{n}"));
        let args: Vec<&[u8]> = event.process.args.iter().collect();
        assert_eq!(
            args,
            [program().as_os_str().as_encoded_bytes(), b"exit", code.as_bytes(), name.as_bytes()]
        );
        assert_eq!(event.process.parent.as_ref().map(|parent| parent.key.pid), Some(done.pid));
        codes.insert(event.process.key, n % 251);
    }
    let mut exits = 0;
    for event in of(|detail| matches!(detail, Detail::Exit(_))) {
        let Detail::Exit(exit) = &event.detail else { continue };
        assert_eq!(exit.code().map(usize::from), codes.remove(&event.process.key));
        exits += 1;
    }
    assert_eq!((exits, codes.len()), (times, 0));
    let forks = events.iter().filter(|event| event.task.pid == done.pid);
    assert_eq!(forks.filter(|event| matches!(event.detail, Detail::Fork(_))).count(), times);
}
