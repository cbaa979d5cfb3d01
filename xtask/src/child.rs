//! Runs other programs and turns how they ended into a result whose exit code reaches the caller.
//!
//! It must not know what any program does; whoever calls says what was attempted.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How long the output of a finished child is waited for. A test may leave a process of its own behind that
/// holds the pipe open; past this the rest of the output is given up rather than waited for without end.
const DRAIN: Duration = Duration::from_secs(2);

/// How often a child with a deadline is looked at.
const POLL: Duration = Duration::from_millis(50);

/// A way to end that is not success; `main` exits with its code.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Exit {
    /// What failed, for the one line that `main` prints.
    pub(crate) what: String,
    /// The exit code to end with.
    pub(crate) code: u8,
    /// False where everything has been said already, as in the table of `cargo xtask test`.
    pub(crate) worth_saying: bool,
}

impl Exit {
    /// An end that `main` reports in one line.
    pub(crate) fn new(code: u8, what: impl Into<String>) -> Exit {
        Exit { what: what.into(), code, worth_saying: true }
    }

    /// An end whose reason is on the screen already.
    pub(crate) fn silent(code: u8) -> Exit {
        Exit { what: String::new(), code, worth_saying: false }
    }
}

/// A command that starts in `dir` and reads nothing from the terminal.
pub(crate) fn command(program: impl AsRef<OsStr>, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).stdin(Stdio::null());
    command
}

/// The same cargo that runs this program, hence the toolchain that the repository pins.
pub(crate) fn cargo(dir: &Path) -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), dir)
}

/// Runs to the end with the output on the terminal; anything but success is an [`Exit`].
pub(crate) fn run(command: &mut Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    check(status, what)
}

/// Runs to the end and returns what was written to standard output; anything but success is an [`Exit`].
pub(crate) fn output(command: &mut Command, what: &str) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| cannot_start(command))?;
    check(output.status, what)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether the command could be started and succeeded, with nothing shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Runs quietly and gives up after `limit`: for programs that try for minutes where there is no network.
/// Returns what the child wrote to standard error where it failed.
pub(crate) fn within(command: &mut Command, limit: Duration) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
    // A pipe that nobody reads would stop a talkative child, so it is read while the child runs.
    let errors = child.stderr.take().map(|mut pipe| {
        thread::spawn(move || {
            let mut text = String::new();
            let _ = pipe.read_to_string(&mut text);
            text
        })
    });
    let end = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(_)) => {
                let text = errors.and_then(|reader| reader.join().ok()).unwrap_or_default();
                return Err(text.trim().to_owned());
            }
            Ok(None) if Instant::now() < end => thread::sleep(POLL),
            Ok(None) => {
                stop(&mut child);
                return Err(format!("no result within {} s", limit.as_secs()));
            }
            Err(error) => return Err(format!("cannot wait for {name}: {error}")),
        }
    }
}

/// Runs with both outputs in one pipe, hands every line to `each` as it arrives, and returns how it ended.
/// One pipe keeps the order in which the lines were written.
pub(crate) fn lines(command: &mut Command, mut each: impl FnMut(&str)) -> Result<ExitStatus> {
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    command.stdout(writer.try_clone().context("cannot copy a pipe")?).stderr(writer);
    let mut child = command.spawn().with_context(|| cannot_start(command))?;
    // The command itself holds the writing end; while it does, the reader never sees the end of the output.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let (sender, receiver) = mpsc::channel::<String>();
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        match receiver.recv_timeout(POLL) {
            Ok(line) => each(&line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        match ended {
            Some((_, at)) if at.elapsed() > DRAIN => break,
            Some(_) => {}
            None => ended = child.try_wait().context("cannot wait for a child")?.map(|s| (s, Instant::now())),
        }
    }
    match ended {
        Some((status, _)) => Ok(status),
        None => child.wait().context("cannot wait for a child"),
    }
}

/// The exit code of a child as a shell would show it: 128 and the signal where a signal ended it.
pub(crate) fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn check(status: ExitStatus, what: &str) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    Err(Exit::new(code(status), format!("{what} failed ({status})")).into())
}

fn stop(child: &mut Child) {
    // Both fail only where the child is gone already, which is what is wanted.
    let _ = child.kill();
    let _ = child.wait();
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start {}", command.get_program().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::{code, command, lines, within};

    fn shell(script: &str) -> std::process::Command {
        let mut shell = command("sh", Path::new("/"));
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn lines_come_in_the_order_of_writing_and_signals_have_a_code() {
        let mut seen = Vec::new();
        let script = "echo a; echo b >&2; echo c; kill -9 $$";
        let status = lines(&mut shell(script), |line| seen.push(line.to_owned())).unwrap();
        assert_eq!(seen, ["a", "b", "c"]);
        assert_eq!(code(status), 137);
    }

    #[test]
    fn a_process_left_behind_does_not_hold_the_run_up() {
        let start = Instant::now();
        let status = lines(&mut shell("sleep 20 & exit 7"), |_| {}).unwrap();
        assert_eq!(code(status), 7);
        assert!(start.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn a_child_past_its_limit_is_stopped() {
        let start = Instant::now();
        let error = within(&mut shell("exec sleep 20"), Duration::from_millis(100)).unwrap_err();
        assert!(error.contains("no result within"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn a_failure_says_what_the_child_said() {
        assert_eq!(
            within(&mut shell("echo why >&2; exit 1"), Duration::from_secs(15)),
            Err("why".to_owned())
        );
    }
}
