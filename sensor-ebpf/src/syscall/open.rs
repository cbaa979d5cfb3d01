//! Numbers of the calls that open files, and the bits of their flags: those of `x86_64` whatever the processor. What is opened it
//! does not know.

use sensor_common::syscalls;

use crate::kernel::{Task, knob};

/// The number of the call by which the task opens a file; that of `openat` where it is by a ring.
#[inline(always)]
pub(crate) fn opening(task: Task) -> u16 {
    let number = match task.syscall() {
        Some(number) if is_open(number) => number,
        _ => syscalls::OPENAT,
    };
    number as u16
}

/// Whether the call of this number opens a file.
#[inline(always)]
pub(crate) fn is_open(number: u32) -> bool {
    matches!(
        number,
        syscalls::OPEN | syscalls::OPENAT | syscalls::OPENAT2 | syscalls::CREAT | syscalls::OPEN_BY_HANDLE_AT
    )
}

/// The flags with the bits of `x86_64`. `arm64` has what says what the name may lead to (`O_DIRECTORY`, `O_NOFOLLOW`) and how the
/// file is read (`O_DIRECT`, `O_LARGEFILE`) in each other's place.
#[inline(always)]
pub(crate) fn portable(flags: u32) -> u32 {
    if knob!(arm64) == 0 {
        return flags;
    }
    (flags & !0o740_000) | (flags & 0o140_000) << 2 | (flags & 0o600_000) >> 2
}
