//! Names that must not be removed in a container, whichever way it is tried.

use super::*;

const EPERM: i64 = -(libc::EPERM as i64);
/// `AT_FDCWD`, and `AT_REMOVEDIR`.
const HERE: &str = "-100";
const DIRECTORY: &str = "512";

/// The result of the last of these steps, done in the container.
pub(super) fn last(container: &Container, program: &Path, steps: &[&str]) -> i64 {
    let output = container.command(program, steps).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    last["result"].as_i64().unwrap()
}

fn removed(types: &str, kept: &Path) -> String {
    format!(
        "evt.type in ({types}) and evt.failed = false and container.id != host and fs.path.name startswith {}/",
        kept.display()
    )
}

#[test]
fn verdict_refuses_a_removal() {
    let container = container!();
    if !can_refuse(test_name!(), REMOVE) {
        return;
    }
    let (program, kept, other) =
        (container.program("remover"), container.path("kept"), container.path("other"));
    let (sub, link) = (kept.join("sub"), container.path("link"));
    fs::create_dir_all(&sub).unwrap();
    std::os::unix::fs::symlink(&kept, &link).unwrap();
    let file = kept.join("file");
    let try_to = |steps: &[&str]| last(&container, &program, steps);
    let watcher = container.watched(&rule("refused", "block", &removed("unlink, unlinkat, rmdir", &kept)));
    let said = watcher.stderr();
    assert!(said.contains("a removal") && said.contains("refused in the kernel, in containers"), "{said}");
    let (by_name, by_link) = (file.to_str().unwrap(), link.join("file"));
    let before = container.until_forbidden(&watcher, || {
        fs::write(&file, "x").unwrap();
        try_to(&["unlink", by_name]) == 0
    });
    for _ in 0..tries() {
        assert_eq!(try_to(&["unlink", by_name]), EPERM);
    }
    let (folder, sub) = (kept.to_str().unwrap(), sub.to_str().unwrap());
    let ways: [&[&str]; 7] = [
        &["unlinkat", HERE, by_name, "0"],
        &["unlink", by_link.to_str().unwrap()],
        &["chdir", folder, "--", "unlink", "file"],
        &["chdir", folder, "--", "unlinkat", HERE, "sub/../file", "0"],
        &["rmdir", sub],
        &["unlinkat", HERE, sub, DIRECTORY],
        &["uring", "plain", "unlinkat", HERE, by_name, "0"],
    ];
    for steps in ways {
        assert_eq!(try_to(steps), EPERM, "{steps:?}");
    }
    assert!(file.exists() && Path::new(sub).exists());
    fs::write(&other, "x").unwrap();
    assert_eq!(try_to(&["unlink", other.to_str().unwrap()]), 0, "another file");
    assert_eq!(try_to(&["unlink", link.to_str().unwrap()]), 0, "a link to the folder is not in it");
    let alert = watcher.alert("refused", before + tries() + 1);
    assert_eq!(alert["event"]["type"], "unlinkat", "{alert}");
    assert_eq!(alert["response"]["decision"], "done-in-kernel", "{alert}");
    let refusals = before + tries() + ways.len();
    let _ = watcher.alert("refused", refusals);
    fs::remove_file(&file).expect("the host is let alone");
    assert_eq!(told(watcher), refusals, "each refusal is one alert");
}

#[test]
fn verdict_on_removals_leaves_rmdir_alone_where_no_rule_names_it() {
    let container = container!();
    if !can_refuse(test_name!(), REMOVE) {
        return;
    }
    let (program, kept) = (container.program("remover"), container.path("kept"));
    let sub = kept.join("sub");
    let try_to = |steps: &[&str]| last(&container, &program, steps);
    let watcher = container.watched(&rule("refused", "block", &removed("unlink, unlinkat", &kept)));
    let path = sub.to_str().unwrap();
    let before = container.until_forbidden(&watcher, || {
        fs::create_dir_all(&sub).unwrap();
        try_to(&["unlinkat", HERE, path, DIRECTORY]) == 0
    });
    assert_eq!(try_to(&["rmdir", path]), 0);
    assert_eq!(told(watcher), before);
}
