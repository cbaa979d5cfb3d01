//! Recorded opens through the daemon on one CPU: what it can take, whatever the kernel half sends.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::{
    process::{Pid, Signal, kill_process},
    thread::{CpuSet, sched_setaffinity},
};
use serde::Deserialize;

use crate::{
    Bench,
    figure::{Figure, Must, Unit},
    load::Load,
};

/// What `vedette replay --bench --json` prints.
#[derive(Deserialize)]
struct Speed {
    events_per_second: Rate,
}

#[derive(Deserialize)]
struct Rate {
    min: f64,
    median: f64,
    max: f64,
}

pub(super) fn replay(bench: &Bench) -> Result<Vec<Figure>> {
    let recording = bench.file("opens.rec");
    let count = if bench.quick { 100_000 } else { 400_000 };
    let mut recorder = Command::new(&bench.vedette)
        .arg("record")
        .arg(&recording)
        .args(["--kinds", "file_open"])
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the recorder")?;
    let recorded = storm(bench, count);
    let status = end(&mut recorder)?;
    recorded?;
    ensure!(status.success(), "the recorder failed: {status}");
    let mut command = Command::new(&bench.vedette);
    command.arg("replay").arg(&recording).args(["--bench", "--json", "--set", "rules.paths=[]"]);
    // SAFETY: one system call between fork and exec, which touches nothing of ours.
    unsafe {
        command.pre_exec(|| {
            let mut set = CpuSet::new();
            set.set(0);
            Ok(sched_setaffinity(None, &set)?)
        });
    }
    let output = command.stderr(Stdio::inherit()).output()?;
    std::fs::remove_file(&recording)?;
    ensure!(output.status.success(), "the replay failed: {}", output.status);
    let Speed { events_per_second: Rate { min, median, max } } =
        serde_json::from_slice(&output.stdout).context("the replay did not say how fast it was")?;
    let values = vec![min, median, max];
    let row = "opens from a recording, one CPU";
    Ok(vec![Figure::new(
        row,
        "decoded, attributed, matched",
        Unit::PerSecond,
        Must::AtLeast(500_000.0),
        values,
    )])
}

/// Opens in portions, so that the recorder keeps up.
fn storm(bench: &Bench, count: u64) -> Result<()> {
    thread::sleep(Duration::from_secs(2));
    for _ in 0..count / 20_000 {
        Load::Own { name: "openonly", count: 20_000, copies: 1 }.run(bench)?;
    }
    thread::sleep(Duration::from_millis(500));
    Ok(())
}

fn end(child: &mut Child) -> Result<std::process::ExitStatus> {
    if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
        kill_process(pid, Signal::TERM)?;
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(10));
    }
    child.kill()?;
    bail!("the recorder does not end")
}
