//! Who is at the other end, and whether he may give orders.

use std::fs;

/// Who may give orders beside root.
#[derive(Clone, Debug, Default)]
pub(super) struct Allowed {
    /// The group's name; empty: nobody.
    pub(super) group: String,
}

impl Allowed {
    /// Whether a user with this group may: root, and whose group it is by `/etc/group` as it is now.
    pub(super) fn admits(&self, uid: u32, gid: u32) -> bool {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        uid == 0
            || !self.group.is_empty()
                && belongs(&self.group, uid, gid, &read("/etc/group"), &read("/etc/passwd"))
    }

    /// The group's number; `None` where there is no such group.
    pub(super) fn number(&self) -> Option<u32> {
        number(&self.group, &fs::read_to_string("/etc/group").unwrap_or_default())
    }
}

/// The line of a name, in parts.
fn entry<'t>(name: &str, text: &'t str) -> Option<Vec<&'t str>> {
    text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|parts| parts.first() == Some(&name))
}

fn number(group: &str, groups: &str) -> Option<u32> {
    entry(group, groups)?.get(2)?.parse().ok()
}

fn belongs(group: &str, uid: u32, gid: u32, groups: &str, users: &str) -> bool {
    let Some(parts) = entry(group, groups) else { return false };
    if number(group, groups) == Some(gid) {
        return true;
    }
    let uid = uid.to_string();
    let user = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|user| user.get(2) == Some(&uid.as_str()));
    let name = user.and_then(|user| user.first().copied()).filter(|name| !name.is_empty());
    name.is_some_and(|name| {
        parts.get(3).is_some_and(|members| members.split(',').any(|member| member == name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_members_may_and_nobody_else() {
        let groups = "root:x:0:\nops:x:50:ada,bob\nempty:x:51:\nbroken\n";
        let users = "root:x:0:0::/:\nada:x:1000:1000::/:\neve:x:1001:1001::/:\n:x:1002:1002::/:\n";
        let may = |group, uid, gid| belongs(group, uid, gid, groups, users);
        assert!(may("ops", 1000, 1000) && may("ops", 1001, 50));
        assert!(!may("ops", 1001, 1001) && !may("empty", 1000, 1000) && !may("none", 1000, 1000));
        assert!(!may("empty", 1002, 1002), "a user without a name is not the empty member of an empty group");
        let nobody = Allowed::default();
        assert!(nobody.admits(0, 0) && !nobody.admits(1000, 0));
    }
}
