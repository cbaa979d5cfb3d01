//! What a test needs of the machine. Where it is missing the test says so in one line, which `cargo xtask test` collects;
//! where `VEDETTE_TEST_REQUIRE=kernel` promises it, that is a failure.

use std::{process::Command, sync::OnceLock};

use crate::vedette;

/// Whether the sensor can watch this machine, or the environment promises it. Prints why not.
#[must_use]
pub fn kernel(test: &str) -> bool {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    let promised = std::env::var_os("VEDETTE_TEST_REQUIRE").is_some_and(|value| value == "kernel");
    let answer = ANSWER.get_or_init(|| {
        // Then every test says by itself what does not work, and the time to find out is saved.
        if promised {
            return Ok(());
        }
        if effective_user() != 0 {
            return Err("loading kernel programs needs root".to_owned());
        }
        let output = Command::new(vedette()).arg("doctor").output();
        let output = output.map_err(|error| format!("{} cannot be run: {error}", vedette().display()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or("no word").to_owned())
    });
    match answer {
        Ok(()) => true,
        Err(why) => {
            skip(test, why);
            false
        }
    }
}

/// Whether the sensor can see system calls at the ends of their functions here. Prints why not.
///
/// # Panics
/// Where the environment sets that mode, which is a promise.
#[must_use]
pub fn full_mode(test: &str) -> bool {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    mode(test, "full", &ANSWER)
}

/// Whether it can see them behind the tracepoint of all of them. Prints why not.
///
/// # Panics
/// As above.
#[must_use]
pub fn tracepoint_mode(test: &str) -> bool {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    mode(test, "tracepoint", &ANSWER)
}

fn mode(test: &str, mode: &str, answer: &OnceLock<Result<(), String>>) -> bool {
    let answer = answer.get_or_init(|| {
        // One hook with both kinds of callers stands for all: doctor would try every one of them.
        let set = format!("kernel.mode={mode}");
        let few = ["events", "--kinds", "net_listen", "--seconds", "0.1", "--set", &set];
        let output = Command::new(vedette()).args(few).output();
        let output = output.map_err(|error| format!("{} cannot be run: {error}", vedette().display()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("no word").to_owned())
    });
    let Err(why) = answer else { return true };
    let promised = std::env::var_os("VEDETTE_KERNEL_MODE").is_some_and(|value| value == mode);
    assert!(!promised, "VEDETTE_KERNEL_MODE={mode} promises that this works: {why}");
    skip(test, why);
    false
}

/// Says that a test does not run, and why.
pub fn skip(test: &str, why: &str) {
    println!("skipped: {test}: {why}");
}

/// Whether a program is in the `PATH`.
#[must_use]
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

fn effective_user() -> u32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::geteuid() }
}
