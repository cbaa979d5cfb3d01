//! What the sensor costs and how fast it is: the table "How fast", with what this machine measured in it.
//!
//! Slowdowns come from alternating runs of one workload without and with the sensor, so that a drift of the machine cancels
//! out. It knows the sensor only as a user does: the `vedette` binary, its output and its accounts.

mod daemon;
mod figure;
mod load;
mod machine;
mod rows;
mod table;
mod wl;

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

use self::figure::Must;

/// Measures the sensor against the table "How fast".
#[derive(Debug, Parser)]
#[command(name = "bench", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Fewer and shorter runs: for a look, not for figures
    #[arg(long)]
    quick: bool,
    /// Pairs of runs without and with the sensor
    #[arg(long)]
    rounds: Option<usize>,
    /// Only this row of the table; may be given more than once
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// Write every figure with all its values to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Limits are those of an emulated processor in the full mode: for `cargo xtask bench --vm`
    #[arg(long, hide = true)]
    emulated: bool,
    /// Name the rows and end
    #[arg(long)]
    list: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One workload in a process of its own; prints one JSON line
    Wl(wl::Args),
    /// Opens a file once for every line on standard input, and prints when
    #[command(hide = true)]
    Touch {
        /// Which file
        path: PathBuf,
    },
}

/// What every row needs.
struct Bench {
    /// The daemon's binary.
    vedette: PathBuf,
    /// This program, which is its own workload.
    own: PathBuf,
    /// Rules, accounts, recordings.
    dir: tempfile::TempDir,
    /// Pairs of runs.
    rounds: usize,
    /// How long one run of a workload lasts, about.
    run: Duration,
    quick: bool,
    emulated: bool,
    /// Share of all CPUs that neither the workload nor the sensor used, by run.
    others: RefCell<Vec<f64>>,
}

impl Bench {
    fn new(cli: &Cli) -> Result<Self> {
        let vedette =
            std::env::var_os("VEDETTE_BIN").map_or_else(|| "target/release/vedette".into(), PathBuf::from);
        if !vedette.exists() {
            bail!("there is no {}: `cargo xtask bench` builds it", vedette.display());
        }
        if !rustix::process::geteuid().is_root() {
            bail!("the sensor needs root to load its programs: run this as root");
        }
        // The sensor may be started from another folder.
        let vedette = fs::canonicalize(vedette)?;
        let dir = tempfile::Builder::new().prefix("vedette-bench-").tempdir()?;
        // A copy, so that no other process runs the file whose start is waited for.
        fs::copy("/bin/true", dir.path().join("probe")).context("cannot copy /bin/true")?;
        fs::copy("/bin/sleep", dir.path().join("victim")).context("cannot copy /bin/sleep")?;
        Ok(Self {
            vedette,
            own: std::env::current_exe()?,
            dir,
            rounds: cli.rounds.unwrap_or(if cli.quick { 3 } else { 8 }).max(1),
            run: Duration::from_millis(if cli.quick { 300 } else { 1000 }),
            quick: cli.quick,
            emulated: cli.emulated,
            others: RefCell::default(),
        })
    }

    /// The limit for this processor or, where it is emulated, for such.
    fn at_most(&self, here: Option<f64>, emulated: Option<f64>) -> Must {
        if self.emulated { emulated } else { here }.map_or(Must::Nothing, Must::AtMost)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Wl(args)) => return wl::run(&args),
        Some(Command::Touch { path }) => return wl::touch(&path).map(|()| ExitCode::SUCCESS),
        None => {}
    }
    if cli.list {
        rows::ROWS.iter().for_each(|row| println!("{:<12} {}", row.key, row.about));
        return Ok(ExitCode::SUCCESS);
    }
    for key in &cli.only {
        if !rows::ROWS.iter().any(|row| row.key == key) {
            bail!("no row {key}: `bench --list` names them");
        }
    }
    measure(&cli)
}

fn measure(cli: &Cli) -> Result<ExitCode> {
    let bench = Bench::new(cli)?;
    machine::warn_of_company();
    let mut figures = Vec::new();
    let mut failed = false;
    for row in rows::ROWS {
        let is_asked = match cli.only.as_slice() {
            [] => !bench.emulated || rows::EMULATED.contains(&row.key),
            only => only.iter().any(|key| key == row.key),
        };
        if !is_asked {
            continue;
        }
        eprintln!("{}: {}", row.key, row.about);
        match (row.measure)(&bench) {
            Ok(found) => {
                found.iter().for_each(|figure| eprintln!("  {}", table::line(figure)));
                figures.extend(found);
            }
            Err(error) => {
                failed = true;
                eprintln!("  not measured: {error:#}");
            }
        }
    }
    table::print(&figures, &bench);
    if let Some(path) = &cli.json {
        write_json(path, &figures, &bench)?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn write_json(path: &Path, figures: &[figure::Figure], bench: &Bench) -> Result<()> {
    let report = serde_json::json!({
        "kernel": rustix::system::uname().release().to_string_lossy(),
        "cpus": machine::cpus(),
        "rounds": bench.rounds,
        "others": figure::Summary::of(&bench.others.borrow()),
        "figures": figures.iter().map(figure::Figure::json).collect::<Vec<_>>(),
    });
    fs::write(path, format!("{report:#}\n")).with_context(|| format!("cannot write {}", path.display()))
}
