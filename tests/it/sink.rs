//! Alerts on their way out: what arrives, what waits, what a dead destination or a full disk costs.

mod crash;

use std::{
    collections::HashSet,
    fs::{self, File},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sensor_tests::{
    alerts::Watcher,
    daemon, needs_kernel,
    webhook::{Fate, Webhook},
};
use serde_json::{Value, json};

/// A folder whose reads are alerts, and a rule that says so.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(place.dir.path().join("watched")).unwrap();
        fs::create_dir(place.dir.path().join("rules.d")).unwrap();
        fs::write(place.file(), "x").unwrap();
        let rule = format!(
            "- rule: read\n  desc: a test\n  condition: evt.type = openat and fd.name = {}\n  output: read by %proc.cmdline\n  priority: WARNING\n  tags: [t]\n",
            place.file().display()
        );
        fs::write(place.dir.path().join("rules.d/test.yaml"), rule).unwrap();
        place
    }

    fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("watched/file")
    }

    /// A daemon with these sinks.
    fn watch(&self, sinks: &Value, more: &[&str]) -> Watcher {
        let config = self.dir.path().join("vedette.yaml");
        fs::write(
            &config,
            json!({ "sinks": sinks, "signing_key": self.dir.path().join("signing.key") }).to_string(),
        )
        .unwrap();
        let config = config.display().to_string();
        Watcher::start(&self.dir.path().join("rules.d"), &[&["--config", config.as_str()], more].concat())
    }

    /// What a spool of the test's own needs, and fast tries.
    fn spooled(&self, to: Value) -> Value {
        json!({ "to": to, "spool": { "directory": self.dir.path().join("spool") },
            "retry": { "first_ms": 10, "longest_ms": 100 } })
    }

    fn webhook(&self, hook: &Webhook) -> Value {
        self.spooled(json!({ "webhook": { "url": hook.url() } }))
    }

    /// Reads the file so many times.
    fn read(&self, times: usize) {
        for _ in 0..times {
            File::open(self.file()).unwrap();
        }
    }
}

/// The accounts of a sink hold once it has ended.
#[track_caller]
fn assert_sums(sink: &Value) {
    let at = |name: &str| sink[name].as_u64().unwrap();
    assert_eq!(at("offered"), at("filtered") + at("taken") + at("dropped"), "{sink}");
    let out = at("delivered") + at("refused") + at("expired") + at("overflowed") + at("lost") + at("waiting");
    assert_eq!(at("taken") + at("own") + at("inherited"), out, "{sink}");
}

#[test]
fn sink_that_is_dead_slows_no_other() {
    needs_kernel!();
    let place = Place::new();
    let file = place.dir.path().join("alerts.json");
    let sinks = json!({
        "dead": place.spooled(json!({ "webhook": { "url": "http://127.0.0.1:9/" } })),
        "file": { "to": { "file": { "path": file } } },
        "picky": { "to": { "file": { "path": place.dir.path().join("picky.json") } }, "filter": { "minimum_priority": "critical" } },
    });
    let watcher = place.watch(&sinks, &[]);
    place.read(500);
    let _ = watcher.alert("read", 500);
    let (alerts, stats) = watcher.stop();
    let lines: Vec<Value> =
        fs::read_to_string(&file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids = |alerts: &[Value]| alerts.iter().map(|alert| alert["uuid"].to_string()).collect::<Vec<_>>();
    assert_eq!(ids(&lines), ids(&alerts));
    let numbers: Vec<u64> = lines.iter().map(|line| line["delivery"]["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=alerts.len() as u64).collect::<Vec<_>>());
    let dead = &stats["sinks"]["dead"];
    assert_eq!(dead["waiting"], alerts.len(), "{dead}");
    assert!(dead["failures"]["connection"].as_u64().unwrap() > 0, "{dead}");
    assert_eq!(stats["sinks"]["picky"]["filtered"], alerts.len(), "{}", stats["sinks"]);
    ["dead", "file", "picky"].iter().for_each(|sink| assert_sums(&stats["sinks"][*sink]));
    // It is there after all: what waited is delivered by the next run, in its order.
    let hook = Webhook::start(true, |_| Fate::Taken);
    let watcher = place.watch(&json!({ "dead": place.webhook(&hook) }), &[]);
    let last = alerts.last().unwrap()["uuid"].clone();
    let _ = hook.record("the last alert", |record| record["uuid"] == last);
    let (_, stats) = watcher.stop();
    assert_eq!(ids(&hook.records())[..alerts.len()], ids(&alerts)[..]);
    assert_eq!(stats["sinks"]["dead"]["inherited"], alerts.len());
    assert_sums(&stats["sinks"]["dead"]);
}

#[test]
fn sink_refused_records_are_found_kept_and_told_of() {
    needs_kernel!();
    let place = Place::new();
    // Takes everything but batches and records with the word in them.
    let hook = Webhook::start(true, |number| if number < 7 { Fate::Refused(400) } else { Fate::Taken });
    let watcher = place.watch(&json!({ "hook": place.webhook(&hook) }), &[]);
    place.read(1);
    let first = watcher.alert("read", 1);
    let end = Instant::now() + sensor_tests::deadline();
    let dead = place.dir.path().join("spool/hook.dead.jsonl");
    while fs::read_to_string(&dead).unwrap_or_default().is_empty() {
        assert!(Instant::now() < end, "{}", watcher.stderr());
        thread::sleep(Duration::from_millis(20));
    }
    let letter: Value =
        serde_json::from_str(fs::read_to_string(&dead).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!(letter["record"]["uuid"], first["uuid"]);
    assert!(letter["why"].as_str().unwrap().contains("400"), "{letter}");
    // Each refusal is one gap; while the server refuses those too there are more of them.
    let gap = hook.record("the gap", |record| record["delivery"]["class"] == "gap");
    assert_eq!(gap["gap"]["reason"], "refused", "{gap}");
    let told = watcher.alert("Alerts lost at a sink", 1);
    assert_eq!(told["output_fields"]["sink.name"], "hook");
    let (_, stats) = watcher.stop();
    assert_sums(&stats["sinks"]["hook"]);
    assert!(stats["sinks"]["hook"]["refused"].as_u64().unwrap() >= 1);
}

#[test]
fn sink_spool_on_a_full_disk_waits_in_memory() {
    needs_kernel!();
    let place = Place::new();
    let disk = place.dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "small"]).arg(&disk).status().unwrap();
    assert!(mounted.success());
    let _unmount = Unmount(&disk);
    let fill = disk.join("fill");
    // It takes nothing before memory has to do: where it did, the room that the spool already has might be enough.
    let takes = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&takes);
    let fate = move |_: u64| if asked.load(Ordering::Relaxed) { Fate::Taken } else { Fate::Refused(503) };
    let hook = Webhook::start(true, fate);
    let sinks = json!({ "hook": { "to": { "webhook": { "url": hook.url() } }, "spool": { "directory": disk.join("spool") } } });
    let watcher = place.watch(&sinks, &[]);
    let written = Command::new("dd")
        .arg("if=/dev/zero")
        .arg(format!("of={}", fill.display()))
        .arg("bs=4k")
        .output()
        .unwrap();
    assert!(!written.status.success(), "the disk is full");
    place.read(2000);
    let last = watcher.alert("read", 2000);
    let told = watcher.alert("Alerts wait in memory", 1);
    assert_eq!(told["output_fields"]["sink.name"], "hook");
    takes.store(true, Ordering::Relaxed);
    let _ = hook.record("the last alert", |record| record["uuid"] == last["uuid"]);
    fs::remove_file(&fill).unwrap();
    let _ = watcher.alert("Alerts wait on disk again", 1);
    let (alerts, stats) = watcher.stop();
    let got: HashSet<String> = hook.times().into_keys().collect();
    assert!(alerts.iter().all(|alert| got.contains(alert["uuid"].as_str().unwrap())));
    assert_sums(&stats["sinks"]["hook"]);
}

/// Takes a filesystem away again.
struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn sink_file_proves_that_nothing_is_missing() {
    needs_kernel!();
    let place = Place::new();
    let file = place.dir.path().join("alerts.json");
    let sinks = json!({ "file": { "to": { "file": { "path": file } }, "checkpoint": { "every_s": 1 } } });
    let watcher = place.watch(&sinks, &[]);
    place.read(20);
    let _ = watcher.alert("read", 20);
    let (_, stats) = watcher.stop();
    assert_sums(&stats["sinks"]["file"]);
    let key = place.dir.path().join("signing.pub").display().to_string();
    let verify = |file: &Path| {
        let said = daemon::run(&["verify", "--json", "--key", &key, &file.display().to_string()]);
        (said.status.code().unwrap(), serde_json::from_slice::<Value>(&said.stdout).unwrap())
    };
    let (code, report) = verify(&file);
    assert_eq!(code, 0, "{report}");
    assert!(
        report["streams"][0]["checkpoints"].as_u64().unwrap() >= 1 && report["streams"][0]["closed"] == true,
        "{report}"
    );
    let text = fs::read_to_string(&file).unwrap();
    let cut = place.dir.path().join("cut.json");
    let without = |at: usize| {
        text.lines()
            .enumerate()
            .filter(|(line, _)| *line != at)
            .map(|(_, line)| line.to_owned() + "\n")
            .collect::<String>()
    };
    fs::write(&cut, without(7)).unwrap();
    let (code, report) = verify(&cut);
    assert_eq!((code, report["streams"][0]["missing"].clone()), (1, json!([[8, 8]])), "{report}");
    fs::write(&cut, text.replacen("WARNING", "NOTICE", 1).replacen("\"Warning\"", "\"Notice\"", 1)).unwrap();
    let (code, report) = verify(&cut);
    assert!(
        code == 1 && report["streams"][0]["wrong"][0].as_str().unwrap().contains("not those that were sent"),
        "{report}"
    );
}

#[test]
fn sink_secrets_are_nowhere() {
    needs_kernel!();
    let place = Place::new();
    let planted = ["planted-token-4711", "planted-variable-4712", "planted-password-4713"];
    let token = place.dir.path().join("token");
    fs::write(&token, planted[0]).unwrap();
    let hook = Webhook::start(true, |number| if number == 0 { Fate::Refused(401) } else { Fate::Taken });
    let mut sink = place.webhook(&hook);
    sink["to"]["webhook"]["http"] = json!({ "headers": [
        { "name": "authorization", "value": { "file": token } },
        { "name": "x-other", "value": { "env": "VEDETTE_TEST_SECRET" } },
    ] });
    // SAFETY: set before the daemon is started, and read by it alone.
    unsafe { std::env::set_var("VEDETTE_TEST_SECRET", planted[1]) };
    let file = place.dir.path().join("alerts.json");
    let events = json!({ "types": ["execve"] });
    let watcher = place.watch(
        &json!({ "hook": sink, "file": { "to": { "file": { "path": file } }, "events": events } }),
        &[],
    );
    let script = format!("read x < {}; true", place.file().display());
    let ran = Command::new("sh")
        .args(["-c", &script, "--password", planted[2], &format!("--token={}", planted[2])])
        .status()
        .unwrap();
    assert!(ran.success());
    let alert = watcher.alert("read", 1);
    assert!(
        alert["output"].as_str().unwrap().contains("--password <redacted>"),
        "the rule's sentence: {alert}"
    );
    let _ = hook.record("the alert", |record| record["uuid"] == alert["uuid"]);
    let said = watcher.stderr();
    let (alerts, stats, dir) = watcher.end();
    let mut places = vec![
        ("stdout".to_owned(), json!(alerts).to_string()),
        ("stderr".to_owned(), said),
        ("stats".to_owned(), stats.to_string()),
    ];
    places.push(("delivered".to_owned(), json!(hook.records()).to_string()));
    for folder in [dir.path().to_owned(), place.dir.path().to_owned(), place.dir.path().join("spool")] {
        for entry in fs::read_dir(&folder)
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().is_file() && entry.path() != token)
        {
            places.push((
                entry.path().display().to_string(),
                String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned(),
            ));
        }
    }
    assert!(
        places.iter().any(|(place, text)| place.ends_with("alerts.json") && text.contains("\"execve\"")),
        "events are written, too"
    );
    for (place, text) in &places {
        for secret in planted {
            assert!(!text.contains(secret), "{secret} in {place}");
        }
    }
}
