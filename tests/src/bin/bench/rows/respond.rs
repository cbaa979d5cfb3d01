//! How long a process lives that a rule kills: from its `execve` to its death, as its parent sees both.

use std::{
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Result, bail};

use crate::{
    Bench,
    daemon::{Rules, Sensor},
    figure::{Figure, Must, Unit, percentile},
    machine,
};

/// How long a child waits to be killed.
const PATIENCE: &str = "10";

pub(super) fn kill(bench: &Bench) -> Result<Vec<Figure>> {
    let sensor = Sensor::start(bench, Rules::Kill)?;
    let count = if bench.quick { 100 } else { 1000 };
    let values = (0..count).map(|_| one(bench)).collect::<Result<Vec<f64>>>()?;
    sensor.stop()?;
    let row = "exec to death by a rule";
    let worst = percentile(&values, 0.99);
    Ok(vec![
        Figure::new(row, "killed from user space", Unit::Millis, Must::AtMost(2.0), values),
        Figure::new(row, "killed from user space, p99", Unit::Millis, Must::Nothing, vec![worst]),
    ])
}

/// Milliseconds from just before the `execve` to the end.
fn one(bench: &Bench) -> Result<f64> {
    // A pace at which every one is alone: what is measured is the way of one, not a queue.
    thread::sleep(Duration::from_millis(5));
    let mut command = Command::new(bench.file("victim"));
    command.arg(PATIENCE).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut pipe = [0; 2];
    // SAFETY: room for two descriptors.
    if unsafe { libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        bail!("no pipe: {}", std::io::Error::last_os_error());
    }
    let [from, to] = pipe;
    // SAFETY: between fork and exec only a clock is read and eight bytes are written.
    unsafe {
        command.pre_exec(move || {
            let now = machine::now();
            libc::write(to, (&raw const now).cast(), 8);
            Ok(())
        });
    }
    let mut child = command.spawn()?;
    let status = child.wait()?;
    let end = machine::now();
    let mut begin = 0_u64;
    // SAFETY: room for eight bytes, and descriptors that are ours.
    let read = unsafe {
        let read = libc::read(from, (&raw mut begin).cast(), 8);
        libc::close(from);
        libc::close(to);
        read
    };
    if read != 8 || status.signal() != Some(libc::SIGKILL) {
        bail!("it was not killed: {status}");
    }
    Ok((end - begin) as f64 / 1e6)
}
