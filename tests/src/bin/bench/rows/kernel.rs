//! The sensor's share inside the kernel, program by program, from the kernel's own statistics.

use anyhow::Result;

use crate::{
    Bench,
    daemon::{Rules, Sensor},
    figure::{Figure, Must, Unit},
    load::Load,
    machine,
};

const WORKLOADS: [(&str, &str); 4] =
    [("null", "system call"), ("exec", "exec"), ("open", "open"), ("conn", "connection")];
const NOTE: &str =
    "from the kernel's statistics, which themselves add about 20 to 40 ns to each run of a program";

pub(super) fn run_time(bench: &Bench) -> Result<Vec<Figure>> {
    let old = machine::programs();
    let sensor = Sensor::start(bench, Rules::Builtin)?;
    let _statistics = machine::count_run_time()?;
    let ours = |programs: &std::collections::BTreeMap<u32, machine::Program>| {
        let mut programs = programs.clone();
        programs.retain(|id, _| !old.contains_key(id));
        programs
    };
    let count = ours(&machine::programs()).len();
    let mut figures = vec![Figure::new("load", "programs", Unit::Count, Must::Nothing, vec![count as f64])];
    for (name, operation) in WORKLOADS {
        let load = Load::sized(bench, name, 1, bench.run)?;
        let before = ours(&machine::programs());
        let run = load.run(bench)?;
        let mut total = 0.0;
        let mut found: Vec<Figure> = Vec::new();
        for (id, after) in ours(&machine::programs()) {
            let (time, runs) = before.get(&id).map_or((0, 0), |before| (before.time, before.runs));
            let (time, runs) = ((after.time - time) as f64, (after.runs - runs) as f64);
            total += time;
            // What ran less than once in twenty operations belongs to somebody else.
            if runs > run.n as f64 / 20.0 {
                let what = format!("{} (runs {:.1} times)", after.name, runs / run.n as f64);
                found.push(Figure::new(row(operation), what, Unit::Nanos, Must::Nothing, vec![time / runs]));
            }
        }
        let total = vec![total / run.n as f64];
        figures.push(
            Figure::new(row(operation), "all programs", Unit::Nanos, Must::Nothing, total).with_note(NOTE),
        );
        figures.append(&mut found);
    }
    sensor.stop()?;
    Ok(figures)
}

fn row(operation: &str) -> String {
    format!("in the kernel, per {operation}")
}
