//! Storms on every CPU at once, where the sensor has to share the CPUs with what it watches: losses and memory.

use std::{thread, time::Duration};

use anyhow::Result;

use crate::{
    Bench,
    daemon::{Rules, Sensor},
    figure::{Figure, Must, Unit},
    load::{Load, finish},
    machine,
};

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LIFECYCLE: [&str; 3] = ["proc_exec", "proc_fork", "proc_exit"];

pub(super) fn storms(bench: &Bench) -> Result<Vec<Figure>> {
    let cpus = machine::cpus();
    let time = bench.run * 3;
    let sized = |name: &'static str, copies| Load::sized(bench, name, copies, time);
    let storms = [
        ("open", vec![sized("open", cpus)?]),
        ("exec", vec![sized("exec", cpus)?]),
        ("connect", vec![sized("conn", cpus)?]),
        ("open and exec", vec![sized("open", cpus)?, sized("exec", 1)?]),
    ];
    let mut figures = Vec::new();
    let (mut resident, mut peaks) = (Vec::new(), Vec::new());
    for (name, loads) in storms {
        let row = format!("{name} storm on {cpus} CPUs");
        let (mut lost, mut vital, mut rate) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..if bench.quick { 1 } else { 3 } {
            let storm = one(bench, &loads)?;
            lost.push(storm.lost as f64);
            vital.push(storm.vital as f64);
            rate.push(storm.rate);
            resident.push(storm.resident);
            peaks.push(storm.peak);
        }
        figures.push(Figure::new(&row, "lost events", Unit::Count, Must::Never(0.0), lost));
        figures.push(Figure::new(&row, "lost execs, forks, exits", Unit::Count, Must::Never(0.0), vital));
        figures.push(Figure::new(&row, "events taken", Unit::PerSecond, Must::Nothing, rate));
    }
    let row = "resident memory in the storms";
    figures.push(Figure::new(row, "greatest", Unit::MiB, Must::Never(80.0), resident));
    let peak = Figure::new(row, "peak, start included", Unit::MiB, Must::Never(80.0), peaks);
    figures.push(peak);
    Ok(figures)
}

struct Storm {
    lost: u64,
    vital: u64,
    rate: f64,
    resident: f64,
    peak: f64,
}

fn one(bench: &Bench, loads: &[Load]) -> Result<Storm> {
    let sensor = Sensor::start(bench, Rules::Builtin)?;
    let start = machine::now();
    let mut running = loads.iter().map(|load| load.start(bench)).collect::<Result<Vec<_>>>()?;
    let mut resident: f64 = 0.0;
    while running.iter_mut().any(|child| matches!(child.try_wait(), Ok(None))) {
        resident = resident.max(machine::memory_of(sensor.pid())?.0);
        thread::sleep(LOOK_EVERY);
    }
    let seconds = (machine::now() - start) as f64 / 1e9;
    for child in running {
        finish(child)?;
    }
    let peak = machine::memory_of(sensor.pid())?.1;
    let accounts = sensor.stop()?;
    Ok(Storm {
        lost: accounts.lost(),
        vital: LIFECYCLE.iter().map(|kind| accounts.lost_of(kind)).sum(),
        rate: accounts.total("received") as f64 / seconds,
        resident,
        peak,
    })
}

pub(super) fn at_rest(bench: &Bench) -> Result<Vec<Figure>> {
    let sensor = Sensor::start(bench, Rules::Builtin)?;
    let (mut resident, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..if bench.quick { 2 } else { 5 } {
        let (before, start) = (sensor.cpu()?, machine::now());
        thread::sleep(Duration::from_secs(1));
        cpu.push((sensor.cpu()? - before) as f64 / (machine::now() - start) as f64 * 1e3);
        resident.push(machine::memory_of(sensor.pid())?.0);
    }
    let peak = machine::memory_of(sensor.pid())?.1;
    let row = "at rest";
    Ok(vec![
        Figure::new(row, "resident memory", Unit::MiB, Must::Never(40.0), resident),
        Figure::new(row, "peak of the start", Unit::MiB, Must::Nothing, vec![peak]),
        Figure::new(row, "sensor CPU per second", Unit::Millis, Must::Nothing, cpu),
    ])
}
