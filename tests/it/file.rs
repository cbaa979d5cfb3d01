//! The open family: every call, every field, and names that try to fool.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use sensor_tests::{Act, Done, Event, called, needs_32_bit_calls, needs_kernel, shared};
use serde_json::json;
use tempfile::TempDir;

const AT_CWD: &str = "-100";

/// Runs steps, and gives the open events whose path (as the sensor says it) lies below `dir`.
#[track_caller]
fn opens(dir: &Path, steps: &[&str]) -> (Done, Vec<Event>) {
    opens_by(Act::new(steps), dir)
}

#[track_caller]
fn opens_by(act: Act, dir: &Path) -> (Done, Vec<Event>) {
    let (done, mut events) = act.seen_by(&shared());
    events.retain(|event| event.is_open() && event.path().starts_with(&dir.display().to_string()));
    (done, events)
}

/// A directory whose path has no symlinks, with a file of 0640 in it.
fn place() -> (TempDir, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data");
    fs::write(&file, "x").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let (name, file) = (dir.path().display().to_string(), file.display().to_string());
    (dir, name, file)
}

/// The event of a successful open says of the file what `fstat` said to the caller.
#[track_caller]
fn assert_same_file(event: &Event, done: &Done, step: usize) {
    let file = &event["/detail/file"];
    for field in ["ino", "dev", "mode", "nlink", "uid", "gid"] {
        assert_eq!(&file[field], done.said(step, field), "{field} of {file}");
    }
    assert_eq!(event.result(), done.result(step));
}

#[test]
fn file_open_every_call() {
    needs_kernel!();
    let (dir, _, file) = place();
    let steps = [
        &["open", &file, "0", "0", "--"][..],
        &["openat", AT_CWD, &file, "0o2000000", "0", "--"],
        &["openat2", AT_CWD, &file, "0o100002", "0", "4", "--"],
        &["creat", &file, "0o600", "--"],
        &["open-by-handle", &file, "0o4000"],
    ];
    let (done, events) = opens(dir.path(), &steps.concat());
    // The last step opens the file by its name first, for the handle's filesystem.
    let types: Vec<&str> = events.iter().map(Event::kind).collect();
    assert_eq!(types, ["open", "openat", "openat2", "creat", "openat", "open_by_handle_at"].map(called));
    let flags: Vec<u64> = events.iter().map(|event| event["/detail/flags"].as_u64().unwrap()).collect();
    assert_eq!(flags, [0, 0o2_000_000, 0o100_002, 0o1101, 0, 0o4000]);
    for (step, event) in [0, 1, 2, 3].into_iter().zip(&events).chain([(4, &events[5])]) {
        assert_eq!(event.path(), file);
        assert_same_file(event, &done, step);
        assert_eq!(event["/detail/created"], false);
        assert_eq!(event["/detail/detached"], false);
        assert_eq!(event["/detail/file/layer"], "other");
        assert_eq!(event["compat"], false);
        assert_eq!(event["/task/pid"], event["/process/pid"]);
    }
    assert_eq!(events[2]["/detail/resolve"], 4);
    assert_eq!(events[3]["/detail/mode"], 0o600);
}

#[test]
fn file_open_created() {
    needs_kernel!();
    let (dir, name, file) = place();
    let new = format!("{name}/new");
    let made = format!("{name}/made");
    let (done, events) = opens(
        dir.path(),
        &[
            &["openat", AT_CWD, &new, "0o101", "0o4750", "--"][..],
            &["openat", AT_CWD, &new, "0o101", "0o4750", "--"],
            &["openat", AT_CWD, &file, "0o1002", "0", "--"],
            &["creat", &made, "0o640", "--"],
            &["openat", AT_CWD, &name, "0o20200002", "0o600"],
        ]
        .concat(),
    );
    let created: Vec<_> = events.iter().map(|event| event["/detail/created"].as_bool().unwrap()).collect();
    assert_eq!(&created[..4], [true, false, false, true]);
    for (step, event) in events.iter().enumerate() {
        assert_same_file(event, &done, step);
    }
    assert_eq!(events[0]["/detail/mode"], 0o4750);
    // O_TMPFILE: a file without a name in the directory.
    assert_eq!(events[4]["/detail/file/nlink"], 0);
    assert!(events[4].path().starts_with(&format!("{name}/")), "{}", events[4].path());
}

#[test]
fn file_open_names_that_lead_elsewhere() {
    needs_kernel!();
    let (dir, name, file) = place();
    fs::create_dir(dir.path().join("sub")).unwrap();
    symlink("data", dir.path().join("link")).unwrap();
    symlink(&name, dir.path().join("sub/up")).unwrap();
    symlink("/proc/self/root", dir.path().join("root")).unwrap();
    let names = [
        format!("{name}/link"),
        format!("{name}/sub/../data"),
        format!("{name}/sub/up/sub/up/link"),
        format!("/proc/self/root{file}"),
        format!("/proc/self/root/proc/self/root{file}"),
        format!("{name}/root{name}/root{file}"),
        format!("{name}//.///data"),
        format!("/proc/self/cwd/../..{file}"),
    ];
    let mut steps = vec!["chdir", "/usr/bin", "--"];
    for name in &names {
        steps.extend(["openat", AT_CWD, name, "0", "0", "--"]);
    }
    steps.extend(["chdir", &name, "--", "openat", AT_CWD, "./sub/up/data", "0", "0"]);
    let (done, events) = opens(dir.path(), &steps);
    assert_eq!(events.len(), names.len() + 1);
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event.path(), file, "asked for as {}", event["/detail/name"]);
        let step = if at < names.len() { at + 1 } else { at + 2 };
        assert_same_file(event, &done, step);
    }
    let asked: Vec<_> = events.iter().map(|event| event["/detail/name"].as_str().unwrap()).collect();
    assert_eq!(asked[..names.len()], names);
    assert_eq!(asked[names.len()], "./sub/up/data");
}

#[test]
fn file_open_through_a_directory_descriptor() {
    needs_kernel!();
    let (dir, name, file) = place();
    let (done, events) =
        opens(dir.path(), &["openat", AT_CWD, &name, "0o200000", "0", "--", "openat", "3", "data", "0", "0"]);
    assert_eq!(done.result(0), 3);
    assert_eq!(events[1].path(), file);
    assert_eq!(events[1]["/detail/dirfd"], 3);
    assert_eq!(events[0]["/detail/dirfd"], -100);
    assert_same_file(&events[1], &done, 1);
}

#[test]
fn file_open_through_mounts() {
    needs_kernel!();
    let (dir, name, file) = place();
    fs::create_dir(dir.path().join("other")).unwrap();
    let through = format!("{name}/other/data");
    // A bind mount is a name of its own: what counts is where it was opened.
    let (done, events) = opens(
        dir.path(),
        &[
            &["own-mounts", "--", "bind-mount", &name, &format!("{name}/other"), "--"][..],
            &["openat", AT_CWD, &through, "0", "0", "--", "openat", AT_CWD, &file, "0", "0"],
        ]
        .concat(),
    );
    assert_eq!((done.result(0), done.result(1)), (0, 0));
    let paths: Vec<_> = events.iter().map(Event::path).collect();
    assert_eq!(paths, [through.as_str(), &file]);
    assert_eq!(events[0]["/detail/file/ino"], events[1]["/detail/file/ino"]);
    let own = fs::metadata("/proc/self/ns/mnt").map(|ns| std::os::unix::fs::MetadataExt::ino(&ns)).unwrap();
    assert_ne!(events[0]["/task/mnt_ns"], own, "the helper had mounts of its own");
}

#[test]
fn file_open_in_a_chroot() {
    needs_kernel!();
    let (dir, name, _) = place();
    fs::create_dir(dir.path().join("inner")).unwrap();
    fs::write(dir.path().join("inner/unique-name-in-chroot"), "x").unwrap();
    let (done, events) = Act::new(
        [
            &["openat", AT_CWD, &name, "0o200000", "0", "--", "chroot", &format!("{name}/inner"), "--"][..],
            &["openat", AT_CWD, "/unique-name-in-chroot", "0", "0", "--"],
            &["openat", AT_CWD, "/../../unique-name-in-chroot", "0", "0", "--"],
            &["openat", "3", "data", "0", "0"],
        ]
        .concat(),
    )
    .seen_by(&shared());
    let named = |end: &str| -> Vec<&Event> {
        events.iter().filter(|event| event.is_open() && event.path().ends_with(end)).collect()
    };
    // As the process sees it: from its own root.
    let inside = named("unique-name-in-chroot");
    assert_eq!(inside.iter().map(|event| event.path()).collect::<Vec<_>>(), ["/unique-name-in-chroot"; 2]);
    assert_same_file(inside[1], &done, 3);
    assert_eq!(inside[0]["/detail/detached"], false);
    // A descriptor from before leads out of the root, and the event says so.
    let outside = named("/data")[0];
    assert_eq!(outside["/detail/detached"], true, "{}", outside.path());
    assert_same_file(outside, &done, 4);
}

#[test]
fn file_open_failed_says_the_name_made_absolute() {
    needs_kernel!();
    let (dir, name, _) = place();
    fs::create_dir(dir.path().join("sub")).unwrap();
    let missing = format!("{name}/missing");
    let (done, events) = opens(
        dir.path(),
        &[
            &["openat", AT_CWD, &missing, "0o2", "0", "--"][..],
            &["chdir", &format!("{name}/sub"), "--"],
            &["open", "./nothing/../../absent", "0", "0", "--"],
            &["openat", AT_CWD, &name, "0o200000", "0", "--"],
            &["openat", "3", "gone", "0", "0", "--"],
            &["openat", AT_CWD, &format!("{name}/data/x"), "0", "0", "--"],
            &["openat", AT_CWD, &name, "0o1", "0", "--"],
            &["openat2", AT_CWD, &format!("{name}/data"), "0", "0", "64"],
        ]
        .concat(),
    );
    let said: Vec<_> = events.iter().map(|event| (event.path().to_owned(), event.result())).collect();
    let at = |path: &str| format!("{name}/{path}");
    assert_eq!(
        said,
        [
            (missing, -2),
            (at("absent"), -2),
            (name.clone(), 3),
            (at("gone"), -2),
            (at("data/x"), -20),
            (name.clone(), -21),
            (at("data"), done.result(7)),
        ]
    );
    for event in events.iter().filter(|event| event.result() < 0) {
        assert_eq!(event["/detail/file"], json!(null));
        assert_eq!(event["/detail/created"], false);
    }
}

#[test]
fn file_open_by_a_32_bit_caller() {
    needs_kernel!();
    needs_32_bit_calls!();
    let (dir, name, file) = place();
    let new = format!("{name}/new");
    let (done, events) = opens(
        dir.path(),
        &[
            &["open32", &file, "2", "0", "--", "openat32", AT_CWD, &file, "0", "0", "--"][..],
            &["creat32", &new, "0o600", "--", "open32", &format!("{name}/none"), "0", "0"],
        ]
        .concat(),
    );
    let said: Vec<_> = events.iter().map(|event| (event.kind(), event.path(), event.result())).collect();
    let none = format!("{name}/none");
    assert_eq!(
        said,
        [
            ("open", file.as_str(), done.result(0)),
            ("openat", &file, done.result(1)),
            ("creat", &new, done.result(2)),
            ("open", &none, -2),
        ]
    );
    assert!(events.iter().all(|event| event["compat"] == true));
    assert_eq!(events[0]["/detail/flags"], 2);
    assert_eq!(events[2]["/detail/created"], true);
}

#[test]
fn file_open_names_only_where_asked_for() {
    needs_kernel!();
    let (dir, _, file) = place();
    let sensor = sensor_tests::Sensor::start(&["--kinds", "file_open,proc_fork,proc_exit"]);
    let (_, events) = Act::new(["openat", AT_CWD, &file, "0", "0"]).seen_by(&sensor);
    let event = events.iter().find(|event| event.path() == file).expect("the open is seen");
    assert_eq!(event["/detail/name"], json!(null));
    drop(dir);
}
