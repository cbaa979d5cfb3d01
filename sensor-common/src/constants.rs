//! What the loader puts into the instructions of the kernel programs: for each place of an [`Offsets`](crate::Offsets) and of a
//! [`Knobs`](crate::Knobs) a number that stands in for it, and that no program has otherwise.
//!
//! Why not a variable that is never written: the verifier knows its value too, but only behind an instruction for its address
//! and one that reads it, and there are some hundred such places in each larger program.

use crate::offsets::{FIELDS, Need};

/// The upper half of every such number.
pub const MARK: u64 = 0x5eed_c0de << 32;

/// In place of the number of a helper: the call that makes a typed pointer out of an address (`bpf_rdonly_cast`, since 6.2), whose
/// number is one of the running kernel's types.
pub const CAST: i32 = 0x5eed_ca57;

/// How many there are of the first kind, behind which the second begins.
pub const OFFSETS: usize = FIELDS.len();

/// The number that stands in for place `index`.
#[must_use]
pub const fn mark(index: usize) -> u64 {
    MARK | index as u64
}

/// The place that a number stands in for; none where it is just a number.
#[must_use]
pub const fn place(number: u64) -> Option<usize> {
    if number & (MARK | 0xffff_0000) == MARK { Some(number as usize & 0xffff) } else { None }
}

/// Whether no program runs where this one is missing: the compiler then leaves out what would have to be done.
#[must_use]
#[allow(clippy::indexing_slicing, reason = "the compiler runs it, and takes no wrong index")]
pub const fn is_certain(index: usize) -> bool {
    index < OFFSETS && matches!(FIELDS[index].need, Need::Always)
}
