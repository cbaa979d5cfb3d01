//! The command line: what the user typed, nothing more. Each subcommand turns it into what the program needs and calls it.

mod audit;
mod choice;
mod config;
mod control;
mod doctor;
mod events;
mod lock;
mod notify;
mod record;
mod reference;
mod replay;
pub mod rules;
mod run;
mod signals;
mod sources;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::{
    config::{Config, ConfigError, DEFAULT_FILE, KernelConfig, KernelMode},
    control::Order,
    pipeline::PipelineError,
    probe::{HOOKS, Mode, Options, ProbeError, Wanted, isolate::IsolationError},
    rule::Filter,
};

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
    /// Watch this machine and report what the rules match
    Run(run::RunArgs),
    /// Show events as they happen, one line each
    Events(events::EventsArgs),
    /// Write the events of this machine to a file
    Record(record::RecordArgs),
    /// Play a recording through the rules
    Replay(replay::ReplayArgs),
    /// Check, list, test and explain rules
    Rules(rules::RulesArgs),
    /// Say how the sensor that runs here stands
    Status(control::OrderArgs),
    /// Freeze a container
    Pause(control::ContainerArgs),
    /// Let a container go on that was paused
    Resume(control::ContainerArgs),
    /// Cut a container off from the network
    Isolate(control::ContainerArgs),
    /// Give a container its network back that was isolated
    Release(control::ContainerArgs),
    /// Have the sensor load its rules again
    Reload(control::OrderArgs),
    /// Close the fuses that keep rules from responding
    Reset(control::OrderArgs),
    /// Check or show the configuration
    Config(config::ConfigArgs),
    /// Check or show the log of responses
    Audit(audit::AuditArgs),
    /// Check that received records are all that were sent, by their numbers and the sensor's signed checkpoints; exit code 1
    /// if not
    Verify(verify::VerifyArgs),
    /// Say what is wrong: rules on disk, rules of a running sensor, what this kernel and these privileges allow
    Doctor(doctor::DoctorArgs),
    /// Write the reference pages out of the code's tables
    #[command(hide = true)]
    Reference(reference::ReferenceArgs),
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
    /// Leave a hook out, by its name in `vedette doctor`; may be repeated
    #[arg(long = "disable-hook", value_name = "HOOK", value_parser = hook)]
    disabled_hooks: Vec<String>,
    /// Write JSON lines
    #[arg(long)]
    json: bool,
}

fn hook(stem: &str) -> Result<String, String> {
    let stems: Vec<&str> = HOOKS.iter().map(|hook| hook.stem).collect();
    if stems.contains(&stem) {
        return Ok(stem.to_owned());
    }
    Err(format!("no such hook; there are {}", stems.join(", ")))
}

/// Whether the hooks that the configuration leaves out are some: it does not know their names itself.
fn known_hooks(config: &Config) -> Result<(), ConfigError> {
    for name in &config.kernel.disabled_hooks {
        hook(name).map_err(|message| ConfigError::Value {
            origin: "kernel.disabled_hooks".to_owned(),
            message: format!("`{name}`: {message}"),
        })?;
    }
    Ok(())
}

impl Common {
    fn load(&self) -> anyhow::Result<Config> {
        self.load_again().context(Usage)
    }

    /// What the configuration says now.
    fn load_again(&self) -> Result<Config, ConfigError> {
        let mut config = Config::load(self.config.as_deref(), &self.sets)?;
        known_hooks(&config)?;
        config.kernel.disabled_hooks.extend(self.disabled_hooks.iter().cloned());
        Ok(config)
    }

    /// The same for a command that is not the daemon: the accounts' default place is the daemon's, and only a flag makes
    /// this command write its own.
    fn load_beside(&self) -> anyhow::Result<Config> {
        let mut config = self.load()?;
        if !self.sets.iter().any(|set| set.starts_with("stats_file=")) {
            config.stats_file = PathBuf::new();
        }
        Ok(config)
    }

    /// Where the configuration is, whether it is there or not.
    fn file(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| DEFAULT_FILE.into())
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
            Command::Run(args) => run::run(&args),
            Command::Events(args) => events::run(&args),
            Command::Record(args) => record::run(&args),
            Command::Replay(args) => replay::run(&args),
            Command::Rules(args) => rules::run(args),
            Command::Status(args) => args.order(&Order::Status),
            Command::Pause(args) => args.order(|container| Order::Pause { container }),
            Command::Resume(args) => args.order(|container| Order::Resume { container }),
            Command::Isolate(args) => args.order(|container| Order::Isolate { container }),
            Command::Release(args) => args.order(|container| Order::Release { container }),
            Command::Reload(args) => args.order(&Order::Reload),
            Command::Reset(args) => args.order(&Order::Reset),
            Command::Config(args) => config::run(&args),
            Command::Audit(args) => audit::run(&args),
            Command::Verify(args) => verify::run(&args),
            Command::Doctor(args) => doctor::run(&args),
            Command::Reference(args) => reference::run(&args),
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

/// What to load for those who want these records.
fn options(config: &KernelConfig, wanted: Wanted) -> Options {
    let mode = match config.mode {
        KernelMode::Auto => None,
        KernelMode::Full => Some(Mode::Full),
        KernelMode::Tracepoint => Some(Mode::Tracepoint),
    };
    let disabled_hooks = config.disabled_hooks.clone();
    Options { ring_bytes: config.ring_bytes, wanted, disabled_hooks, mode, ..Options::default() }
}

/// The exit code that an error stands for.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let unsupported = error.chain().any(|error| {
        error.is::<ProbeError>()
            || matches!(error.downcast_ref(), Some(PipelineError::Probe(_)))
            || error.is::<IsolationError>()
            || error.is::<lock::Busy>()
    });
    ExitCode::from(if unsupported {
        EXIT_UNSUPPORTED
    } else if error.downcast_ref::<Usage>().is_some() {
        EXIT_USAGE
    } else {
        EXIT_FAILED
    })
}

/// A condition that the user typed; an empty one is none.
fn filter(condition: &str) -> anyhow::Result<Option<Filter>> {
    if condition.is_empty() {
        return Ok(None);
    }
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
    match Filter::compile(condition) {
        Ok(filter) => Ok(Some(filter)),
        Err(found) => {
            found.iter().for_each(|diagnostic| eprintln!("{}", diagnostic.render(colour)));
            Err(anyhow::anyhow!("the condition has errors").context(Usage))
        }
    }
}

/// Whether an error only says that the reader of our output went away, which is no failure of ours.
fn is_closed_output(error: &PipelineError) -> bool {
    matches!(error, PipelineError::Stage { error, .. } if error.kind() == std::io::ErrorKind::BrokenPipe)
}
