//! A container stands still: by the freezer of its control group, which takes microseconds and needs no runtime that answers.
//! The runtime is not told: it goes on to count the container as running, and what it would undo by itself it does not.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{Done, group::Group};
use crate::respond::outcome::{Mechanism, Reason, Result};

/// How long a freeze is waited for until it is called pending: a process in uninterruptible sleep freezes when it wakes.
const FROZEN: Duration = Duration::from_secs(1);

/// How long those are waited for who are to be killed: what does not stand still by then is killed while it runs.
const STILL: Duration = Duration::from_millis(100);

/// A freezer, and the words that it speaks.
struct Freezer {
    dir: PathBuf,
    mechanism: Mechanism,
}

impl Freezer {
    fn of(group: &Group<'_>) -> Option<Self> {
        let unified = group.unified().filter(|dir| dir.join("cgroup.freeze").exists());
        let unified = unified.map(|dir| Self { dir, mechanism: Mechanism::CgroupFreeze });
        unified.or_else(|| Some(Self { dir: group.freezer()?, mechanism: Mechanism::Freezer }))
    }

    fn write(&self, freeze: bool) -> io::Result<()> {
        let (file, word) = match (self.mechanism, freeze) {
            (Mechanism::CgroupFreeze, true) => ("cgroup.freeze", "1"),
            (Mechanism::CgroupFreeze, false) => ("cgroup.freeze", "0"),
            (_, true) => ("freezer.state", "FROZEN"),
            (_, false) => ("freezer.state", "THAWED"),
        };
        fs::write(self.dir.join(file), word)
    }

    /// Whether somebody wants it frozen.
    fn is_wanted(&self) -> bool {
        let reads = |file: &str, word: &str| read(&self.dir, file).is_some_and(|text| text.trim() == word);
        match self.mechanism {
            Mechanism::CgroupFreeze => reads("cgroup.freeze", "1"),
            _ => reads("freezer.self_freezing", "1"),
        }
    }

    fn is_frozen(&self) -> bool {
        match self.mechanism {
            Mechanism::CgroupFreeze => read(&self.dir, "cgroup.events")
                .is_some_and(|text| text.lines().any(|line| line == "frozen 1")),
            _ => read(&self.dir, "freezer.state").is_some_and(|text| text.trim() == "FROZEN"),
        }
    }

    /// Waits until it is as it should be, for a while.
    async fn wait(&self, frozen: bool, longest: Duration) -> Result {
        let end = Instant::now() + longest;
        let mut pause = Duration::from_micros(100);
        while self.is_frozen() != frozen {
            if Instant::now() > end {
                return Result::Pending;
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        Result::Done
    }
}

fn read(dir: &Path, file: &str) -> Option<String> {
    fs::read_to_string(dir.join(file)).ok()
}

/// Freezes.
pub(super) async fn pause(group: &Group<'_>) -> Done {
    let Some(freezer) = Freezer::of(group) else {
        return Done::refused(if group.exists() { Reason::NotPossible } else { Reason::Gone });
    };
    if freezer.is_wanted() {
        return Done::with(freezer.mechanism, Result::Already);
    }
    match freezer.write(true) {
        Ok(()) => Done::with(freezer.mechanism, freezer.wait(true, FROZEN).await),
        Err(error) => Done::failed(freezer.mechanism, &error),
    }
}

/// A group that stands still for as long as this lives.
pub(super) struct Still(Freezer);

/// Has it stand still, so that nobody in it has children; `None` where that cannot be had, or somebody else wants it anyway.
pub(super) async fn still(group: &Group<'_>) -> Option<Still> {
    let freezer = Freezer::of(group).filter(|freezer| !freezer.is_wanted())?;
    freezer.write(true).ok()?;
    let still = Still(freezer);
    still.0.wait(true, STILL).await;
    Some(still)
}

impl Drop for Still {
    fn drop(&mut self) {
        // It is gone with its last process, and then nobody is left to thaw.
        let _ = self.0.write(false);
    }
}

/// Thaws.
pub(super) async fn resume(group: &Group<'_>) -> Done {
    let Some(freezer) = Freezer::of(group) else { return Done::refused(Reason::Gone) };
    if !freezer.is_wanted() {
        return Done::with(freezer.mechanism, Result::Already);
    }
    match freezer.write(false) {
        Ok(()) => Done::with(freezer.mechanism, freezer.wait(false, FROZEN).await),
        Err(error) => Done::failed(freezer.mechanism, &error),
    }
}
