//! Scratch slots and numbers of one CPU that programs share which interrupt each other.

use core::arch::asm;

use sensor_common::{RingState, SLOTS};

/// Adds to a number of this CPU, in a single instruction (`BPF_XADD`, which 5.10 has; the compiler offers no atomic addition
/// for this target). Behind functions and on packets a program can be interrupted by another that adds to the same number.
#[inline(always)]
pub(super) fn add(to: &mut u64, by: u64) {
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
