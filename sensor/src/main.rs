//! The `vedette` command: parse, log, run, map the error to an exit code.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

use clap::Parser;
use sensor::cli::{Cli, exit_code};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("VEDETTE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
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
