//! Calls whose arguments are numbers: what reaches into other processes, and ways into the kernel. Everything here aims at the
//! helper itself or asks for what the kernel refuses.

use sensor_tests::{Act, Done, Event, Sensor, exclusive, needs_32_bit_calls, needs_kernel, shared};
use serde_json::json;

/// Runs steps and gives the events of such calls; what the program does by itself before (`mprotect`) is left out.
#[track_caller]
fn calls(steps: &[&[&str]], kinds: &[&str]) -> (Done, Vec<Event>) {
    let (done, mut events) = Act::new(steps.join(&"--")).seen_by(&shared());
    let start = events.iter().rposition(Event::is_exec).unwrap_or(0);
    events.drain(..start);
    events.retain(|event| kinds.contains(&event.kind()));
    (done, events)
}

/// Type, result and the first `n` arguments.
fn said(events: &[Event], n: usize) -> Vec<(&str, i64, Vec<i64>)> {
    events.iter().map(|event| (event.kind(), event.result(), event.numbers()[..n].to_vec())).collect()
}

#[test]
fn proc_trace_every_call() {
    needs_kernel!();
    let (done, events) = calls(
        &[
            &["ptrace", "16", "999999999", "0", "0"],
            &["ptrace", "3", "999999999", "0", "0"],
            &["process_vm_readv", "999999999", "0", "0", "0", "0"],
            &["process_vm_writev", "999999999", "0", "0", "0", "0"],
            &["pidfd_getfd", "77", "5", "0"],
        ],
        &["ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd"],
    );
    let found = said(&events, 2);
    let results: Vec<_> = (0..5).map(|step| done.result(step)).collect();
    assert_eq!(found.iter().map(|(_, result, _)| *result).collect::<Vec<_>>(), results);
    assert_eq!(results[..2], [-3, -3]);
    let arguments: Vec<_> = found.iter().map(|(kind, _, args)| (*kind, args[0], args[1])).collect();
    assert_eq!(
        arguments,
        [
            ("ptrace", 16, 999_999_999),
            ("ptrace", 3, 999_999_999),
            ("process_vm_readv", 999_999_999, 0),
            ("process_vm_writev", 999_999_999, 0),
            ("pidfd_getfd", 77, 5),
        ]
    );
}

#[test]
fn proc_signal_every_call() {
    needs_kernel!();
    let own = std::process::id();
    let (done, events) = calls(
        &[
            &["kill", "999999999", "15"],
            &["tkill", "999999999", "9"],
            &["tgkill", "999999999", "999999998", "0"],
            &["kill", "0", "99"],
            &["pidfd_send_signal", "77", "9", "0", "0"],
            &["pidfd_open", &own.to_string(), "0"],
            &["pidfd_send_signal", "3", "0", "0", "0"],
        ],
        &["kill", "tkill", "tgkill", "pidfd_send_signal"],
    );
    assert_eq!(done.result(3), -22);
    assert_eq!(
        said(&events, 2),
        [
            ("kill", -3, vec![999_999_999, 15]),
            ("tkill", -3, vec![999_999_999, 9]),
            ("tgkill", -3, vec![999_999_999, 999_999_998]),
            ("kill", -22, vec![0, 99]),
            ("pidfd_send_signal", -9, vec![77, 9]),
            ("pidfd_send_signal", 0, vec![3, 0]),
        ]
    );
    // The process is known, not the number alone.
    assert_eq!(events[4].numbers()[4], 0);
    assert_eq!(events[5].numbers()[4], i64::from(own));
}

#[test]
fn kernel_mod_every_call() {
    needs_kernel!();
    let (done, events) = calls(
        &[
            &["openat", "-100", "/dev/null", "0", "0"],
            &["init_module", "0", "0", "debug=1"],
            &["finit_module", "3", "a=b c", "1"],
            &["finit_module", "77", "", "0"],
            &["delete_module", "no_such_module", "2048"],
        ],
        &["init_module", "finit_module", "delete_module"],
    );
    let kinds: Vec<_> = events.iter().map(|event| (event.kind(), event.result())).collect();
    let results = [1, 2, 3, 4].map(|step| done.result(step));
    assert!(results.iter().all(|result| *result < 0), "{results:?}");
    assert_eq!(
        kinds,
        [
            ("init_module", results[0]),
            ("finit_module", results[1]),
            ("finit_module", results[2]),
            ("delete_module", results[3])
        ]
    );
    let texts: Vec<_> = events.iter().map(|event| event["/detail/text"].as_str().unwrap_or("")).collect();
    assert_eq!(texts, ["debug=1", "a=b c", "", "no_such_module"]);
    assert_eq!((events[1].path(), events[1].numbers()[2]), ("/dev/null", 1));
    assert_eq!((&events[2]["/detail/file"], events[3].numbers()[1]), (&json!(null), 2048));
}

#[test]
fn kernel_entries_every_call() {
    needs_kernel!();
    let (done, events) = calls(
        &[
            &["bpf", "5", "0", "0"],
            // Type 1 (software), size, configuration 9 (nothing); this process, any CPU.
            &["perf_event_open", "1,128,9", "0", "-1", "-1", "0"],
            &["keyctl", "0", "-3", "0", "0", "0"],
            &["io_uring_setup", "8", "0,0,0"],
        ],
        &["bpf", "perf_event_open", "keyctl", "io_uring_setup"],
    );
    let results: Vec<_> = (0..4).map(|step| done.result(step)).collect();
    let kinds: Vec<_> = events.iter().map(|event| (event.kind(), event.result())).collect();
    assert_eq!(
        kinds,
        [
            ("bpf", results[0]),
            ("perf_event_open", results[1]),
            ("keyctl", results[2]),
            ("io_uring_setup", results[3]),
        ]
    );
    assert!(results[0] < 0);
    assert_eq!(events[0].numbers()[0], 5);
    assert_eq!(events[1].numbers()[1..], [0, -1, -1, 0, 1 << 32 | 9]);
    assert_eq!(events[2].numbers()[..2], [0, -3]);
    // Where this machine allows it, the kernel has written what it made.
    let sizes = if results[3] >= 0 { [8, 16] } else { [0, 0] };
    assert_eq!((events[3].numbers()[0], &events[3].numbers()[2..4]), (8, &sizes[..]));
}

#[test]
fn mem_create_and_its_kin() {
    needs_kernel!();
    let name = "x".repeat(240);
    let (done, events) = calls(
        &[
            &["memfd_create", "payload", "1"],
            &["memfd_create", &name, "0"],
            &["memfd_create", "bad", "4096"],
            &["userfaultfd", "1"],
            &["userfaultfd", "77777"],
            &["set-name", "15", "renamed"],
            &["prctl", "38", "1", "0", "0", "0"],
        ],
        &["memfd_create", "userfaultfd", "prctl"],
    );
    let results: Vec<_> = (0..7).map(|step| done.result(step)).collect();
    assert_eq!(events.iter().map(Event::result).collect::<Vec<_>>(), results);
    let texts: Vec<_> = events.iter().map(|event| event["/detail/text"].as_str().unwrap_or("")).collect();
    assert_eq!(texts, ["payload", &*name, "bad", "", "", "renamed", ""]);
    assert_eq!((results[2], results[4]), (-22, -22));
    assert_eq!(events[6].numbers()[..2], [38, 1]);
    assert_eq!(events[5]["/task/comm"], "renamed");
}

#[test]
fn control_every_call_by_a_32_bit_caller() {
    needs_kernel!();
    needs_32_bit_calls!();
    let kinds = ["ptrace", "kill", "io_uring_setup", "memfd_create"];
    let (done, events) = calls(
        &[
            &["ptrace32", "16", "999999999", "0", "0"],
            &["kill32", "999999999", "10"],
            &["io_uring_setup32", "0", "0,0,0"],
            &["memfd_create32", "from32", "0"],
        ],
        &kinds,
    );
    let results: Vec<_> = (0..4).map(|step| done.result(step)).collect();
    assert!(results[..3].iter().all(|result| *result < 0) && results[3] >= 0, "{results:?}");
    let found: Vec<_> = events.iter().map(|event| (event.kind(), event.result())).collect();
    assert_eq!(found, kinds.into_iter().zip(results).collect::<Vec<_>>());
    assert!(events.iter().all(|event| event["compat"] == true));
    assert_eq!(
        (events[0].numbers()[..2].to_vec(), events[1].numbers()[..2].to_vec()),
        (vec![16, 999_999_999], vec![999_999_999, 10])
    );
    assert_eq!(events[3]["/detail/text"], "from32");
}

/// Without a filter that names it nobody sees it: whoever reads such an event grows his heap, and makes the next one.
#[test]
fn mem_protect_is_seen_where_it_is_asked_for() {
    needs_kernel!();
    let _alone = exclusive();
    let life = "evt.type in (fork, vfork, clone, clone3, execve, procexit)";
    let sensor = Sensor::start(&[
        "--kinds",
        "mem_protect",
        &format!("{life} or (evt.type = mprotect and proc.name = act)"),
    ]);
    let (done, mut events) =
        Act::new(["mprotect", "4096", "4096", "5", "--", "mprotect", "8192", "4096", "1"]).seen_by(&sensor);
    events.retain(|event| event.kind() == "mprotect" && [4096, 8192].contains(&event.numbers()[0]));
    assert_eq!([done.result(0), done.result(1)], [-12, -12]);
    let expected = [("mprotect", -12, vec![4096, 4096, 5]), ("mprotect", -12, vec![8192, 4096, 1])];
    assert_eq!(said(&events, 3), expected);
}

#[test]
fn mem_protect_is_not_seen_otherwise() {
    needs_kernel!();
    let (_, events) = Act::new(["mprotect", "4096", "4096", "5"]).seen_by(&shared());
    assert!(!events.iter().any(|event| event.kind() == "mprotect"));
}
