//! `cargo xtask bench`: builds the release daemon and runs the benchmark program against it.
//!
//! What is measured, and against what, is in the package `sensor-tests`; with `--vm` it runs in a machine.

use std::ffi::OsString;

use anyhow::Result;

use crate::place::Place;
use crate::test::vm;
use crate::{build, child};

/// What the user typed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// In a machine with this kernel (as of `test --vm`), which is emulated: ratios count, and no time by itself
    #[arg(long, value_name = "KERNEL")]
    vm: Option<String>,
    /// Arguments for the benchmark program, after `--`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Builds both and runs the benchmarks with their output on the terminal.
pub(crate) fn command(place: &Place, args: &Args) -> Result<()> {
    if let Some(kernel) = &args.vm {
        return vm::bench::command(place, kernel, &args.args);
    }
    let daemon = build::release(place)?;
    let mut cargo = child::cargo(&place.top);
    cargo
        .args(["run", "--quiet", "--release", "--package", "sensor-tests", "--bin", "bench", "--target-dir"])
        .arg(&place.target)
        .arg("--")
        .args(&args.args)
        .env("VEDETTE_BIN", daemon);
    child::run(&mut cargo, "the benchmarks")
}
