//! Developer commands: `cargo xtask COMMAND` sets a machine up, builds, runs, tests and checks Vedette.
//!
//! Everything here runs other programs (cargo, rustup, apt, the daemon) and knows nothing of what they do
//! inside: this crate must build when no kernel object exists yet, so it never depends on `sensor`.

mod arch;
mod bench;
mod build;
mod chart;
mod child;
mod dist;
mod docs;
mod e2e_k8s;
mod image;
mod lint;
mod place;
mod run;
mod setup;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Vedette's developer commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the kernel object and the daemon with it inside (`target/release/vedette`)
    Build(build::Args),
    /// Build, then run `vedette run ARGS` in the foreground, as root
    Run(run::Args),
    /// Run every test that this machine can run, and end with a table of what ran and what did not
    Test(test::Args),
    /// Check format, clippy, documentation and the repository's own rules of text
    Lint,
    /// Write the generated reference pages in `deploy/reference/`
    Docs(docs::Args),
    /// Build, then run the benchmarks
    Bench(bench::Args),
    /// Build what is released: tarball, Debian and RPM package, bill of materials, checksums (`target/package/`)
    Dist(dist::Args),
    /// Build the container image as an OCI archive (`target/package/`)
    Image(image::Args),
    /// Check the Helm chart and write what follows from it: `deploy/manifests/vedette.yaml` and the packed chart
    Chart(chart::Args),
    /// Run the sensor in a real Kubernetes, built from Debian's source and started on this machine, as root
    #[command(name = "e2e-k8s")]
    E2eK8s(e2e_k8s::Args),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    match dispatch(&command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let exit = error.downcast_ref::<child::Exit>();
            if exit.is_none_or(|exit| exit.worth_saying) {
                eprintln!("error: {error:#}");
            }
            ExitCode::from(exit.map_or(1, |exit| exit.code))
        }
    }
}

fn dispatch(command: &Command) -> Result<()> {
    let place = place::Place::find()?;
    match command {
        Command::Build(args) => build::command(&place, args),
        Command::Run(args) => run::command(&place, args),
        Command::Test(args) => test::command(&place, args),
        Command::Lint => lint::command(&place),
        Command::Docs(args) => docs::command(&place, args),
        Command::Bench(args) => bench::command(&place, args),
        Command::Dist(args) => dist::command(&place, args),
        Command::Image(args) => image::command(&place, args),
        Command::Chart(args) => chart::command(&place, args),
        Command::E2eK8s(args) => e2e_k8s::command(&place, args),
    }
}
