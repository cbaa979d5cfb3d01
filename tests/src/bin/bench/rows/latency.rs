//! How long one waits: for the sensor to start, and for the line of an alert after the system call that it is about.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    Bench,
    daemon::{Rules, Sensor},
    figure::{Figure, Must, Unit, percentile},
    load::{Load, finish},
};

/// A file that the built-in rules watch.
const WATCHED: &str = "/etc/shadow";
/// An alert that takes longer is missing.
const LIMIT: Duration = Duration::from_secs(2);

pub(super) fn start(bench: &Bench) -> Result<Vec<Figure>> {
    let values = (0..bench.rounds)
        .map(|_| {
            let sensor = Sensor::start(bench, Rules::Builtin)?;
            let took = sensor.started_in;
            sensor.stop()?;
            Ok(took)
        })
        .collect::<Result<_>>()?;
    Ok(vec![Figure::new(
        "start to first event",
        "time",
        Unit::Seconds,
        bench.at_most(Some(0.5), None),
        values,
    )])
}

pub(super) fn latency(bench: &Bench) -> Result<Vec<Figure>> {
    let sensor = Sensor::start(bench, Rules::Builtin)?;
    let mut toucher = Toucher::start(bench)?;
    let idle = toucher.samples(&sensor, 20, Duration::from_millis(50))?;
    // Enough for a 99th percentile, at a pace that leaves the storm to the storm.
    let samples = if bench.quick { 100 } else { 400 };
    let (pause, slack) = (Duration::from_millis(10), Duration::from_secs(4));
    let storm = Load::sized(bench, "open", 1, (pause + Duration::from_millis(6)) * samples + slack)?;
    let mut running = storm.start(bench)?;
    thread::sleep(Duration::from_millis(200));
    let loaded = toucher.samples(&sensor, samples, pause)?;
    if running.try_wait()?.is_some() {
        eprintln!("  the storm ended before the last sample");
    }
    running.kill()?;
    drop(finish(running));
    let row = "system call to alert line";
    let worst = percentile(&loaded, 0.99);
    Ok(vec![
        Figure::new(row, "machine idle", Unit::Millis, Must::AtMost(1.0), idle),
        Figure::new(row, "beside an open storm", Unit::Millis, Must::Nothing, loaded),
        Figure::new(row, "beside an open storm, p99", Unit::Millis, Must::AtMost(12.0), vec![worst]),
    ])
}

/// A child that opens the watched file on demand.
struct Toucher {
    child: Child,
    ask: ChildStdin,
    times: BufReader<ChildStdout>,
}

impl Toucher {
    fn start(bench: &Bench) -> Result<Self> {
        let mut child = Command::new(&bench.own)
            .args(["touch", WATCHED])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the child that opens files")?;
        let (ask, times) = child.stdin.take().zip(child.stdout.take()).context("no pipes")?;
        Ok(Self { child, ask, times: BufReader::new(times) })
    }

    /// Milliseconds from before the call to after the line, so many times.
    fn samples(&mut self, sensor: &Sensor, count: u32, pause: Duration) -> Result<Vec<f64>> {
        (0..count)
            .map(|_| {
                thread::sleep(pause);
                sensor.forget_lines();
                writeln!(self.ask)?;
                let mut time = String::new();
                self.times.read_line(&mut time)?;
                let before: u64 = time.trim().parse().context("the child that opens files is gone")?;
                let Some(line) = sensor.line_with(WATCHED, LIMIT) else {
                    bail!("an open of {WATCHED} made no alert within {} s", LIMIT.as_secs());
                };
                Ok((line.at - before) as f64 / 1e6)
            })
            .collect()
    }
}

impl Drop for Toucher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
