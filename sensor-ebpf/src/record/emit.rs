//! How a program has a record written: what it hands over, and which outcomes are counted here.

use sensor_common::{Header, Kind, filter::NO_FACTS};

use super::{
    BROKEN, COUNTERS, FILLED, Record, UNWANTED, URGENT,
    header::record_head,
    record_begin, record_end, scratch,
    slots::{add, record_borrow, record_return},
};
use crate::{filter::Wanted, kernel::Task};

/// How something ended that a task asked of the kernel: a system call, or the same by another way.
#[derive(Clone, Copy)]
pub(crate) struct Ending {
    /// Who asked. Asking for it again costs another helper call.
    pub(crate) task: Task,
    /// The call's number in the table of `x86_64`.
    pub(crate) number: u32,
    /// A negative errno where it failed.
    pub(crate) result: i64,
    /// Bits of the header.
    pub(crate) flags: u16,
    /// Whether the program cannot be interrupted by another one that counts the same: at a tracepoint of a task, but for kernels
    /// that preempt themselves there.
    pub(crate) alone: bool,
}

impl Ending {
    /// Writes what the header says of it.
    #[inline(always)]
    pub(crate) fn head(self, record: &mut Record) {
        let header: &mut Header = record.header();
        header.result = self.result;
        header.syscall = self.number as u16;
        header.flags |= self.flags;
    }

    /// What it and the task that asked leave of all that rules can want. `facts`: see [`Wanted::of_call`].
    #[inline(always)]
    pub(crate) fn wanted(self, kind: Kind, facts: u32) -> Wanted {
        Wanted::of_call(kind, self, facts).of_task(self.task)
    }

    /// [`filtered`].
    #[inline(always)]
    pub(crate) fn filtered(self, kind: Kind) {
        if !self.alone {
            filtered(kind);
        } else if let Some(counters) = COUNTERS.get_ptr_mut(u32::from(kind.number())) {
            // SAFETY: this CPU's own map value, which nobody else writes to meanwhile.
            unsafe { (*counters).passed_over += 1 };
        }
    }
}

/// Puts a record with a body of type `B` together with `fill` and sends it. Each outcome is counted once: what `fill` gives
/// up on as failed.
///
/// What the daemon itself does is nobody's business and counts as filtered, lifecycle records apart.
#[inline(always)]
pub(crate) fn emit<B: Copy>(kind: Kind, fill: impl FnOnce(&mut Record) -> Option<()>) {
    emit_if::<B>(kind, |_| Some(Wanted::ALL), fill);
}

/// Lends `look` the memory of a record whose texts begin as those behind a body of type `B` do, for something that is most
/// often no record. False where there is none, and where `look` says so.
#[inline(always)]
pub(crate) fn peek<B: Copy>(look: impl FnOnce(&mut Record) -> bool) -> bool {
    let slot = record_borrow(size_of::<B>() as u32);
    if slot < 0 {
        return false;
    }
    let slot = slot as u32;
    let found = match scratch(slot) {
        Some(base) => look(&mut Record { base, slot }),
        None => false,
    };
    record_return(slot);
    found
}

/// [`emit`], of a record that is wanted only if its texts say so: `ask` appends what it has to look at, before anything
/// else is written (also before the header is), and says who may want it then.
#[inline(always)]
pub(crate) fn emit_if<B: Copy>(
    kind: Kind,
    ask: impl FnOnce(&mut Record) -> Option<Wanted>,
    fill: impl FnOnce(&mut Record) -> Option<()>,
) {
    let kind = u32::from(kind.number());
    let Some(record) = &mut begin::<B>(kind) else { return };
    let outcome = match ask(record) {
        Some(wanted) if wanted.is_none() => UNWANTED,
        Some(wanted) if record_head(record.slot) == 0 && fill(record).is_some() => filled(wanted),
        _ => BROKEN,
    };
    record_end(kind, record.slot, outcome);
}

/// The memory of a record, which is then to be ended.
#[inline(always)]
fn begin<B: Copy>(kind: u32) -> Option<Record> {
    let slot = record_begin(kind, size_of::<B>() as u32);
    if slot < 0 {
        return None;
    }
    let slot = slot as u32;
    let Some(base) = scratch(slot) else {
        record_end(kind, slot, BROKEN);
        return None;
    };
    Some(Record { base, slot })
}

#[inline(always)]
fn filled(wanted: Wanted) -> u32 {
    if wanted.is_urgent() { URGENT } else { FILLED }
}

/// [`emit`] for something that just ended: where no rule can want it, it is counted as filtered. What says what a process is
/// and may do is everybody's business.
#[inline(always)]
pub(crate) fn emit_call<B: Copy>(
    kind: Kind,
    ending: impl Into<Ending>,
    fill: impl FnOnce(&mut Record) -> Option<()>,
) {
    emit_filled::<B>(kind, ending, |record, wanted| fill(record).map(|()| wanted));
}

/// [`emit_call`] of a record that is wanted only if what it tells of says so: `fill` gives back who can still want it.
#[inline(always)]
pub(crate) fn emit_filled<B: Copy>(
    kind: Kind,
    ending: impl Into<Ending>,
    fill: impl FnOnce(&mut Record, Wanted) -> Option<Wanted>,
) {
    let ending = ending.into();
    let wanted = if kind.is_lifecycle() { Wanted::ALL } else { ending.wanted(kind, NO_FACTS) };
    if wanted.is_none() {
        ending.filtered(kind);
        return;
    }
    let kind = u32::from(kind.number());
    let Some(record) = &mut begin::<B>(kind) else { return };
    let mut outcome = BROKEN;
    if record_head(record.slot) == 0 {
        ending.head(record);
        outcome = match fill(record, wanted) {
            Some(wanted) if wanted.is_none() => UNWANTED,
            Some(wanted) => filled(wanted),
            None => BROKEN,
        };
    }
    record_end(kind, record.slot, outcome);
}

/// Counts something that a program saw and could not put together.
#[inline(always)]
pub(crate) fn failed(kind: Kind) {
    if let Some(counters) = COUNTERS.get_ptr_mut(u32::from(kind.number())) {
        // SAFETY: this CPU's own map value.
        let counters = unsafe { &mut *counters };
        add(&mut counters.seen, 1);
        add(&mut counters.failed, 1);
    }
}

/// Counts something that a program saw and nobody wants.
#[inline(always)]
pub(crate) fn filtered(kind: Kind) {
    if let Some(counters) = COUNTERS.get_ptr_mut(u32::from(kind.number())) {
        // SAFETY: this CPU's own map value.
        add(unsafe { &mut (*counters).passed_over }, 1);
    }
}
