//! `act STEP … -- STEP …`: does one thing after the other with plain system calls, and prints a line of JSON for each with
//! the result (a negative errno on failure) and what else a test wants to compare with. It knows nothing of the sensor.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper that cannot go on dies, and its test fails"
)]

mod call;
#[cfg(target_arch = "x86_64")]
mod compat;
#[cfg(not(target_arch = "x86_64"))]
#[path = "no_compat.rs"]
mod compat;
mod file;
mod machine;
mod net;
mod process;
mod uring;

use std::{
    ffi::{CString, OsStr, OsString},
    io::Write,
    os::unix::ffi::OsStrExt,
};

/// The arguments of one step.
struct Args(std::collections::VecDeque<OsString>);

impl Args {
    fn next(&mut self) -> OsString {
        self.0.pop_front().expect("another argument")
    }

    fn text(&mut self) -> String {
        self.next().into_string().expect("UTF-8")
    }

    fn c(&mut self) -> CString {
        c(&self.next())
    }

    /// A number; `0o` starts an octal one.
    fn number(&mut self) -> i64 {
        let text = self.text();
        let number = match text.strip_prefix("0o") {
            Some(octal) => i64::from_str_radix(octal, 8).ok(),
            None => text.parse().ok(),
        };
        number.unwrap_or_else(|| panic!("no number: {text}"))
    }

    fn rest(&mut self) -> Vec<OsString> {
        self.0.drain(..).collect()
    }
}

fn c(text: &OsStr) -> CString {
    CString::new(text.as_bytes()).expect("no NUL")
}

/// What came of a step: the result, and JSON members to go with it (`,"fd":3`).
struct Outcome(i64, String);

impl From<i64> for Outcome {
    /// From a system call's return: -1 stands for the errno.
    fn from(result: i64) -> Self {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        Self(if result == -1 { -i64::from(errno) } else { result }, String::new())
    }
}

impl From<i32> for Outcome {
    fn from(result: i32) -> Self {
        i64::from(result).into()
    }
}

fn main() {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    for step in args.split(|arg| arg == "--") {
        // One line after the other until the end of the input, as words.
        if step == ["steps-from-input"] {
            for line in std::io::stdin().lines() {
                run(line.expect("text").split(' ').map(OsString::from).collect());
            }
        } else {
            run(step.iter().cloned().collect());
        }
    }
}

fn run(step: std::collections::VecDeque<OsString>) {
    let mut args = Args(step);
    let name = args.text();
    let Outcome(result, more) = file::step(&name, &mut args)
        .or_else(|| net::step(&name, &mut args))
        .or_else(|| process::step(&name, &mut args))
        .or_else(|| call::step(&name, &mut args))
        .or_else(|| compat::step(&name, &mut args))
        .or_else(|| uring::step(&name, &mut args))
        .unwrap_or_else(|| panic!("no such step: {name}"));
    say(&format!("{{\"step\":\"{name}\",\"result\":{result}{more}}}"));
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
