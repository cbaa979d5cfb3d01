//! What is held back by the responder's own doing: paused containers, isolated ones. It is kept on disk, so that what was done
//! can be undone after a restart, and only that.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

/// A container that is held back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldContainer {
    /// Its id.
    pub container: String,
    /// Whether it was paused.
    #[serde(default)]
    pub paused: bool,
    /// The groups that were cut off from the network.
    #[serde(default)]
    pub isolated: Vec<u64>,
}

/// All of them, by control group.
#[derive(Debug, Default)]
pub(super) struct Held {
    all: BTreeMap<String, HeldContainer>,
    file: PathBuf,
}

impl Held {
    /// What an earlier run left. A file that cannot be read is said, and counts as empty.
    pub(super) fn read(file: &Path) -> Self {
        let all = match fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        };
        let all = all.unwrap_or_else(|error| {
            tracing::warn!(file = %file.display(), %error, "what is paused or isolated since an earlier run is not known");
            BTreeMap::new()
        });
        Self { all, file: file.to_owned() }
    }

    /// What is known of the container with this group.
    pub(super) fn of(&self, cgroup: &str) -> Option<&HeldContainer> {
        self.all.get(cgroup)
    }

    /// All, by control group.
    pub(super) const fn all(&self) -> &BTreeMap<String, HeldContainer> {
        &self.all
    }

    /// Changes what is known of one; what is not held back any more is forgotten.
    ///
    /// # Errors
    /// Where the file cannot be written. The change counts all the same.
    pub(super) fn change(
        &mut self,
        cgroup: &str,
        id: &str,
        change: impl FnOnce(&mut HeldContainer),
    ) -> io::Result<()> {
        let held = self.all.entry(cgroup.to_owned()).or_default();
        id.clone_into(&mut held.container);
        change(held);
        if !held.paused && held.isolated.is_empty() {
            self.all.remove(cgroup);
        }
        self.write()
    }

    /// Forgets who was isolated, and names them; with each why that could not be written down, where it could not.
    pub(super) fn end_isolation(&mut self) -> Vec<(String, Option<io::Error>)> {
        let isolated = self.all.iter().filter(|(_, held)| !held.isolated.is_empty());
        let isolated: Vec<(String, String)> =
            isolated.map(|(cgroup, held)| (cgroup.clone(), held.container.clone())).collect();
        let end = |(cgroup, id): (String, String)| {
            let done = self.change(&cgroup, &id, |held| held.isolated.clear());
            (cgroup, done.err())
        };
        isolated.into_iter().map(end).collect()
    }

    /// Forgets those of whom this does not hold.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) -> io::Result<()> {
        let before = self.all.len();
        self.all.retain(|cgroup, _| keep(cgroup));
        if self.all.len() == before { Ok(()) } else { self.write() }
    }

    fn write(&self) -> io::Result<()> {
        if self.file.as_os_str().is_empty() {
            return Ok(());
        }
        let partial = self.file.with_extension("partial");
        let mut options = File::options();
        options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        options.open(&partial)?.write_all(&serde_json::to_vec(&self.all)?)?;
        fs::rename(partial, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_isolation_that_ends_is_forgotten_and_a_pause_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("held.json");
        let mut held = Held::read(&file);
        held.change("/a", "a", |held| held.isolated = vec![1]).unwrap();
        held.change("/b", "b", |held| (held.isolated, held.paused) = (vec![2], true)).unwrap();
        held.change("/c", "c", |held| held.paused = true).unwrap();
        let ended = held.end_isolation();
        assert!(ended.iter().all(|(_, error)| error.is_none()), "{ended:?}");
        let ended: Vec<_> = ended.into_iter().map(|(cgroup, _)| cgroup).collect();
        assert_eq!(ended, ["/a", "/b"]);
        let again = Held::read(&file);
        let left: Vec<_> = again.all().iter().map(|(cgroup, held)| (&**cgroup, held.paused)).collect();
        assert_eq!(left, [("/b", true), ("/c", true)]);
        assert!(again.all().values().all(|held| held.isolated.is_empty()));
    }
}
