//! Records of programs that run in the middle of any other: they are filled in the ring itself and have a size of their own.
//! It knows no packets.

use aya_ebpf::{
    bindings::BPF_RB_AVAIL_DATA,
    helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns, bpf_ringbuf_query},
};
use sensor_common::{Counters, Header, Kind, valid};

use super::{
    COUNTERS, EVENTS, RING_STATE, add,
    header::write_header,
    pace,
    wake::{is_urgent, wakeup},
};
use crate::kernel::{Task, knob};

/// Reserves a record of type `R` (a header and what follows) in the ring, has `fill` fill it there behind the header, and
/// sends it. Each outcome is counted once: what `fill` gives up on as failed. `by_task`: whether the current task did it.
///
/// No scratch memory: there are few slots, and a program on a packet runs in softirq on top of anything. What such programs
/// share is the counters of their kind, which are therefore added to atomically, and the sequence number: at worst it is
/// given twice, which no reader takes for a gap.
#[inline(always)]
pub(crate) fn emit_in_place<R: 'static>(kind: Kind, by_task: bool, fill: impl FnOnce(&mut R) -> Option<()>) {
    let Some(counters) = COUNTERS.get_ptr_mut(u32::from(kind.number())) else { return };
    let Some(state) = RING_STATE.get_ptr_mut(0) else { return };
    count(counters, core::mem::offset_of!(Counters, seen));
    let ring = (&raw const EVENTS).cast_mut().cast();
    // SAFETY: a map and a flag.
    let waiting = unsafe { bpf_ringbuf_query(ring, u64::from(BPF_RB_AVAIL_DATA)) };
    let room = waiting <= u64::from(knob!(ring_headroom));
    let Some(mut entry) = (if room { EVENTS.reserve::<R>(0) } else { None }) else {
        count(counters, core::mem::offset_of!(Counters, ring_full));
        return;
    };
    let to = entry.as_mut_ptr();
    clear(to);
    // SAFETY: the record begins with a header, and is this program's own until it is sent.
    let header = unsafe { &mut *to.cast::<Header>() };
    header.syscall = Header::NO_SYSCALL;
    let known = if by_task && write_header(header, Task::current()).is_some() {
        valid::TASK
    } else {
        // SAFETY: no arguments.
        (header.ts, header.cpu) = unsafe { (bpf_ktime_get_boot_ns(), bpf_get_smp_processor_id() as u16) };
        0
    };
    header.valid |= known;
    header.kind = kind.number();
    header.len = size_of::<R>() as u32;
    // SAFETY: as above; the header is not used while the filling lasts.
    if fill(unsafe { &mut *to }).is_none() {
        entry.discard(0);
        count(counters, core::mem::offset_of!(Counters, failed));
        return;
    }
    if pace::is_ahead(u32::from(kind.number()), header) {
        entry.discard(0);
        count(counters, core::mem::offset_of!(Counters, limited));
        return;
    }
    // SAFETY: this CPU's own map value; what another program writes meanwhile is lost or doubled, see above.
    let state = unsafe { &mut *state };
    header.seq = state.seq as u32;
    add(&mut state.seq, 1);
    let flags = wakeup(state, header.ts, is_urgent(u32::from(kind.number())));
    entry.submit(u64::from(flags));
    count(counters, core::mem::offset_of!(Counters, submitted));
}

/// Counts something that such a program saw and nobody wants.
#[inline(always)]
pub(crate) fn filtered_in_place(kind: Kind) {
    if let Some(counters) = COUNTERS.get_ptr_mut(u32::from(kind.number())) {
        count(counters, core::mem::offset_of!(Counters, passed_over));
    }
}

#[inline(always)]
fn count(counters: *mut Counters, offset: usize) {
    // SAFETY: a counter is an aligned word of a map value, which lives as long as the map.
    add(unsafe { &mut *counters.cast::<u8>().add(offset).cast() }, 1);
}

/// The ring hands out memory that holds older records.
#[inline(always)]
fn clear<T>(to: *mut T) {
    for word in 0..size_of::<T>() / 8 {
        // SAFETY: inside the record, which is aligned to 8 and a multiple of 8 long.
        unsafe { to.cast::<u64>().add(word).write_volatile(0) };
    }
}
