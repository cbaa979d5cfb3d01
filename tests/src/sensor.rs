//! The running sensor: `vedette events --json` as a child, its lines sorted by process as they come.
//!
//! Most tests share one sensor, and each looks only at processes that it made itself: other things run on this machine.
//! Tests that make a storm have the machine's sensors for themselves, so that nobody else's events are pushed out.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
    time::{Duration, Instant, SystemTime},
};

use crate::{Event, deadline, vedette};

/// What a sensor is started with that a test has for itself and that need not see everything: processes, which it always sees,
/// and a call with programs for both widths of callers. All programs take ten times as long to be verified, which on an emulated
/// processor is half a minute.
pub const FEW: [&str; 2] = ["--kinds", "proc_exec,net_listen"];

/// A sensor at work.
pub struct Sensor {
    child: Mutex<Child>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Processes that descend from this test binary, and when they began: events of another process of the same number may
    /// come late, since those of a container wait for its name.
    family: HashMap<u32, u64>,
    /// What they did, in order, and the same by process.
    all: Vec<Event>,
    by_pid: HashMap<u32, Vec<Event>>,
    /// The sensor's own events.
    own: Vec<Event>,
    stderr: String,
    watching: bool,
    /// Output streams that are at their end.
    closed: u8,
}

impl State {
    /// What is known of a process of which more was expected.
    fn of(&self, pid: u32) -> String {
        let known = if self.family.contains_key(&pid) { "was" } else { "was not" };
        let did: Vec<&str> = self.by_pid.get(&pid).into_iter().flatten().map(Event::kind).collect();
        // A sensor that does not keep up is late, and has lost nothing.
        let late = self.all.last().and_then(|event| {
            let last = Duration::from_nanos(event["time"].as_u64()?);
            SystemTime::UNIX_EPOCH.elapsed().ok()?.checked_sub(last)
        });
        format!(
            "it {known} seen to begin, and did {did:?}; the last of {} events is {late:?} old; ",
            self.all.len()
        )
    }
}

impl Sensor {
    /// Starts `vedette events --json` with more arguments, and waits until it watches.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start(args: &[&str]) -> Self {
        Self::launch(&[&["events", "--json"], args].concat())
    }

    /// Starts `vedette` with arguments that make it watch and print JSON, and waits until it does.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn launch(args: &[&str]) -> Self {
        let mut child = Command::new(vedette())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the sensor starts");
        let seen = Arc::new(Seen::default());
        seen.lock().family.insert(std::process::id(), 0);
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (for_lines, for_words) = (Arc::clone(&seen), Arc::clone(&seen));
        thread::spawn(move || read_events(stdout, &for_lines));
        thread::spawn(move || read_words(stderr, &for_words));
        let sensor = Self { child: Mutex::new(child), seen };
        sensor.wait("the sensor watches", |state| (state.watching || state.closed == 2).then_some(()));
        assert!(sensor.seen.lock().watching, "the sensor ended: {}", sensor.stderr());
        sensor
    }

    /// The sensor's process id.
    ///
    /// # Panics
    /// Where another thread panicked with it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Everything that the process did, its exit last.
    #[must_use]
    pub fn until_exit(&self, pid: u32) -> Vec<Event> {
        let exit = |state: &State| {
            let events = state.by_pid.get(&pid)?;
            events.iter().any(Event::is_exit).then(|| events.clone())
        };
        self.wait_or(&format!("process {pid} exits"), exit, |state| state.of(pid))
    }

    /// Everything that the process and all its descendants did, in the order of the stream.
    #[must_use]
    pub fn family(&self, pid: u32) -> Vec<Event> {
        let (mut all, mut left) = (Vec::new(), vec![pid]);
        while let Some(pid) = left.pop() {
            let events = self.until_exit(pid);
            left.extend(events.iter().filter_map(Event::child));
            all.extend(events);
        }
        all.sort_by_key(|event| event["number"].as_u64());
        all
    }

    /// Waits for one of the sensor's own events (a loss).
    #[must_use]
    pub fn own_event(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        self.wait(what, |state| state.own.iter().find(|event| wanted(event)).cloned())
    }

    /// Waits for an event of a process.
    #[must_use]
    pub fn event_of(&self, pid: u32, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        let look = |state: &State| state.by_pid.get(&pid)?.iter().find(|event| wanted(event)).cloned();
        self.wait_or(what, look, |state| state.of(pid))
    }

    /// Waits for an event of any process that descends from this test binary.
    #[must_use]
    pub fn event(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        // Each is looked at once: with all of them at every new one, the reader would never catch up.
        let mut looked_at = 0;
        self.wait(what, |state| {
            let found = state.all[looked_at..].iter().find(|event| wanted(event)).cloned();
            looked_at = state.all.len();
            found
        })
    }

    /// What was seen so far, in the order of the stream.
    #[must_use]
    pub fn so_far(&self, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
        self.seen.lock().all.iter().filter(|event| wanted(event)).cloned().collect()
    }

    /// Looks also at a process that was there before the sensor.
    pub fn follow(&self, pid: u32) {
        self.seen.change(|state| {
            state.family.insert(pid, 0);
        });
    }

    /// What it said on standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.seen.lock().stderr.clone()
    }

    /// Waits until it has said something on standard error.
    pub fn says(&self, what: &str) {
        self.wait(&format!("it says {what}"), |state| state.stderr.contains(what).then_some(()));
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// Where there is no such process.
    pub fn signal(&self, signal: i32) {
        // SAFETY: a number of a process that is not waited for yet, so it is ours.
        assert_eq!(unsafe { libc::kill(self.pid().cast_signed(), signal) }, 0);
    }

    /// Ends it with SIGTERM, waits until it is gone and everything it wrote is read.
    #[must_use]
    pub fn stop(&self) -> ExitStatus {
        self.signal(libc::SIGTERM);
        self.ended()
    }

    /// Waits until it is gone and everything it wrote is read.
    ///
    /// # Panics
    /// Where it does not go.
    #[must_use]
    pub fn ended(&self) -> ExitStatus {
        self.wait("the sensor ends", |state| (state.closed == 2).then_some(()));
        self.child.lock().unwrap().wait().unwrap()
    }

    fn wait<T>(&self, what: &str, look: impl FnMut(&State) -> Option<T>) -> T {
        self.wait_or(what, look, |_| String::new())
    }

    /// [`Sensor::wait`], and what more there is to say where it never comes.
    fn wait_or<T>(
        &self,
        what: &str,
        mut look: impl FnMut(&State) -> Option<T>,
        more: impl FnOnce(&State) -> String,
    ) -> T {
        let end = Instant::now() + deadline();
        let mut state = self.seen.lock();
        loop {
            if let Some(found) = look(&state) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let own: String = state.own.iter().map(|event| format!("{}\n", event.text())).collect();
                panic!("never seen: {what}; {}the sensor said: {}{own}", more(&state), state.stderr);
            }
            state = self.seen.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        if let Ok(child) = self.child.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that failed with the lock in its hands is not this one's business.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

fn read_events(stdout: ChildStdout, seen: &Seen) {
    for line in BufReader::new(stdout).split(b'\n') {
        let line =
            String::from_utf8(line.expect("the sensor's output can be read")).expect("lines are UTF-8");
        let event = Event::parse(&line).unwrap_or_else(|error| panic!("no event ({error}): {line}"));
        let mut state = seen.lock();
        if event.family() == "loss" {
            state.own.push(event);
        } else if state.family.get(&event.pid()).is_some_and(|began| *began <= event.boot_time()) {
            if let Some(child) = event.child() {
                state.family.insert(child, event.boot_time());
                // What an older process with this number did is over.
                state.by_pid.remove(&child);
            } else if event.pid() == std::process::id() {
                // Tests that wait for files open them again and again: two gigabytes of events on a slow machine.
                continue;
            }
            state.all.push(event.clone());
            state.by_pid.entry(event.pid()).or_default().push(event);
        } else {
            if let Some(child) = event.child()
                && state.family.get(&child).is_some_and(|began| *began < event.boot_time())
            {
                state.family.remove(&child);
            }
            continue;
        }
        drop(state);
        seen.changed.notify_all();
    }
    seen.change(|state| state.closed += 1);
}

fn read_words(stderr: ChildStderr, seen: &Seen) {
    for line in BufReader::new(stderr).lines() {
        let line = line.expect("the sensor's words can be read");
        seen.change(|state| {
            // `run` says it in a line of its log.
            state.watching |= line.contains("watching");
            state.stderr.push_str(&line);
            state.stderr.push('\n');
        });
    }
    seen.change(|state| state.closed += 1);
}

static SHARED: RwLock<Option<Sensor>> = RwLock::new(None);

/// Holds the shared sensor while a test uses it.
pub struct Shared(RwLockReadGuard<'static, Option<Sensor>>);

impl std::ops::Deref for Shared {
    type Target = Sensor;

    fn deref(&self) -> &Sensor {
        self.0.as_ref().expect("it was started")
    }
}

/// See `Shared`.
#[must_use]
pub fn shared() -> Shared {
    loop {
        let guard = SHARED.read().unwrap_or_else(PoisonError::into_inner);
        if guard.is_some() {
            return Shared(guard);
        }
        drop(guard);
        let mut guard = SHARED.write().unwrap_or_else(PoisonError::into_inner);
        if guard.is_none() {
            *guard = Some(Sensor::start(&["--open-names"]));
        }
    }
}

/// While it lives, no other test of this binary has a sensor. Its field is only held.
pub struct Exclusive(
    #[allow(dead_code, reason = "held until the test is over")] RwLockWriteGuard<'static, Option<Sensor>>,
);

/// See [`Exclusive`].
#[must_use]
pub fn exclusive() -> Exclusive {
    let mut guard = SHARED.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(sensor) = guard.take() {
        assert!(sensor.stop().success(), "the shared sensor ended well: {}", sensor.stderr());
    }
    Exclusive(guard)
}
