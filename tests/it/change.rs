//! Names that are removed, moved and made, and files whose mode or owner changes: every call, with the arguments that rules
//! read, and names that start anywhere.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use sensor_tests::{Act, Done, Event, called, needs_32_bit_calls, needs_kernel, require, shared, test_name};
use serde_json::json;
use tempfile::TempDir;

const AT_CWD: &str = "-100";

/// Runs steps, and gives the events of this family.
#[track_caller]
fn changes<S: AsRef<str>>(steps: &[&[S]]) -> (Done, Vec<Event>) {
    let steps: Vec<Vec<&str>> = steps.iter().map(|step| step.iter().map(AsRef::as_ref).collect()).collect();
    let (done, mut events) = Act::new(steps.join(&"--")).seen_by(&shared());
    events.retain(|event| event.is_change() && !["mount", "chroot"].contains(&event.kind()));
    (done, events)
}

/// A directory whose path has no symlinks, with a file and a directory in it.
fn place() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let name = fs::canonicalize(dir.path()).unwrap().display().to_string();
    fs::write(dir.path().join("data"), "x").unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    (dir, name)
}

/// Type, result, path and new path of each.
fn said(events: &[Event]) -> Vec<(String, i64, String, String)> {
    let new = |event: &Event| event["/detail/new_path"].as_str().unwrap_or("").to_owned();
    events
        .iter()
        .map(|event| (event.kind().to_owned(), event.result(), event.path().to_owned(), new(event)))
        .collect()
}

fn expected(base: &str, table: &[(&str, i64, &str, &str)]) -> Vec<(String, i64, String, String)> {
    let at = |name: &str| if name.is_empty() { String::new() } else { format!("{base}/{name}") };
    table
        .iter()
        .map(|(call, result, old, new)| (called(call).to_owned(), *result, at(old), at(new)))
        .collect()
}

#[test]
fn file_change_every_call() {
    needs_kernel!();
    let (dir, base) = place();
    let at = |name: &str| format!("{base}/{name}");
    let (a, b, c, d, n) = (at("a"), at("b"), at("c"), at("d"), at("n"));
    let (done, events) = changes(&[
        &["creat", &a, "0o600"][..],
        &["rename", &a, &b],
        &["renameat", AT_CWD, &b, AT_CWD, &a],
        &["renameat2", AT_CWD, &a, AT_CWD, &b, "1"],
        &["link", &b, &a],
        &["linkat", AT_CWD, &b, AT_CWD, &c, "0"],
        &["unlink", &a],
        &["unlinkat", AT_CWD, &c, "0"],
        &["symlink", "some/where", &a],
        &["symlinkat", "/etc/shadow", AT_CWD, &c],
        &["mkdir", &d, "0o750"],
        &["rmdir", &d],
        &["mkdirat", AT_CWD, &d, "0o1777"],
        &["unlinkat", AT_CWD, &d, "512"],
        &["mknod", &n, "0o10644", "0"],
        &["mknodat", AT_CWD, &d, "0o20600", "259"],
        &["chmod", &b, "0o4755"],
        &["fchmodat", AT_CWD, &b, "0o2700"],
        &["chown", &b, "1", "2"],
        &["lchown", &a, "3", "-1"],
        &["fchownat", AT_CWD, &c, "-1", "4", "256"],
    ]);
    for step in 0..events.len() {
        assert_eq!(done.result(step + 1), 0, "{:?}", done.steps[step + 1]);
    }
    let mut table = expected(
        &base,
        &[
            ("rename", 0, "a", "b"),
            ("renameat", 0, "b", "a"),
            ("renameat2", 0, "a", "b"),
            ("link", 0, "b", "a"),
            ("linkat", 0, "b", "c"),
            ("unlink", 0, "a", ""),
            ("unlinkat", 0, "c", ""),
            ("symlink", 0, "", "a"),
            ("symlinkat", 0, "", "c"),
            ("mkdir", 0, "d", ""),
            ("rmdir", 0, "d", ""),
            ("mkdirat", 0, "d", ""),
            ("unlinkat", 0, "d", ""),
            ("mknod", 0, "n", ""),
            ("mknodat", 0, "d", ""),
            ("chmod", 0, "b", ""),
            ("fchmodat", 0, "b", ""),
            ("chown", 0, "b", ""),
            ("lchown", 0, "a", ""),
            ("fchownat", 0, "c", ""),
        ],
    );
    // What a symbolic link holds is text, as it was given.
    table[7].2 = "some/where".to_owned();
    table[8].2 = "/etc/shadow".to_owned();
    assert_eq!(said(&events), table);
    let all = |member: &str| -> Vec<_> { events.iter().filter_map(|event| event[member].as_u64()).collect() };
    assert_eq!(all("/detail/mode"), [0o750, 0o1777, 0o10644, 0o20600, 0o4755, 0o2700]);
    assert_eq!(all("/detail/uid"), [1, 3, u64::from(u32::MAX)]);
    assert_eq!(all("/detail/gid"), [2, u64::from(u32::MAX), 4]);
    assert_eq!(all("/detail/dev"), [0, 259]);
    assert_eq!([2, 12, 19].map(|at| events[at]["/detail/flags"].as_u64()), [1, 512, 256].map(Some));
    assert!(events.iter().all(|event| event["compat"] == false && event["/detail/detached"] == false));
    drop(dir);
}

#[test]
fn file_change_by_fchmodat2() {
    needs_kernel!();
    let (dir, base) = place();
    let path = format!("{base}/f");
    let (done, events) =
        changes(&[&["creat", &path, "0o644"][..], &["fchmodat2", AT_CWD, &path, "0o600", "256"]]);
    if done.result(1) == -i64::from(libc::ENOSYS) {
        require::skip(test_name!(), "this kernel has no fchmodat2 (it came in 6.6)");
        return;
    }
    assert_eq!(done.result(1), 0);
    assert_eq!(said(&events), expected(&base, &[("fchmodat2", 0, "f", "")]));
    assert_eq!(events[0]["/detail/mode"].as_u64(), Some(0o600));
    assert_eq!(events[0]["/detail/flags"].as_u64(), Some(256));
    drop(dir);
}

#[test]
fn file_change_that_failed() {
    needs_kernel!();
    let (dir, base) = place();
    let at = |name: &str| format!("{base}/{name}");
    let (none, data, sub) = (at("none"), at("data"), at("sub"));
    let (done, events) = changes(&[
        &["unlink", &none][..],
        &["unlink", &sub],
        &["rmdir", &data],
        &["rename", &none, &data],
        &["link", &sub, &none],
        &["symlink", "x", &data],
        &["mkdir", &sub, "0"],
        &["mknod", &data, "0o10600", "0"],
        &["chmod", &none, "0o4777"],
        &["fchmod", "77", "0o600"],
        &["chown", &none, "0", "0"],
        &["fchown", "77", "0", "0"],
        &["unlinkat", "77", "data", "0"],
        &["unlink", ""],
    ]);
    let results: Vec<_> = (0..14).map(|step| done.result(step)).collect();
    assert_eq!(results, [-2, -21, -20, -2, -1, -17, -17, -17, -2, -9, -2, -9, -9, -2]);
    assert_eq!(events.iter().map(Event::result).collect::<Vec<_>>(), results);
    let paths: Vec<_> = events.iter().map(Event::path).collect();
    let wanted =
        [none.as_str(), &sub, &data, &none, &sub, "x", &sub, &data, &none, "", &none, "", "data", ""];
    assert_eq!(paths, wanted);
    assert_eq!(events[9]["/detail/dirfd"], 77);
    assert_eq!(events[9]["/detail/file"], json!(null));
    drop(dir);
}

#[test]
fn file_change_of_relative_names() {
    needs_kernel!();
    let (dir, base) = place();
    let sub = format!("{base}/sub");
    let (_, events) = changes(&[
        &["openat", AT_CWD, &base, "0o200000", "0"][..],
        &["chdir", &sub],
        &["rename", "../data", "./moved"],
        &["renameat", AT_CWD, "moved", "3", "sub/../back"],
        &["linkat", "3", "back", AT_CWD, "linked", "0"],
        &["symlinkat", "../back", "3", "soft"],
        &["mkdirat", "3", "sub//new/", "0o700"],
        &["chmod", "../../../../../../../..", "0o755"],
        &["fchmodat", "3", "back", "0o600"],
        &["unlinkat", "3", "./soft", "0"],
        &["rmdir", "new"],
        // The descriptor itself, and a directory that is gone when the call ends.
        &["fchownat", "3", "", "0", "-1", "4096"],
        &["unlink", "linked"],
        &["rmdir", "../sub"],
    ]);
    let mut table = expected(
        &base,
        &[
            ("rename", 0, "data", "sub/moved"),
            ("renameat", 0, "sub/moved", "back"),
            ("linkat", 0, "back", "sub/linked"),
            ("symlinkat", 0, "", "soft"),
            ("mkdirat", 0, "sub/new", ""),
            ("chmod", 0, "", ""),
            ("fchmodat", 0, "back", ""),
            ("unlinkat", 0, "soft", ""),
            ("rmdir", 0, "sub/new", ""),
            ("fchownat", 0, "", ""),
            ("unlink", 0, "sub/linked", ""),
            ("rmdir", 0, "sub", ""),
        ],
    );
    table[3].2 = "../back".to_owned();
    table[5].2 = "/".to_owned();
    table[9].2.clone_from(&base);
    assert_eq!(said(&events), table);
    assert_eq!(events[1]["/detail/name"], "moved");
    assert_eq!(events[1]["/detail/new_name"], "sub/../back");
    assert_eq!((&events[1]["/detail/dirfd"], &events[1]["/detail/new_dirfd"]), (&json!(-100), &json!(3)));
    drop(dir);
}

#[test]
fn file_change_through_a_descriptor() {
    needs_kernel!();
    let (dir, base) = place();
    let data = format!("{base}/data");
    std::os::unix::fs::symlink("data", dir.path().join("soft")).unwrap();
    let (done, events) = changes(&[
        &["openat", AT_CWD, &format!("{base}/sub/../soft"), "0", "0"][..],
        &["fchmod", "3", "0o4711"],
        &["fchown", "3", "5", "6"],
        &["unlink", &data],
        &["fchmod", "3", "0o600"],
    ]);
    assert_eq!([1, 2, 3, 4].map(|step| done.result(step)), [0; 4]);
    assert_eq!([0, 1].map(|at| events[at].path()), [data.as_str(); 2]);
    assert_eq!(events[0]["/detail/mode"], 0o4711);
    assert_eq!(events[0]["/detail/file/ino"], *done.said(0, "ino"));
    // The call has been done: the file has its new mode and owner.
    assert_eq!(events[0]["/detail/file/mode"], 0o100_000 | 0o4711);
    assert_eq!((&events[1]["/detail/file/uid"], &events[1]["/detail/file/gid"]), (&json!(5), &json!(6)));
    assert_eq!(events[3]["/detail/file/nlink"], 0);
    assert!(events[3]["/detail/name"].is_null());
}

#[test]
fn file_change_of_long_names() {
    needs_kernel!();
    let (dir, base) = place();
    let component = "y".repeat(250);
    let deep = vec![component.as_str(); 15].join("/");
    fs::create_dir_all(dir.path().join(&deep)).unwrap();
    let whole = format!("{base}/{deep}");
    let (long, endless) = (format!("/{}", "z/".repeat(2047)), "x".repeat(5000));
    assert_eq!(long.len(), 4095);
    let (done, events) = changes(&[
        &["mkdir", &format!("{whole}/new"), "0o700"][..],
        &["unlink", &long],
        &["unlink", &endless],
        &["chdir", &whole],
        // Both names with their directory: the largest record.
        &["rename", "new", "other"],
        &["rename", &long[1..], &long[2..]],
        &["rename", &format!("{}x", &long[1..]), &endless[..4095]],
    ]);
    assert_eq!((done.result(0), done.result(4)), (0, 0));
    let at = |name: &str| format!("{whole}/{name}");
    assert_eq!(events[0].path(), at("new"));
    assert_eq!((events[1].path(), events[1].result()), (&long[..4094], -2));
    // Cut where the kernel refuses it.
    assert_eq!((events[2].path().len() > 4095, events[2].result()), (true, -36));
    assert!(events[2].path().ends_with(&format!("/{}", &endless[..4095])));
    assert_eq!(
        (events[3].path(), events[3]["/detail/new_path"].as_str()),
        (at("new").as_str(), Some(&*at("other")))
    );
    assert_eq!(events[4].path(), at(&long[1..4094]));
    assert_eq!(events[5]["/detail/new_path"], *at(&endless[..4095]));
}

#[test]
fn file_change_by_a_32_bit_caller() {
    needs_kernel!();
    needs_32_bit_calls!();
    let (dir, base) = place();
    let at = |name: &str| format!("{base}/{name}");
    let (a, b, d, data) = (at("a"), at("b"), at("d"), at("data"));
    let (done, events) = changes(&[
        &["openat", AT_CWD, &data, "0", "0"][..],
        &["rename32", &data, &a],
        &["renameat32", AT_CWD, &a, AT_CWD, &b],
        &["link32", &b, &a],
        &["unlinkat32", AT_CWD, &a, "0"],
        &["symlink32", "text", &a],
        &["unlink32", &a],
        &["mkdir32", &d, "0o700"],
        &["rmdir32", &d],
        &["mknodat32", AT_CWD, &a, "0o10600", "0"],
        &["chmod32", &b, "0o4755"],
        &["fchmod32", "3", "0o600"],
        &["fchmodat32", AT_CWD, &b, "0o640"],
        &["chown32", &b, "70000", "-1"],
        &["lchown32", &b, "1", "2"],
        &["fchown32", "3", "3", "4"],
        &["chown16-32", &b, "65535", "7"],
        &["fchown16-32", "3", "8", "65535"],
    ]);
    let results: Vec<_> = (1..18).map(|step| done.result(step)).collect();
    assert_eq!(results, [0; 17]);
    let kinds: Vec<_> = events.iter().map(Event::kind).collect();
    assert_eq!(
        kinds,
        [
            "rename", "renameat", "link", "unlinkat", "symlink", "unlink", "mkdir", "rmdir", "mknodat",
            "chmod", "fchmod", "fchmodat", "chown", "lchown", "fchown", "chown", "fchown",
        ]
    );
    assert!(events.iter().all(|event| event["compat"] == true));
    assert_eq!((events[0].path(), &events[0]["/detail/new_path"]), (data.as_str(), &json!(a)));
    assert_eq!((events[4].path(), &events[4]["/detail/new_path"]), ("text", &json!(a)));
    let ids = |at: usize| (events[at]["/detail/uid"].as_u64(), events[at]["/detail/gid"].as_u64());
    let none = Some(u64::from(u32::MAX));
    assert_eq!([ids(12), ids(15), ids(16)], [(Some(70000), none), (none, Some(7)), (Some(8), none)]);
    let meta = fs::metadata(&b).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (8, 7));
    drop(dir);
}

#[test]
fn file_change_among_mounts_and_in_a_chroot() {
    needs_kernel!();
    let (dir, base) = place();
    fs::create_dir(dir.path().join("other")).unwrap();
    fs::create_dir(dir.path().join("inner")).unwrap();
    let (other, inner) = (format!("{base}/other"), format!("{base}/inner"));
    let (done, events) = changes(&[
        &["own-mounts"][..],
        &["bind-mount", &format!("{base}/sub"), &other],
        &["chdir", &other],
        // The name by which the mount was entered.
        &["mkdir", "made", "0o700"],
        &["openat", AT_CWD, &base, "0o200000", "0"],
        &["chroot", &inner],
        &["mkdir", "/in-chroot", "0o700"],
        &["unlinkat", "3", "data", "0"],
        &["chdir", "/"],
        &["rmdir", "../../in-chroot"],
    ]);
    assert_eq!([3, 6, 7, 9].map(|step| done.result(step)), [0; 4]);
    assert_eq!(events[0].path(), format!("{other}/made"));
    assert_eq!(events[1].path(), "/in-chroot");
    assert_eq!(events[2]["/detail/detached"], true, "{}", events[2].path());
    assert!(events[2].path().ends_with("/data"));
    assert_eq!((events[3].path(), &events[3]["/detail/detached"]), ("/in-chroot", &json!(false)));
    assert!(!Path::new(&base).join("data").exists());
}
