//! A program in the background with its output in a file, from its start until it is ended by its process id.
//!
//! What it does is the caller's matter.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

/// Longest time that a program gets to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// How often things are looked at.
const POLL: Duration = Duration::from_millis(100);

/// How many lines of its output are shown of one that ended early.
const TAIL: usize = 12;

/// A program at work.
pub(super) struct Service {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Service {
    /// Starts it; its output goes to a file in `folder`.
    pub(super) fn start(mut command: Command, folder: &Path) -> Result<Service> {
        let name = Path::new(command.get_program()).file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let errors = file.try_clone().context("cannot copy a file")?;
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Service { name, log, child })
    }

    /// Waits until something holds; fails with the end of the output where the program ends before or takes too long.
    pub(super) fn until(&mut self, what: &str, limit: Duration, holds: impl Fn() -> bool) -> Result<()> {
        let end = Instant::now() + limit;
        while !holds() {
            if let Some(status) = self.child.try_wait().context("cannot wait for a child")? {
                bail!("{} ended ({status}):\n{}", self.name, self.tail());
            }
            if Instant::now() > end {
                bail!("{what} took more than {} s; {}:\n{}", limit.as_secs(), self.name, self.tail());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// The end of its output.
    pub(super) fn tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // These fail only where it has ended, which is what is wanted.
        let _ = pid.map(|pid| rustix::process::kill_process(pid, Signal::TERM));
        let end = Instant::now() + GRACE;
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(POLL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
