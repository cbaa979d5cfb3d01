//! User files of a root that its owner may have filled as he likes.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use super::*;

fn root(path: PathBuf) -> Root {
    Root { path, ..Root::default() }
}

fn with(passwd: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    fs::write(dir.path().join("etc/passwd"), passwd).unwrap();
    dir
}

fn users(root: &Root) -> Vec<(u32, String)> {
    let mut users: Vec<_> =
        of_root(root).unwrap().users.into_iter().map(|(id, name)| (id, name.name.to_string())).collect();
    users.sort();
    users
}

fn pairs(list: &[(u32, &str)]) -> Vec<(u32, String)> {
    list.iter().map(|(id, name)| (*id, (*name).to_owned())).collect()
}

#[test]
fn names_are_those_of_the_file() {
    let dir = with(b"admin:x:0:0::/:/bin/sh\nroot:x:0:0::/:\nbroken\n:x:5:\nweb:x:33:33\n\xff\xfe:x:7:\n");
    assert_eq!(users(&root(dir.path().into())), pairs(&[(0, "admin"), (7, "\u{fffd}\u{fffd}"), (33, "web")]));
    let mapped =
        Root { uids: vec![IdMap { inside: 0, outside: 100_000, size: 20 }], ..root(dir.path().into()) };
    assert_eq!(
        users(&mapped),
        pairs(&[(100_000, "admin"), (100_007, "\u{fffd}\u{fffd}")]),
        "as the kernel counts"
    );
    let over = with(b"over:x:0:0\n");
    let mounted = Root { passwd: Some(over.path().join("etc/passwd")), ..root(dir.path().into()) };
    assert_eq!(users(&mounted), pairs(&[(0, "over")]));
}

#[test]
fn a_link_stays_inside_the_root() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("etc")).unwrap();
    symlink("/../../../etc/passwd-of-mine", dir.path().join("etc/passwd")).unwrap();
    fs::write(dir.path().join("etc/passwd-of-mine"), "inside:x:0:0\n").unwrap();
    assert_eq!(users(&root(dir.path().into())), pairs(&[(0, "inside")]));
    fs::remove_file(dir.path().join("etc/passwd")).unwrap();
    symlink("/proc/1/root/etc/passwd", dir.path().join("etc/passwd")).unwrap();
    assert_eq!(users(&root(dir.path().into())), [], "nothing of the host");
}

#[test]
fn what_is_no_file_is_no_list_and_what_is_huge_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("etc/passwd")).unwrap();
    rustix::fs::mknodat(CWD, dir.path().join("etc/group"), rustix::fs::FileType::Fifo, Mode::RUSR, 0)
        .unwrap();
    assert_eq!(of_root(&root(dir.path().into())), Some(Names::default()));
    let (name, home) = ("n".repeat(LONGEST + 1), "/h".repeat(LONGEST));
    let long = format!("{name}:x:1:1\nfar:x:2:2::{home}:/bin/sh\n");
    let many: String = (10..200_000).map(|id| format!("u{id}:x:{id}:0\n")).collect();
    let dir = with(format!("{long}{many}").as_bytes());
    let names = of_root(&root(dir.path().into())).unwrap();
    assert_eq!((names.users.len(), names.users.get(&1)), (NAMES, None));
    let far = &names.users[&2];
    assert_eq!((&*far.name, &*far.home), ("far", home.as_str()), "only a name can be too long");
    assert_eq!(of_root(&root(dir.path().join("none"))), None);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(of_root(&root(empty.path().into())), None, "nothing is mounted there");
}

#[test]
fn a_process_of_the_host_has_no_names_of_a_container() {
    assert_eq!(of_process(std::process::id()), None);
    assert_eq!(of_process(u32::MAX - 1), None);
    assert_eq!(
        id_maps("         0     100000      65536\nbad\n"),
        [IdMap { inside: 0, outside: 100_000, size: 65_536 }]
    );
}
