//! Mounts and roots that change: every call, done and refused, with names that start anywhere. Each test has a mount namespace
//! of its own, from which nothing gets out.

use std::fs;

use sensor_tests::{Act, Done, Event, needs_32_bit_calls, needs_kernel, shared};
use serde_json::json;
use tempfile::TempDir;

const CALLS: [&str; 6] = ["mount", "move_mount", "umount", "umount2", "pivot_root", "chroot"];

/// Runs steps in a mount namespace of their own, and gives the events of this family behind the one that made it private.
#[track_caller]
fn mounts<S: AsRef<str>>(steps: &[&[S]]) -> (Done, Vec<Event>) {
    let mut all = vec!["own-mounts"];
    for step in steps {
        all.push("--");
        all.extend(step.iter().map(AsRef::as_ref));
    }
    let (mut done, mut events) = Act::new(all).seen_by(&shared());
    events.retain(|event| CALLS.contains(&event.kind()));
    done.steps.remove(0);
    let private = events.remove(0);
    assert_eq!((private.kind(), private.path(), &private["/detail/new_path"]), ("mount", "", &json!("/")));
    (done, events)
}

fn place() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let name = fs::canonicalize(dir.path()).unwrap().display().to_string();
    for made in ["from", "to"] {
        fs::create_dir(dir.path().join(made)).unwrap();
    }
    (dir, name)
}

fn said(events: &[Event]) -> Vec<(&str, i64, &str, &str)> {
    let new = |event: &Event| event["/detail/new_path"].as_str().unwrap_or("").len();
    events
        .iter()
        .map(|event| {
            let whole = event["/detail/new_path"].as_str().unwrap_or("");
            (event.kind(), event.result(), event.path(), &whole[..new(event)])
        })
        .collect()
}

#[test]
fn mount_every_call() {
    needs_kernel!();
    let (dir, base) = place();
    let (from, to) = (format!("{base}/from"), format!("{base}/to"));
    let (done, events) = mounts(&[
        &["mount", "nothing", &from, "tmpfs", "6", "0"][..],
        &["chdir", &base],
        &["mount", "from", "./to", "", "4096", "0"],
        &["umount2", "to", "2"],
        &["open_tree", "-100", &from, "1"],
        // The descriptor of the open tree is 3: it is moved by itself.
        &["move_mount", "3", "", "-100", "to", "4"],
        &["umount2", &to, "10"],
        &["umount2", "../../../../../../../..", "0"],
        &["mount", "/dev/none", &to, "nofs", "0", "0"],
        &["mount", "x", "/no/such", "tmpfs", "0", "0"],
        &["pivot_root", &to, "/no/such"],
    ]);
    let results = [0, 2, 3, 5, 6, 7, 8, 9, 10].map(|step| done.result(step));
    assert_eq!(results, [0, 0, 0, 0, 0, done.result(7), -19, -2, -2], "{:?}", done.steps);
    assert_eq!(
        said(&events),
        [
            ("mount", 0, "nothing", from.as_str()),
            ("mount", 0, &from, &to),
            ("umount2", 0, &to, ""),
            // What the descriptor is after the call.
            ("move_mount", 0, &to, &to),
            ("umount2", 0, &to, ""),
            // `EBUSY`, or `EINVAL` where it is the first root of all.
            ("umount2", done.result(7), "/", ""),
            ("mount", -19, "/dev/none", &to),
            ("mount", -2, "x", "/no/such"),
            ("pivot_root", -2, &to, "/no/such"),
        ]
    );
    assert_eq!([0, 1, 2, 3].map(|at| events[at]["/detail/flags"].as_u64()), [6, 4096, 2, 4].map(Some));
    assert_eq!(
        [0, 6, 2].map(|at| events[at]["/detail/fs_type"].as_str()),
        [Some("tmpfs"), Some("nofs"), None]
    );
    assert_eq!(
        (&events[1]["/detail/name"], &events[1]["/detail/new_name"]),
        (&json!("from"), &json!("./to"))
    );
    drop(dir);
}

/// Whether this is still the root that the kernel unpacked, as in a machine without a disk.
fn is_first_root() -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("/proc can be read");
    let root = mounts.lines().rfind(|line| line.split(' ').nth(1) == Some("/"));
    root.is_some_and(|line| line.split(' ').nth(2) == Some("rootfs"))
}

#[test]
fn mount_root_changes() {
    needs_kernel!();
    let (dir, base) = place();
    let (from, to) = (format!("{base}/from"), format!("{base}/to"));
    let (done, events) = mounts(&[
        &["mount", "nothing", &from, "tmpfs", "0", "0"][..],
        &["mkdir", &format!("{from}/old"), "0o700"],
        &["pivot_root", &from, &format!("{from}/old")],
        &["root", "/old"],
        &["root", "/no/such"],
    ]);
    // The root that a kernel before 7.0 starts with cannot be left: EINVAL, and there is no /old then.
    let pivoted = if is_first_root() && done.result(2) != 0 { -22 } else { 0 };
    let changed = if pivoted == 0 { 0 } else { -2 };
    let results = [0, 1, 2, 3, 4].map(|step| done.result(step));
    assert_eq!(results, [0, 0, pivoted, changed, -2], "{:?}", done.steps);
    let old = format!("{from}/old");
    assert_eq!(
        said(&events[1..]),
        [
            ("pivot_root", pivoted, from.as_str(), old.as_str()),
            ("chroot", changed, "/old", ""),
            ("chroot", -2, "/no/such", "")
        ]
    );
    drop((dir, to));
}

#[test]
fn mount_by_a_32_bit_caller() {
    needs_kernel!();
    needs_32_bit_calls!();
    let (dir, base) = place();
    let from = format!("{base}/from");
    let (done, events) = mounts(&[
        &["mount", "nothing", &from, "tmpfs", "0", "0"][..],
        &["umount232", &from, "2"],
        &["mount", "nothing", &from, "tmpfs", "0", "0"],
        &["umount-32", &from],
        &["root32", &from],
    ]);
    assert_eq!([1, 3, 4].map(|step| done.result(step)), [0; 3], "{:?}", done.steps);
    let umount: Vec<_> = events.iter().filter(|event| event["compat"] == true).cloned().collect();
    assert_eq!(
        said(&umount),
        [("umount2", 0, &*from, ""), ("umount", 0, &from, ""), ("chroot", 0, &from, "")]
    );
    assert_eq!(umount[1]["/detail/flags"], 0, "it has none");
    drop(dir);
}
