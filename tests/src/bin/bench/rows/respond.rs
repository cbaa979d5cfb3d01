//! How long a process lives that a rule kills: from its `execve` to its death, as its parent sees both. And how long a container
//! has its network that a rule isolates: as the sensor's own records have it, from the event to the end of the response.

use std::{
    fs,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use sensor_tests::cgroup::{Group, unified};
use serde_json::Value;

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

pub(super) fn isolate(bench: &Bench) -> Result<Vec<Figure>> {
    let unified = unified().context("no unified hierarchy is mounted")?;
    let _ = fs::remove_file(bench.file("audit.log"));
    let sensor = Sensor::start(bench, Rules::Isolate)?;
    let count = if bench.quick { 5 } else { 20 };
    let values = (0..count).map(|number| cut_off(bench, &unified, number)).collect::<Result<Vec<f64>>>()?;
    sensor.stop()?;
    let row = "event to container isolated by a rule";
    let worst = percentile(&values, 1.0);
    Ok(vec![
        Figure::new(row, "isolated", Unit::Millis, Must::AtMost(50.0), values),
        Figure::new(row, "isolated, slowest", Unit::Millis, Must::AtMost(50.0), vec![worst]),
    ])
}

/// Milliseconds from the event's time stamp to the moment at which the container is cut off, as the audit log has them.
fn cut_off(bench: &Bench, unified: &std::path::Path, number: u32) -> Result<f64> {
    let id = format!("{number:08x}{:08x}{}", std::process::id(), "8".repeat(48));
    let path = format!("docker/{id}");
    let procs = unified.join(&path).join("cgroup.procs");
    let _group = Group::new(unified, &path);
    // At a pace at which every one is alone.
    thread::sleep(Duration::from_millis(50));
    let mut command = Command::new(bench.file("victim"));
    command.arg("0").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: system calls only.
    unsafe {
        command.pre_exec(move || {
            if libc::unshare(libc::CLONE_NEWNS) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            fs::write(&procs, "0")
        });
    }
    command.status()?;
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        let log = fs::read_to_string(bench.file("audit.log")).unwrap_or_default();
        let records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let ours = |record: &Value| {
            record.to_string().contains(&id) && record.get("result").is_some_and(|result| result == "done")
        };
        if let Some(record) = records.into_iter().find(ours) {
            let latency =
                record.get("latency_us").and_then(Value::as_f64).context("no latency in the record")?;
            return Ok(latency / 1000.0);
        }
        thread::sleep(Duration::from_millis(5));
    }
    bail!("container {id} was never isolated")
}
