//! Standard input, output and error that become something else; other descriptors are nobody's business.

use std::fs;

use sensor_tests::{Act, Done, Event, called, needs_32_bit_calls, needs_kernel, shared};
use serde_json::json;

#[track_caller]
fn dups(steps: &[&[&str]]) -> (Done, Vec<Event>) {
    let (done, mut events) = Act::new(steps.join(&"--")).seen_by(&shared());
    // What happened before `act` began is the test's.
    let start = events.iter().rposition(Event::is_exec).unwrap_or(0);
    events.drain(..start);
    events.retain(Event::is_dup);
    (done, events)
}

fn fds(events: &[Event]) -> Vec<(&str, i64, i64, i64)> {
    let number = |event: &Event, name: &str| event[name].as_i64().unwrap();
    let of = |event: &Event| (event.result(), number(event, "/detail/fd"), number(event, "/detail/old_fd"));
    events.iter().map(|event| (event.kind(), of(event).0, of(event).1, of(event).2)).collect()
}

#[test]
fn fd_dup_every_call() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(dir.path()).unwrap().join("data");
    fs::write(&path, "x").unwrap();
    let path = path.to_str().unwrap();
    let (done, events) = dups(&[
        &["openat", "-100", path, "0", "0"],
        &["dup2", "3", "0"],
        &["dup3", "3", "2", "524288"],
        &["close", "0"],
        &["dup", "3"],
        &["close", "0"],
        &["fcntl", "3", "0", "0"],
        &["close", "0"],
        &["fcntl", "3", "1030", "0"],
        // Not these three, or not at all.
        &["dup", "3"],
        &["dup2", "3", "9"],
        &["fcntl", "3", "1", "0"],
        &["fcntl", "3", "0", "5"],
        &["dup2", "77", "1"],
        &["dup3", "1", "1", "0"],
        &["dup", "77"],
    ]);
    assert_eq!([4, 6, 8, 9, 12].map(|step| done.result(step)), [0, 0, 0, 4, 5]);
    assert_eq!(
        fds(&events),
        [
            (called("dup2"), 0, 0, 3),
            ("dup3", 2, 2, 3),
            ("dup", 0, 0, 3),
            ("fcntl", 0, 0, 3),
            ("fcntl", 0, 0, 3),
            (called("dup2"), -9, 1, 77),
            ("dup3", -22, 1, 1),
        ]
    );
    assert!(events[..5].iter().all(|event| event.path() == path && event["/detail/file/ino"].is_u64()));
    assert_eq!([1, 3, 4].map(|at| events[at]["/detail/flags"].as_u64()), [524_288, 0, 1030].map(Some));
    assert!(events[5]["/detail/file"].is_null() && events[5]["/detail/socket"].is_null());
}

#[test]
fn fd_dup_of_a_connection() {
    needs_kernel!();
    let (_, events) = dups(&[
        &["socket", "2", "1", "0"],
        &["bind", "3", "127.0.0.1:0"],
        &["listen", "3", "5"],
        &["socket", "2", "1", "0"],
        &["connect-to-port-of", "4", "3", "127.0.0.1"],
        &["dup2", "4", "0"],
        &["socket", "10", "2", "0"],
        &["dup2", "5", "2"],
    ]);
    assert_eq!(fds(&events), [(called("dup2"), 0, 0, 4), (called("dup2"), 2, 2, 5)]);
    let socket = |at: usize, name: &str| events[at][&*format!("/detail/socket/{name}")].clone();
    assert_eq!(
        (socket(0, "domain"), socket(0, "type"), socket(0, "protocol")),
        (json!(2), json!(1), json!(6))
    );
    assert_eq!(socket(0, "remote/ip"), "127.0.0.1");
    assert_eq!((socket(1, "domain"), socket(1, "remote")), (json!(10), json!(null)));
}

#[test]
fn fd_dup_by_a_32_bit_caller() {
    needs_kernel!();
    needs_32_bit_calls!();
    let (_, events) = dups(&[
        &["openat", "-100", "/dev/null", "0", "0"],
        &["dup232", "3", "0"],
        &["close", "0"],
        &["fcntl32", "3", "0", "0"],
        &["close", "0"],
        &["fcntl64-32", "3", "0", "0"],
    ]);
    assert_eq!(fds(&events), [("dup2", 0, 0, 3), ("fcntl", 0, 0, 3), ("fcntl", 0, 0, 3)]);
    assert!(events.iter().all(|event| event["compat"] == true && event.path() == "/dev/null"));
}
