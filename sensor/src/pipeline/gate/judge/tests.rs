//! Whose group a caller is in.

use super::{
    super::{Asked, AskedIn},
    *,
};
use crate::{
    event::{Container, Runtime},
    probe::fanotify::Questions,
};

fn watched(cgroup: &str) -> Watched {
    let container = Arc::new(Container::new("c", Runtime::Containerd, cgroup, None));
    Watched { container, outside: [0, 0], terms: AskedIn::default(), questions: Questions::default() }
}

#[test]
fn the_innermost_group_of_a_caller_counts() {
    let groups =
        [(1, watched("/default/a")), (2, watched("/default/a/docker/b")), (3, watched("/default/ab"))];
    let book = Book { terms: Asked::default(), groups: groups.into() };
    let found = |path: &str| innermost(&book, &[path.to_owned()]).map(|(key, _)| key);
    assert_eq!(found("/default/a"), Some(1));
    assert_eq!(found("/default/a/init.scope"), Some(1));
    assert_eq!(found("/default/a/docker/b/x"), Some(2));
    assert_eq!(found("/default/ab"), Some(3));
    assert_eq!(found("/default/abc"), None);
    assert_eq!(found("/default"), None);
}

#[test]
fn scripts_and_loaders_are_told_from_programs() {
    use std::os::fd::AsFd;
    let file = |path: &str| fs::File::open(path).unwrap();
    let own = fs::File::open("/proc/self/exe").unwrap();
    assert_eq!((file::is_script(own.as_fd()), file::is_loader(own.as_fd())), (Some(false), Some(false)));
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let loader =
        maps.lines().find_map(|line| line.split_whitespace().nth(5).filter(|path| path.contains("/ld-")));
    let loader = file(loader.unwrap());
    assert_eq!(file::is_loader(loader.as_fd()), Some(true));
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    let script = fs::File::open(script).unwrap();
    assert_eq!((file::is_script(script.as_fd()), file::is_loader(script.as_fd())), (Some(true), Some(false)));
}
