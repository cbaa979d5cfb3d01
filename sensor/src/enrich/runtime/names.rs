//! A container's own `passwd` and `group` → its users and groups. The files belong to whoever built the image or works in the container:
//! they are resolved inside its root, never outside, and read up to a limit.

use std::{
    collections::HashMap,
    fs::metadata,
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::Path,
    sync::Arc,
};

use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use super::{
    bundle::read_file,
    spec::{IdMap, Root},
};
use crate::{
    enrich::users,
    event::{Names, User},
};

/// Bytes of a file that are read.
const FILE_LIMIT: u64 = 256 << 10;
/// How often a path is looked up that changes under the hand.
const RETRIES: usize = 8;
/// Entries that are kept of a file, and the longest name of one.
const NAMES: usize = 2048;
const LONGEST: usize = 128;

/// Reads the names of a container whose root directory the runtime has mounted. `None` where it is not to be seen from here.
pub(super) fn of_root(root: &Root) -> Option<Names> {
    let dir = directory(&root.path).ok()?;
    // Where the sensor has a mount namespace of its own, the directory is there and what is mounted on it is not.
    std::fs::read_dir(&root.path).ok()?.next()?.ok()?;
    let bytes = |path: Option<&Path>, inside: &str| {
        // What is mounted over it lies on the host, where everything is mounted somewhere.
        let over = |path| within(&directory(Path::new("/"))?, path, ResolveFlags::empty());
        path.map_or_else(|| within(&dir, inside, ResolveFlags::NO_XDEV), over).unwrap_or_default()
    };
    Some(Names {
        users: users_of(&bytes(root.passwd.as_deref(), "etc/passwd"), &root.uids),
        groups: groups_of(&bytes(root.group.as_deref(), "etc/group"), &root.gids),
    })
}

/// Reads the names of the container that a process is in. `None` where the process is gone or has the host's root.
pub(super) fn of_process(pid: u32) -> Option<Names> {
    let path = format!("/proc/{pid}/root");
    let (own, host) = (metadata(format!("{path}/.")).ok()?, metadata("/proc/1/root/.").ok()?);
    if (own.dev(), own.ino()) == (host.dev(), host.ino()) {
        return None;
    }
    let dir = directory(Path::new(&path)).ok()?;
    let maps =
        |name: &str| id_maps(&std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default());
    let bytes = |inside: &str| within(&dir, inside, ResolveFlags::NO_XDEV).unwrap_or_default();
    Some(Names {
        users: users_of(&bytes("etc/passwd"), &maps("uid_map")),
        groups: groups_of(&bytes("etc/group"), &maps("gid_map")),
    })
}

fn directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, path, flags, Mode::empty())?)
}

/// A file below a root directory, symlinks resolved as a process with that root sees them. Inside a container nothing else
/// that is mounted there is entered (`NO_XDEV`): a file system that the container brings could keep the reader waiting.
fn within(root: &OwnedFd, path: impl AsRef<Path>, more: ResolveFlags) -> io::Result<Vec<u8>> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | more;
    let path = path.as_ref();
    let open = || rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
    // The kernel gives up where something is renamed or mounted meanwhile, anywhere.
    let again = |found: &Result<OwnedFd, Errno>| matches!(found, Err(Errno::AGAIN));
    let found =
        std::iter::repeat_with(open).take(RETRIES).find(|found| !again(found)).unwrap_or_else(open)?;
    read_file(&found, FILE_LIMIT, true)
}

/// What a file says. `line`: the number of a line, and what that stands for; `fits`: whether it is short enough to be kept.
fn entries<T: ?Sized>(
    bytes: &[u8],
    maps: &[IdMap],
    line: impl Fn(&str) -> Option<(u32, Arc<T>)>,
    fits: impl Fn(&T) -> bool,
) -> HashMap<u32, Arc<T>> {
    let text = String::from_utf8_lossy(bytes);
    let mut entries = HashMap::new();
    for (id, entry) in text.lines().filter_map(line).filter(|(_, entry)| fits(entry)).take(NAMES) {
        if let Some(id) = outside(id, maps) {
            // The first of a number counts, as `getpwuid` has it.
            entries.entry(id).or_insert(entry);
        }
    }
    entries
}

fn users_of(passwd: &[u8], maps: &[IdMap]) -> HashMap<u32, Arc<User>> {
    entries(passwd, maps, users::user, |user| user.name.len() <= LONGEST)
}

fn groups_of(group: &[u8], maps: &[IdMap]) -> HashMap<u32, Arc<str>> {
    entries(group, maps, users::group, |name: &str| name.len() <= LONGEST)
}

/// The number that an id of a user namespace has outside; without a namespace the same.
fn outside(id: u32, maps: &[IdMap]) -> Option<u32> {
    if maps.is_empty() {
        return Some(id);
    }
    let map = maps.iter().find(|map| id >= map.inside && id - map.inside < map.size)?;
    map.outside.checked_add(id - map.inside)
}

/// `/proc/PID/uid_map`.
fn id_maps(text: &str) -> Vec<IdMap> {
    let number = |word: Option<&str>| word.and_then(|word| word.parse().ok());
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        Some(IdMap {
            inside: number(words.next())?,
            outside: number(words.next())?,
            size: number(words.next())?,
        })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests;
