//! Slowdowns: one workload, without and with the sensor in turns.

use anyhow::{Result, bail};

use crate::{
    Bench,
    daemon::Rules,
    figure::{Figure, Must, Unit},
    load::{Load, Pair, compare, no_build},
};

/// Files of the C project.
const FILES: usize = 40;

pub(super) fn null_unwatched(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (row, rules) in [
        ("system call, no rule needs any", Rules::ExitOnly),
        ("system call, one rule on execs that went well", Rules::ExecOnly),
    ] {
        let pairs = pairs(bench, "null", rules)?;
        figures.push(ratio(row, &pairs, bench.at_most(Some(1.0), Some(1.02))));
        figures.push(cpu_ratio(row, &pairs));
        figures.push(Figure::new(
            row,
            "more per call",
            Unit::Nanos,
            Must::Nothing,
            each(&pairs, |pair| pair.more),
        ));
    }
    Ok(figures)
}

pub(super) fn null(bench: &Bench) -> Result<Vec<Figure>> {
    let row = "system call nobody watches, built-in rules";
    let pairs = pairs(bench, "null", Rules::Builtin)?;
    Ok(vec![
        Figure::new(
            row,
            "more per call",
            Unit::Nanos,
            bench.at_most(Some(105.0), None),
            each(&pairs, |pair| pair.more),
        ),
        ratio(row, &pairs, bench.at_most(None, Some(1.02))),
        cpu_ratio(row, &pairs),
    ])
}

pub(super) fn exec(bench: &Bench) -> Result<Vec<Figure>> {
    let pairs = pairs(bench, "exec", Rules::Builtin)?;
    let most = bench.at_most(Some(1.05), Some(1.25));
    Ok(costs("exec storm", &pairs, most, bench.at_most(Some(12.0), None)))
}

pub(super) fn open(bench: &Bench) -> Result<Vec<Figure>> {
    let pairs = pairs(bench, "open", Rules::Builtin)?;
    let most = bench.at_most(Some(1.20), Some(1.15));
    Ok(costs("open + read + close, no rule cares", &pairs, most, bench.at_most(Some(0.1), None)))
}

pub(super) fn open_wanted(bench: &Bench) -> Result<Vec<Figure>> {
    let pairs = pairs(bench, "open", Rules::Every)?;
    Ok(costs("open + read + close, each wanted", &pairs, bench.at_most(None, Some(3.0)), Must::Nothing))
}

pub(super) fn connect(bench: &Bench) -> Result<Vec<Figure>> {
    let pairs = pairs(bench, "conn", Rules::Builtin)?;
    let most = bench.at_most(Some(1.03), Some(1.20));
    Ok(costs("TCP connect + accept", &pairs, most, bench.at_most(Some(1.0), None)))
}

pub(super) fn connect_wanted(bench: &Bench) -> Result<Vec<Figure>> {
    let pairs = pairs(bench, "conn", Rules::Every)?;
    Ok(costs("TCP connect + accept, each wanted", &pairs, bench.at_most(None, Some(1.20)), Must::Nothing))
}

pub(super) fn build(bench: &Bench) -> Result<Vec<Figure>> {
    if let Some(why) = no_build() {
        bail!("skipped: {why}");
    }
    let pairs = compare(bench, &Load::Build(FILES), Rules::Builtin)?;
    let row = "build of a C project";
    Ok(vec![
        ratio(row, &pairs, Must::Nothing),
        cpu_ratio(row, &pairs),
        Figure::new(
            row,
            "sensor CPU per file",
            Unit::Micros,
            Must::Nothing,
            each(&pairs, |pair| pair.sensor / 1e3),
        ),
        lost(row, &pairs),
    ])
}

fn pairs(bench: &Bench, workload: &'static str, rules: Rules) -> Result<Vec<Pair>> {
    compare(bench, &Load::sized(bench, workload, 1, bench.run)?, rules)
}

/// Slowdown, the sensor's CPU time, and what was lost.
fn costs(row: &str, pairs: &[Pair], most: Must, most_micros: Must) -> Vec<Figure> {
    let sensor = each(pairs, |pair| pair.sensor / 1e3);
    vec![
        ratio(row, pairs, most),
        cpu_ratio(row, pairs),
        Figure::new(row, "sensor CPU each", Unit::Micros, most_micros, sensor),
        lost(row, pairs),
    ]
}

fn ratio(row: &str, pairs: &[Pair], must: Must) -> Figure {
    Figure::new(row, "slowdown", Unit::Ratio, must, each(pairs, |pair| pair.ratio))
}

fn cpu_ratio(row: &str, pairs: &[Pair]) -> Figure {
    Figure::new(row, "of its CPU time alone", Unit::Ratio, Must::Nothing, each(pairs, |pair| pair.cpu_ratio))
}

fn lost(row: &str, pairs: &[Pair]) -> Figure {
    Figure::new(row, "lost events", Unit::Count, Must::Never(0.0), each(pairs, |pair| pair.lost as f64))
}

fn each(pairs: &[Pair], value: impl Fn(&Pair) -> f64) -> Vec<f64> {
    pairs.iter().map(value).collect()
}
