//! The sensor as a child process: started, waited for, watched, stopped.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{Bench, machine};

/// Longest start that is waited for.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How often something happens that the sensor should report, while it starts.
const PROBE_EVERY: Duration = Duration::from_millis(3);
/// The same on an emulated processor, which does little else otherwise.
const PROBE_EVERY_EMULATED: Duration = Duration::from_millis(100);
/// Rest after the start, so that a run does not pay for it.
const SETTLE: Duration = Duration::from_millis(300);

/// What the sensor is asked to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// The built-in set.
    Builtin,
    /// Nothing but one rule on the end of a process, for which no system call has to be looked at.
    ExitOnly,
    /// Nothing but one rule on successful execs.
    ExecOnly,
    /// The same, and one that has to see every open, connect and accept, and holds for none.
    Every,
    /// That on execs, and one that kills what runs the copy that is there for that, as often as it runs.
    Kill,
    /// The same, and one that isolates the container in which that copy runs.
    Isolate,
}

/// A line of the sensor's output.
#[derive(Debug)]
pub(crate) struct Line {
    /// When it could be read here, on `CLOCK_MONOTONIC`.
    pub(crate) at: u64,
    pub(crate) text: String,
}

/// A sensor at work. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Sensor {
    child: Child,
    lines: Receiver<Line>,
    stats: PathBuf,
    /// Seconds from the start of the process to its first line.
    pub(crate) started_in: f64,
}

impl Sensor {
    /// Starts it, and waits until it reports something.
    pub(crate) fn start(bench: &Bench, rules: Rules) -> Result<Self> {
        let probe = bench.file("probe");
        // In a folder of its own: the sensor watches it, and the kernel tells a watcher of every open beside the file.
        let folder = bench.file("rules");
        fs::create_dir_all(&folder)?;
        let file = folder.join("probe.yaml");
        // The file's name is enough of a mark: no other process lives in our folder.
        let rule = format!(
            "- rule: Benchmark probe\n  desc: A program that only the benchmark starts\n  \
             condition: {} and proc.exepath = \"{}\"\n  output: probe %proc.exepath\n  priority: NOTICE\n",
            if rules == Rules::ExitOnly {
                "evt.type = procexit"
            } else {
                "evt.type = execve and evt.failed = false"
            },
            probe.display()
        );
        let victim = format!(
            "- rule: Benchmark victim\n  desc: A program that is killed\n  condition: evt.type = execve and evt.failed = false \
             and proc.exepath = \"{}\"\n  output: victim\n  priority: NOTICE\n  response: ",
            bench.file("victim").display()
        );
        let rule = match rules {
            Rules::Kill => rule + &victim + "kill\n",
            Rules::Isolate => rule + &victim + "isolate\n",
            Rules::Every => {
                rule + "- rule: Benchmark every one\n  desc: No program has such an argument\n  condition: evt.type in (open, \
                        openat, openat2, connect, accept, accept4) and proc.args contains \"vedette bench\"\n  output: none\n  \
                        priority: NOTICE\n"
            }
            _ => rule,
        };
        fs::write(&file, rule)?;
        let mut command = Command::new(&bench.vedette);
        command.args(["run", "--json", "--set", "rules.paths=[]", "--rules"]).arg(file);
        if rules != Rules::Builtin {
            command.arg("--no-builtin-rules");
        }
        if rules == Rules::Isolate {
            // No runtime says who such a container is, for which its events would wait.
            command.args(["--set", "identity.wait_ms=0"]);
        }
        let stats = bench.file("stats.json");
        let _ = fs::remove_file(&stats);
        command.arg("--set").arg(format!("stats_file={}", stats.display()));
        command.args(["--set", "metrics.listen="]);
        command.arg("--set").arg(format!("lock={}", bench.file("lock").display()));
        for (key, name) in
            [("respond.audit", "audit.log"), ("respond.held", "held"), ("control.socket", "control")]
        {
            command.arg("--set").arg(format!("{key}={}", bench.file(name).display()));
        }
        for key in ["per_minute", "per_workload_per_minute"] {
            command.arg("--set").arg(format!("respond.limit.{key}=0"));
        }
        let from = machine::now();
        let (child, lines) = spawn(&mut command)?;
        let mut sensor = Self { child, lines, stats, started_in: 0.0 };
        let deadline = Instant::now() + START_LIMIT;
        let pause = if bench.emulated { PROBE_EVERY_EMULATED } else { PROBE_EVERY };
        while Instant::now() < deadline {
            Command::new(&probe).stderr(Stdio::null()).status().context("cannot run the probe")?;
            match sensor.lines.recv_timeout(pause) {
                Ok(line) if line.text.contains("probe") => {
                    sensor.started_in = (line.at - from) as f64 / 1e9;
                    thread::sleep(SETTLE);
                    sensor.forget_lines();
                    return Ok(sensor);
                }
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(sensor.why_it_ended()),
            }
        }
        bail!("the sensor reported nothing within {} s", START_LIMIT.as_secs())
    }

    fn why_it_ended(&mut self) -> anyhow::Error {
        let mut words = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut words);
        }
        anyhow::anyhow!("the sensor ended: {}", words.trim())
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time so far, in nanoseconds.
    pub(crate) fn cpu(&self) -> Result<u64> {
        machine::cpu_of(self.pid())
    }

    /// Drops the lines that came up to now.
    pub(crate) fn forget_lines(&self) {
        while self.lines.try_recv().is_ok() {}
    }

    /// The next line with `mark` in it.
    pub(crate) fn line_with(&self, mark: &str, limit: Duration) -> Option<Line> {
        let deadline = Instant::now() + limit;
        loop {
            let line = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
            if line.text.contains(mark) {
                return Some(line);
            }
        }
    }

    /// Asks it to end, and returns its accounts.
    pub(crate) fn stop(mut self) -> Result<Accounts> {
        if let Some(pid) = rustix::process::Pid::from_raw(self.pid().cast_signed()) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("the sensor does not end");
            }
            thread::sleep(Duration::from_millis(5));
        }
        let text = fs::read(&self.stats).context("the sensor wrote no accounts")?;
        Ok(Accounts(serde_json::from_slice(&text)?))
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(command: &mut Command) -> Result<(Child, Receiver<Line>)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env("VEDETTE_LOG", "warn");
    // SAFETY: prctl is safe to call between fork and exec.
    unsafe {
        command.pre_exec(|| {
            // A benchmark that is killed leaves no sensor behind.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    let mut child = command.spawn().context("cannot start the sensor")?;
    let output = child.stdout.take().context("the sensor has no output")?;
    let (sender, lines) = channel();
    thread::spawn(move || {
        for text in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(Line { at: machine::now(), text }).is_err() {
                return;
            }
        }
    });
    Ok((child, lines))
}

/// What the sensor wrote into its `stats_file`.
#[derive(Debug)]
pub(crate) struct Accounts(Value);

impl Accounts {
    /// A total.
    pub(crate) fn total(&self, key: &str) -> u64 {
        self.0.get(key).and_then(Value::as_u64).unwrap_or(0)
    }

    /// A count of one kind.
    pub(crate) fn of_kind(&self, kind: &str, count: &str) -> u64 {
        let kinds = self.0.get("kinds").and_then(|kinds| kinds.get(kind));
        kinds.and_then(|kind| kind.get(count)).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Events of one kind that did not arrive.
    pub(crate) fn lost_of(&self, kind: &str) -> u64 {
        self.of_kind(kind, "ring_full") + self.of_kind(kind, "failed")
    }

    /// Events that went missing anywhere: in the kernel, in decoding, in front of the output.
    pub(crate) fn lost(&self) -> u64 {
        let sum = |value: Option<&Value>| -> u64 {
            value.and_then(Value::as_object).map_or(0, |map| map.values().filter_map(Value::as_u64).sum())
        };
        let dropped = self.0.get("queue").and_then(|queue| queue.get("dropped")).and_then(Value::as_u64);
        self.total("lost") + sum(self.0.get("malformed")) + dropped.unwrap_or(0)
    }
}
