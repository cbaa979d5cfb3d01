//! What happens when it is too much: losses are counted, said, and healed, and the accounts balance.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use sensor_tests::{
    Act, Event, Sensor,
    act::{finish, program},
    daemon::{programs_of, wait_until_unloaded},
    exclusive, needs_kernel, scaled, vedette,
};
use serde_json::Value;

use crate::exec::steps;

/// The accounts that a sensor left behind, checked.
#[track_caller]
fn accounts(file: &Path) -> Value {
    let stats: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let number = |value: &Value| value.as_u64().unwrap();
    let mut submitted = 0;
    for (kind, counts) in stats["kinds"].as_object().unwrap() {
        let parts =
            ["submitted", "filtered", "limited", "ring_full", "failed"].map(|what| number(&counts[what]));
        let sum: u64 = parts.iter().sum();
        assert_eq!(number(&counts["seen"]), sum, "{kind}: {counts}");
        submitted += number(&counts["submitted"]);
    }
    assert_eq!(submitted, number(&stats["received"]), "{stats}");
    let malformed: u64 = stats["malformed"].as_object().unwrap().values().map(number).sum();
    assert_eq!(
        number(&stats["decoded"]) + malformed,
        number(&stats["received"]) + number(&stats["snapshots"])
    );
    let queue = &stats["queue"];
    assert_eq!(number(&queue["offered"]), number(&queue["taken"]) + number(&queue["dropped"]), "{queue}");
    assert_eq!(number(&queue["offered"]), number(&stats["events"]));
    stats
}

/// What a loss event says of a kind: refused by a full ring.
fn lost(event: &Event, kind: &str) -> u64 {
    let list = event["/detail/lost"].as_array().unwrap();
    list.iter().filter(|lost| lost["kind"] == kind).map(|lost| lost["ring_full"].as_u64().unwrap()).sum()
}

fn sensor(ring: &str, stats: &Path) -> Sensor {
    let stats = format!("stats_file={}", stats.display());
    let kinds = ["--kinds", "proc_exec,file_open"];
    Sensor::start(
        &[kinds.as_slice(), &["--set", &format!("kernel.ring_bytes={ring}"), "--set", &stats]].concat(),
    )
}

#[test]
fn loss_of_opens_spares_processes_and_is_said() {
    needs_kernel!();
    let _alone = exclusive();
    let dir = tempfile::tempdir().unwrap();
    let (stats, file) = (dir.path().join("stats"), dir.path().join("file"));
    fs::write(&file, "x").unwrap();
    // A quarter of this holds the lives of about 200 processes, and the rest about 4000 opens.
    let sensor = sensor("1048576", &stats);
    sensor.signal(libc::SIGSTOP);
    let storm = Act::new(["storm", &file.display().to_string(), "2", "10000"]).run();
    let after: Vec<_> = (0..10).map(|n| Act::new(["exit", &n.to_string()]).run()).collect();
    sensor.signal(libc::SIGCONT);
    let loss = sensor.own_event("the loss is said", |event| lost(event, "file_open") > 0);
    assert_eq!(loss.kind(), "loss");
    for kind in ["proc_exec", "proc_fork", "proc_exit", "proc_args"] {
        assert_eq!(lost(&loss, kind), 0, "{kind}: {}", loss["detail"]);
    }
    for (n, done) in after.iter().enumerate() {
        let events = sensor.until_exit(done.pid);
        assert_eq!(events.iter().filter(|event| event.is_exec()).count(), 1);
        assert_eq!(events.last().unwrap()["/detail/status"], (n as u64) << 8);
    }
    let opens = sensor.until_exit(storm.pid).iter().filter(|event| event.is_open()).count() as u64;
    assert!(sensor.stop().success(), "{}", sensor.stderr());
    let stats = accounts(&stats);
    let full = stats["kinds"]["file_open"]["ring_full"].as_u64().unwrap();
    assert!(opens < 20_000 && opens + full >= 20_000, "{opens} came, {full} did not");
    assert_eq!(stats["kinds"]["proc_exec"]["ring_full"], 0);
    assert!(stats["lost"].as_u64().unwrap() >= full);
    assert!(stats["gaps"].as_u64().unwrap() > 0);
}

#[test]
fn loss_of_processes_is_healed() {
    needs_kernel!();
    let _alone = exclusive();
    let dir = tempfile::tempdir().unwrap();
    let stats = dir.path().join("stats");
    let sensor = sensor("65536", &stats);
    sensor.signal(libc::SIGSTOP);
    let storm = Act::new(steps(&["spawn-storm", "300", "ACT"])).run();
    // The ring is full, so of this one nothing is seen before it goes on.
    let list = ["wait-for-input", "--", "openat", "-100", "/dev/null", "0", "0"];
    let unseen = Act::new(list).start();
    sensor.follow(unseen.id());
    sensor.signal(libc::SIGCONT);
    let loss = sensor.own_event("the loss is said", |event| lost(event, "proc_exec") > 0);
    assert!(lost(&loss, "proc_exit") > 0, "{}", loss["detail"]);
    let done = finish(unseen);
    let open = sensor.event_of(done.pid, "the open", |event| event.path() == "/dev/null");
    assert_eq!(open.args()[1..], list);
    assert_eq!(open["/process/exe"], program().display().to_string());
    assert_eq!(open["/process/partial"], Value::Null);
    assert!(sensor.stop().success(), "{}", sensor.stderr());
    let stats = accounts(&stats);
    assert!(stats["lost"].as_u64().unwrap() > 0);
    // Processes whose end was lost are forgotten: there are not 300 more than run here.
    let alive = fs::read_dir("/proc").unwrap().flatten();
    let alive = alive.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok()).count();
    let known = stats["processes"].as_u64().unwrap() as usize;
    assert!(known < alive + 150, "{known} known, {alive} alive, {} made", storm.result(0));
}

/// Starts something that keeps to one processor, with all that it starts.
fn on_one_processor<T>(start: impl FnOnce() -> T) -> T {
    let all = sched_getaffinity(None).unwrap();
    let first = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).unwrap();
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one).unwrap();
    let started = start();
    sched_setaffinity(None, &all).unwrap();
    started
}

/// A scheduler that changes tasks as often as it likes, and at once: a test machine is told to let them go on for longer, and
/// out of the kernel.
struct ShortTurns {
    before: Option<String>,
}

impl ShortTurns {
    const SLICE: &str = "/sys/kernel/debug/sched/base_slice_ns";
    const FEATURES: &str = "/sys/kernel/debug/sched/features";
    /// What the first process of a test machine writes there.
    const LONG: &str = "100000000";

    fn begin() -> Self {
        let before = fs::read_to_string(Self::SLICE).ok().filter(|before| before.trim() == Self::LONG);
        if before.is_some() {
            fs::write(Self::SLICE, "3000000").unwrap();
            fs::write(Self::FEATURES, "HRTICK").unwrap();
        }
        Self { before }
    }
}

impl Drop for ShortTurns {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            fs::write(Self::SLICE, before).unwrap();
            fs::write(Self::FEATURES, "NO_HRTICK").unwrap();
        }
    }
}

/// Where a kernel preempts itself, they interrupt each other within programs, too.
#[test]
fn loss_of_processes_is_none_where_two_storms_share_a_processor() {
    needs_kernel!();
    let _alone = exclusive();
    let (dir, times) = (tempfile::tempdir().unwrap(), scaled(10_000));
    let stats = dir.path().join("stats");
    // Attempts to execute are seen elsewhere, and what is missed there counts as an exec.
    let settings = format!("stats_file={}", stats.display());
    let options = ["--kinds", "proc_exec", "--set", &settings, "--disable-hook", "proc_exec_failed"];
    let sensor = Sensor::start(&options);
    let storm = || Act::new(steps(&["spawn-storm", &times.to_string(), "ACT"])).start();
    let _turns = ShortTurns::begin();
    let rivals = on_one_processor(|| [storm(), storm()]);
    for rival in rivals {
        let _ = finish(rival);
    }
    assert!(sensor.stop().success(), "{}", sensor.stderr());
    let stats = accounts(&stats);
    let of = |kind: &str, what: &str| stats["kinds"][kind][what].as_u64().unwrap();
    let kinds = ["proc_fork", "proc_exec", "proc_exit"];
    for kind in kinds {
        let counts = &stats["kinds"][kind];
        assert_eq!((of(kind, "failed"), of(kind, "ring_full")), (0, 0), "{kind}: {counts}");
        assert!(of(kind, "submitted") >= 2 * times as u64, "{kind}: {counts}");
    }
    let [seen, stood_in] =
        ["seen", "stood_in"].map(|what| kinds.map(|kind| of(kind, what)).iter().sum::<u64>());
    println!("measured: {stood_in} of {seen} beginnings and ends of processes were seen by stand-ins");
}

#[test]
fn loss_behind_a_reader_that_does_not_read() {
    needs_kernel!();
    let _alone = exclusive();
    let dir = tempfile::tempdir().unwrap();
    let (stats, file) = (dir.path().join("stats"), dir.path().join("file"));
    fs::write(&file, "x").unwrap();
    let mut sensor = Command::new(vedette())
        .args(["events", "--json", "--kinds", "file_open", "--set", "kernel.ring_bytes=67108864", "--set"])
        .arg(format!("stats_file={}", stats.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(sensor.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("watching") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "the sensor ended");
    }
    let programs = programs_of(sensor.id());
    // More than queue and pipe hold.
    let _ = Act::new(["storm", &file.display().to_string(), "2", "50000"]).run();
    // SAFETY: a child that is not waited for yet.
    unsafe { libc::kill(sensor.id().cast_signed(), libc::SIGTERM) };
    // It has taken all that there was, and nobody has read any of it.
    wait_until_unloaded(&programs);
    let lines = BufReader::new(sensor.stdout.take().unwrap()).split(b'\n').count() as u64;
    let mut end = String::new();
    said.read_to_string(&mut end).unwrap();
    assert!(sensor.wait().unwrap().success(), "{end}");
    let stats = accounts(&stats);
    let dropped = stats["queue"]["dropped"].as_u64().unwrap();
    assert!(dropped > 0, "{end}");
    assert_eq!(stats["queue"]["taken"], lines);
    assert!(end.contains(&format!("{dropped} not shown")), "{end}");
}
