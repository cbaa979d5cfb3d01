//! What the caller of an open asked for.

use sensor_common::{
    CALLER_DIR,
    filter::{NO_FACTS, facts},
    syscalls, verdict,
};

use crate::{
    kernel::{File, read_user},
    record::Str,
    syscall::Call,
};

/// `O_CREAT | O_WRONLY | O_TRUNC`: what `creat` stands for.
const CREAT_FLAGS: u32 = 0o1101;
/// `O_ACCMODE`.
const ACCESS_MODE: u32 = 3;
/// Of the path alone: such a file can be neither read nor written.
const O_PATH: u32 = 0o10_000_000;
/// `struct file`'s mode bit of one that did not exist before.
const FMODE_CREATED: u32 = 1 << 20;
/// A file that is not there is made.
const O_CREAT: u32 = 0o100;
/// Execute permission for anybody.
const EXECUTE: u32 = 0o111;

/// What a caller asked for.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) dirfd: i32,
    pub(super) name: Str,
    pub(super) flags: u32,
    pub(super) mode: u32,
    pub(super) resolve: u64,
}

impl Request {
    /// [`facts`] of a file that this request opened.
    #[inline(always)]
    pub(super) fn facts(self, f_mode: u32) -> u32 {
        Flags(self.flags).facts(f_mode, || self.mode)
    }

    /// What a verdict can ask of a file that this request opens.
    #[inline(always)]
    pub(super) fn verdict_facts(self, file: File) -> u32 {
        self.facts(file.f_mode) | if file.is_directory() { verdict::facts::DIRECTORY } else { 0 }
    }
}

/// The flags of a request, by which most of them are let go before anything else of it is looked at.
#[derive(Clone, Copy)]
pub(super) struct Flags(pub(super) u32);

impl Flags {
    #[inline(always)]
    pub(super) fn of(call: Call) -> Self {
        Self(match call.number() {
            syscalls::OPENAT | syscalls::OPEN_BY_HANDLE_AT => call.arg(2) as u32,
            syscalls::OPENAT2 => read_user::<u64>(call.arg(2)).unwrap_or(0) as u32,
            syscalls::CREAT => CREAT_FLAGS,
            _ => call.arg(1) as u32,
        })
    }

    /// [`facts`] of a file that was opened so. `mode`: the one that a new file was asked for with.
    #[inline(always)]
    pub(super) fn facts(self, f_mode: u32, mode: impl FnOnce() -> u32) -> u32 {
        let by_mode = match self.0 & (ACCESS_MODE | O_PATH) {
            0 => facts::READ,
            1 => facts::WRITE,
            2 => facts::READ | facts::WRITE,
            _ => 0,
        };
        let executable = f_mode & FMODE_CREATED != 0 && mode() & EXECUTE != 0;
        by_mode | if executable { facts::EXECUTABLE } else { 0 }
    }

    /// [`Flags::facts`] before the file is known; those of an open that failed, or that may have made a file, are not.
    #[inline(always)]
    pub(super) fn known_facts(self, result: i64) -> u32 {
        if result < 0 || self.0 & O_CREAT != 0 { NO_FACTS } else { self.facts(0, || 0) }
    }
}

/// The mode that a new file was asked for with.
#[inline(always)]
pub(super) fn mode(call: Call) -> u32 {
    match call.number_again() {
        syscalls::OPENAT => call.arg(3) as u32,
        syscalls::OPENAT2 => read_user::<u64>(call.arg(2) + 8).unwrap_or(0) as u32,
        syscalls::OPEN_BY_HANDLE_AT => 0,
        syscalls::CREAT => call.arg(1) as u32,
        _ => call.arg(2) as u32,
    }
}

/// The whole of a request with these flags, whatever the caller's memory says of them by then.
#[inline(always)]
pub(super) fn request(call: Call, Flags(flags): Flags) -> Request {
    let (dirfd, name, resolve) = match call.number_again() {
        syscalls::OPENAT => (call.arg(0) as i32, Str::user(call.arg(1)), 0),
        // `struct open_how`: flags, mode, resolve, each of 64 bits also for 32-bit callers.
        syscalls::OPENAT2 => {
            let resolve = read_user(call.arg(2) + 16).unwrap_or(0);
            (call.arg(0) as i32, Str::user(call.arg(1)), resolve)
        }
        syscalls::OPEN_BY_HANDLE_AT => (call.arg(0) as i32, Str::NONE, 0),
        _ => (CALLER_DIR, Str::user(call.arg(0)), 0),
    };
    Request { dirfd, name, flags, mode: mode(call), resolve }
}
