//! The `vedette` command: parse, log, run, map the error to an exit code.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::Parser;
use sensor::cli::{Cli, exit_code};
use tracing_subscriber::EnvFilter;

/// Clients of NATS and Kafka tell of each failure several times; sinks say it once.
const LOG: &str = "info,async_nats=off,rskafka=off";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("VEDETTE_LOG").unwrap_or_else(|_| EnvFilter::new(LOG));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("vedette: {error:#}");
            exit_code(&error)
        }
    }
}
