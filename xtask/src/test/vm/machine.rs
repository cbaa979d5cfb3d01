//! Runs one machine to its end, and says how it ended.
//!
//! An end counts only if the machine says it: time that runs out, a kernel that panics and a silence are
//! failures with a name. What the lines of the tests mean is the caller's matter.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::kernel::Kernel;
use crate::arch::Arch;
use crate::child;

/// How much memory a machine has, in MiB. The root file system is in it, twice while it is unpacked, and
/// what the tests write. With half of this the whole suite was killed halfway, on two kernels.
pub(super) const MEMORY: usize = 3072;

/// What `timeout` exits with where time ran out, by its own signal and by the last one.
const OUT_OF_TIME: [i32; 2] = [124, 137];

/// Words of the kernel's log that begin the account of a death.
const DEATHS: [&str; 5] = ["Kernel panic", "Oops", "BUG: ", "general protection fault", "Out of memory"];

/// How many lines of the kernel's log are shown of a machine that died.
const TAIL: usize = 12;

/// How a machine ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It said this exit code.
    Said(i32),
    /// Why it did not, and the end of the kernel's log.
    Died { why: String, log: String },
}

/// Everything that a machine is started with.
pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) root: &'a Path,
    pub(super) arch: Arch,
    /// Its processors.
    pub(super) cpus: usize,
    /// Options for the kernel.
    pub(super) options: &'a str,
    pub(super) limit: Duration,
}

impl Machine<'_> {
    /// Runs to the end; every line of the first serial port but the last goes to `each`.
    pub(super) fn run(&self, mut each: impl FnMut(&str)) -> Result<End> {
        let dir = tempfile::tempdir().context("cannot make a temporary folder")?;
        let log = dir.path().join("kernel.log");
        let mut exit = None;
        let status = child::lines(&mut self.command(&log), |line| {
            let line = line.trim_end_matches('\r');
            match line.strip_prefix("vm: exit ") {
                Some(code) => exit = code.parse().ok(),
                None => each(line),
            }
        })?;
        let log = fs::read(&log).unwrap_or_default();
        Ok(end(exit, status.code(), &String::from_utf8_lossy(&log), self.limit))
    }

    fn command(&self, log: &Path) -> Command {
        // `timeout` stays in the foreground group, so that an interrupt from the terminal ends the machine too.
        let mut command = child::command("timeout", Path::new("/"));
        let seconds = self.limit.as_secs().to_string();
        command.args(["--foreground", "--kill-after=5", &seconds, self.arch.qemu().program]);
        // One thread for both processors: with two, QEMU 7.2 now and then breaks the kernel's patching of its own code.
        command.args(["-accel", "tcg,thread=single,tb-size=256"]);
        command.args([
            "-smp",
            &self.cpus.to_string(),
            "-m",
            &MEMORY.to_string(),
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
        ]);
        let log = format!("file:{}", log.display());
        let console = match self.arch {
            Arch::X86_64 => {
                // Its `cmpxchg16b` corrupts the flags now and then, so the processor does without. It repeats string
                // instructions byte by byte: without the fast ones the kernel takes those that move eight, and clears
                // pages faster.
                command.args(["-M", "q35", "-cpu", "max,cx16=off,la57=off,erms=off,fsrm=off"]);
                command.args(["-serial", "stdio", "-serial", &log]);
                "ttyS1 no_timer_check tsc=reliable"
            }
            Arch::Arm64 => {
                // The one serial port that the board has takes the log, from the first line on; the tests have one on a card.
                command.args(["-M", "virt", "-cpu", "cortex-a72", "-serial", &log]);
                command.args(["-chardev", "stdio,id=tests", "-device", "pci-serial,chardev=tests"]);
                "ttyAMA0"
            }
        };
        command.arg("-kernel").arg(&self.kernel.image).arg("-initrd").arg(self.root);
        // Waiting for readers of the kernel is a tenth of all time there, unless it hurries them.
        let always = "loglevel=5 panic=-1 oops=panic nokaslr rcupdate.rcu_expedited=1";
        command.arg("-append").arg(format!("console={console} {always} {}", self.options));
        command
    }
}

fn end(exit: Option<i32>, status: Option<i32>, log: &str, limit: Duration) -> End {
    let death = log.lines().find(|line| DEATHS.iter().any(|death| line.contains(death)));
    let why = match (exit, status) {
        _ if death.is_some() => format!("the kernel died: {}", death.unwrap_or_default().trim()),
        (Some(code), _) => return End::Said(code),
        (None, Some(code)) if OUT_OF_TIME.contains(&code) => {
            format!("the machine did not end within {} s", limit.as_secs())
        }
        (None, code) => format!("the machine ended without a word (QEMU's exit code: {code:?})"),
    };
    let lines: Vec<&str> = log.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default().join("\n");
    End::Died { why, log: tail }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{End, end};

    #[test]
    fn only_an_end_that_was_said_is_one() {
        let limit = Duration::from_secs(7);
        let why = |exit, status, log| match end(exit, status, log, limit) {
            End::Said(code) => panic!("{code}"),
            End::Died { why, .. } => why,
        };
        assert_eq!(end(Some(0), Some(0), "all well", limit), End::Said(0));
        assert_eq!(end(Some(101), Some(0), "", limit), End::Said(101));
        assert!(why(None, Some(0), "").contains("without a word"));
        assert!(why(None, Some(124), "").contains("within 7 s"));
        let panic = "[ 1.0] x\n[ 1.1] Kernel panic - not syncing: Attempted to kill init!\n[ 1.2] y";
        assert!(why(None, Some(0), panic).contains("Attempted to kill init"));
        // A kernel that was damaged before the tests ended has proved nothing.
        assert!(why(Some(0), Some(0), "[ 3.1] BUG: unable to handle page fault").contains("the kernel died"));
    }
}
