//! `cargo xtask lint`: format, clippy for both halves, documentation, and the repository's own rules of text.
//!
//! Every check runs, whatever the others found, so that one run shows everything there is to mend.

mod text;

use std::process::Command;

use anyhow::Result;

use crate::child::{self, Exit};
use crate::place::Place;
use crate::setup::Tools;
use crate::{build, docs, setup};

/// Runs all checks and fails with how many of them did.
pub(crate) fn command(place: &Place) -> Result<()> {
    let mut failed = 0;
    let mut check = |name: &str, outcome: Result<()>| {
        match outcome {
            Ok(()) => println!("ok      {name}"),
            Err(error) => {
                failed += 1;
                println!("FAILED  {name}: {error:#}");
            }
        };
    };
    check("text", text::check(place));
    check("format", child::run(child::cargo(&place.top).args(["fmt", "--all", "--check"]), "cargo fmt"));
    // The daemon's crate does not build without the kernel object inside, not even for clippy.
    let tools = setup::command(place)?;
    check("clippy, kernel half", kernel_clippy(place, &tools));
    let daemon = build::release(place);
    check("clippy", clippy(place));
    check("documentation", documentation(place));
    let pages = daemon.and_then(|daemon| docs::check(place, &daemon, &place.top.join(docs::PAGES)));
    check("generated pages", pages);
    if failed == 0 {
        return Ok(());
    }
    let checks = if failed == 1 { "check" } else { "checks" };
    Err(Exit::new(1, format!("{failed} {checks} failed")).into())
}

fn clippy(place: &Place) -> Result<()> {
    let mut cargo = host_cargo(place, "clippy");
    child::run(cargo.args(["--all-targets", "--keep-going", "--", "--deny", "warnings"]), "cargo clippy")
}

fn kernel_clippy(place: &Place, tools: &Tools) -> Result<()> {
    for feature in build::FEATURES {
        let mut cargo = build::kernel_cargo(place, tools, "clippy", feature);
        child::run(cargo.args(["--quiet", "--", "--deny", "warnings"]), "cargo clippy")?;
    }
    Ok(())
}

/// A link that leads nowhere is a warning, and warnings are errors here.
fn documentation(place: &Place) -> Result<()> {
    let mut cargo = host_cargo(place, "doc");
    child::run(cargo.arg("--no-deps").env("RUSTDOCFLAGS", "--deny warnings"), "cargo doc")
}

/// Cargo over everything that is built for this machine.
fn host_cargo(place: &Place, verb: &str) -> Command {
    let mut cargo = child::cargo(&place.top);
    cargo
        .args([verb, "--quiet", "--workspace", "--exclude", "sensor-ebpf", "--target-dir"])
        .arg(&place.target);
    cargo
}
