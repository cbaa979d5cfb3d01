//! `vedette run`: the daemon.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

use crate::pipeline::Stats;

/// Another sensor is at work.
#[derive(Debug, Error)]
#[error(
    "another vedette is running here (pid {0}): stop it first, or give this one a lock of its own with --set lock=FILE"
)]
pub(super) struct Busy(String);

/// Holds the lock file for as long as the value lives.
///
/// # Errors
/// [`Busy`] where another process holds it.
fn lock(path: &Path) -> anyhow::Result<File> {
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        file.read_to_string(&mut holder)?;
        return Err(Busy(holder.trim().to_owned()).into());
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// Writes the accounts where somebody asked for them; a reader never sees half a file.
pub(super) fn write_stats(path: &Path, stats: &Stats) -> io::Result<()> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let partial = path.with_extension("partial");
    fs::write(&partial, serde_json::to_vec(stats)?)?;
    fs::rename(partial, path)
}
