//! `cargo xtask test`: every test that this machine can run, and a table of what ran and what did not.
//!
//! A suite is a child process; here is only which suites there are, in which order, and when one of them
//! cannot run. Counts come out of [`output`], the table out of [`table`].

mod output;
pub(crate) mod table;
pub(crate) mod vm;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::child::{self, Exit};
use crate::place::Place;
use crate::setup::{broker, packages};
use crate::{build, chart, test::output::Reader, test::table::Row};

/// The environment's promise: `kernel` says that this machine can run the real-kernel suite, so that not
/// running it is an error there. A pipeline without it could stop testing the kernel half unnoticed.
const PROMISE: &str = "VEDETTE_TEST_REQUIRE";

/// How long each fuzz target runs here, in seconds: enough to replay its corpus and to catch what is shallow.
const FUZZ_SECONDS: u32 = 20;

/// What the user typed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the tests whose name contains this text (suites that take no filter are left out)
    filter: Option<String>,
    /// Run the real-kernel tests on other kernels instead, in QEMU: names separated by commas (`5.10,6.12/cgroup1`),
    /// `all`, or `list` for what there is
    #[arg(long, value_name = "LIST")]
    vm: Option<String>,
    /// Write down what the verifier looked at on these kernels (`deploy/reference/verifier.md`), instead of comparing it
    #[arg(long, requires = "vm")]
    refresh: bool,
    /// After everything else, run the real-kernel tests on these kernels too, and skip those that cannot be had here
    #[arg(long, value_name = "LIST", conflicts_with = "vm")]
    also_vm: Option<String>,
    /// Install, start, upgrade and purge the Debian package under a real systemd instead, in QEMU
    #[arg(long, conflicts_with_all = ["vm", "also_vm", "filter"])]
    systemd: bool,
}

/// Sets up, runs everything and ends with the table.
pub(crate) fn command(place: &Place, args: &Args) -> Result<()> {
    if let Some(list) = &args.vm {
        let filter = args.filter.as_deref();
        return vm::command(place, &vm::Wanted { list, filter, refresh: args.refresh });
    }
    if args.systemd {
        return end(&[vm::systemd::suite(place)?]);
    }
    packages::ensure(place)?;
    let daemon = build::release(place)?;
    let filter = args.filter.as_deref();
    let mut rows = vec![unit(place, filter)?, kernel(place, &daemon, filter)?];
    if filter.is_none() {
        rows.push(rules(place, &daemon)?);
        println!("\n== Helm chart");
        rows.push(chart::suite(place)?);
        rows.extend(fuzz(place)?);
    }
    if let Some(list) = &args.also_vm {
        rows.extend(vm::beside(place, list)?);
    }
    end(&rows)
}

/// The table, and the exit code that follows from it.
fn end(rows: &[Row]) -> Result<()> {
    print!("{}", table::render(rows));
    if rows.iter().any(|row| row.failed > 0) { Err(Exit::silent(1).into()) } else { Ok(()) }
}

/// Everything that needs no root and no kernel object of its own.
fn unit(place: &Place, filter: Option<&str>) -> Result<Row> {
    let mut cargo = child::cargo(&place.top);
    cargo.args(["test", "--workspace", "--exclude", "sensor-ebpf", "--exclude", "sensor-tests"]);
    libtest(&mut cargo, place, filter);
    suite("unit tests", &mut cargo, Reader::libtest())
}

/// The daemon against the kernel that runs here.
fn kernel(place: &Place, daemon: &Path, filter: Option<&str>) -> Result<Row> {
    const NAME: &str = "real-kernel tests";
    let promised = std::env::var_os(PROMISE).as_deref() == Some(OsStr::new("kernel"));
    if !rustix::process::geteuid().is_root() {
        let why = "loading kernel programs needs root";
        if promised {
            return Ok(Row::broken(NAME, format!("{PROMISE}=kernel promises this suite, but {why}")));
        }
        return Ok(Row::skipped(NAME, why));
    }
    let mut cargo = child::cargo(&place.top);
    cargo.args(["test", "--package", "sensor-tests"]).env("VEDETTE_BIN", daemon);
    if let Some(broker) = broker::ensure(place) {
        cargo.env("VEDETTE_TEST_TANSU", broker);
    }
    libtest(&mut cargo, place, filter);
    let row = suite(NAME, &mut cargo, Reader::libtest())?;
    if promised && filter.is_none() && row.passed + row.failed == 0 {
        return Ok(Row::broken(NAME, format!("{PROMISE}=kernel promises this suite, but no test of it ran")));
    }
    Ok(row)
}

/// The `tests:` beside every built-in rule.
fn rules(place: &Place, daemon: &Path) -> Result<Row> {
    let mut command = child::command(daemon, &place.top);
    suite("rule tests", command.args(["rules", "test"]), Reader::summary())
}

/// A short run of every fuzz target, where the repository has some.
fn fuzz(place: &Place) -> Result<Vec<Row>> {
    const NAME: &str = "fuzz targets";
    if !place.top.join("fuzz/Cargo.toml").is_file() {
        return Ok(Vec::new());
    }
    let cargo = || {
        let mut cargo = child::cargo(&place.top);
        // Coverage needs unstable compiler flags, and the pinned compiler is a stable one.
        cargo.arg("fuzz").env("RUSTC_BOOTSTRAP", "1");
        cargo
    };
    if !child::succeeds(cargo().arg("--version")) {
        return Ok(vec![Row::skipped(NAME, "cargo-fuzz is not installed (`cargo install cargo-fuzz`)")]);
    }
    let mut row = Row::new(NAME);
    let start = Instant::now();
    for target in child::output(cargo().arg("list"), "listing the fuzz targets")?.lines() {
        // Without a sanitizer: safe Rust has little to sanitise, and the standard library is not rebuilt.
        let mut run = cargo();
        run.args(["run", "--sanitizer", "none", target]).args(corpus(place, target)?);
        run.args(["--", &format!("-max_total_time={FUZZ_SECONDS}"), "-timeout=10"]);
        let words = place.top.join(format!("fuzz/{target}.dict"));
        if words.is_file() {
            run.arg(format!("-dict={}", words.display()));
        }
        let status = child::lines(&mut run, |line| println!("{line}"))?;
        if status.success() {
            row.passed += 1;
        } else {
            row.failed += 1;
            row.failures.push(target.to_owned());
        }
    }
    row.seconds = start.elapsed().as_secs_f64();
    Ok(vec![row])
}

/// Where a target keeps what it finds, and behind it the seeds that it starts from, where the repository has some.
fn corpus(place: &Place, target: &str) -> Result<Vec<PathBuf>> {
    let found = place.top.join("fuzz/corpus").join(target);
    fs::create_dir_all(&found).with_context(|| format!("making {}", found.display()))?;
    let seeds = place.top.join("fuzz/seeds").join(target);
    Ok(if seeds.is_dir() { vec![found, seeds] } else { vec![found] })
}

/// The arguments that every `cargo test` here has.
fn libtest(cargo: &mut Command, place: &Place, filter: Option<&str>) {
    cargo.args(["--quiet", "--no-fail-fast", "--target-dir"]).arg(&place.target);
    // A test that passes has its output thrown away otherwise, and with it the line why it was skipped.
    cargo.args(["--", "--show-output", "--format=pretty"]).args(filter);
}

/// Runs one suite, shows what it says, and counts.
fn suite(name: &str, command: &mut Command, mut reader: Reader) -> Result<Row> {
    println!("\n== {name}");
    let start = Instant::now();
    let status = child::lines(command, |line| {
        if reader.line(line) {
            println!("{line}");
        }
    })?;
    let mut row = reader.finish(name);
    row.seconds = start.elapsed().as_secs_f64();
    if !status.success() && row.failed == 0 {
        // It did not build, or a test binary died before it could say its result.
        row.failed = 1;
        row.failures.push(format!("the suite itself ({status})"));
    } else if status.success() && !reader.counted() {
        row.failed = 1;
        row.failures.push("the suite said no result".to_owned());
    }
    Ok(row)
}
