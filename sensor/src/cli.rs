//! The command line: what the user typed, nothing more. Each subcommand turns it into what the program needs and calls it.

mod doctor;
mod events;
mod record;
pub mod rules;
mod run;
mod signals;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::{config::Config, pipeline::PipelineError, probe::ProbeError};

/// The check or the job failed.
pub const EXIT_FAILED: u8 = 1;
/// Wrong usage or configuration.
pub const EXIT_USAGE: u8 = 2;
/// Cannot run here: kernel or privileges.
pub const EXIT_UNSUPPORTED: u8 = 3;

/// Vedette watches what every process of a Linux host runs, opens and connects to, and says when it should not.
#[derive(Debug, Parser)]
#[command(name = "vedette", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show events as they happen, one line each
    Events(events::EventsArgs),
    /// Write the events of this machine to a file
    Record(record::RecordArgs),
    /// Check, list, test and explain rules
    Rules(rules::RulesArgs),
    /// Say what this kernel and these privileges allow, and what not
    Doctor(doctor::DoctorArgs),
    /// Print the version
    Version,
}

/// Flags of every subcommand that watches or plays.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Configuration file [default: /etc/vedette/vedette.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Override a configuration key, as in --set kernel.ring_bytes=16777216
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Write JSON lines
    #[arg(long)]
    json: bool,
}

impl Common {
    fn load(&self) -> anyhow::Result<Config> {
        Config::load(self.config.as_deref(), &self.sets).context(Usage)
    }
}

/// Marks errors of usage and configuration, which have an exit code of their own.
#[derive(Debug)]
struct Usage;

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cannot start")
    }
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// What the user has to be told; see [`exit_code`].
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Events(args) => events::run(&args),
            Command::Record(args) => record::run(&args),
            Command::Rules(args) => rules::run(args),
            Command::Doctor(args) => doctor::run(&args),
            Command::Version => {
                println!(
                    "vedette {} (records of version {})",
                    env!("CARGO_PKG_VERSION"),
                    sensor_common::ABI_VERSION
                );
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// The exit code that an error stands for.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let unsupported = error.chain().any(|error| {
        error.is::<ProbeError>()
            || matches!(error.downcast_ref(), Some(PipelineError::Probe(_)))
            || error.is::<run::Busy>()
    });
    ExitCode::from(if unsupported {
        EXIT_UNSUPPORTED
    } else if error.downcast_ref::<Usage>().is_some() {
        EXIT_USAGE
    } else {
        EXIT_FAILED
    })
}

/// Whether an error only says that the reader of our output went away, which is no failure of ours.
fn is_closed_output(error: &PipelineError) -> bool {
    matches!(error, PipelineError::Stage { error, .. } if error.kind() == std::io::ErrorKind::BrokenPipe)
}
