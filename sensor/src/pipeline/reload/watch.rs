//! Paths → "something about them changed", by inotify. It reads no file; what it misses (a filesystem that reports
//! nothing, a limit of the system) a slow look at the files finds.
//!
//! A path depends on every directory entry that is walked through to reach it, links and missing ones included. The
//! directories of these entries are watched, and of what happens in them only the entries' names count. So a file that is
//! renamed over, a directory that does not exist yet and the `..data` link of a mounted `ConfigMap` are one case.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ffi::{OsStr, OsString},
    fs,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};

use crate::rule::files::listed;

/// What counts in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Names {
    /// A directory of rules: every entry.
    Any,
    /// A directory on the way: these entries.
    These(BTreeSet<OsString>),
}

type Directories = BTreeMap<PathBuf, Names>;

/// Links that are followed on one path, as in the kernel.
const MOST_LINKS: usize = 40;
/// How often the directories are put together again because they changed meanwhile.
const MOST_ROUNDS: usize = 5;

/// Directories under watch.
#[derive(Debug)]
pub(super) struct Watch {
    inotify: OwnedFd,
    /// By the kernel's number of the watch.
    names: HashMap<i32, Names>,
}

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// Where the system gives no inotify instance.
    pub(super) fn new() -> rustix::io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self { inotify, names: HashMap::new() })
    }

    /// Watches what these paths depend on now, and nothing else. What changes from here on is reported: whoever reads the
    /// paths after this call misses nothing.
    ///
    /// # Errors
    /// Where a directory cannot be watched; the others are.
    pub(super) fn follow(&mut self, paths: &[PathBuf]) -> rustix::io::Result<()> {
        let mut wanted = directories(paths);
        for _ in 0..MOST_ROUNDS {
            let done = self.watch(&wanted);
            let now = directories(paths);
            if now == wanted || done.is_err() {
                return done;
            }
            wanted = now;
        }
        Ok(())
    }

    fn watch(&mut self, wanted: &Directories) -> rustix::io::Result<()> {
        let mask = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let mut names: HashMap<i32, Names> = HashMap::new();
        let mut done = Ok(());
        for (dir, new) in wanted {
            match inotify::add_watch(&self.inotify, dir, mask) {
                // The same directory by two ways is one watch.
                Ok(number) => match (names.get_mut(&number), new) {
                    (Some(Names::These(old)), Names::These(new)) => old.extend(new.iter().cloned()),
                    _ => drop(names.insert(number, new.clone())),
                },
                // Gone since it was found: its parent's watch reports that.
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => done = Err(error),
            }
        }
        for number in self.names.keys().filter(|number| !names.contains_key(number)) {
            // The kernel itself has removed the watch of a directory that is gone.
            let _ = inotify::remove_watch(&self.inotify, *number);
        }
        self.names = names;
        done
    }

    /// Takes what was reported, and says whether any of it counts.
    pub(super) fn changed(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut changed = false;
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    changed |= self.counts(event.wd(), event.events(), name);
                }
                Err(Errno::INTR) => {}
                Err(_) => return changed,
            }
        }
    }

    fn counts(&self, number: i32, events: ReadFlags, name: Option<&OsStr>) -> bool {
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            return true;
        }
        match (self.names.get(&number), name) {
            (Some(Names::These(names)), Some(name)) => names.contains(name),
            // The directory itself was removed, renamed or changed.
            (Some(_), _) => !events.contains(ReadFlags::IGNORED),
            (None, _) => false,
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// The directories to watch for these files and directories of rules.
fn directories(paths: &[PathBuf]) -> Directories {
    let mut found = Directories::new();
    for path in paths {
        let Some(end) = walk(path, &mut found) else { continue };
        for file in listed(&end).unwrap_or_default() {
            walk(&file, &mut found);
        }
        found.insert(end, Names::Any);
    }
    found
}

/// Adds the entries that are walked through on the way to `path`, and returns where it ends if that is a directory.
fn walk(path: &Path, found: &mut Directories) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let mut left: VecDeque<OsString> = path.components().map(|part| part.as_os_str().to_owned()).collect();
    let mut at = PathBuf::new();
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        match Path::new(&part).components().next() {
            None | Some(Component::CurDir | Component::Prefix(_)) => continue,
            Some(Component::RootDir) => {
                at = PathBuf::from("/");
                continue;
            }
            Some(Component::ParentDir) => {
                at.pop();
                continue;
            }
            Some(Component::Normal(_)) => {}
        }
        if let Names::These(names) = found.entry(at.clone()).or_insert(Names::These(BTreeSet::new())) {
            names.insert(part.clone());
        }
        let next = at.join(&part);
        let meta = fs::symlink_metadata(&next).ok()?;
        if meta.is_symlink() {
            links += 1;
            if links > MOST_LINKS {
                return None;
            }
            let target = fs::read_link(&next).ok()?;
            for part in target.components().rev() {
                left.push_front(part.as_os_str().to_owned());
            }
        } else if meta.is_dir() {
            at = next;
        } else {
            return None;
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// What happens is reported before the call that does it returns, so nothing is waited for.
    #[track_caller]
    fn says(watch: &Watch, expected: bool, what: &str) {
        assert_eq!(watch.changed(), expected, "{what}");
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
        let paths = [file.clone(), rules.clone()];
        let mut watch = Watch::new().unwrap();
        watch.follow(&paths).unwrap();
        fs::write(top.join("other.yaml"), "x").unwrap();
        says(&watch, false, "another file");
        fs::write(&file, "x").unwrap();
        says(&watch, true, "the file appears");
        fs::write(top.join("new"), "y").unwrap();
        fs::rename(top.join("new"), &file).unwrap();
        says(&watch, true, "an editor renames over it");
        fs::read(&file).unwrap();
        says(&watch, false, "somebody reads");
        fs::create_dir(top.join("not")).unwrap();
        says(&watch, true, "the first directory appears");
        fs::create_dir_all(&rules).unwrap();
        watch.follow(&paths).unwrap();
        fs::write(rules.join("a.yaml"), "x").unwrap();
        says(&watch, true, "a file is added");
        fs::remove_file(rules.join("a.yaml")).unwrap();
        says(&watch, true, "a file is removed");
        fs::rename(&rules, top.join("not/yet/away")).unwrap();
        says(&watch, true, "the directory is renamed");
        watch.follow(&paths).unwrap();
        watch.changed();
        fs::write(top.join("not/yet/away/a.yaml"), "x").unwrap();
        says(&watch, false, "what was moved away is forgotten");
        fs::remove_file(&file).unwrap();
        says(&watch, true, "the file is gone");
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
            let mut watch = Watch::new().unwrap();
            watch.follow(&paths).unwrap();
            symlink("..2", at("rules/..next")).unwrap();
            watch.changed();
            fs::rename(at("rules/..next"), at("rules/..data")).unwrap();
            says(&watch, true, "the link is swapped");
            watch.follow(&paths).unwrap();
            fs::write(at("rules/..2/a.yaml"), "x").unwrap();
            says(&watch, true, "the file behind the new link");
            fs::write(at("rules/..1/a.yaml"), "x").unwrap();
            says(&watch, false, "the file behind the old link");
            fs::write(at("elsewhere/a.yaml"), "x").unwrap();
            says(&watch, true, "a file somewhere else");
            fs::write(at("elsewhere/b.yaml"), "x").unwrap();
            says(&watch, false, "the file beside it");
            symlink("..1", at("rules/..next")).unwrap();
            fs::rename(at("rules/..next"), at("rules/..data")).unwrap();
        }
    }
}
