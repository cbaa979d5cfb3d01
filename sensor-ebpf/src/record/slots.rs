//! Scratch slots and numbers of one CPU that programs share which interrupt each other.

use core::arch::asm;

use sensor_common::{Header, RingState, SLOTS};

use super::{RING_STATE, SCRATCH};

/// Adds to a number of this CPU, in a single instruction (`BPF_XADD`, which 5.10 has; the compiler offers no atomic addition
/// for this target). Behind functions and on packets a program can be interrupted by another that adds to the same number.
#[inline(always)]
pub(crate) fn add(to: &mut u64, by: u64) {
    // SAFETY: an aligned word of a map value, which lives as long as the map.
    unsafe { asm!("lock *(u64 *)({to} + 0) += {by}", to = in(reg) to, by = in(reg) by) };
}

/// Takes a free scratch slot. Not the next one of a stack: tasks that preempt each other do not end in turn. Who adds
/// itself to a slot and finds itself alone has it; two that meet there both go on.
#[inline(always)]
pub(super) fn claim(state: &mut RingState) -> Option<u32> {
    for slot in 0..SLOTS {
        let users = state.slots.get_mut(slot as usize)?;
        add(users, 1);
        // SAFETY: as in `add`.
        if unsafe { (&raw const *users).read_volatile() } == 1 {
            return Some(slot);
        }
        add(users, u64::MAX);
    }
    None
}

/// Takes a scratch slot for texts that may become no record: nothing is counted. Negative where there is none.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn record_borrow(body: u32) -> i32 {
    let Some(state) = RING_STATE.get_ptr_mut(0) else { return -1 };
    // SAFETY: this CPU's own map value, of which others change only what `add` does.
    let Some(slot) = claim(unsafe { &mut *state }) else { return -1 };
    let Some(base) = SCRATCH.get_ptr_mut(slot) else { return -1 };
    // SAFETY: the scratch memory is aligned and larger than a header.
    unsafe { (*base.cast::<Header>()).len = size_of::<Header>() as u32 + body };
    slot as i32
}

/// Gives a scratch slot back.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn record_return(slot: u32) -> i32 {
    if let Some(state) = RING_STATE.get_ptr_mut(0)
        // SAFETY: as above.
        && let Some(users) = unsafe { &mut *state }.slots.get_mut((slot & (SLOTS - 1)) as usize)
    {
        add(users, u64::MAX);
    }
    0
}
