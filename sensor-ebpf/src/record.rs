//! The only place that writes to the ring: records are put together in per-CPU scratch memory, counted, and sent.

mod append;
mod emit;
mod ending;
mod header;
mod in_place;
mod pace;
mod settings;
mod slots;
mod stand_in;
mod wake;

use aya_ebpf::{
    bindings::BPF_RB_AVAIL_DATA,
    helpers::generated::{bpf_ringbuf_output, bpf_ringbuf_query},
    macros::map,
    maps::{PerCpuArray, RingBuf},
};
use sensor_common::{Counters, Header, KINDS, Kind, RingState, SLOTS, flags};

pub(crate) use self::{
    append::{Str, append_with},
    emit::{emit, emit_call, emit_filled, emit_if, emit_wanted, failed, filtered, peek},
    ending::Ending,
    in_place::{emit_in_place, filtered_in_place},
    settings::{end, settings, wanted},
    slots::add,
    stand_in::{current, is_missed, mark, twice},
};
use self::{
    slots::{claim, record_return},
    wake::{is_urgent, wakeup},
};
use crate::kernel::{Task, knob};

/// Texts begin in the first half of the scratch memory and are shorter than that, so none runs over its end. (The largest
/// record has 17 KiB, the kernel's limit for a value of a per-CPU map is 32 KiB.)
const CURSOR_MASK: u32 = 0x3fff;
const SCRATCH_SIZE: usize = 0x8000;
/// Words of the largest body.
const BODY_WORDS: u32 = 32;

/// How putting a record together ended.
const BROKEN: u32 = 0;
const FILLED: u32 = 1;
const UNWANTED: u32 = 2;
/// [`FILLED`], and the daemon may have to act upon it.
const URGENT: u32 = 3;

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);
#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(KINDS, 0);
#[map]
static RING_STATE: PerCpuArray<RingState> = PerCpuArray::with_max_entries(1, 0);
#[map]
static SCRATCH: PerCpuArray<[u64; SCRATCH_SIZE / 8]> = PerCpuArray::with_max_entries(SLOTS, 0);
/// The scratch memory of a slot.
#[inline(always)]
pub(crate) fn scratch(slot: u32) -> Option<*mut u8> {
    SCRATCH.get_ptr_mut(slot).map(<*mut [u64; SCRATCH_SIZE / 8]>::cast)
}

/// A record under construction: a scratch slot. How far it has come stands in the header's length, that is in map memory,
/// where the verifier forgets it: kept in a register, each text would multiply the states that it has to walk through.
///
/// For the same reason what every record needs is a function of its own with numbers as arguments: those are verified once
/// and not for every state of every caller. Inlined, loading took 1.6 s instead of 0.4 s.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    base: *mut u8,
    slot: u32,
}

/// Takes a scratch slot and clears the body, and what of the header can be written before the task's part of it. Negative where there is to be no record.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn record_begin(kind: u32, body: u32) -> i32 {
    let Some(counters) = COUNTERS.get_ptr_mut(kind) else { return -1 };
    let Some(state) = RING_STATE.get_ptr_mut(0) else { return -1 };
    // SAFETY: both are this CPU's own map values, of which others change only what `add` does.
    let (counters, state) = unsafe { (&mut *counters, &mut *state) };
    add(&mut counters.seen, 1);
    let task = Task::current();
    if !Kind::number_is_lifecycle(kind) && task.tgid().unwrap_or(0) == knob!(self_tgid) {
        add(&mut counters.filtered, 1);
        return -1;
    }
    let Some(slot) = claim(state) else {
        add(&mut counters.failed, 1);
        return -1;
    };
    let Some(base) = SCRATCH.get_ptr_mut(slot) else { return -1 };
    // SAFETY: the scratch memory is aligned and larger than a header.
    let header = unsafe { &mut *base.cast::<Header>() };
    header.kind = kind as u16;
    header.len = size_of::<Header>() as u32 + body;
    (header.flags, header.valid, header.result, header.syscall) = (0, 0, 0, Header::NO_SYSCALL);
    for word in 0..BODY_WORDS {
        if word * 8 >= body {
            break;
        }
        // SAFETY: the largest body fits the scratch memory many times.
        unsafe { base.cast::<u64>().add(size_of::<Header>() / 8 + word as usize).write_volatile(0) };
    }
    slot as i32
}

/// Sends the record of a slot, if it was filled, counts what became of it, and gives the slot back.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn record_end(kind: u32, slot: u32, outcome: u32) -> i32 {
    let Some(counters) = COUNTERS.get_ptr_mut(kind) else { return 0 };
    let Some(state) = RING_STATE.get_ptr_mut(0) else { return 0 };
    // SAFETY: both are this CPU's own map values, of which others change only what `add` does.
    let (counters, state) = unsafe { (&mut *counters, &mut *state) };
    let Some(base) = SCRATCH.get_ptr_mut(slot) else { return 0 };
    if outcome == UNWANTED {
        add(&mut counters.filtered, 1);
    } else if outcome != FILLED && outcome != URGENT {
        add(&mut counters.failed, 1);
    } else {
        // SAFETY: the scratch memory is aligned and larger than a header.
        let header = unsafe { &*base.cast::<Header>() };
        let enforced = header.flags & (flags::REFUSED | flags::KILLED) != 0;
        // What something was done about is as dear as what makes processes.
        let noise = !Kind::number_is_lifecycle(kind) && !enforced;
        if noise && pace::is_ahead(kind, header) {
            add(&mut counters.limited, 1);
        } else if send(base.cast(), noise, outcome == URGENT || is_urgent(kind), state) {
            add(&mut counters.submitted, 1);
        } else {
            add(&mut counters.ring_full, 1);
        }
    }
    // Only now: until it is sent, the memory is this record's.
    record_return(slot)
}

/// False where the ring has no room for it.
#[inline(always)]
fn send(base: *mut u8, noise: bool, urgent: bool, state: &mut RingState) -> bool {
    let ring = (&raw const EVENTS).cast_mut().cast();
    // SAFETY: the scratch memory is aligned and larger than a header.
    let header = unsafe { &mut *base.cast::<Header>() };
    header.seq = state.seq as u32;
    add(&mut state.seq, 1);
    if noise {
        // SAFETY: a map and a flag.
        let waiting = unsafe { bpf_ringbuf_query(ring, u64::from(BPF_RB_AVAIL_DATA)) };
        if waiting > u64::from(knob!(ring_headroom)) {
            return false;
        }
    }
    let flags = wakeup(state, header.ts, urgent);
    let len = header.len;
    if len > SCRATCH_SIZE as u32 {
        return false;
    }
    // SAFETY: the length is at most the size of the scratch memory.
    unsafe { bpf_ringbuf_output(ring, base.cast(), u64::from(len), u64::from(flags)) == 0 }
}

impl Record {
    /// The scratch slot, which other per-CPU buffers share.
    #[inline(always)]
    pub(crate) fn slot(self) -> u32 {
        self.slot
    }

    #[inline(always)]
    pub(crate) fn header(&mut self) -> &mut Header {
        // SAFETY: the scratch memory is aligned, larger than this, and this record's own.
        unsafe { &mut *self.base.cast::<Header>() }
    }

    /// Bytes that it has so far: where the next text will lie.
    #[inline(always)]
    pub(crate) fn len(&mut self) -> u32 {
        self.header().len
    }

    /// The body. `B` is the one that [`emit`] was called with.
    #[inline(always)]
    pub(crate) fn body<B: Copy>(&mut self) -> &mut B {
        // SAFETY: the scratch memory is aligned, larger than this, and this record's own.
        unsafe { &mut *self.base.add(size_of::<Header>()).cast::<B>() }
    }
}
