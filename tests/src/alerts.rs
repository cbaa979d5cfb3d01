//! The daemon at work: `vedette run --json` as a child, with rules, lock and accounts of its own. Every wait has a deadline.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{deadline, vedette};

/// How often a file is looked at that somebody else writes.
const LOOK: Duration = Duration::from_millis(20);

/// A daemon at work, and a folder for it. Dropping it kills it.
pub struct Watcher {
    child: Child,
    seen: Arc<Seen>,
    dir: tempfile::TempDir,
}

#[derive(Default)]
struct Seen {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    alerts: Vec<Value>,
    /// Their places, by rule.
    by_rule: HashMap<String, Vec<usize>>,
    stderr: String,
    /// Output streams that are at their end.
    closed: u8,
}

/// What tells a folder from others, without dots.
fn name_of(dir: &Path) -> String {
    dir.file_name().map(|name| name.to_string_lossy().replace('.', "")).unwrap_or_default()
}

/// Where a daemon gets its rules from, and where it leaves its files.
#[must_use]
pub fn flags(dir: &Path, rules: &str) -> Vec<String> {
    let at = |key: &str, name: &str| format!("{key}={}", dir.join(name).display());
    let sets = [
        at("lock", "lock"),
        at("stats_file", "stats.json"),
        at("respond.audit", "audit.log"),
        at("respond.held", "held.json"),
        at("control.socket", "control.sock"),
        // One that shields itself lets nobody else near its pins, and names there have no dots.
        format!("respond.pins=/sys/fs/bpf/vedette-{}", name_of(dir)),
        // Tests start several at once: each would want the same port.
        "metrics.listen=".to_owned(),
        format!("rules.paths=[\"{rules}\"]"),
    ];
    let sets = sets.into_iter().flat_map(|set| ["--set".to_owned(), set]);
    ["--no-builtin-rules".to_owned()].into_iter().chain(sets).collect()
}

impl Watcher {
    /// Starts it with no rules but those of the path `rules`, which may be missing, and waits until it watches.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start(rules: &Path, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let flags = flags(dir.path(), &rules.display().to_string());
        Self::launch(dir, &flags, args)
    }

    /// Starts it with the built-in rules and no others, and waits until it watches.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn builtin() -> Self {
        Self::builtin_with(&[])
    }

    /// The same with more arguments.
    ///
    /// # Panics
    /// As above.
    #[must_use]
    pub fn builtin_with(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let flags = flags(dir.path(), "");
        let args = [&["--set", "rules.paths=[]"], args].concat();
        Self::launch(dir, flags.get(1..).unwrap_or_default(), &args)
    }

    fn launch(dir: tempfile::TempDir, flags: &[String], args: &[&str]) -> Self {
        let mut child = Command::new(vedette())
            .args(["run", "--json"])
            .args(flags)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the sensor starts");
        let seen = Arc::new(Seen::default());
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (for_alerts, for_words) = (Arc::clone(&seen), Arc::clone(&seen));
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                // A daemon that a test kills may leave half a line, and nothing behind it.
                let line = line.expect("lines of text");
                let Ok(alert) = serde_json::from_str::<Value>(&line) else {
                    for_alerts.change(|state| state.stderr += &format!("no JSON: {line}\n"));
                    break;
                };
                let rule = alert["rule"].as_str().expect("a rule's name").to_owned();
                for_alerts.change(|state| {
                    state.by_rule.entry(rule).or_default().push(state.alerts.len());
                    state.alerts.push(alert);
                });
            }
            for_alerts.change(|state| state.closed += 1);
        });
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                for_words.change(|state| state.stderr += &(line + "\n"));
            }
            for_words.change(|state| state.closed += 1);
        });
        let watcher = Self { child, seen, dir };
        watcher.wait("it watches", |state| {
            assert!(state.closed < 2, "the sensor ended: {}", state.stderr);
            state.stderr.contains("watching").then_some(())
        });
        watcher
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Where it tells its metrics, if it was asked to.
    ///
    /// # Panics
    /// Where it did not say it.
    #[must_use]
    pub fn metrics(&self) -> String {
        let said = self.stderr();
        let address = said.split("metrics=").nth(1).expect("it said where");
        address.split_whitespace().next().unwrap().to_owned()
    }

    /// Runs a command of the same configuration, such as an order to this daemon.
    #[must_use]
    pub fn order(&self, words: &[&str]) -> std::process::Output {
        let socket = format!("control.socket={}", self.dir.path().join("control.sock").display());
        crate::daemon::run(&[words, &["--set", &socket]].concat())
    }

    /// Waits until a rule has alerted so many times, and returns the last of these alerts.
    #[must_use]
    pub fn alert(&self, rule: &str, times: usize) -> Value {
        self.wait(&format!("{times} alerts of {rule}"), |state| {
            let place = *state.by_rule.get(rule)?.get(times - 1)?;
            state.alerts.get(place).cloned()
        })
    }

    /// The alerts up to now.
    #[must_use]
    pub fn alerts(&self) -> Vec<Value> {
        self.seen.lock().alerts.clone()
    }

    /// Number of alerts up to now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.seen.lock().alerts.len()
    }

    /// Waits for accounts of its rules that fit.
    ///
    /// # Panics
    /// Where there are none in time.
    #[must_use]
    pub fn rules(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + deadline();
        loop {
            let text = fs::read(self.dir.path().join("stats.json")).unwrap_or_default();
            let stats: Value = serde_json::from_slice(&text).unwrap_or_default();
            if wanted(&stats["rules"]) {
                return stats["rules"].clone();
            }
            assert!(Instant::now() < end, "never: {what}; {}\n{}", stats["rules"], self.stderr());
            thread::sleep(LOOK);
        }
    }

    /// Waits until the set with this number is at work.
    pub fn generation(&self, number: u64) {
        let _ = self.rules(&format!("set {number}"), |rules| rules["generation"] == number);
    }

    /// What it said on standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.seen.lock().stderr.clone()
    }

    /// Waits until it says something on standard error.
    pub fn says(&self, words: &str) {
        self.wait(words, |state| state.stderr.contains(words).then_some(()));
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// Where there is no such process.
    pub fn signal(&self, signal: i32) {
        // SAFETY: a number of a process that is not waited for yet, so it is ours.
        assert_eq!(unsafe { libc::kill(self.pid().cast_signed(), signal) }, 0);
    }

    /// Waits until everything is read that it wrote, however it ended.
    pub fn closed(&self) {
        self.wait("it ends", |state| (state.closed == 2).then_some(()));
    }

    /// Ends it with SIGTERM, waits until everything it wrote is read, and returns its alerts and accounts.
    ///
    /// # Panics
    /// Where it does not end well.
    #[must_use]
    pub fn stop(self) -> (Vec<Value>, Value) {
        let (alerts, stats, _) = self.end();
        (alerts, stats)
    }

    /// The same, with the folder in which it left its files.
    ///
    /// # Panics
    /// Where it does not end well.
    #[must_use]
    pub fn end(mut self) -> (Vec<Value>, Value, tempfile::TempDir) {
        self.signal(libc::SIGTERM);
        self.wait("it ends", |state| (state.closed == 2).then_some(()));
        let status: ExitStatus = self.child.wait().unwrap();
        assert!(status.success(), "{}", self.stderr());
        let text = fs::read(self.dir.path().join("stats.json")).unwrap();
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        (self.alerts(), serde_json::from_slice(&text).unwrap(), dir)
    }

    fn wait<T>(&self, what: &str, mut look: impl FnMut(&State) -> Option<T>) -> T {
        let end = Instant::now() + deadline();
        let mut state = self.seen.lock();
        loop {
            if let Some(found) = look(&state) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never seen: {what}; the sensor said: {}", state.stderr);
            state = self.seen.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}
