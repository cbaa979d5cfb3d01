//! Files in memory → a tar archive that is the same wherever and whenever it is made: sorted, owned by root, one time stamp.
//!
//! What the files are is the caller's matter.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// What stands at a path.
#[derive(Clone)]
pub(crate) enum Entry {
    /// A folder that everybody may enter.
    Folder,
    /// A file with these permissions.
    File(u32, Vec<u8>),
}

/// Files and the folders above them, by relative path.
#[derive(Clone, Default)]
pub(crate) struct Tree(BTreeMap<String, Entry>);

impl Tree {
    /// Puts a file somewhere, and the folders above it.
    pub(crate) fn file(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.above(path);
        self.0.insert(path.to_owned(), Entry::File(mode, bytes.into()));
    }

    /// Puts a folder somewhere, and those above it.
    pub(crate) fn folder(&mut self, path: &str) {
        self.above(path);
        self.0.insert(path.to_owned(), Entry::Folder);
    }

    /// All of it, every folder before what is in it.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> usize {
        let size = |entry: &Entry| match entry {
            Entry::Folder => 0,
            Entry::File(_, bytes) => bytes.len(),
        };
        self.0.values().map(size).sum()
    }

    /// The archive. `prefix`: what all names begin with; `epoch`: the time of all files, in seconds since 1970.
    pub(crate) fn tar(&self, prefix: &str, epoch: u64) -> Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        for (path, entry) in self.entries() {
            let mut header = Header::new_gnu();
            header.set_mtime(epoch);
            header.set_uid(0);
            header.set_gid(0);
            let (name, bytes): (String, &[u8]) = match entry {
                Entry::Folder => {
                    header.set_entry_type(EntryType::Directory);
                    header.set_mode(0o755);
                    (format!("{prefix}{path}/"), &[])
                }
                Entry::File(mode, bytes) => {
                    header.set_entry_type(EntryType::Regular);
                    header.set_mode(*mode);
                    (format!("{prefix}{path}"), bytes)
                }
            };
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, &name, bytes).with_context(|| format!("cannot pack {name}"))?;
        }
        archive.into_inner().context("cannot end the archive")
    }

    fn above(&mut self, path: &str) {
        for (at, _) in path.match_indices('/') {
            let folder = path.get(..at).unwrap_or_default();
            self.0.entry(folder.to_owned()).or_insert(Entry::Folder);
        }
    }
}

/// Compresses without a name and a time stamp.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    // 255 says that the system is not known: what packs must not show.
    let mut writer = GzBuilder::new().operating_system(255).write(Vec::new(), Compression::best());
    writer.write_all(bytes).and_then(|()| writer.finish()).context("cannot compress")
}

#[cfg(test)]
mod tests {
    use super::{Tree, gzip};

    #[test]
    fn the_same_files_are_the_same_archive_whatever_order_they_came_in() {
        let mut one = Tree::default();
        one.file("usr/bin/x", 0o755, "program");
        one.file("etc/x.yaml", 0o644, "a: 1\n");
        let mut other = Tree::default();
        other.file("etc/x.yaml", 0o644, "a: 1\n");
        other.folder("usr/bin");
        other.file("usr/bin/x", 0o755, "program");
        let packed = |tree: &Tree| gzip(&tree.tar("x/", 86_400).unwrap()).unwrap();
        assert_eq!(packed(&one), packed(&other));
        let archive = one.tar("x/", 86_400).unwrap();
        let mut archive = tar::Archive::new(archive.as_slice());
        let seen = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.mtime().unwrap()), (0, 86_400));
            (entry.path().unwrap().display().to_string(), header.mode().unwrap())
        });
        let seen: Vec<_> = seen.collect();
        let wanted = [("x/etc", 0o755), ("x/etc/x.yaml", 0o644), ("x/usr", 0o755), ("x/usr/bin", 0o755)];
        assert_eq!(seen.len(), 5);
        for ((path, mode), wanted) in seen.iter().zip(wanted) {
            assert_eq!((path.trim_end_matches('/'), *mode), wanted);
        }
    }
}
