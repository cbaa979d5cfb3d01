//! Whether a record wakes the daemon. It knows no rule: what is urgent the daemon says.

use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use sensor_common::RingState;

use super::settings;
use crate::kernel::knob;

/// Nanoseconds for which one wakeup is enough: less than the daemon's shortest sleep. It bounds what urgent records cost to
/// 5000 wakeups a second on each CPU.
const AGAIN: u64 = 200_000;

/// Whether every record of a kind is urgent.
#[inline(always)]
pub(super) fn is_urgent(kind: u32) -> bool {
    settings(|settings| &settings.urgent) & 1 << (kind & 63) != 0
}

/// How a record is sent. A wakeup costs 5 µs here, so only the first record after a quiet spell pays for one: the daemon then
/// looks by itself for as long as records keep coming. One that it may have to act upon does not wait for that look, unless
/// it was woken a moment ago: then it comes back by itself as soon.
#[inline(always)]
pub(super) fn wakeup(state: &mut RingState, ts: u64, urgent: bool) -> u32 {
    let quiet = ts.wrapping_sub(state.last_ts) > u64::from(knob!(wake_after));
    state.last_ts = ts;
    if quiet || urgent && ts.wrapping_sub(state.last_wake) > AGAIN {
        state.last_wake = ts;
        return BPF_RB_FORCE_WAKEUP;
    }
    BPF_RB_NO_WAKEUP
}
