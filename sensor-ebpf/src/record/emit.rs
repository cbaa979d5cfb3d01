//! How a program has a record written: what it hands over, and which outcomes are counted here.

use sensor_common::{Kind, filter::NO_FACTS};

use super::{
    BROKEN, COUNTERS, Ending, FILLED, Record, UNWANTED, URGENT,
    header::record_head,
    record_begin, record_end, scratch,
    slots::{add, record_borrow, record_return},
};
use crate::filter::Wanted;

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
    let ending = ending.into();
    let wanted = if kind.is_lifecycle() { Wanted::ALL } else { ending.wanted(kind, NO_FACTS) };
    emit_wanted::<B>(kind, ending, wanted, fill);
}

/// [`emit_call`] of something of which it is known already who can want it.
#[inline(always)]
pub(crate) fn emit_wanted<B: Copy>(
    kind: Kind,
    ending: Ending,
    wanted: Wanted,
    fill: impl FnOnce(&mut Record) -> Option<()>,
) {
    if wanted.is_none() {
        ending.filtered(kind);
        return;
    }
    emit_if::<B>(
        kind,
        |_| Some(wanted),
        |record| {
            ending.head(record);
            fill(record)
        },
    );
}

/// [`emit_call`] of a record that is wanted only if what it tells of says so. `ask` says who can want it before anything is written,
/// and gives what it found to `fill`, which says it once more. The task is asked last, unless all that is wanted depends on it:
/// to ask takes as long as to look at what is told of.
#[inline(always)]
pub(crate) fn emit_filled<B: Copy, T>(
    kind: Kind,
    ending: impl Into<Ending>,
    ask: impl FnOnce(Wanted) -> (Wanted, T),
    fill: impl FnOnce(&mut Record, Wanted, T) -> Option<Wanted>,
) {
    let ending = ending.into();
    let wanted = Wanted::of_call(kind, ending, NO_FACTS);
    if wanted.is_none() {
        ending.filtered(kind);
        return;
    }
    let (wanted, found) = ask(wanted);
    let first = wanted.is_of_task();
    let wanted = if first { wanted.of_task(ending.task) } else { wanted };
    if wanted.is_none() {
        ending.filtered(kind);
        return;
    }
    let ask = |record: &mut Record| {
        let wanted = fill(record, wanted, found)?;
        Some(if first { wanted } else { wanted.of_task(ending.task) })
    };
    emit_if::<B>(kind, ask, |record| {
        ending.head(record);
        Some(())
    });
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
