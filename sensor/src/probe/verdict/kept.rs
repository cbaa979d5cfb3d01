//! Refusals that outlive the daemon: what attaches their programs is pinned, and beside it the count of what they refused. The
//! next daemon's own take their places one by one, each when it is at work itself.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aya::{
    maps::{Array, Map, MapData, MapError},
    programs::links::FdLink,
};
use sensor_common::Settings;

use super::super::{Probe, chain, isolate::pins::is_bpf};

/// Folder below the one of all pins.
const FOLDER: &str = "refusals";
/// What the pins of links begin with.
const LINK: &str = "link_";
/// The pin of the map of counts.
const COUNTS: &str = "refused";
/// In that map: what was refused, and what of it a daemon has told of.
const REFUSED: u32 = 0;
const TOLD: u32 = 1;

/// What is refused by pinned programs, or would be.
pub(super) struct Kept {
    dir: PathBuf,
}

/// Programs that an earlier daemon left attached.
#[must_use]
pub fn kept_refusals(pins: &Path) -> usize {
    links(&pins.join(FOLDER)).len()
}

/// Ends what an earlier daemon kept refusing; gives the programs that did so.
///
/// # Errors
/// Where it cannot be removed.
pub fn end_kept_refusals(pins: &Path) -> io::Result<usize> {
    let dir = pins.join(FOLDER);
    let links = links(&dir);
    if !is_bpf(&dir) {
        return Ok(0);
    }
    links.iter().try_for_each(|link| gone(fs::remove_file(link)))?;
    for entry in fs::read_dir(&dir)? {
        gone(fs::remove_file(entry?.path()))?;
    }
    gone(fs::remove_dir(&dir))?;
    Ok(links.len())
}

impl Kept {
    /// Below this folder, which is made; what is around it must be a BPF filesystem.
    pub(super) fn open(pins: &Path) -> Result<Self, String> {
        use std::os::unix::fs::DirBuilderExt;
        let above = pins.parent().unwrap_or(pins);
        if !is_bpf(above) {
            return Err(format!(
                "refusals cannot outlive the sensor: {} is no BPF filesystem (`mount -t bpf bpf /sys/fs/bpf`; a sensor in a container needs the host's)",
                above.display()
            ));
        }
        let dir = pins.join(FOLDER);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(Self { dir })
    }

    /// Pins a program's link in the place of an earlier one's, which is thereby detached.
    pub(super) fn pin(&self, name: &str, link: FdLink) -> Result<FdLink, String> {
        let (path, new) = (self.dir.join(format!("{LINK}{name}")), self.dir.join(format!("new_{name}")));
        // One that a daemon left which ended right here.
        let _ = fs::remove_file(&new);
        let pinned = link.pin(&new).map_err(|error| format!("{}: {}", new.display(), chain(&error)))?;
        fs::rename(&new, &path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(pinned.into())
    }

    /// Detaches the programs of an earlier daemon that none of ours has taken the place of.
    pub(super) fn end_others(&self, ours: &[&str]) -> Result<(), String> {
        let is_ours = |link: &PathBuf| ours.iter().any(|name| link.ends_with(format!("{LINK}{name}")));
        let others = links(&self.dir).into_iter().filter(|link| !is_ours(link));
        others.into_iter().try_for_each(|link| gone(fs::remove_file(link))).map_err(|error| error.to_string())
    }

    /// Puts our counts in the place of an earlier daemon's, and tells what was refused that nobody has told of.
    pub(super) fn replace_counts(&self, counts: &Map) -> Result<u64, String> {
        let (path, new) = (self.dir.join(COUNTS), self.dir.join(format!("new_{COUNTS}")));
        let untold = if path.exists() { untold(&path)? } else { 0 };
        let _ = fs::remove_file(&new);
        let Map::Array(counts) = counts else { return Err("counts of another kind".to_owned()) };
        counts.pin(&new).map_err(|error| format!("{}: {}", new.display(), chain(&error)))?;
        fs::rename(&new, &path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(untold)
    }
}

impl Probe {
    /// Pins what refuses, so that it outlives the daemon, in the place of what an earlier one pinned. Tells what was refused since
    /// that one ended.
    ///
    /// # Errors
    /// Why it cannot be pinned.
    pub fn keep_refusals(&mut self, pins: &Path) -> Result<u64, String> {
        let untold = self.verdicts.keep(pins)?;
        self.set(Settings { kept: 1, ..self.settings }).map_err(|error| error.to_string())?;
        Ok(untold)
    }

    /// What was refused until now is told of: the next start need not.
    pub fn told_refusals(&mut self) {
        self.verdicts.told();
    }
}

/// What was refused until now is told of, or about to be.
pub(super) fn tell(counts: &mut Map) -> Result<(), MapError> {
    let mut counts: Array<&mut MapData, u64> = counts.try_into()?;
    let refused = counts.get(&REFUSED, 0)?;
    counts.set(TOLD, refused, 0)
}

fn untold(path: &Path) -> Result<u64, String> {
    let words = |error: &dyn std::error::Error| format!("{}: {}", path.display(), chain(error));
    let map = MapData::from_pin(path).map_err(|error| words(&error))?;
    let counts: Array<MapData, u64> = Map::Array(map).try_into().map_err(|error| words(&error))?;
    let count = |which| counts.get(&which, 0).map_err(|error| words(&error));
    Ok(count(REFUSED)?.saturating_sub(count(TOLD)?))
}

fn links(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_link = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(LINK))
    };
    names.filter(is_link).collect()
}

/// What was removed, unless it was gone before.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
