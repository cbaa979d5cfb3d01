//! Numbers → the host's users and groups, read again when the files change.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc, time::SystemTime};

use hashbrown::HashMap;

use crate::event::User;

/// What `passwd` and `group` say.
#[derive(Debug)]
pub struct Users {
    passwd: Table<User>,
    group: Table<str>,
}

impl Users {
    /// Reads the two files below `etc`; missing ones have no names.
    #[must_use]
    pub fn read(etc: &str) -> Self {
        let etc = PathBuf::from(etc);
        Self { passwd: Table::read(etc.join("passwd"), user), group: Table::read(etc.join("group"), group) }
    }

    /// Those that a recording brought.
    #[must_use]
    pub fn of_recording(users: &BTreeMap<u32, User>, groups: &BTreeMap<u32, String>) -> Self {
        let users = users.iter().map(|(uid, user)| (*uid, Arc::new(user.clone()))).collect();
        let groups = groups.iter().map(|(gid, name)| (*gid, name.as_str().into())).collect();
        Self { passwd: Table::fixed(users, user), group: Table::fixed(groups, group) }
    }

    /// All of them: users, and names of groups.
    #[must_use]
    pub fn all(&self) -> (BTreeMap<u32, User>, BTreeMap<u32, String>) {
        (
            self.passwd.entries.iter().map(|(uid, user)| (*uid, User::clone(user))).collect(),
            self.group.entries.iter().map(|(gid, name)| (*gid, name.to_string())).collect(),
        )
    }

    /// Reads again what has changed. Does file I/O: not for the event path.
    pub fn refresh(&mut self) {
        self.passwd.refresh();
        self.group.refresh();
    }

    /// A user.
    #[must_use]
    pub fn user(&self, uid: u32) -> Option<Arc<User>> {
        self.passwd.entries.get(&uid).cloned()
    }

    /// Name of a group.
    #[must_use]
    pub fn group(&self, gid: u32) -> Option<Arc<str>> {
        self.group.entries.get(&gid).cloned()
    }
}

/// A line of a file: the number, and what it stands for. `None` for one of another form.
type Line<T> = fn(&str) -> Option<(u32, Arc<T>)>;

#[derive(Debug)]
struct Table<T: ?Sized> {
    path: PathBuf,
    line: Line<T>,
    changed: Option<SystemTime>,
    entries: HashMap<u32, Arc<T>>,
}

impl<T: ?Sized> Table<T> {
    fn read(path: PathBuf, line: Line<T>) -> Self {
        let mut table = Self { path, line, changed: None, entries: HashMap::new() };
        table.refresh();
        table
    }

    fn fixed(entries: HashMap<u32, Arc<T>>, line: Line<T>) -> Self {
        Self { path: PathBuf::new(), line, changed: None, entries }
    }

    fn refresh(&mut self) {
        let changed = fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok();
        if changed.is_none() || changed == self.changed {
            return;
        }
        let Ok(bytes) = fs::read(&self.path) else { return };
        self.changed = changed;
        self.entries.clear();
        for (number, entry) in String::from_utf8_lossy(&bytes).lines().filter_map(self.line) {
            // The first of a number counts, as `getpwuid` has it.
            self.entries.entry(number).or_insert(entry);
        }
    }
}

/// A line of `passwd`.
pub(super) fn user(line: &str) -> Option<(u32, Arc<User>)> {
    let mut columns = line.split(':');
    let (name, number) = name_and_number(&mut columns)?;
    let mut rest = columns.skip(2);
    let home = rest.next().unwrap_or_default().into();
    // As `passwd(5)` has it.
    let shell = rest.next().map_or("", |shell| if shell.is_empty() { "/bin/sh" } else { shell });
    Some((number, Arc::new(User { name: name.into(), home, shell: shell.into() })))
}

/// A line of `group`.
pub(super) fn group(line: &str) -> Option<(u32, Arc<str>)> {
    let (name, number) = name_and_number(&mut line.split(':'))?;
    Some((number, name.into()))
}

fn name_and_number<'a>(columns: &mut std::str::Split<'a, char>) -> Option<(&'a str, u32)> {
    let name = columns.next().filter(|name| !name.is_empty())?;
    Some((name, columns.nth(1)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_files() {
        let etc = tempfile::tempdir().unwrap();
        let path = etc.path().join("passwd");
        let lines =
            "root:x:0:0::/root:/bin/bash\ntoor:x:0:0::/:/bin/sh\nbroken line\nweb:x:33:33:::\nold:x:7:7\n";
        fs::write(&path, lines).unwrap();
        let mut users = Users::read(etc.path().to_str().unwrap());
        let of = |users: &Users, uid| {
            let user = users.user(uid)?;
            Some([&user.name, &user.home, &user.shell].map(|text| text.to_string()))
        };
        let texts = |texts: [&str; 3]| Some(texts.map(str::to_owned));
        assert_eq!(of(&users, 0), texts(["root", "/root", "/bin/bash"]));
        assert_eq!(of(&users, 33), texts(["web", "", "/bin/sh"]), "a shell that is left empty is this one");
        assert_eq!(of(&users, 7), texts(["old", "", ""]), "the line ends before");
        assert_eq!((users.user(1), users.group(0)), (None, None));
        let (all, _) = users.all();
        assert_eq!(of(&Users::of_recording(&all, &BTreeMap::new()), 0), of(&users, 0));
        fs::write(&path, "admin:x:0:0:::\n").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        users.refresh();
        assert_eq!((of(&users, 0), users.user(33)), (texts(["admin", "", "/bin/sh"]), None));
    }
}
