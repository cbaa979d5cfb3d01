//! `cargo xtask run`: builds and becomes `vedette run` in the foreground, with root's rights.
//!
//! What the arguments mean is the daemon's matter; they are handed on as they are.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::child::Exit;
use crate::place::Place;
use crate::{build, child};

/// The exit code that `vedette` itself uses for "cannot run here".
const CANNOT_RUN_HERE: u8 = 3;

/// What the user typed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments for `vedette run`, after `--`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Replaces this process, so that signals and the exit code need nobody in between.
pub(crate) fn command(place: &Place, args: &Args) -> Result<()> {
    let root = rustix::process::geteuid().is_root();
    // Asked before the build: a minute of building before this answer would be a minute lost.
    if !root && !child::succeeds(Command::new("sudo").arg("--version")) {
        return Err(
            Exit::new(CANNOT_RUN_HERE, "loading kernel programs needs root, and sudo is not here").into()
        );
    }
    let daemon = build::release(place)?;
    let mut command = if root {
        Command::new(daemon)
    } else {
        println!("running with sudo: loading kernel programs needs root");
        let mut sudo = Command::new("sudo");
        // sudo starts from an empty environment; the daemon's own settings have to go through.
        sudo.args(["--", "env"]).args(settings()).arg(daemon);
        sudo
    };
    let error = command.arg("run").args(&args.args).exec();
    Err(error).with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))
}

/// The variables that configure the daemon, as `NAME=value`.
fn settings() -> impl Iterator<Item = OsString> {
    let ours = |name: &OsString| name.to_str().is_some_and(|name| name.starts_with("VEDETTE_"));
    std::env::vars_os().filter(move |(name, _)| ours(name)).map(|(mut setting, value)| {
        setting.push("=");
        setting.push(value);
        setting
    })
}
