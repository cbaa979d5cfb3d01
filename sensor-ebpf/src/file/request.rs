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
        let by_mode = match self.flags & (ACCESS_MODE | O_PATH) {
            0 => facts::READ,
            1 => facts::WRITE,
            2 => facts::READ | facts::WRITE,
            _ => 0,
        };
        let executable = f_mode & FMODE_CREATED != 0 && self.mode & EXECUTE != 0;
        by_mode | if executable { facts::EXECUTABLE } else { 0 }
    }

    /// What a verdict can ask of a file that this request opens.
    #[inline(always)]
    pub(super) fn verdict_facts(self, file: File) -> u32 {
        self.facts(file.f_mode) | if file.is_directory() { verdict::facts::DIRECTORY } else { 0 }
    }

    /// [`Request::facts`] before the file is known; those of an open that failed, or that may have made a file, are not.
    #[inline(always)]
    pub(super) fn known_facts(self, result: i64) -> u32 {
        if result < 0 || self.flags & O_CREAT != 0 { NO_FACTS } else { self.facts(0) }
    }
}

#[inline(always)]
pub(super) fn request(call: Call) -> Request {
    let at = Request {
        dirfd: call.arg(0) as i32,
        name: Str::user(call.arg(1)),
        flags: call.arg(2) as u32,
        mode: call.arg(3) as u32,
        resolve: 0,
    };
    match call.number() {
        syscalls::OPENAT => at,
        syscalls::OPENAT2 => {
            // `struct open_how`: flags, mode, resolve, each of 64 bits also for 32-bit callers.
            let how = call.arg(2);
            Request {
                flags: read_user::<u64>(how).unwrap_or(0) as u32,
                mode: read_user::<u64>(how + 8).unwrap_or(0) as u32,
                resolve: read_user(how + 16).unwrap_or(0),
                ..at
            }
        }
        syscalls::OPEN_BY_HANDLE_AT => Request { name: Str::NONE, mode: 0, ..at },
        syscalls::CREAT => Request {
            dirfd: CALLER_DIR,
            name: Str::user(call.arg(0)),
            flags: CREAT_FLAGS,
            mode: call.arg(1) as u32,
            ..at
        },
        _ => Request {
            dirfd: CALLER_DIR,
            name: Str::user(call.arg(0)),
            flags: call.arg(1) as u32,
            mode: call.arg(2) as u32,
            ..at
        },
    }
}
