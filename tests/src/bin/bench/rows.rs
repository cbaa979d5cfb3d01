//! The rows of the table: what each measures, and what it must be. The limits are those of the table "How fast".

mod kernel;
mod latency;
mod replay;
mod respond;
mod sizing;
mod slowdown;
mod storm;

use anyhow::Result;

use crate::{Bench, figure::Figure};

/// One row, which may have several figures.
pub(crate) struct Row {
    /// For `--only`.
    pub(crate) key: &'static str,
    pub(crate) about: &'static str,
    pub(crate) measure: fn(&Bench) -> Result<Vec<Figure>>,
}

/// What is measured on an emulated processor, unless the user said what.
pub(crate) const EMULATED: [&str; 8] =
    ["null", "watched", "exec", "open", "open-wanted", "conn", "conn-wanted", "memory"];

/// In the order of the table.
pub(crate) const ROWS: &[Row] = &[
    Row {
        key: "null",
        about: "a system call, while no rule needs any (getppid)",
        measure: slowdown::null_unwatched,
    },
    Row {
        key: "watched",
        about: "a system call that nobody watches, while the built-in rules need others (getppid)",
        measure: slowdown::null,
    },
    Row { key: "exec", about: "fork, execve, wait", measure: slowdown::exec },
    Row {
        key: "open",
        about: "open, read, close of a file that no rule cares about",
        measure: slowdown::open,
    },
    Row {
        key: "open-wanted",
        about: "the same while a rule wants to see every open",
        measure: slowdown::open_wanted,
    },
    Row { key: "conn", about: "TCP connect and accept on loopback", measure: slowdown::connect },
    Row {
        key: "conn-wanted",
        about: "the same while a rule wants to see every connect and accept",
        measure: slowdown::connect_wanted,
    },
    Row { key: "build", about: "make -j2 of 40 C files", measure: slowdown::build },
    Row {
        key: "storm",
        about: "every CPU opens, executes or connects as fast as it can",
        measure: storm::storms,
    },
    Row { key: "start", about: "from the start of the process to its first alert", measure: latency::start },
    Row { key: "latency", about: "from the system call to the alert's line", measure: latency::latency },
    Row { key: "respond", about: "from execve to death by a rule", measure: respond::kill },
    Row {
        key: "isolate",
        about: "from the event that a rule is about to its container without network",
        measure: respond::isolate,
    },
    Row { key: "memory", about: "resident memory at rest", measure: storm::at_rest },
    Row { key: "sizing", about: "CPU and memory of the sensor at given rates", measure: sizing::sizing },
    Row { key: "kernel", about: "nanoseconds of the kernel programs", measure: kernel::run_time },
    Row { key: "replay", about: "recorded opens through one CPU", measure: replay::replay },
];
