//! `cargo xtask bench --vm KERNEL`: the benchmarks in a machine with that kernel, which is how the full mode is measured where
//! this machine's kernel has none.
//!
//! The processor is emulated: ratios count there, and no time by itself.

use std::ffi::OsString;

use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;

use super::machine::{End, Machine};
use super::root::{self, Programs};
use super::{LIMIT, entry, kernel, no_qemu};
use crate::arch::Arch;
use crate::build;
use crate::child::{self, Exit};
use crate::place::Place;
use crate::setup::packages;

/// Where the benchmark program is in the machine.
const BENCH: &str = "vm/bin/bench";

/// Builds both, and runs the benchmarks in the machine with their output on the terminal.
pub(crate) fn command(place: &Place, kernel: &str, args: &[OsString]) -> Result<()> {
    let entry = entry::parse(kernel)?.pop().context("no such kernel")?;
    ensure!(entry.arch() == Arch::HERE, "benchmarks run on this machine's kind of processor only");
    packages::ensure(place)?;
    packages::ensure_machines(place, Arch::HERE)?;
    if let Some(why) = no_qemu(Arch::HERE) {
        return Err(Exit::new(1, why).into());
    }
    let daemon = build::release_for(place, Arch::HERE)?;
    let mut cargo = Arch::HERE.cargo(place, "build");
    cargo.args(["--quiet", "--release", "--package", "sensor-tests", "--bin", "bench"]);
    child::run(&mut cargo, "building the benchmarks")?;
    let bench = place.target.join("release/bench");
    let programs = Programs { arch: Arch::HERE, files: vec![("vm/vedette", daemon), (BENCH, bench)] };
    let root = NamedTempFile::new().context("cannot make a temporary file")?;
    std::fs::write(root.path(), root::archive(place, &programs, &script(args))?)
        .context("cannot write the root file system")?;
    let kernel = kernel::ensure(place, &entry)?;
    // Programs lie at random addresses here, as they do elsewhere and did when the figures to compare with were measured.
    let options = format!("{} vedette.mode={}", entry.options(), entry.mode());
    let machine = Machine {
        kernel: &kernel,
        root: root.path(),
        arch: Arch::HERE,
        cpus: 1,
        options: &options,
        limit: LIMIT,
    };
    match machine.run(|line| println!("{line}"))? {
        End::Said(0) => Ok(()),
        End::Said(_) => Err(Exit::silent(1).into()),
        End::Died { why, log } => Err(Exit::new(1, format!("{log}\n{why}")).into()),
    }
}

/// What the machine runs. Arguments are names of rows, numbers and options: letters, digits and what goes with them.
fn script(args: &[OsString]) -> String {
    let plain = |arg: &OsString| -> String {
        arg.to_string_lossy().chars().filter(|c| c.is_ascii_alphanumeric() || "-_=,.".contains(*c)).collect()
    };
    let args: Vec<String> = args.iter().map(plain).collect();
    format!(
        "export VEDETTE_BIN=/vm/vedette\n\
         export VEDETTE_KERNEL_MODE=$(grep -o 'vedette.mode=[a-z]*' /proc/cmdline | cut -d= -f2)\n\
         cd /tmp\nexec /{BENCH} --emulated {}\n",
        args.join(" ")
    )
}
