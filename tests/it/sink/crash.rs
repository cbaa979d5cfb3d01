//! What a daemon that is killed loses of its alerts.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use sensor_tests::{
    alerts, needs_kernel, vedette,
    webhook::{Fate, Webhook},
};
use serde_json::{Value, json};

use super::{Place, assert_sums};

/// Milliseconds before a kill from which on nothing may be missing: the flush interval of 100 ms, and what this machine may
/// take to write.
const LATEST: u64 = 1000;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}

/// The time of an alert as milliseconds since 1970.
fn milliseconds(time: &str) -> u64 {
    time.parse::<jiff::Timestamp>().unwrap().as_millisecond().cast_unsigned()
}

/// The same of this moment.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A daemon whose alerts go to a file: a test may want a million of them.
struct Writing {
    child: Child,
    alerts: PathBuf,
    dir: tempfile::TempDir,
}

impl Writing {
    fn start(place: &Place, sinks: &Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (alerts, words) = (dir.path().join("stdout"), dir.path().join("stderr"));
        let rules = place.dir.path().join("rules.d").display().to_string();
        let child = Command::new(vedette())
            .args(["run", "--json", "--set", &format!("sinks={sinks}")])
            .args(alerts::flags(dir.path(), &rules))
            .stdin(Stdio::null())
            .stdout(File::create(&alerts).unwrap())
            .stderr(File::create(&words).unwrap())
            .spawn()
            .unwrap();
        until("it watches", || fs::read_to_string(&words).unwrap().contains("watching"));
        Self { child, alerts, dir }
    }

    /// Its accounts; null where there are none yet.
    fn stats(&self) -> Value {
        let text = fs::read(self.dir.path().join("stats.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Ids and times of all alerts; half a line at the end does not count.
    fn alerts(&self) -> Vec<(String, String)> {
        let mut alerts = Vec::new();
        for line in BufReader::new(File::open(&self.alerts).unwrap()).lines() {
            let line = line.unwrap();
            let Some((id, time)) =
                line.strip_prefix("{\"uuid\":\"").and_then(|rest| rest.split_once("\",\"time\":\""))
            else {
                break;
            };
            let Some((time, _)) = time.split_once('"').filter(|_| line.ends_with('}')) else { break };
            alerts.push((id.to_owned(), time.to_owned()));
        }
        alerts
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a number of a process that is not waited for yet, so it is ours.
        assert_eq!(unsafe { libc::kill(self.child.id().cast_signed(), signal) }, 0);
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds.
#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + sensor_tests::deadline();
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// By hand: `VEDETTE_TEST_ALERTS=1000000 VEDETTE_TEST_KILLS=5 VEDETTE_TEST_PACE=0`, of a release build.
#[test]
fn sink_crashes_lose_nothing_but_the_last_moment() {
    needs_kernel!();
    let alerts = number("VEDETTE_TEST_ALERTS", 12_000);
    let kills = number("VEDETTE_TEST_KILLS", 2);
    // Milliseconds of rest after every eight: many flush intervals long, a kill can only cost a part of it.
    let pace = number("VEDETTE_TEST_PACE", 4) as u64;
    let place = Place::new();
    // Before each kill it takes nothing, and what waits is older than what a kill may cost.
    let shut = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&shut);
    // A third of all requests fail: half of these after the records were taken.
    let hook = Webhook::start(false, move |number| match number % 6 {
        _ if asked.load(Ordering::Relaxed) => Fate::Refused(503),
        1 => Fate::Refused(503),
        4 => Fate::TakenInSecret(500),
        _ => Fate::Taken,
    });
    let sinks = json!({ "hook": place.webhook(&hook) });
    // Ids, and how many milliseconds before a kill they were decided, where there was one.
    let mut expected: Vec<(String, Option<u64>)> = Vec::new();
    let share = alerts / (kills + 1);
    for round in 0..=kills {
        let mut daemon = Writing::start(&place, &sinks);
        let opens = if round < kills { share / 2 } else { share };
        let file = place.file();
        for opened in 0..opens {
            shut.store(round < kills && opened >= opens / 2, Ordering::Relaxed);
            File::open(&file).unwrap();
            if opened % 8 == 0 && pace > 0 {
                thread::sleep(Duration::from_millis(pace));
            }
        }
        if round < kills {
            until("some wait for long", || {
                daemon.stats()["sinks"]["hook"]["oldest_ms"].as_u64() > Some(2 * LATEST)
            });
            // In the middle of more of it.
            let load = thread::spawn(move || (0..share / 2).for_each(|_| drop(File::open(&file).unwrap())));
            thread::sleep(Duration::from_millis(20));
            daemon.signal(libc::SIGKILL);
            let killed = now();
            load.join().unwrap();
            daemon.child.wait().unwrap();
            expected.extend(
                daemon
                    .alerts()
                    .into_iter()
                    .map(|(id, time)| (id, Some(killed.saturating_sub(milliseconds(&time))))),
            );
        } else {
            until("every alert is delivered", || {
                let stats = daemon.stats();
                let sink = &stats["sinks"]["hook"];
                stats["queue"]["taken"].as_u64() >= Some(opens as u64)
                    && sink["waiting"] == 0
                    && sink["taken"].as_u64() >= Some(opens as u64)
            });
            daemon.signal(libc::SIGTERM);
            assert!(daemon.child.wait().unwrap().success());
            assert_sums(&daemon.stats()["sinks"]["hook"]);
            expected.extend(daemon.alerts().into_iter().map(|(id, _)| (id, None)));
        }
    }
    let times = hook.times();
    let missing: Vec<Option<u64>> =
        expected.iter().filter(|(id, _)| !times.contains_key(id)).map(|(_, age)| *age).collect();
    let twice: u64 = times.values().map(|times| times - 1).sum();
    let oldest = missing.iter().flatten().max().copied().unwrap_or_default();
    println!(
        "{} alerts, {kills} kills: {} missing, decided at most {oldest} ms before a kill; {twice} duplicates",
        expected.len(),
        missing.len()
    );
    assert!(missing.iter().all(Option::is_some), "without a kill nothing is missing");
    assert!(oldest < LATEST, "an alert is missing that was decided {oldest} ms before a kill");
    assert!(twice > 0, "the server took records and said that it had not");
}
