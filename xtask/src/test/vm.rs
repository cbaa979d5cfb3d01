//! `cargo xtask test --vm LIST`: the real-kernel tests on other kernels, each in a machine of its own.
//!
//! It wires the parts: rows of the matrix, kernels, one root file system, a few machines at a time. A
//! machine that cannot be had, dies or says nothing is a failure of its row, never a row that is left out.

pub(crate) mod bench;
mod cpio;
mod entry;
mod facts;
mod kernel;
mod machine;
mod root;
mod suite;
pub(super) mod systemd;
mod verifier;

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;
use tempfile::NamedTempFile;

use self::entry::Entry;
use self::facts::Facts;
use self::kernel::Kernel;
use self::machine::{End, Machine};
use self::root::Programs;
use self::verifier::Verified;
use super::output::Reader;
use super::table::{self, Row};
use crate::arch::Arch;
use crate::build;
use crate::child::{self, Exit};
use crate::place::Place;
use crate::setup::packages;

/// How long a machine may take: twice what the whole suite takes on two processors that others use as well.
const LIMIT: Duration = Duration::from_secs(1200);

/// Options of every kernel. Programs lie at the same addresses each time: an emulator translates code for the address that it
/// runs at, and a program at a new one took four times as long to start.
const ALWAYS: &str = "norandmaps";

/// The hook whose mode a row is known by.
const CHOICE: &str = "file_open";

/// What to run.
pub(super) struct Wanted<'a> {
    /// Rows of the matrix.
    pub(super) list: &'a str,
    /// Parts of the names of the tests to run, separated by blanks.
    pub(super) filter: Option<&'a str>,
    /// Whether to write down what the verifier looked at, instead of comparing it.
    pub(super) refresh: bool,
}

/// Runs the rows and ends with the table.
pub(super) fn command(place: &Place, wanted: &Wanted<'_>) -> Result<()> {
    if wanted.list == "list" {
        print_list(place);
        return Ok(());
    }
    let entries = entries(wanted.list)?;
    packages::ensure(place)?;
    for arch in archs(&entries) {
        packages::ensure_machines(place, arch)?;
        if let Some(why) = no_qemu(arch) {
            return Err(Exit::new(1, why).into());
        }
    }
    let start = Instant::now();
    let rows = run_all(place, &entries, wanted)?;
    println!("\nfrom the first build to the last machine: {:.0} s", start.elapsed().as_secs_f64());
    print!("{}", table::render(&rows));
    if rows.iter().any(|row| row.failed > 0) { Err(Exit::silent(1).into()) } else { Ok(()) }
}

/// Runs the rows beside other suites: what cannot be had here is skipped.
pub(super) fn beside(place: &Place, list: &str) -> Result<Vec<Row>> {
    let entries = entries(list)?;
    for arch in archs(&entries) {
        packages::ensure_machines(place, arch)?;
    }
    let absent = |entry: &Entry| {
        let no_kernel = || kernel::ensure(place, entry).err().map(|error| format!("no kernel: {error:#}"));
        no_qemu(entry.arch()).or_else(no_kernel)
    };
    let mut rows = Vec::new();
    let mut there = Vec::new();
    for entry in entries {
        match absent(&entry) {
            Some(why) => rows.push(Row::skipped(&entry.name(), why)),
            None => there.push(entry),
        }
    }
    if !there.is_empty() {
        rows.extend(run_all(
            place,
            &there,
            &Wanted { list, filter: Some(&entry::SMOKE.join(" ")), refresh: false },
        )?);
    }
    Ok(rows)
}

/// The processors of these rows, each once.
fn archs(entries: &[Entry]) -> Vec<Arch> {
    let is_there = |arch: &Arch| entries.iter().any(|entry| entry.arch() == *arch);
    Arch::value_variants().iter().copied().filter(is_there).collect()
}

/// Why there are no such machines.
fn no_qemu(arch: Arch) -> Option<String> {
    let qemu = arch.qemu();
    let missing = !packages::in_path(qemu.program);
    missing.then(|| format!("{} is not here: install the package {}", qemu.program, qemu.name))
}

fn entries(list: &str) -> Result<Vec<Entry>> {
    entry::parse(list).map_err(|error| Exit::new(2, format!("{error:#}")).into())
}

fn run_all(place: &Place, entries: &[Entry], wanted: &Wanted<'_>) -> Result<Vec<Row>> {
    let mut roots: Vec<Root> = Vec::new();
    let mut known = Verified::read(place);
    let (mut rows, mut facts) = (Vec::new(), Vec::new());
    for arch in archs(entries) {
        roots.push((arch, root(place, arch, wanted.filter)?));
    }
    let whole = wanted.filter.is_none();
    let start = Instant::now();
    let done = side_by_side(place, entries, &roots, whole);
    println!("\nthe machines: {:.0} s", start.elapsed().as_secs_f64());
    for (entry, done) in entries.iter().zip(done) {
        let arch = entry.arch();
        let (mut row, fact) = done?;
        if let Some(fact) = fact {
            // The page is about one processor: what the verifier walks through is nearly the same on the other.
            let programs = if arch == Arch::X86_64 { fact.programs() } else { Vec::new() };
            if wanted.refresh {
                known.learn(entry.series, &programs);
            } else {
                let grown = known.compare(entry.series, &programs);
                row.failed += grown.len() as u64;
                row.failures.extend(grown);
            }
            facts.push((entry.name(), fact));
        }
        rows.push(row);
    }
    if wanted.refresh {
        known.write(place)?;
    }
    print!("\n{}", facts::render(&facts));
    Ok(rows)
}

/// The root file system of all machines with that processor.
fn root(place: &Place, arch: Arch, filter: Option<&str>) -> Result<NamedTempFile> {
    let programs = programs(place, arch)?;
    let root = NamedTempFile::new().context("cannot make a temporary file")?;
    let bytes = root::archive(place, &programs, &suite::script(filter))?;
    std::fs::write(root.path(), &bytes).context("cannot write the root file system")?;
    println!("a root file system of {} MiB", bytes.len() / (1024 * 1024));
    Ok(root)
}

/// The root file system of all machines with a processor.
type Root = (Arch, NamedTempFile);

/// What came of one row, and what its machine said of itself.
type Done = Result<(Row, Option<Facts>)>;

/// How many machines run at a time: half as many again as there are processors, as far as the memory goes. One never keeps more
/// than one processor busy, and now and then it waits for its kernel, which ends a sensor's links one after the other. With
/// twice as many, each takes half as much processor time again.
fn at_a_time() -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let about = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = about
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.split_whitespace().next()?.parse().ok());
    let room = free.map_or(1, |kib: usize| kib / 1024 / (machine::MEMORY + 1024));
    (processors + processors / 2).min(room).max(1)
}

/// Runs the rows side by side, those that take longest first.
fn side_by_side(place: &Place, entries: &[Entry], roots: &[Root], whole: bool) -> Vec<Done> {
    // Fetched before and one by one: two rows can have the same kernel.
    let kernels = entries.iter().map(|entry| (entry, kernel::ensure(place, entry))).enumerate();
    let mut kernels: Vec<_> = kernels.collect();
    // Newer kernels do more about each program.
    kernels.sort_by_key(|(index, (entry, _))| (entry.tests().is_some(), Reverse(*index)));
    let left = Mutex::new(kernels.into_iter());
    let done = Mutex::new(Vec::new());
    // Nobody panics with one of these in his hands.
    let next = || left.lock().ok()?.next();
    let work = || {
        while let Some((at, (entry, kernel))) = next() {
            let Some((_, root)) = roots.iter().find(|(arch, _)| *arch == entry.arch()) else { continue };
            let row = run(entry, kernel, root.path(), whole);
            if let Ok(mut done) = done.lock() {
                done.push((at, row));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..at_a_time().min(entries.len()) {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, row)| row).collect()
}

/// What `--vm` understands, and what is in the cache.
fn print_list(place: &Place) {
    for entry in entry::all() {
        let kept = kernel::kept(place, &entry);
        let state = kept.map_or("not fetched yet".to_owned(), |kernel| kernel.version);
        println!("{:16} {state:24} {}", entry.name(), entry.options());
    }
}

/// Builds what goes into the machines.
fn programs(place: &Place, arch: Arch) -> Result<Programs> {
    let daemon = build::release_for(place, arch)?;
    let mut cargo = arch.cargo(place, "test");
    // Optimized: on an emulated processor it counts what tests do, too.
    cargo.args(["--package", "sensor-tests", "--no-run", "--release", "--message-format=json"]);
    let messages = child::output(&mut cargo, "building the real-kernel tests")?;
    let built = |name: &str, is_test: bool| -> Result<PathBuf> {
        let found = messages.lines().find_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            let is = |pointer: &str, value: &serde_json::Value| message.pointer(pointer) == Some(value);
            let fits = is("/target/name", &name.into()) && is("/profile/test", &is_test.into());
            message.get("executable")?.as_str().filter(|_| fits).map(PathBuf::from)
        });
        found.with_context(|| format!("cargo did not say where it built `{name}`"))
    };
    // Tests look for their helper in the folder above theirs.
    let files = vec![
        ("vm/vedette", daemon),
        ("vm/bin/deps/it", built("it", true)?),
        ("vm/bin/act", built("act", false)?),
    ];
    Ok(Programs { arch, files })
}

/// One row; `whole` where no filter leaves tests out.
fn run(entry: &Entry, kernel: Result<Kernel>, root: &Path, whole: bool) -> Done {
    let name = entry.name();
    let start = Instant::now();
    let kernel = match kernel {
        Ok(kernel) => kernel,
        Err(error) => return Ok((Row::broken(&name, format!("no kernel: {error:#}")), None)),
    };
    let mut options = format!("{} vedette.mode={} {ALWAYS}", entry.options(), entry.mode());
    if let Some(tests) = entry.tests().filter(|_| whole) {
        options.push_str(&suite::row(tests));
    }
    println!("{name}: kernel {}, {options}", kernel.version);
    let machine =
        Machine { kernel: &kernel, root, arch: entry.arch(), cpus: 2, options: &options, limit: LIMIT };
    let mut once_more = true;
    let (mut reader, facts, end) = loop {
        let (mut reader, mut facts) = (Reader::libtest(), Facts::default());
        let end = machine.run(|line| {
            if !facts.line(line) && reader.line(line) {
                println!("{name}: {line}");
            }
        })?;
        match &end {
            // Without KVM a machine dies now and then of the emulator, which corrupts what no kernel does.
            End::Died { why, log } if once_more => {
                println!("{log}\n{name}: {why}; once more");
                once_more = false;
            }
            _ => break (reader, facts, end),
        }
    };
    let mut row = reader.finish(&name);
    row.seconds = start.elapsed().as_secs_f64();
    let mut fail = |why: String| {
        row.failed += 1;
        row.failures.push(why);
    };
    match end {
        End::Died { why, log } => {
            println!("{log}");
            fail(why);
        }
        End::Said(code) if code != 0 && !reader.failed() => {
            fail(format!("the suite itself (exit code {code})"))
        }
        End::Said(0) if !reader.counted() => fail("the suite said no result".to_owned()),
        End::Said(_) => {}
    }
    if let Err(why) = entry.check(&facts.lsm, &facts.cgroup, facts.mode(CHOICE)) {
        fail(why);
    }
    // Skips alone prove nothing of a kernel; that a filter finds only such tests is the user's matter.
    if row.passed + row.failed + if whole { 0 } else { row.skipped } == 0 {
        row.failed = 1;
        row.failures.push("no test ran".to_owned());
    }
    Ok((row, Some(facts)))
}
