//! Credentials and namespaces that change, and what the sensor knows of the process afterwards.

use sensor_tests::{Act, Done, Event, needs_32_bit_calls, needs_kernel, shared};
use serde_json::json;

#[track_caller]
fn calls(steps: &[&[&str]]) -> (Done, Vec<Event>) {
    let (done, mut events) = Act::new(steps.join(&"--")).seen_by(&shared());
    let start = events.iter().rposition(Event::is_exec).unwrap_or(0);
    events.drain(..start);
    // The program itself protects memory.
    events.retain(|event| event.kind() != "mprotect");
    (done, events)
}

const NONE: i64 = 0xffff_ffff;

#[test]
fn cred_change_every_call() {
    needs_kernel!();
    let (done, mut events) = calls(&[
        &["setfsgid", "9"],
        &["setfsuid", "9"],
        &["setregid", "-1", "7"],
        &["setresgid", "5", "6", "7"],
        &["setgid", "0"],
        &["setreuid", "-1", "8"],
        &["setresuid", "-1", "0", "-1"],
        &["setresuid", "1", "2", "3"],
        &["setuid", "0"],
        &["setgid", "4"],
    ]);
    events.retain(Event::is_call);
    let results: Vec<_> = (0..10).map(|step| done.result(step)).collect();
    assert_eq!(results[2..], [0, 0, 0, 0, 0, 0, -1, -1]);
    let said: Vec<_> = events.iter().map(|event| (event.kind(), event.result(), event.numbers())).collect();
    let expected: [(&str, i64, [i64; 3]); 10] = [
        ("setfsgid", 0, [9, 0, 0]),
        ("setfsuid", 0, [9, 0, 0]),
        ("setregid", 0, [NONE, 7, 0]),
        ("setresgid", 0, [5, 6, 7]),
        ("setgid", 0, [0, 0, 0]),
        ("setreuid", 0, [NONE, 8, 0]),
        ("setresuid", 0, [NONE, 0, NONE]),
        ("setresuid", 0, [1, 2, 3]),
        ("setuid", -1, [0, 0, 0]),
        ("setgid", -1, [4, 0, 0]),
    ];
    // How many arguments a call has is in its type: the registers behind them hold anything.
    let arity = [1, 1, 2, 3, 1, 2, 3, 3, 1, 1];
    for (((said, expected), arity), event) in said.iter().zip(expected).zip(arity).zip(&events) {
        assert_eq!(
            (said.0, said.1, &said.2[..arity]),
            (expected.0, expected.1, &expected.2[..arity]),
            "{event:?}"
        );
    }
    let ids = |at: usize| ["uid", "euid", "gid", "egid"].map(|id| events[at]["task"][id].as_u64().unwrap());
    // The credentials are those after the call.
    assert_eq!(
        [ids(3), ids(4), ids(5), ids(7), ids(8)],
        [[0, 0, 5, 6], [0, 0, 0, 0], [0, 8, 0, 0], [1, 2, 0, 0], [1, 2, 0, 0],]
    );
    // And what the process may do is gone with them.
    assert_ne!(events[6]["/process/cap_permitted"], 0);
    assert_eq!(events[8]["/process/cap_permitted"], 0);
}

#[test]
fn cred_change_by_a_32_bit_caller() {
    needs_kernel!();
    needs_32_bit_calls!();
    let (done, mut events) = calls(&[
        &["setgid32", "70000"],
        &["setreuid16-32", "65535", "8"],
        &["setresuid32", "-1", "0", "-1"],
        &["setuid16-32", "65535"],
        &["setuid32", "70001"],
    ]);
    events.retain(Event::is_call);
    assert_eq!([0, 1, 2, 3, 4].map(|step| done.result(step)), [0, 0, 0, -22, 0]);
    assert!(events.iter().all(|event| event["compat"] == true));
    let said: Vec<_> = events.iter().map(|event| (event.kind(), event.numbers()[0])).collect();
    assert_eq!(
        said,
        [("setgid", 70_000), ("setreuid", NONE), ("setresuid", NONE), ("setuid", NONE), ("setuid", 70_001)]
    );
    assert_eq!(events[4]["/task/euid"], 70_001);
}

#[test]
fn cred_caps_are_what_was_asked_for_and_what_came_of_it() {
    needs_kernel!();
    // Version 3 and the caller; effective, permitted and inheritable in two halves.
    let (done, mut events) = calls(&[
        &["capset", "537396514,0", "1,2097153,4,0,256,0"],
        &["capset", "537396514,0", "2,3,0,0,0,0"],
        &["capset", "77,0", "0"],
    ]);
    events.retain(Event::is_call);
    assert_eq!([0, 1, 2].map(|step| done.result(step)), [0, -1, -22], "{:?}", done.steps);
    let sets = |at: usize| events[at].numbers()[2..5].to_vec();
    assert_eq!(sets(0), [1, 256 << 32 | 2_097_153, 4]);
    assert_eq!(sets(1), [2, 3, 0], "refused: what was asked for");
    assert_eq!(events[1]["/task/cap_effective"], 1);
    assert_eq!(events[1]["/process/cap_permitted"], 256_i64 << 32 | 2_097_153);
    assert_eq!(events[1]["/process/cap_inheritable"], 4);
}

#[test]
fn ns_change_is_seen_in_the_process_afterwards() {
    needs_kernel!();
    const NEWNET: &str = "1073741824";
    let (done, mut events) = calls(&[
        &["openat", "-100", "/proc/self/ns/net", "0", "0"],
        &["unshare", "131072"],
        &["unshare", NEWNET],
        &["setns", "3", NEWNET],
        &["setns", "3", "131072"],
        &["setns", "77", "0"],
        &["unshare", "1"],
    ]);
    let mine = events[0].clone();
    events.retain(Event::is_call);
    assert_eq!([1, 2, 3, 4, 5, 6].map(|step| done.result(step)), [0, 0, 0, -22, -9, -22], "{:?}", done.steps);
    let kinds: Vec<_> = events.iter().map(|event| (event.kind(), event.numbers()[0])).collect();
    assert_eq!(
        kinds,
        [
            ("unshare", 131_072),
            ("unshare", 1 << 30),
            ("setns", 3),
            ("setns", 3),
            ("setns", 77),
            ("unshare", 1)
        ]
    );
    let net = |event: &Event| event["/process/namespaces/net"].as_u64().unwrap();
    assert_ne!(events[0]["/task/mnt_ns"], mine["/task/mnt_ns"]);
    assert_eq!(net(&events[0]), net(&mine));
    assert_ne!(net(&events[1]), net(&mine));
    assert_eq!(net(&events[2]), net(&mine));
    // A namespace's file has its number.
    assert_eq!(events[2]["/detail/file/ino"].as_u64(), Some(net(&mine)));
    assert_eq!(events[4]["/detail/file"], json!(null));
}
