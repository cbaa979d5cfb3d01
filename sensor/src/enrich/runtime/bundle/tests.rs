//! Bundles that are there, that are somewhere else, and that are traps.

use std::{fs, os::unix::fs::symlink};

use super::*;
use crate::event::Runtime;

fn ask(id: &str, cgroup: &str) -> Ask {
    Ask { instance: 1, id: id.into(), runtime: Runtime::Containerd, cgroup: cgroup.into(), pid: None }
}

fn name(template: &Template, ask: &Ask) -> Option<Box<str>> {
    template.find(ask).ok()?.spec.facts(ask).name
}

fn write(dir: &Path, name: &str) {
    fs::create_dir_all(dir).unwrap();
    let json = format!("{{\"annotations\": {{\"nerdctl/name\": \"{name}\"}}}}");
    fs::write(dir.join("config.json"), json).unwrap();
}

#[test]
fn bundles_are_found_in_their_namespace() {
    let root = tempfile::tempdir().unwrap();
    let template = Template::parse(&format!("{}/*/{{id}}", root.path().display())).unwrap();
    let long = "ab".repeat(32);
    write(&root.path().join("default/t1"), "one");
    write(&root.path().join("k8s.io/t1"), "two");
    write(&root.path().join("other").join(&long), "three");
    assert_eq!(name(&template, &ask("t1", "/default/t1")).as_deref(), Some("one"));
    assert_eq!(name(&template, &ask("t1", "/k8s.io/t1")).as_deref(), Some("two"));
    // A name that people chose is nobody else's; an id is the same everywhere.
    assert_eq!(name(&template, &ask("t1", "/moby/t1")), None);
    assert_eq!(name(&template, &ask(&long, "/x/y")).as_deref(), Some("three"));
    let deep = Template::parse(&format!("{}/{{id}}/userdata", root.path().display())).unwrap();
    write(&root.path().join("p1/userdata"), "four");
    assert_eq!(name(&deep, &ask("p1", "/libpod_parent/libpod-p1")).as_deref(), Some("four"));
    for id in ["..", ".", "", "default/t1", "none"] {
        assert!(matches!(deep.find(&ask(id, "/default/x")), Err(NoBundle::Absent)), "{id}");
    }
    assert!(Template::parse("/no/place").is_none());
}

#[test]
fn traps_are_not_walked_into() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let template = Template::parse(&format!("{}/{{id}}", root.path().display())).unwrap();
    write(&at("elsewhere"), "elsewhere");
    symlink(at("elsewhere"), at("linked")).unwrap();
    fs::create_dir(at("file-linked")).unwrap();
    symlink(at("elsewhere/config.json"), at("file-linked/config.json")).unwrap();
    fs::create_dir_all(at("dir/config.json")).unwrap();
    fs::create_dir(at("pipe")).unwrap();
    rustix::fs::mknodat(CWD, at("pipe/config.json"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::create_dir(at("huge")).unwrap();
    File::create(at("huge/config.json")).unwrap().set_len(FILE_LIMIT + 1).unwrap();
    fs::create_dir(at("half")).unwrap();
    fs::write(at("half/config.json"), "{\"annotations\": {\"a\":").unwrap();
    for id in ["linked", "file-linked", "dir", "pipe", "huge", "half"] {
        assert!(matches!(template.find(&ask(id, "/")), Err(NoBundle::Unreadable(_))), "{id}");
    }
}
