//! Refusals that outlive the sensor: while none runs, from one to the next without a gap, and no longer than is wanted.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use super::*;
use crate::isolate::kept::Pins;

/// What is tried comes to nothing from the first refusal on, whatever becomes of the sensor, until one starts that keeps nothing.
fn outlives(container: &Container, rules: &str, went_well: impl Fn() -> bool + Sync) {
    let pins = Pins::mount();
    let place = format!("respond.pins={}", pins.dir().display());
    let keeping = ["--keep-enforcing", "--set", &place];
    let file = container.path("rules.yaml");
    fs::write(&file, rules).unwrap();
    let first = Watcher::start(&file, &keeping);
    let _ = container.until_forbidden(&first, &went_well);
    first.says("outlives this process");
    first.signal(libc::SIGKILL);
    drop(first);
    for _ in 0..3 {
        assert!(!went_well(), "nobody refuses");
    }
    let (over, tried) = (AtomicBool::new(false), AtomicUsize::new(0));
    let second = thread::scope(|scope| {
        let trier = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert!(!went_well(), "a gap after {} tries", tried.load(Ordering::Relaxed));
                tried.fetch_add(1, Ordering::Relaxed);
            }
        });
        let second = Watcher::start(&file, &keeping);
        second.says("refused in the kernel while no sensor ran");
        second.says("outlives this process");
        let so_far = tried.load(Ordering::Relaxed);
        // One that has panicked says why when the scope ends.
        while tried.load(Ordering::Relaxed) < so_far + 3 && !trier.is_finished() {
            thread::yield_now();
        }
        over.store(true, Ordering::Relaxed);
        second
    });
    // What the first one's programs refused beside it was told of as failed; from then on it is refused by its own.
    let own = |alert: &serde_json::Value| alert["response"]["decision"] == "done-in-kernel";
    let end = Instant::now() + deadline();
    while !second.alerts().iter().any(own) {
        assert!(!went_well(), "it goes well");
        assert!(Instant::now() < end, "never told of: {:?}", second.alerts().last());
    }
    let _ = second.stop();
    assert!(!went_well(), "it ended with a sensor that was to keep it");
    // Another one, which keeps nothing.
    fs::write(&file, "[]").unwrap();
    let third = Watcher::start(&file, &["--set", &place]);
    third.says("has ended: respond.keep_enforcing is off");
    assert!(went_well(), "still refused");
    assert_eq!(sensor::probe::kept_refusals(&pins.dir()), 0);
    let _ = third.stop();
}

#[test]
fn verdict_kept_refuses_connections() {
    let container = container!();
    let program = container.program("client");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let connects = || {
        let steps = ["socket", "2", "1", "0", "--", "connect", "3", &to.to_string()].map(str::to_owned);
        let output = container.command(&program, &steps.each_ref().map(String::as_str)).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        last["result"] == 0
    };
    let condition = format!("evt.type = connect and container.id != host and fd.sport = {}", to.port());
    outlives(&container, &rule("refused", "block", &condition), connects);
}

#[test]
fn verdict_kept_refuses_binds() {
    let container = container!();
    let program = container.program("server");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let binds = || {
        let steps = ["socket", "2", "1", "0", "--", "bind", "3", &free.to_string()].map(str::to_owned);
        let output = container.command(&program, &steps.each_ref().map(String::as_str)).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        last["result"] == 0
    };
    let condition = format!("evt.type = bind and container.id != host and fd.sport = {}", free.port());
    outlives(&container, &rule("refused", "block", &condition), binds);
}

#[test]
fn verdict_kept_refuses_execs() {
    let container = container!();
    if !can_refuse(test_name!(), EXEC) {
        return;
    }
    let forbidden = container.program("kept");
    let runs = || creates(&mut container.command(&forbidden, &["exit", "0"])) == Some(0);
    let condition =
        format!("evt.type = execve and container.id != host and proc.exepath = {}", forbidden.display());
    outlives(&container, &rule("refused", "block", &condition), runs);
}
