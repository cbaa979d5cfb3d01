//! What is done without another task coming in between. A program that is interrupted by one that comes to the same place is left
//! out there, and what happened goes unseen. Up to 6.19 the kernel's tracepoints see to that; the loader puts the calls in
//! where they do not, and takes them out elsewhere.

use core::arch::asm;

use sensor_common::constants;

use super::reads::CASTS;

/// Does something without being interrupted by another task. No program may be called at the end of it (`bpf_tail_call`).
#[inline(always)]
pub(crate) fn steady<R>(body: impl FnOnce() -> R) -> R {
    if !CASTS {
        // These kernels have no such calls.
        return body();
    }
    call::<{ constants::STEADY }>();
    let done = body();
    call::<{ constants::STEADY_END }>();
    done
}

#[inline(always)]
fn call<const FUNCTION: i32>() {
    // SAFETY: the loader makes it a call without arguments, which leaves no register of a caller's as it was, or nothing at all.
    unsafe {
        asm!(
            "call {function}",
            function = const FUNCTION,
            lateout("r0") _,
            lateout("r1") _,
            lateout("r2") _,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
            options(nostack, preserves_flags),
        );
    }
}
