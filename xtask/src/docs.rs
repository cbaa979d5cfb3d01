//! `cargo xtask docs`: the daemon writes its reference pages out of its own tables; `--check` finds stale ones.
//!
//! Which pages there are is the daemon's matter. Pages that it does not write are written by hand and are
//! left alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::build;
use crate::child::{self, Exit};
use crate::place::Place;

/// Where the pages are.
pub(crate) const PAGES: &str = "deploy/reference";

/// What the user typed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Change nothing; fail where a page is not what the code would write now
    #[arg(long)]
    check: bool,
}

/// Builds, then writes or compares.
pub(crate) fn command(place: &Place, args: &Args) -> Result<()> {
    let daemon = build::release(place)?;
    let docs = place.top.join(PAGES);
    if args.check { check(place, &daemon, &docs) } else { write(place, &daemon, &docs).map(drop) }
}

/// Fails with the names of the pages that differ from what the code says.
pub(crate) fn check(place: &Place, daemon: &Path, docs: &Path) -> Result<()> {
    let fresh = tempfile::tempdir().context("cannot create a temporary folder")?;
    let pages = write(place, daemon, fresh.path())?;
    let stale =
        |(name, page): &(&PathBuf, &Vec<u8>)| !fs::read(docs.join(name)).is_ok_and(|old| old == **page);
    let stale: Vec<String> = pages.iter().filter(stale).map(|(name, _)| name.display().to_string()).collect();
    if stale.is_empty() {
        return Ok(());
    }
    Err(Exit::new(1, format!("stale in {PAGES}: {}: run `cargo xtask docs`", stale.join(", "))).into())
}

/// Has the daemon write its pages into `dir` and returns what is there, by relative name.
fn write(place: &Place, daemon: &Path, dir: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut reference = child::command(daemon, &place.top);
    child::run(reference.args(["reference", "--dir"]).arg(dir), "writing the reference pages")?;
    let mut pages = BTreeMap::new();
    collect(dir, Path::new(""), &mut pages)?;
    // A daemon that writes nothing would make every page look fresh.
    ensure!(!pages.is_empty(), "`vedette reference` wrote no page");
    Ok(pages)
}

fn collect(dir: &Path, below: &Path, pages: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let folder = dir.join(below);
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let name = below.join(entry.file_name());
        let file = entry.path();
        if file.is_dir() {
            collect(dir, &name, pages)?;
        } else {
            let page = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            pages.insert(name, page);
        }
    }
    Ok(())
}
