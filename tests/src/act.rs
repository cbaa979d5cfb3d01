//! Runs the helper program `act`, which does one thing after the other and says what came of each.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

use crate::{Event, Sensor};

/// Where the helper is: beside the test binary's folder, as cargo builds it.
#[must_use]
pub fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    test.ancestors().nth(2).unwrap_or(&test).join("act")
}

/// Copies a program, by a process of its own: a child that another thread makes meanwhile would keep the copy open for writing
/// until its exec, and nobody could run it ("text file busy").
///
/// # Panics
/// Where it cannot be copied.
pub fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let copied = Command::new("cp").arg(from.as_ref()).arg(to.as_ref()).status();
    assert!(copied.is_ok_and(|status| status.success()), "{} can be copied", from.as_ref().display());
}

/// A helper about to run. Steps are separated by an argument `--`.
pub struct Act {
    command: Command,
}

/// A helper that ended.
#[derive(Debug)]
pub struct Done {
    /// Its process id.
    pub pid: u32,
    /// Its exit code; -signal where one ended it.
    pub code: i32,
    /// What it said of each step.
    pub steps: Vec<Value>,
}

impl Act {
    /// With these steps.
    pub fn new<S: AsRef<OsStr>>(steps: impl IntoIterator<Item = S>) -> Self {
        Self::of(program(), steps)
    }

    /// The same from another place.
    pub fn of<S: AsRef<OsStr>>(program: PathBuf, steps: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(program);
        command.args(steps).stdin(Stdio::null()).stdout(Stdio::piped());
        Self { command }
    }

    /// The command, to change more of it.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Command)) -> Self {
        change(&mut self.command);
        self
    }

    /// With something done in the child before the program starts.
    #[must_use]
    pub fn before(mut self, work: impl Fn() -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        // SAFETY: the callers only make system calls.
        unsafe { self.command.pre_exec(work) };
        self
    }

    /// Starts it, with a pipe as its input: what `wait-for-input` waits for.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start(mut self) -> Child {
        self.command.stdin(Stdio::piped()).spawn().expect("the helper starts")
    }

    /// A helper that is told its steps while it runs.
    #[must_use]
    pub fn told() -> Self {
        Self::new(["steps-from-input"])
    }

    /// Starts one that [`Act::told`] made.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn listen(self) -> Told {
        let mut child = self.start();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("the output is a pipe"));
        Told { child, input, output }
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn run(mut self) -> Done {
        let child = self.command.spawn().expect("the helper starts");
        finish(child)
    }

    /// Runs it to its end, and waits until the sensor has said all of it.
    #[must_use]
    pub fn seen_by(self, sensor: &Sensor) -> (Done, Vec<Event>) {
        let done = self.run();
        let events = sensor.until_exit(done.pid);
        (done, events)
    }
}

/// A helper that does what it is told, one step at a time. Dropping it lets it end.
pub struct Told {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Told {
    /// Takes a step, written as its words, and gives what came of it: a negative errno where it failed.
    ///
    /// # Panics
    /// Where the helper has died.
    pub fn step(&mut self, step: &str) -> i64 {
        self.asked(step)["result"].as_i64().expect("a result")
    }

    /// The same with all that the helper says of it.
    ///
    /// # Panics
    /// Where the helper has died.
    pub fn asked(&mut self, step: &str) -> Value {
        let input = self.input.as_mut().expect("open until it is dropped");
        writeln!(input, "{step}").expect("the helper listens");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line of text");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{step}: {error}: {line}"))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

/// Reads what the helper says until it ends.
///
/// # Panics
/// Where it says something else than JSON.
#[must_use]
pub fn finish(mut child: Child) -> Done {
    use std::os::unix::process::ExitStatusExt;
    let pid = child.id();
    drop(child.stdin.take());
    let stdout = child.stdout.take().expect("the output is a pipe");
    let steps = BufReader::new(stdout)
        .lines()
        .map(|line| {
            let line = line.expect("lines of text");
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
        })
        .collect();
    let status = child.wait().expect("the helper can be waited for");
    let code = status.code().or_else(|| status.signal().map(|signal| -signal));
    Done { pid, code: code.unwrap_or_default(), steps }
}

impl Done {
    /// What a step returned: a negative errno where it failed.
    #[must_use]
    pub fn result(&self, step: usize) -> i64 {
        self.steps[step]["result"].as_i64().unwrap_or_else(|| panic!("step {step}: {:?}", self.steps))
    }

    /// Something else that a step said.
    #[must_use]
    pub fn said(&self, step: usize, what: &str) -> &Value {
        &self.steps[step][what]
    }
}
