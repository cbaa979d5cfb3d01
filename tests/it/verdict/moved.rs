//! Names in a container that must not be moved, taken or given to a file a second time, whichever way it is tried.

use super::{remove::last, *};
use crate::uring::has_operation;

const EPERM: i64 = -(libc::EPERM as i64);
/// `AT_FDCWD`, and `RENAME_EXCHANGE`.
const HERE: &str = "-100";
const EXCHANGE: &str = "2";

/// Both names of an act are under guard, as a rule says that protects a folder.
fn touched(types: &str, kept: &Path) -> String {
    let kept = kept.display();
    format!(
        "evt.type in ({types}) and evt.failed = false and container.id != host and (fs.path.source startswith {kept}/ or fs.path.target startswith {kept}/)"
    )
}

/// A container with a folder whose files are kept, a file beside it, and a name that is free.
struct Guarded {
    container: Container,
    program: PathBuf,
    kept: PathBuf,
    file: String,
    other: String,
    free: String,
}

impl Guarded {
    fn new(container: Container) -> Self {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let (program, kept) = (container.program("mover"), container.path("kept"));
        fs::create_dir(&kept).unwrap();
        let (file, other, free) =
            (text(kept.join("file")), text(container.path("other")), text(container.path("free")));
        fs::write(&file, "x").unwrap();
        fs::write(&other, "x").unwrap();
        Self { container, program, kept, file, other, free }
    }

    /// What comes of these steps in the container.
    fn try_to(&self, steps: &[&str]) -> i64 {
        last(&self.container, &self.program, steps)
    }

    /// Starts a sensor that refuses this, and tries until it does; what went well is undone. Gives the number of tries.
    fn watched(&self, condition: &str, steps: &[&str], undo: impl Fn()) -> (Watcher, usize) {
        let watcher = self.container.watched(&rule("refused", "block", condition));
        let tries = self.container.until_forbidden(&watcher, || {
            let went_well = self.try_to(steps) == 0;
            if went_well {
                undo();
            }
            went_well
        });
        (watcher, tries)
    }
}

#[test]
fn verdict_refuses_a_move() {
    let container = container!();
    if !can_refuse(test_name!(), MOVE) {
        return;
    }
    let guarded = Guarded::new(container);
    let Guarded { kept, file, other, free, .. } = &guarded;
    let condition = touched("rename, renameat, renameat2", kept);
    let (watcher, before) =
        guarded.watched(&condition, &["rename", file, free], || fs::rename(free, file).unwrap());
    let said = watcher.stderr();
    assert!(said.contains("a move") && said.contains("refused in the kernel, in containers"), "{said}");
    for _ in 0..tries() {
        assert_eq!(guarded.try_to(&["rename", file, free]), EPERM);
    }
    let new = kept.join("new");
    let new = new.to_str().unwrap();
    let ways: [&[&str]; 7] = [
        &["renameat2", HERE, file, HERE, free, "0"],
        &["renameat2", HERE, file, HERE, other, EXCHANGE],
        &["renameat2", HERE, other, HERE, file, EXCHANGE],
        &["rename", other, file],
        &["rename", other, new],
        &["chdir", kept.to_str().unwrap(), "--", "rename", "../kept/file", "../free"],
        &["uring", "plain", "renameat", HERE, file, HERE, free, "0"],
    ];
    for steps in ways {
        assert_eq!(guarded.try_to(steps), EPERM, "{steps:?}");
    }
    assert!(Path::new(file).exists() && Path::new(other).exists() && !Path::new(new).exists());
    assert_eq!(guarded.try_to(&["rename", other, free]), 0, "another file");
    let refusals = before + tries() + ways.len();
    let alert = watcher.alert("refused", before + tries() + 1);
    assert_eq!(alert["event"]["type"], "renameat2", "{alert}");
    assert_eq!(alert["response"]["decision"], "done-in-kernel", "{alert}");
    let _ = watcher.alert("refused", refusals);
    fs::rename(file, other).expect("the host is let alone");
    assert_eq!(told(watcher), refusals, "each refusal is one alert");
}

#[test]
fn verdict_refuses_a_link() {
    let container = container!();
    if !can_refuse(test_name!(), LINK) {
        return;
    }
    let guarded = Guarded::new(container);
    let Guarded { kept, file, other, free, .. } = &guarded;
    let condition = touched("link, linkat", kept);
    let (watcher, before) =
        guarded.watched(&condition, &["link", file, free], || fs::remove_file(free).unwrap());
    let new = kept.join("new");
    let new = new.to_str().unwrap();
    let ways: [&[&str]; 4] = [
        &["link", file, free],
        &["linkat", HERE, file, HERE, free, "0"],
        &["link", other, new],
        &["uring", "plain", "linkat", HERE, file, HERE, free, "0"],
    ];
    // The last is there since 5.15.
    let ways = if has_operation("IORING_OP_LINKAT") { &ways[..] } else { &ways[..3] };
    for steps in ways {
        assert_eq!(guarded.try_to(steps), EPERM, "{steps:?}");
    }
    assert!(!Path::new(free).exists() && !Path::new(new).exists());
    assert_eq!(guarded.try_to(&["link", other, free]), 0, "another file");
    let refusals = before + ways.len();
    let alert = watcher.alert("refused", refusals);
    assert_eq!(alert["response"]["decision"], "done-in-kernel", "{alert}");
    assert_eq!(told(watcher), refusals, "each refusal is one alert");
}

/// A rule that is about one name does not hold for the other.
#[test]
fn verdict_on_moves_asks_each_name_by_itself() {
    let container = container!();
    if !can_refuse(test_name!(), MOVE) {
        return;
    }
    let guarded = Guarded::new(container);
    let Guarded { kept, file, other, free, .. } = &guarded;
    let condition = format!(
        "evt.type in (rename, renameat, renameat2) and evt.failed = false and container.id != host and fs.path.target startswith {}/",
        kept.display()
    );
    let (watcher, before) =
        guarded.watched(&condition, &["rename", other, file], || fs::write(other, "x").unwrap());
    assert_eq!(guarded.try_to(&["rename", file, free]), 0, "away from it");
    assert_eq!(guarded.try_to(&["rename", free, file]), EPERM, "back");
    let _ = watcher.alert("refused", before + 1);
    assert_eq!(told(watcher), before + 1);
}
