//! What the sensor takes on a machine that does so much and no more: the table of docs/tuning.md.

use std::{thread, time::Duration};

use anyhow::Result;

use crate::{
    Bench,
    daemon::{Rules, Sensor},
    figure::{Figure, Must, Unit},
    load::{finish, paced},
    machine,
};

/// What the machine does meanwhile: a workload, and how often in a second.
const LOADS: [(&str, Option<(&str, u64)>); 6] = [
    ("nothing", None),
    ("100 execs a second", Some(("exec", 100))),
    ("1,000 execs a second", Some(("exec", 1000))),
    ("5,000 opens a second", Some(("open", 5000))),
    ("50,000 opens a second", Some(("open", 50_000))),
    ("1,000 connections a second", Some(("conn", 1000))),
];

pub(super) fn sizing(bench: &Bench) -> Result<Vec<Figure>> {
    let seconds: u64 = if bench.quick { 3 } else { 15 };
    let mut figures = Vec::new();
    for (name, load) in LOADS {
        let sensor = Sensor::start(bench, Rules::Builtin)?;
        let (before, start) = (sensor.cpu()?, machine::now());
        let load = load.map(|(workload, rate)| paced(bench, workload, (rate * seconds, rate))).transpose()?;
        let mut resident = Vec::new();
        for _ in 0..seconds {
            thread::sleep(Duration::from_secs(1));
            resident.push(machine::memory_of(sensor.pid())?.0);
        }
        let done = load.map(finish).transpose()?;
        let share = (sensor.cpu()? - before) as f64 / (machine::now() - start) as f64 * 1e3;
        let lost = sensor.stop()?.lost() as f64;
        let row = format!("sizing, {name}");
        // A machine that is too busy does less than it is asked to, and so does the sensor.
        let rate = done.map(|done| done.n as f64 * 1e9 / done.wall_ns as f64);
        figures.extend(
            rate.map(|rate| Figure::new(&row, "reached", Unit::PerSecond, Must::Nothing, vec![rate])),
        );
        figures.push(Figure::new(&row, "sensor CPU per second", Unit::Millis, Must::Nothing, vec![share]));
        figures.push(Figure::new(&row, "resident memory", Unit::MiB, Must::Never(80.0), resident));
        figures.push(Figure::new(&row, "lost events", Unit::Count, Must::Never(0.0), vec![lost]));
    }
    Ok(figures)
}
