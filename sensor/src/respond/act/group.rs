//! Control groups on disk: where a container's are, whether they are still the same, and who is in them. It knows no rule and
//! no runtime.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use procfs::process::Process;
use sensor_common::Header;

/// Groups inside one container that are looked at; a container that makes more of them is killed by its runtime or not at all.
const MOST_GROUPS: usize = 4096;

/// The mounted hierarchies.
#[derive(Clone, Debug, Default)]
pub(super) struct Hierarchies {
    pub(super) unified: Option<PathBuf>,
    /// Of version 1: mount points, the one first whose keys the kernel programs use.
    legacy: Vec<PathBuf>,
    keyed: bool,
    pub(super) freezer: Option<PathBuf>,
}

impl Hierarchies {
    /// Finds them. `controller`: the one of version 1 that stands in for the unified hierarchy, if any.
    pub(super) fn read(controller: Option<&str>) -> Self {
        let mut found = Self::default();
        for mount in Process::myself().and_then(|me| me.mountinfo()).into_iter().flatten() {
            let has = |name: &str| mount.super_options.contains_key(name);
            match mount.fs_type.as_str() {
                "cgroup2" if found.unified.is_none() => found.unified = Some(mount.mount_point),
                "cgroup" => {
                    if has("freezer") {
                        found.freezer = Some(mount.mount_point.clone());
                    }
                    if controller.is_some_and(has) && !found.keyed {
                        found.legacy.insert(0, mount.mount_point);
                        found.keyed = true;
                    } else {
                        found.legacy.push(mount.mount_point);
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// The directories of a group; `None` where the path cannot be that of a container: the root, or one that leaves it.
    pub(super) fn group(&self, path: &str) -> Option<Group<'_>> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let fine = path.starts_with('/')
            && !parts.is_empty()
            && !parts.iter().any(|part| [".", ".."].contains(part));
        fine.then(|| Group { hierarchies: self, path: parts.join("/") })
    }
}

/// A container's group in all hierarchies.
#[derive(Clone, Debug)]
pub(super) struct Group<'h> {
    hierarchies: &'h Hierarchies,
    path: String,
}

impl Group<'_> {
    /// Its directory in the unified hierarchy, where it is populated there.
    pub(super) fn unified(&self) -> Option<PathBuf> {
        let dir = self.hierarchies.unified.as_ref()?.join(&self.path);
        let events = fs::read_to_string(dir.join("cgroup.events")).ok()?;
        events.lines().any(|line| line == "populated 1").then_some(dir)
    }

    /// Its directory in the freezer of version 1.
    pub(super) fn freezer(&self) -> Option<PathBuf> {
        let dir = self.hierarchies.freezer.as_ref()?.join(&self.path);
        dir.join("freezer.state").exists().then_some(dir)
    }

    fn dirs(&self) -> impl Iterator<Item = PathBuf> {
        let roots = self.hierarchies.unified.iter().chain(&self.hierarchies.legacy);
        roots.map(|root| root.join(&self.path)).filter(|dir| dir.exists())
    }

    /// Whether it is still the group that it was when a process with the key `key` was in it (or in one below it). Numbers of
    /// groups only grow, so one that was made again at the same path has a higher number than any before it.
    pub(super) fn is_of(&self, key: u64) -> bool {
        let root = if key & Header::CGROUP_V1 == 0 {
            self.hierarchies.unified.as_ref()
        } else {
            self.hierarchies.legacy.first().filter(|_| self.hierarchies.keyed)
        };
        let number = root.and_then(|root| fs::metadata(root.join(&self.path)).ok()).map(|found| found.ino());
        number.is_some_and(|number| key == 0 || number <= key & !Header::CGROUP_V1)
    }

    /// Whether it is there at all.
    pub(super) fn exists(&self) -> bool {
        self.dirs().next().is_some()
    }

    /// The keys of it and of all groups below, as the kernel programs have them.
    pub(super) fn keys(&self) -> Vec<u64> {
        let unified = self.hierarchies.unified.iter().map(|root| (root, 0));
        let legacy = self.hierarchies.legacy.first().filter(|_| self.hierarchies.keyed);
        let mut keys = Vec::new();
        for (root, bit) in unified.chain(legacy.map(|root| (root, Header::CGROUP_V1))) {
            for dir in below(&root.join(&self.path)) {
                keys.extend(fs::metadata(dir).map(|found| found.ino() | bit));
            }
        }
        keys
    }

    /// The processes in it and below.
    ///
    /// # Errors
    /// Where a list cannot be read.
    pub(super) fn members(&self) -> io::Result<BTreeSet<u32>> {
        let mut members = BTreeSet::new();
        for top in self.dirs() {
            for dir in below(&top) {
                match fs::read_to_string(dir.join("cgroup.procs")) {
                    Ok(list) => members.extend(list.lines().filter_map(|pid| pid.parse::<u32>().ok())),
                    // It ended meanwhile, or only its threads are here, and the processes in one above.
                    Err(error)
                        if matches!(
                            error.raw_os_error(),
                            Some(libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP)
                        ) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(members)
    }
}

/// A directory and all below it.
fn below(top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![top.to_owned()];
    while let Some(dir) = left.pop().filter(|_| found.len() < MOST_GROUPS) {
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
        left.extend(
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
        found.push(dir);
    }
    found
}
