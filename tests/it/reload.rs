//! Rules that change while the daemon runs: what is added, broken, repaired, swapped and removed, and that no event falls
//! between two sets. Everything is done to files; the daemon is never restarted.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use sensor_tests::{
    alerts::{Watcher, flags},
    daemon::run,
    exclusive, needs_kernel,
};
use serde_json::Value;

/// A folder with a file to open, and a place for rules.
struct Scene {
    _dir: tempfile::TempDir,
    top: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        fs::write(top.join("mark"), "").unwrap();
        Self { _dir: dir, top }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.top.join(name)
    }

    /// A rule on the opening of our file.
    fn rule(&self, name: &str) -> String {
        let mark = self.at("mark");
        format!(
            "- rule: {name}\n  desc: d\n  condition: evt.type in (open, openat) and fd.name = {}\n  output: o\n  priority: INFO\n",
            mark.display()
        )
    }

    fn open(&self) {
        File::open(self.at("mark")).unwrap();
    }
}

/// A rule that matches nothing and needs no system call.
const EXIT_ONLY: &str = "- {rule: quiet, desc: d, condition: evt.type = procexit and proc.name = no-such, output: o, priority: INFO}\n";

#[test]
fn reload_adds_breaks_and_repairs() {
    needs_kernel!();
    let scene = Scene::new();
    fs::create_dir(scene.at("rules.d")).unwrap();
    fs::write(scene.at("rules.d/0.yaml"), EXIT_ONLY).unwrap();
    let watcher = Watcher::start(&scene.at("rules.d"), &[]);
    watcher.generation(1);
    // The first set looks at no system call: the hook for opens is attached now.
    let file = scene.at("rules.d/a.yaml");
    fs::write(&file, scene.rule("first")).unwrap();
    watcher.generation(2);
    scene.open();
    let _ = watcher.alert("first", 1);

    fs::write(&file, scene.rule("second") + "  condition: [\n").unwrap();
    let failed = watcher.alert("Rules not loaded", 1);
    assert_eq!(failed["priority"], "Error");
    assert_eq!(failed["event"]["type"], "rules");
    assert_eq!(failed["process"]["comm"], "vedette");
    let error = failed["output_fields"]["rules.error"].as_str().unwrap();
    assert!(error.contains("a.yaml:"), "{error}");
    let rules = watcher.rules("the failure is in the accounts", |rules| rules["failing"] == true);
    assert_eq!(
        (&rules["loaded"], &rules["generation"], &rules["last_error"]),
        (&2.into(), &2.into(), &error.into())
    );
    scene.open();
    let _ = watcher.alert("first", 2);
    // Said once, with its place.
    assert_eq!(watcher.stderr().matches("a.yaml:").count(), 1, "{}", watcher.stderr());

    // An editor writes beside it and renames.
    fs::write(scene.at("rules.d/.a.yaml.new"), scene.rule("third")).unwrap();
    fs::rename(scene.at("rules.d/.a.yaml.new"), &file).unwrap();
    let _ = watcher.alert("Rules loaded again", 1);
    scene.open();
    let _ = watcher.alert("third", 1);
    let (alerts, stats) = watcher.stop();
    let rules = &stats["rules"];
    assert_eq!(
        (&rules["generation"], &rules["failures"], &rules["loads"], &rules["failing"]),
        (&3.into(), &1.into(), &4.into(), &false.into())
    );
    let count = |name: &str| alerts.iter().filter(|alert| alert["rule"] == name).count();
    assert_eq!((count("first"), count("second"), count("third")), (2, 0, 1));
}

#[test]
fn reload_keeps_what_was_counted() {
    needs_kernel!();
    let scene = Scene::new();
    fs::create_dir(scene.at("rules.d")).unwrap();
    fs::write(scene.at("rules.d/a.yaml"), scene.rule("third time") + "  count: {at_least: 3, within: 1h}\n")
        .unwrap();
    fs::write(scene.at("rules.d/b.yaml"), scene.rule("each time")).unwrap();
    let watcher = Watcher::start(&scene.at("rules.d"), &[]);
    scene.open();
    scene.open();
    let _ = watcher.alert("each time", 2);
    fs::write(scene.at("rules.d/c.yaml"), EXIT_ONLY).unwrap();
    watcher.generation(2);
    scene.open();
    let _ = watcher.alert("third time", 1);
}

#[test]
fn reload_of_a_config_map_under_load_is_all_or_nothing() {
    const SWAPS: usize = 8;
    const FLAPS: usize = 2000;
    /// Opens that may wait for their alerts, far from what ring and queue hold.
    const AHEAD: usize = 2000;
    needs_kernel!();
    let _alone = exclusive();
    let scene = Scene::new();
    let volume = scene.at("volume");
    // As the kubelet does it: the files are links into `..data`, which is a link to a version of all of them.
    let version = |number: usize| {
        let dir = volume.join(format!("..2026_{number}"));
        fs::create_dir_all(&dir).unwrap();
        let mark = scene.at("mark");
        let opened = format!(
            "- macro: opened_{number}\n  condition: evt.type in (open, openat) and fd.name = {}\n",
            mark.display()
        );
        let rule = |name: &str| {
            format!(
                "- {{rule: {name} {number}, desc: d, condition: opened_{number}, output: o, priority: INFO}}\n"
            )
        };
        fs::write(dir.join("a.yaml"), opened).unwrap();
        fs::write(dir.join("b.yaml"), rule("one")).unwrap();
        fs::write(dir.join("c.yaml"), rule("other")).unwrap();
    };
    let swap = |number: usize| {
        symlink(format!("..2026_{number}"), volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    };
    version(0);
    swap(0);
    for file in ["a.yaml", "b.yaml", "c.yaml"] {
        symlink(Path::new("..data").join(file), volume.join(file)).unwrap();
    }
    let watcher = Watcher::start(&volume, &[]);
    let (done, opens) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                scene.open();
                let opened = opens.fetch_add(1, Ordering::Relaxed) + 1;
                while opened > watcher.count() / 2 + AHEAD && !done.load(Ordering::Relaxed) {
                    // For the daemon's sake: it needs the CPU to catch up.
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        // Ends the load also when a wait fails.
        let _end = End(&done);
        for number in 1..=SWAPS {
            version(number);
            // Back and forth, so that a reader who does not take care gets files of both.
            for _ in 0..FLAPS {
                swap(number);
                swap(number - 1);
            }
            swap(number);
            let _ = watcher.alert(&format!("one {number}"), 1);
        }
    });
    let (alerts, stats) = watcher.stop();
    assert_eq!((&stats["lost"], &stats["queue"]["dropped"]), (&0.into(), &0.into()));
    // No half of a version was ever tried: its macro would have been missing.
    assert_eq!(stats["rules"]["failures"], 0);
    let mut events: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for alert in &alerts {
        let number = alert["event"]["number"].as_u64().unwrap();
        events.entry(number).or_default().push(alert["rule"].as_str().unwrap());
    }
    assert_eq!(events.len(), opens.into_inner(), "every open alerts");
    for (event, rules) in events {
        let versions: Vec<&str> = rules.iter().filter_map(|rule| rule.rsplit(' ').next()).collect();
        assert!(rules.len() == 2 && versions[0] == versions[1], "event {event}: {rules:?}");
    }
}

/// Sets the flag when it goes.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn reload_of_what_appears_late_cannot_be_read_or_goes() {
    needs_kernel!();
    let scene = Scene::new();
    let dir = scene.at("not/yet/rules.d");
    let watcher = Watcher::start(&dir, &[]);
    let first = watcher.rules("no rules", |rules| rules["generation"] == 1);
    assert_eq!((&first["loaded"], first["sources"].as_array().unwrap().len()), (&0.into(), 0));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("a.yaml"), scene.rule("late")).unwrap();
    watcher.generation(2);
    scene.open();
    let _ = watcher.alert("late", 1);
    // Root can read every file, but not what is no text, and not through a loop of links.
    fs::write(dir.join("b.yaml"), b"\xff\xfe").unwrap();
    let failed = watcher.alert("Rules not loaded", 1);
    assert!(
        failed["output"].as_str().unwrap().contains("b.yaml: stream did not contain valid UTF-8"),
        "{failed}"
    );
    fs::remove_file(dir.join("b.yaml")).unwrap();
    let _ = watcher.alert("Rules loaded again", 1);
    symlink("b.yaml", dir.join("b.yaml")).unwrap();
    let failed = watcher.alert("Rules not loaded", 2);
    assert!(failed["output"].as_str().unwrap().contains("b.yaml: Too many levels"), "{failed}");
    scene.open();
    let _ = watcher.alert("late", 2);
    fs::remove_file(dir.join("b.yaml")).unwrap();
    let _ = watcher.alert("Rules loaded again", 2);
    fs::remove_file(dir.join("a.yaml")).unwrap();
    let _ = watcher.rules("the rule is gone", |rules| rules["loaded"] == 0);
    scene.open();
    // The directory goes and comes back with another inode.
    fs::remove_dir_all(scene.at("not")).unwrap();
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("c.yaml"), scene.rule("later")).unwrap();
    let _ = watcher.rules("the new directory", |rules| rules["loaded"] == 1);
    scene.open();
    let _ = watcher.alert("later", 1);
    let (alerts, _) = watcher.stop();
    let count = |name: &str| alerts.iter().filter(|alert| alert["rule"] == name).count();
    assert_eq!((count("late"), count("later")), (2, 1));
}

#[test]
fn reload_only_by_signal_where_nothing_is_watched() {
    needs_kernel!();
    let scene = Scene::new();
    let file = scene.at("a.yaml");
    fs::write(&file, scene.rule("first")).unwrap();
    let watcher = Watcher::start(&file, &["--set", "rules.watch=false"]);
    let descriptors = fs::read_dir(format!("/proc/{}/fd", watcher.pid())).unwrap();
    let watches = descriptors.filter(|entry| {
        let target = fs::read_link(entry.as_ref().unwrap().path()).unwrap_or_default();
        target.to_string_lossy().contains("inotify")
    });
    assert_eq!(watches.count(), 0);
    watcher.signal(libc::SIGHUP);
    watcher.says("the rules have not changed");
    fs::write(&file, scene.rule("second")).unwrap();
    watcher.signal(libc::SIGHUP);
    watcher.generation(2);
    scene.open();
    let _ = watcher.alert("second", 1);
    assert_eq!(watcher.stop().1["rules"]["loads"], 2);
}

#[test]
fn reload_of_the_configuration() {
    needs_kernel!();
    let scene = Scene::new();
    let (file, config) = (scene.at("a.yaml"), scene.at("vedette.yaml"));
    fs::write(&file, scene.rule("first") + &scene.rule("second")).unwrap();
    fs::write(&config, "").unwrap();
    let watcher = Watcher::start(&file, &["--config", &config.display().to_string()]);
    watcher.generation(1);
    fs::write(
        &config,
        "rules: {toggles: [{disable: {rule: first}}, {disable: {tag: no-such}}]}\nstdout: {queue: 9}\n",
    )
    .unwrap();
    let rules = watcher.rules("the toggle", |rules| rules["generation"] == 2);
    assert_eq!(rules["loaded"], 1);
    assert_eq!(rules["options"]["toggles"][0], "disable rule `first`");
    watcher.says("disable tag `no-such`: no such rule is loaded");
    watcher.says("needs a restart keys=\"stdout.queue\"");
    scene.open();
    let _ = watcher.alert("second", 1);
    fs::write(&config, "rules: {toggle: []}\n").unwrap();
    let failed = watcher.alert("Rules not loaded", 1);
    assert!(
        failed["output"].as_str().unwrap().contains("vedette.yaml:1: there is no key rules.toggle; did you"),
        "{failed}"
    );
    fs::remove_file(&config).unwrap();
    // It was named by a flag, so it has to be there; an empty one is fine.
    let _ = watcher.alert("Rules not loaded", 2);
    fs::write(&config, "").unwrap();
    let _ = watcher.rules("both rules again", |rules| rules["loaded"] == 2 && rules["failing"] == false);
    let (alerts, _) = watcher.stop();
    assert!(alerts.iter().all(|alert| alert["rule"] != "first"));
}

#[test]
fn reload_is_what_doctor_tells() {
    needs_kernel!();
    let scene = Scene::new();
    let file = scene.at("a.yaml");
    fs::write(&file, scene.rule("first")).unwrap();
    let watcher = Watcher::start(&file, &[]);
    watcher.generation(1);
    let flags = flags(&watcher.dir(), &file.display().to_string());
    let doctor = |code: i32| -> Value {
        let flags: Vec<&str> =
            ["doctor", "--json"].into_iter().chain(flags.iter().map(String::as_str)).collect();
        let output = run(&flags);
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["rules"].clone()
    };
    let found = doctor(0);
    assert_eq!((&found["loaded"], &found["running"]["state"]), (&1.into(), &"yes".into()));
    assert_eq!(found["running"]["pid"], watcher.pid());
    assert_eq!(found["running"]["differences"], Value::Array(Vec::new()));
    fs::write(&file, "- rule: [").unwrap();
    let _ = watcher.rules("the failure", |rules| rules["failing"] == true);
    let found = doctor(1);
    assert!(found["errors"][0].as_str().unwrap().contains("a.yaml:1:"), "{found}");
    assert_eq!(found["running"]["differences"][0], format!("{} has changed", file.display()));
    assert_eq!(found["running"]["rules"]["last_error"], found["errors"][0]);
    let flags: Vec<&str> = ["doctor"].into_iter().chain(flags.iter().map(String::as_str)).collect();
    let said = String::from_utf8(run(&flags).stdout).unwrap();
    assert!(said.contains("cannot be loaded, 1 errors") && said.contains("(still): "), "{said}");
    let _ = watcher.stop();
    let said = String::from_utf8(run(&flags).stdout).unwrap();
    assert!(!said.contains("(still)"), "{said}");
}

#[test]
fn reload_without_a_place_for_accounts() {
    needs_kernel!();
    let scene = Scene::new();
    let file = scene.at("a.yaml");
    fs::write(&file, scene.rule("first")).unwrap();
    let watcher = Watcher::start(&file, &["--set", "stats_file=/proc/no/such/stats.json"]);
    watcher.says("no directory for the accounts");
    watcher.says("cannot write the accounts");
    scene.open();
    let _ = watcher.alert("first", 1);
    watcher.signal(libc::SIGTERM);
    watcher.says("ended");
}
