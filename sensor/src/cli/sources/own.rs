//! What the built-in rules about the sensor have to know of the one that runs: its process, and where its control groups are.

use std::{collections::BTreeSet, path::Path};

use procfs::process::Process;
use serde_json::{Value, json};

use crate::rule::Source;

/// Lists in place of those of `rules/defense_evasion/sensor.yaml`. `pid`: the sensor's process.
pub(super) fn source(pid: u32) -> Source {
    let groups: Vec<String> = groups().into_iter().collect();
    let lists = [
        ("sensor_processes", json!([pid])),
        ("sensor_memory", json!([format!("/proc/{pid}/mem")])),
        ("sensor_groups", json!(groups)),
    ];
    // A list that is empty would match nothing, which is what nothing known means: the example stays.
    let known =
        lists.into_iter().filter(|(_, items)| items.as_array().is_some_and(|items| !items.is_empty()));
    let lists: Vec<Value> = known
        .map(|(list, items)| json!({"list": list, "items": items, "override": {"items": "replace"}}))
        .collect();
    // JSON is YAML.
    Source { name: "this sensor".to_owned(), text: Value::from(lists).to_string() }
}

/// The directories of our control groups; that of everything is nobody's own.
fn groups() -> BTreeSet<String> {
    let Ok(me) = Process::myself() else { return BTreeSet::new() };
    let (Ok(mounts), Ok(groups)) = (me.mountinfo(), me.cgroups()) else { return BTreeSet::new() };
    let mut found = BTreeSet::new();
    for group in groups.0.iter().filter(|group| group.pathname != "/") {
        let of_group = mounts.iter().filter(|mount| match group.hierarchy {
            0 => mount.fs_type == "cgroup2",
            _ => {
                mount.fs_type == "cgroup"
                    && group.controllers.iter().all(|name| mount.super_options.contains_key(name))
            }
        });
        for mount in of_group {
            let path = Path::new(&group.pathname);
            // A container sees its own groups as the root of what is mounted there.
            let below = path.strip_prefix(&mount.root).unwrap_or(path);
            let below = below.strip_prefix("/").unwrap_or(below);
            if !below.as_os_str().is_empty() {
                found.insert(mount.mount_point.join(below).display().to_string());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{Options, RuleSet, builtin};

    #[test]
    fn the_built_in_rules_take_what_they_are_told_of_the_sensor() {
        let mut sources = builtin::sources();
        sources.push(source(4711));
        let (set, found) = RuleSet::compile(&sources, &Options::default());
        assert!(set.is_some(), "{found:?}");
        let told: Value = serde_json::from_str(&source(4711).text).unwrap();
        assert_eq!(told[0]["items"], json!([4711]));
        assert_eq!(told[1]["items"], json!(["/proc/4711/mem"]));
    }
}
