//! Stand-ins: a second program at a tracepoint, for what the first one misses. From Linux 7.0 on, a kernel that preempts itself
//! can interrupt a task within a program, and leaves that program out for whoever comes next on this processor. The stand-in
//! runs behind it, finds the event marked as seen, or sees to it itself: only a task interrupted in each of the two at
//! the same time makes a third one's event go unseen.
//!
//! What it costs elsewhere: nothing, the daemon loads it where it is needed alone.

use aya_ebpf::{macros::map, maps::Array, programs::BtfTracePointContext};
use sensor_common::Kind;

use super::{COUNTERS, add};
use crate::kernel::{Task, knob};

/// Events between their first program and their stand-in at the same time are fewer by far. Two that meet in one place are
/// both told twice, at worst.
const PLACES: u32 = 1024;

/// The last event of its place that its program has seen and its stand-in has not: its kind, and what it is about.
#[map]
static SEEN: Array<u64> = Array::with_max_entries(PLACES, 0);

/// Notes that the program of an event runs. `about`: what tells it from all that happen at the same time.
#[inline(always)]
pub(crate) fn mark(kind: Kind, about: u32) {
    if knob!(stand_ins) == 0 {
        return;
    }
    if let Some(seen) = SEEN.get_ptr_mut(place(kind, about)) {
        // SAFETY: an aligned word of a map value, which lives as long as the map.
        unsafe { seen.write_volatile(event(kind, about)) };
    }
}

/// Whether the program of an event did not run; then its stand-in has to. To be asked once.
#[inline(always)]
pub(crate) fn is_missed(kind: Kind, about: u32) -> bool {
    let Some(seen) = SEEN.get_ptr_mut(place(kind, about)) else { return false };
    // SAFETY: as above.
    if unsafe { seen.read_volatile() } == event(kind, about) {
        // SAFETY: as above.
        unsafe { seen.write_volatile(0) };
        return false;
    }
    if let Some(counters) = COUNTERS.get_ptr_mut(u32::from(kind.number())) {
        // SAFETY: this CPU's own map value.
        add(unsafe { &mut (*counters).stood_in }, 1);
    }
    true
}

#[inline(always)]
fn event(kind: Kind, about: u32) -> u64 {
    u64::from(kind.number()) << 32 | u64::from(about)
}

/// Tasks that run at the same time have numbers close to each other, and one task's events are of several kinds.
#[inline(always)]
fn place(kind: Kind, about: u32) -> u32 {
    about.wrapping_add(u32::from(kind.number()) << 7) & (PLACES - 1)
}

/// What an event is about that the current task is in.
#[inline(always)]
pub(crate) fn current(_: &BtfTracePointContext) -> u32 {
    Task::current().tid().unwrap_or(0)
}

/// Makes a program and its stand-in at a tracepoint: `twice!(name, name_2, "tracepoint", kind, about, body)`, where `about` and `body`
/// take the context.
macro_rules! twice {
    ($program:ident, $stand_in:ident, $tracepoint:literal, $kind:expr, $about:path, $body:path) => {
        #[aya_ebpf::macros::btf_tracepoint(function = $tracepoint)]
        fn $program(ctx: aya_ebpf::programs::BtfTracePointContext) -> i32 {
            $crate::record::mark($kind, $about(&ctx));
            $body(&ctx);
            0
        }

        #[aya_ebpf::macros::btf_tracepoint(function = $tracepoint)]
        fn $stand_in(ctx: aya_ebpf::programs::BtfTracePointContext) -> i32 {
            if $crate::record::is_missed($kind, $about(&ctx)) {
                $body(&ctx);
            }
            0
        }
    };
}

pub(crate) use twice;
