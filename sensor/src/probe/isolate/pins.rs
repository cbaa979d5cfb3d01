//! Where isolation is pinned so that it outlives the daemon: a directory of a BPF filesystem, in it one for each version of
//! the wire contract. It knows files, not what they hold.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use sensor_common::ABI_VERSION;

use super::IsolationError;

/// What the names of these directories begin with. Others are somebody else's.
const VERSION: &str = "abi-";

/// Name of the directory of this version.
fn own() -> String {
    format!("{VERSION}{ABI_VERSION}")
}

/// What the pins of links begin with.
const LINK: &str = "link_";

/// Where a program's link is pinned.
pub(super) fn link(pins: &Path, program: &str) -> PathBuf {
    pins.join(format!("{LINK}{program}"))
}

/// What is pinned for one version of the wire contract.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Kept {
    /// The directory.
    pub path: PathBuf,
    /// Whether this sensor can go on with it.
    pub usable: bool,
    /// Programs that are attached.
    pub programs: usize,
}

/// What is pinned below a directory; nothing where it cannot be read.
#[must_use]
pub fn kept(pins: &Path) -> Vec<Kept> {
    let versions = names(pins).into_iter().filter(|path| begins(path, VERSION));
    let dirs = versions.map(|path| Kept {
        usable: path.file_name().is_some_and(|name| *name == *own()),
        programs: names(&path).iter().filter(|path| is_link(path)).count(),
        path,
    });
    dirs.collect()
}

/// Makes the directory of this version and gives it. What other versions pinned ends.
pub(super) fn open(pins: &Path) -> Result<PathBuf, IsolationError> {
    let above = pins.parent().unwrap_or(pins);
    if !is_bpf(above) {
        return Err(IsolationError::NoPins(above.to_owned()));
    }
    for kept in kept(pins).into_iter().filter(|kept| !kept.usable) {
        remove(&kept.path)?;
        tracing::warn!(
            path = %kept.path.display(), programs = kept.programs,
            "isolation that a sensor of another version kept has ended: its format is not ours"
        );
    }
    let dir = pins.join(own());
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(|error| IsolationError::Pins { path: dir.clone(), error })?;
    Ok(dir)
}

/// Detaches what is pinned, and leaves the maps.
pub(super) fn detach(dir: &Path) -> Result<(), IsolationError> {
    let links = names(dir).into_iter().filter(|path| is_link(path));
    links.into_iter().try_for_each(|path| gone(&path, fs::remove_file(&path)))
}

/// Ends all that is pinned.
pub(super) fn clear(pins: &Path) -> Result<(), IsolationError> {
    if !is_bpf(pins) {
        // Nobody has pinned anything, or it is no place for pins: nothing of ours.
        return Ok(());
    }
    for kept in kept(pins) {
        remove(&kept.path)?;
        if kept.programs > 0 {
            tracing::warn!(
                path = %kept.path.display(), programs = kept.programs,
                "isolation that an earlier sensor kept has ended: respond.keep_enforcing is off"
            );
        }
    }
    match fs::remove_dir(pins) {
        // Refusals are pinned there as well.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        result => gone(pins, result),
    }
}

/// Removes a directory with all pins in it, links first: they are what is at work.
pub(super) fn remove(dir: &Path) -> Result<(), IsolationError> {
    detach(dir)?;
    names(dir).iter().try_for_each(|path| gone(path, fs::remove_file(path)))?;
    gone(dir, fs::remove_dir(dir))
}

fn names(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).map(|dir| dir.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

fn is_link(path: &Path) -> bool {
    begins(path, LINK)
}

fn begins(path: &Path, with: &str) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(with))
}

/// What was removed, unless it was gone before.
fn gone(path: &Path, result: io::Result<()>) -> Result<(), IsolationError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(IsolationError::Pins { path: path.to_owned(), error })
        }
        _ => Ok(()),
    }
}

pub(in crate::probe) fn is_bpf(dir: &Path) -> bool {
    /// `BPF_FS_MAGIC`.
    const MAGIC: i64 = 0xcafe_4a11;
    rustix::fs::statfs(dir).is_ok_and(|fs| fs.f_type & 0xffff_ffff == MAGIC)
}
