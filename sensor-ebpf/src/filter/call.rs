//! Terms by a system call and how it ended, and by what it was done to.

use sensor_common::filter::{FACTS, KindFilter, NO_FACTS};

use super::{ALL, FILTER_CALLS, FILTER_KINDS};
use crate::kernel::opaque;

/// [`call_terms`] as a function of its own.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn filter_call(slot: u32, call: u32, facts: u32) -> u64 {
    call_terms(FILTER_KINDS.get(slot), call, facts)
}

/// Terms by call, and by what it did to a file.
#[inline(always)]
pub(super) fn call_terms(kind: Option<&KindFilter>, call: u32, facts: u32) -> u64 {
    match (FILTER_CALLS.get(call), kind) {
        (Some(terms), Some(kind)) => fact_terms(kind, *terms, facts),
        _ => ALL,
    }
}

/// Terms by what was done to a file.
#[inline(always)]
pub(super) fn fact_terms(kind: &KindFilter, terms: u64, facts: u32) -> u64 {
    if facts == NO_FACTS {
        return terms;
    }
    // Where LLVM sees what the facts can be it would leave the mask out.
    terms & kind.facts.get(opaque(u64::from(facts)) as usize & (FACTS - 1)).copied().unwrap_or(ALL)
}
