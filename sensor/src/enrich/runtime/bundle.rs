//! Finds the OCI bundle of a container: a directory that the runtime filled before it started anything in it. Paths below a
//! root are resolved without any symlink, and only a regular file of a sensible size is read.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};

use super::{Ask, spec::Spec};

/// Largest `config.json`; a usual one has 10 KiB.
const FILE_LIMIT: u64 = 4 << 20;

/// Directories that are tried for a `*`.
const NAMESPACES: usize = 64;

/// Where bundles may lie: `/run/containerd/io.containerd.runtime.v2.task/*/{id}`. The star is a containerd namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    root: PathBuf,
    star: bool,
    /// Behind the id.
    rest: String,
}

/// A bundle that was found.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) dir: PathBuf,
    pub(super) spec: Spec,
}

/// Why there is no bundle, yet.
#[derive(Debug)]
pub(super) enum NoBundle {
    /// There is no such directory or no file in it.
    Absent,
    /// There is one that cannot be read as it should: it may still be written.
    Unreadable(String),
}

impl Template {
    /// `None` where the text has no `{id}`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (front, rest) = text.split_once("{id}")?;
        let front = front.strip_suffix('/')?;
        let (root, star) = front.strip_suffix("/*").map_or((front, false), |root| (root, true));
        Some(Self { root: root.into(), star, rest: rest.trim_matches('/').to_owned() })
    }

    /// Whether its root is there.
    pub(super) fn is_there(&self) -> bool {
        self.root.is_dir()
    }

    /// Looks for the bundle of a container.
    pub(super) fn find(&self, ask: &Ask) -> Result<Bundle, NoBundle> {
        let id = &*ask.id;
        if id.is_empty() || id.contains('/') || id == "." || id == ".." {
            return Err(NoBundle::Absent);
        }
        let Ok(root) = rustix::fs::openat(
            CWD,
            &self.root,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        ) else {
            return Err(NoBundle::Absent);
        };
        if !self.star {
            return self.read(&root, Path::new(id));
        }
        let mut worst = NoBundle::Absent;
        for namespace in self.namespaces(ask) {
            match self.read(&root, &Path::new(&namespace).join(id)) {
                Ok(bundle) => return Ok(bundle),
                Err(NoBundle::Absent) => {}
                Err(why) => worst = why,
            }
        }
        Err(worst)
    }

    /// The namespaces that may be meant. A name that people chose may be there in several: only its own counts then.
    fn namespaces(&self, ask: &Ask) -> Vec<String> {
        let named = ask.namespace();
        if let Some(named) = named.filter(|_| ask.id.len() != 64) {
            return vec![named.to_owned()];
        }
        let mut all: Vec<String> = named.map(str::to_owned).into_iter().collect();
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        let others = entries.filter_map(|entry| entry.file_name().into_string().ok());
        all.extend(others.filter(|other| Some(other.as_str()) != named).take(NAMESPACES));
        all
    }

    fn read(&self, root: &OwnedFd, dir: &Path) -> Result<Bundle, NoBundle> {
        let dir = dir.join(&self.rest);
        let bytes =
            read_beneath(root, &dir.join("config.json"), FILE_LIMIT).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => NoBundle::Absent,
                _ => NoBundle::Unreadable(error.to_string()),
            })?;
        let spec = Spec::parse(&bytes).map_err(|error| NoBundle::Unreadable(error.to_string()))?;
        Ok(Bundle { dir: self.root.join(dir), spec })
    }
}

/// Reads a regular file below a directory, following no symlink.
///
/// # Errors
/// Where it cannot be opened, is something else than a file, or is larger than `limit`.
pub(super) fn read_beneath(root: &OwnedFd, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let found = rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
    read_file(&found, limit, false)
}

/// Reads what a path descriptor leads to, if it is a regular file: opening a pipe or a device could block or do something.
///
/// # Errors
/// As of [`read_beneath`]. `cut`: a larger file is read up to the limit.
pub(super) fn read_file(found: &OwnedFd, limit: u64, cut: bool) -> io::Result<Vec<u8>> {
    use std::os::fd::AsRawFd;
    let stat = rustix::fs::statat(found, "", AtFlags::EMPTY_PATH)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("not a regular file"));
    }
    if stat.st_size.cast_unsigned() > limit && !cut {
        return Err(io::Error::other(format!("{} bytes are too many", stat.st_size)));
    }
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?);
    let mut bytes = Vec::with_capacity(stat.st_size.cast_unsigned().min(limit) as usize);
    // It may grow while it is read.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        if !cut {
            return Err(io::Error::other("it grows while it is read"));
        }
        bytes.truncate(limit as usize);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
