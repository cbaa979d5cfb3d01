//! The daemon as a process: its exit code and words, and the kernel programs that it holds.

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Output, Stdio},
    time::Instant,
};

use crate::{deadline, vedette};

/// Runs `vedette` with arguments to its end.
///
/// # Panics
/// Where it cannot be run.
#[must_use]
pub fn run(args: &[&str]) -> Output {
    Command::new(vedette()).args(args).stdin(Stdio::null()).output().expect("vedette can be run")
}

/// The numbers of the kernel programs that a process holds.
///
/// # Panics
/// Where there is no such process.
#[must_use]
pub fn programs_of(pid: u32) -> BTreeSet<u32> {
    let mut programs = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("the process is there").flatten() {
        let info = fs::read_to_string(entry.path()).unwrap_or_default();
        let ids = info.lines().filter_map(|line| line.strip_prefix("prog_id:"));
        programs.extend(ids.filter_map(|id| id.trim().parse::<u32>().ok()));
    }
    programs
}

/// Waits until none of these programs is loaded any more.
///
/// # Panics
/// Where one stays.
pub fn wait_until_unloaded(programs: &BTreeSet<u32>) {
    assert!(!programs.is_empty(), "there were programs");
    let end = Instant::now() + deadline();
    loop {
        let left: Vec<u32> = aya::programs::loaded_programs()
            .filter_map(|program| Some(program.ok()?.id()))
            .filter(|id| programs.contains(id))
            .collect();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "programs stay loaded: {left:?}");
        std::thread::yield_now();
    }
}
