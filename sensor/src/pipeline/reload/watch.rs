//! Paths → "something about them changed", by a look at what the system says of each file. It reads no file.
//!
//! Why no inotify: a watch on a directory costs every open of every file in it 0.3 µs, and to learn of a file that is not
//! there yet, or of a directory that is renamed, `/etc` and `/` would have to be watched. Looking at a hundred files takes
//! 0.3 ms, works on filesystems that report nothing, and needs no second way for what a report can miss.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::rule::files::listed;

/// What tells one state of a file from another: device, inode, size, and when it was modified and changed. None of it is
/// the same after a file is replaced, written or made readable; a link is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark([i128; 5]);

impl Mark {
    fn of(meta: &Metadata) -> Self {
        let time = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self([
            meta.dev().into(),
            meta.ino().into(),
            meta.size().into(),
            time(meta.mtime(), meta.mtime_nsec()),
            time(meta.ctime(), meta.ctime_nsec()),
        ])
    }
}

/// Files and directories of rules under watch.
#[derive(Debug, Default)]
pub(super) struct Watch {
    paths: Vec<PathBuf>,
    /// What there was at the last look; `None`: nothing that can be looked at.
    seen: BTreeMap<PathBuf, Option<Mark>>,
}

impl Watch {
    /// Watches these paths and nothing else. What changes from here on is seen at the next look: whoever reads the paths
    /// after this call misses nothing.
    pub(super) fn follow(&mut self, paths: Vec<PathBuf>) {
        self.paths = paths;
        self.seen = look(&self.paths);
    }

    /// Looks, and says whether anything differs from the last look.
    pub(super) fn changed(&mut self) -> bool {
        let now = look(&self.paths);
        let changed = now != self.seen;
        self.seen = now;
        changed
    }
}

fn look(paths: &[PathBuf]) -> BTreeMap<PathBuf, Option<Mark>> {
    let mut found = BTreeMap::new();
    let mut file = |path: &Path, meta: Option<&Metadata>| {
        found.insert(path.to_owned(), meta.map(Mark::of));
    };
    for path in paths {
        let meta = fs::metadata(path).ok();
        if meta.as_ref().is_some_and(Metadata::is_dir) {
            // Of a directory its files count, and not what else happens in it.
            for entry in listed(path).unwrap_or_default() {
                file(&entry, fs::metadata(&entry).ok().as_ref());
            }
        } else {
            file(path, meta.as_ref());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[track_caller]
    fn says(watch: &mut Watch, expected: bool, what: &str) {
        assert_eq!(watch.changed(), expected, "{what}");
        assert!(!watch.changed(), "{what}: once");
    }

    fn scene() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        (dir, path)
    }

    #[test]
    fn files_directories_and_what_is_not_there_yet() {
        let (_dir, top) = scene();
        let (file, rules) = (top.join("one.yaml"), top.join("not/yet/rules.d"));
        let mut watch = Watch::default();
        watch.follow(vec![file.clone(), rules.clone()]);
        fs::write(top.join("other.yaml"), "x").unwrap();
        says(&mut watch, false, "another file");
        fs::write(&file, "x").unwrap();
        says(&mut watch, true, "the file appears");
        fs::write(top.join("new"), "y").unwrap();
        fs::rename(top.join("new"), &file).unwrap();
        says(&mut watch, true, "an editor renames over it");
        fs::write(&file, "yy").unwrap();
        says(&mut watch, true, "it is written in place");
        fs::read(&file).unwrap();
        says(&mut watch, false, "somebody reads");
        fs::create_dir_all(&rules).unwrap();
        fs::write(rules.join("a.yaml"), "x").unwrap();
        says(&mut watch, true, "a directory appears with a file");
        fs::write(rules.join("a.txt"), "x").unwrap();
        says(&mut watch, false, "no rules");
        fs::rename(rules.join("a.yaml"), rules.join("b.yaml")).unwrap();
        says(&mut watch, true, "a file is renamed");
        fs::remove_file(rules.join("b.yaml")).unwrap();
        says(&mut watch, true, "a file is removed");
        fs::write(rules.join("a.yaml"), "x").unwrap();
        says(&mut watch, true, "a file is added");
        fs::rename(top.join("not"), top.join("away")).unwrap();
        says(&mut watch, true, "a directory above is renamed");
        fs::write(top.join("away/yet/rules.d/a.yaml"), "xyz").unwrap();
        says(&mut watch, false, "what was moved away is forgotten");
        fs::remove_file(&file).unwrap();
        says(&mut watch, true, "the file is gone");
    }

    #[test]
    fn links_are_followed() {
        let (_dir, top) = scene();
        let at = |name: &str| top.join(name);
        for version in ["rules/..1", "rules/..2", "elsewhere"] {
            fs::create_dir_all(at(version)).unwrap();
            fs::write(at(version).join("a.yaml"), version).unwrap();
        }
        symlink("..1", at("rules/..data")).unwrap();
        symlink("..data/a.yaml", at("rules/a.yaml")).unwrap();
        symlink(at("elsewhere/a.yaml"), at("rules/b.yaml")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for paths in [vec![at("rules"), at("loop")], vec![at("rules/a.yaml"), at("rules/b.yaml")]] {
            let mut watch = Watch::default();
            watch.follow(paths);
            symlink("..2", at("rules/..next")).unwrap();
            says(&mut watch, false, "the next link is made");
            fs::rename(at("rules/..next"), at("rules/..data")).unwrap();
            says(&mut watch, true, "the link is swapped");
            fs::write(at("rules/..2/a.yaml"), "long").unwrap();
            says(&mut watch, true, "the file behind the new link");
            fs::write(at("rules/..1/a.yaml"), "longer").unwrap();
            says(&mut watch, false, "the file behind the old link");
            fs::write(at("elsewhere/a.yaml"), "the longest").unwrap();
            says(&mut watch, true, "a file somewhere else");
            fs::write(at("elsewhere/b.yaml"), "x").unwrap();
            says(&mut watch, false, "the file beside it");
            symlink("..1", at("rules/..next")).unwrap();
            fs::rename(at("rules/..next"), at("rules/..data")).unwrap();
            fs::write(at("elsewhere/a.yaml"), "e").unwrap();
            fs::write(at("rules/..2/a.yaml"), "2").unwrap();
        }
    }
}
