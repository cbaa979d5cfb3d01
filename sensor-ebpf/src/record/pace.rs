//! Holds back what one control group sends faster than it may, so that its noise neither fills the ring nor costs the daemon
//! its time. Records about processes are never asked.
//!
//! The pace is kept as one number, the moment at which the group is square again (the generic cell rate algorithm of
//! ATM, ITU-T I.371): each record moves it on by the pace, and a record is refused while it lies too far ahead. One number for
//! each CPU: a group that runs on all CPUs may send that much on each. A program on a packet that interrupts another one may
//! lose it a step, or one of what is counted for a group; the counters of the kinds are exact all the same.

use aya_ebpf::{
    macros::map,
    maps::{LruPerCpuHashMap, PerCpuHashMap},
};
use sensor_common::{Header, LimitKey};

use super::settings;

/// Group → the moment at which it is square. One that falls out begins anew.
#[map]
static PACES: LruPerCpuHashMap<u64, u64> = LruPerCpuHashMap::with_max_entries(4096, 0);
/// What was held back. Past so many pairs only the counters of the kinds know.
#[map]
static LIMITED: PerCpuHashMap<LimitKey, u64> = PerCpuHashMap::with_max_entries(2048, 0);

/// Whether a record comes too soon after those before it; counted where it does.
#[inline(always)]
pub(super) fn is_ahead(kind: u32, header: &Header) -> bool {
    let pace = settings(|settings| &settings.pace);
    if pace == 0 {
        return false;
    }
    let now = header.ts;
    let Some(square) = PACES.get_ptr_mut(header.cgroup) else {
        let _ = PACES.insert(header.cgroup, now, 0);
        return false;
    };
    // SAFETY: this CPU's own map value.
    let square = unsafe { &mut *square };
    let since = if *square > now { *square } else { now };
    if since - now > settings(|settings| &settings.ahead) {
        count(kind, header.cgroup);
        return true;
    }
    *square = since + u64::from(pace);
    false
}

#[inline(always)]
fn count(kind: u32, cgroup: u64) {
    let key = LimitKey { cgroup, kind: u64::from(kind) };
    match LIMITED.get_ptr_mut(key) {
        // SAFETY: this CPU's own map value.
        Some(count) => super::add(unsafe { &mut *count }, 1),
        None => drop(LIMITED.insert(key, 1, 0)),
    }
}
