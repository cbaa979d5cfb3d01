//! Numbers of system calls: what the caller's register holds → a place in the tables by call → the number that records have.

use sensor_common::syscalls;

/// The number of `x86_64` at each place, patched by the loader for the machine it runs on. A table and no `match`: each row of
/// that would be a path of its own through the rest of every program.
#[unsafe(no_mangle)]
static NUMBERS: [u16; syscalls::NUMBERS] = [syscalls::NO_CALL; syscalls::NUMBERS];

/// The place of a call in the tables by call; that of `socketcall` is by what is asked of it.
#[inline(always)]
pub(crate) fn call_index(number: u32, compat: bool) -> Option<u32> {
    // x32 callers use the native numbers with a bit of their own.
    let number = if compat { number } else { number & !syscalls::X32 };
    if number >= syscalls::FIRST_COMPAT {
        return None;
    }
    Some(if compat { syscalls::FIRST_COMPAT + number } else { number })
}

/// The number of the call at a place.
#[inline(always)]
pub(crate) fn call_at(index: u32) -> u32 {
    let index = index as usize & (syscalls::NUMBERS - 1);
    // SAFETY: the index is inside the table. Volatile, so that the compiler does not take the values here for the real ones.
    u32::from(unsafe { (&raw const NUMBERS).cast::<u16>().add(index).read_volatile() })
}
