//! Numbers → names of the host's users and groups, read again when the files change.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc, time::SystemTime};

use hashbrown::HashMap;

/// What `passwd` and `group` say.
#[derive(Debug)]
pub struct Users {
    passwd: Table,
    group: Table,
}

impl Users {
    /// Reads the two files below `etc`; missing ones have no names.
    #[must_use]
    pub fn read(etc: &str) -> Self {
        let table = |name: &str| {
            let mut table =
                Table { path: PathBuf::from(etc).join(name), changed: None, names: HashMap::new() };
            table.refresh();
            table
        };
        Self { passwd: table("passwd"), group: table("group") }
    }

    /// Names that a recording brought.
    #[must_use]
    pub fn from_names(users: &BTreeMap<u32, String>, groups: &BTreeMap<u32, String>) -> Self {
        let table = |names: &BTreeMap<u32, String>| Table {
            path: PathBuf::new(),
            changed: None,
            names: names.iter().map(|(number, name)| (*number, name.as_str().into())).collect(),
        };
        Self { passwd: table(users), group: table(groups) }
    }

    /// All names, of users and of groups.
    #[must_use]
    pub fn names(&self) -> (BTreeMap<u32, String>, BTreeMap<u32, String>) {
        let names =
            |table: &Table| table.names.iter().map(|(number, name)| (*number, name.to_string())).collect();
        (names(&self.passwd), names(&self.group))
    }

    /// Reads again what has changed. Does file I/O: not for the event path.
    pub fn refresh(&mut self) {
        self.passwd.refresh();
        self.group.refresh();
    }

    /// Name of a user.
    #[must_use]
    pub fn user(&self, uid: u32) -> Option<Arc<str>> {
        self.passwd.names.get(&uid).cloned()
    }

    /// Name of a group.
    #[must_use]
    pub fn group(&self, gid: u32) -> Option<Arc<str>> {
        self.group.names.get(&gid).cloned()
    }
}

#[derive(Debug)]
struct Table {
    path: PathBuf,
    changed: Option<SystemTime>,
    names: HashMap<u32, Arc<str>>,
}

impl Table {
    fn refresh(&mut self) {
        let changed = fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok();
        if changed.is_none() || changed == self.changed {
            return;
        }
        let Ok(bytes) = fs::read(&self.path) else { return };
        self.changed = changed;
        self.names.clear();
        for (number, name) in entries(&String::from_utf8_lossy(&bytes)) {
            // The first name of a number counts, as `getpwuid` has it.
            self.names.entry(number).or_insert_with(|| name.into());
        }
    }
}

/// Numbers and names in a `passwd` or `group` file; lines of another form are left out.
pub(super) fn entries(text: &str) -> impl Iterator<Item = (u32, &str)> {
    text.lines().filter_map(|line| {
        let mut columns = line.split(':');
        let name = columns.next().filter(|name| !name.is_empty())?;
        Some((columns.nth(1)?.parse().ok()?, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_files() {
        let etc = tempfile::tempdir().unwrap();
        let path = etc.path().join("passwd");
        fs::write(&path, "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\nbroken line\nweb:x:33:33:::\n")
            .unwrap();
        let mut users = Users::read(etc.path().to_str().unwrap());
        assert_eq!(users.user(0).as_deref(), Some("root"));
        assert_eq!(users.user(33).as_deref(), Some("web"));
        assert_eq!((users.user(1), users.group(0)), (None, None));
        fs::write(&path, "admin:x:0:0:::\n").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        users.refresh();
        assert_eq!((users.user(0).as_deref(), users.user(33)), (Some("admin"), None));
    }
}
