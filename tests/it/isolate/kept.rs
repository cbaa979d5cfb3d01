//! Isolation that outlives the process that began it, and such that must not.

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use rustix::mount::{MountFlags, UnmountFlags};
use sensor::probe::isolate::{Isolation, IsolationError, IsolationOptions, kept};
use sensor_tests::{Act, act::Told, deadline, needs_kernel};

use super::{EPERM, LOOPBACKS, Line, hierarchies};

/// A BPF filesystem of a test's own.
pub(crate) struct Pins(tempfile::TempDir);

impl Pins {
    pub(crate) fn mount() -> Self {
        let dir = tempfile::tempdir().unwrap();
        rustix::mount::mount("bpf", dir.path(), "bpf", MountFlags::empty(), None).unwrap();
        Self(dir)
    }

    fn options(&self, keep: bool) -> IsolationOptions {
        IsolationOptions { allow: Vec::new(), keep, pins: self.dir() }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.0.path().join("vedette")
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

const OWNER: &str = "VEDETTE_TEST_ISOLATION_OWNER";

/// Not a test by itself: the process that others start (as `group:keep:pins`), and kill while a group is isolated.
#[test]
fn isolate_owner() {
    let Ok(what) = std::env::var(OWNER) else { return };
    let mut what = what.splitn(3, ':');
    let group = what.next().unwrap().parse().unwrap();
    let keep = what.next().unwrap() == "true";
    let pins = what.next().unwrap().into();
    let mut isolation = Isolation::load(&IsolationOptions { allow: Vec::new(), keep, pins }).unwrap();
    isolation.isolate(group).unwrap();
    println!("\nisolated");
    let _ = std::io::stdin().read(&mut [0]);
}

/// Lets another process isolate a group, and kills it.
fn isolated_by_one_that_is_killed(group: u64, options: &IsolationOptions) {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["isolate::kept::isolate_owner", "--exact", "--nocapture"])
        .env(OWNER, format!("{group}:{}:{}", options.keep, options.pins.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "isolated"), "the owner died too early");
    owner.kill().unwrap();
    owner.wait().unwrap();
}

#[test]
fn isolate_outlives_a_killed_owner_that_keeps_it() {
    needs_kernel!();
    let pins = Pins::mount();
    for hierarchy in hierarchies() {
        let (dir, group) = hierarchy.group("kept");
        let mut inside = dir.join(Act::told()).listen();
        let mut line = Line::new(LOOPBACKS[0], &mut inside);
        isolated_by_one_that_is_killed(group, &pins.options(true));
        assert_eq!(line.connect(&mut inside), EPERM);
        let [left] = &kept(&pins.dir())[..] else { panic!("{:?}", kept(&pins.dir())) };
        assert!(left.usable && left.programs == 7, "{left:?}");
        // The next one goes on with it, and the one after that.
        let next = Isolation::load(&pins.options(true)).unwrap();
        line.is_cut(&mut inside, &next, group);
        let before = next.isolated().unwrap();
        drop(next);
        let mut last = Isolation::load(&pins.options(true)).unwrap();
        assert_eq!(before[0].since, last.isolated().unwrap()[0].since);
        assert!(before[0].refused <= last.isolated().unwrap()[0].refused);
        line.is_cut(&mut inside, &last, group);
        last.release(group).unwrap();
        assert_eq!(line.connect(&mut inside), 0);
        line.stream.read_exact(&mut [0]).unwrap();
        drop(last);
        assert_eq!(kept(&pins.dir()), []);
    }
}

#[test]
fn isolate_ends_with_an_owner_that_does_not_keep_it() {
    needs_kernel!();
    let pins = Pins::mount();
    for hierarchy in hierarchies() {
        let (dir, group) = hierarchy.group("ends");
        let mut inside = dir.join(Act::told()).listen();
        let mut line = Line::new(LOOPBACKS[0], &mut inside);
        let works_again = |line: &mut Line, inside: &mut Told| {
            let end = Instant::now() + deadline();
            while line.connect(inside) != 0 {
                assert!(Instant::now() < end, "it is still isolated");
            }
        };
        isolated_by_one_that_is_killed(group, &pins.options(false));
        works_again(&mut line, &mut inside);
        assert_eq!(kept(&pins.dir()), []);
        // A later one without the option ends what an earlier one has kept.
        isolated_by_one_that_is_killed(group, &pins.options(true));
        assert_eq!(line.connect(&mut inside), EPERM);
        let isolation = Isolation::load(&pins.options(false)).unwrap();
        assert_eq!(isolation.isolated().unwrap(), []);
        works_again(&mut line, &mut inside);
        assert_eq!(kept(&pins.dir()), []);
        // So does one that cannot understand it.
        isolated_by_one_that_is_killed(group, &pins.options(true));
        let old = pins.dir().join("abi-1");
        std::fs::rename(&kept(&pins.dir())[0].path, &old).unwrap();
        let isolation = Isolation::load(&pins.options(true)).unwrap();
        assert_eq!(isolation.isolated().unwrap(), []);
        assert!(!old.exists());
        works_again(&mut line, &mut inside);
        drop(isolation);
        assert_eq!(kept(&pins.dir()), []);
    }
}

#[test]
fn isolate_forgets_a_kept_group_that_is_gone() {
    needs_kernel!();
    let pins = Pins::mount();
    for hierarchy in hierarchies() {
        let (dir, group) = hierarchy.group("vanishes");
        isolated_by_one_that_is_killed(group, &pins.options(true));
        drop(dir);
        let isolation = Isolation::load(&pins.options(true)).unwrap();
        assert_eq!(isolation.isolated().unwrap(), []);
        assert_eq!(kept(&pins.dir())[0].programs, 0);
        drop(isolation);
        assert_eq!(kept(&pins.dir()), []);
    }
}

#[test]
fn isolate_is_not_kept_where_nothing_can_be_pinned() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let options = IsolationOptions { keep: true, pins: dir.path().join("vedette"), ..Default::default() };
    let error = Isolation::load(&options).err().unwrap();
    assert!(matches!(&error, IsolationError::NoPins(path) if path == dir.path()), "{error}");
    assert!(error.to_string().contains("mount -t bpf"));
}
