//! How this object reads kernel structs. There are three of it, and the daemon loads the one for the running kernel: of ways that
//! lie beside each other in one program the verifier takes out all but one, which took it longer than to look at what is left.
//!
//! Before 5.11 each read is a helper call. Since then the current task is a pointer that can be followed. Since 6.2 any address
//! can be made a pointer of any type: no read takes a helper call. That is also quicker to load: what a program follows from
//! a pointer that the verifier trusts makes it (since 6.3) search the names of all types of the kernel, up to four times each,
//! and it trusts none that was made so.

use core::{arch::asm, mem::MaybeUninit};

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use sensor_common::constants;

use super::{Ptr, knob};

/// Before 5.11.
pub(crate) const PROBES: bool = cfg!(feature = "probes");
/// Since 6.2.
pub(crate) const CASTS: bool = cfg!(feature = "casts");

/// Reads a value at any address.
#[inline(always)]
pub(super) fn read<T: Copy>(from: *const u8) -> T {
    const WORD: usize = size_of::<u64>();
    let kind = knob!(type_word);
    if size_of::<T>() <= WORD {
        // SAFETY: the type begins with a number of 64 bits, of which this is a part; a fault reads zero.
        return unsafe { cast(from, kind).cast::<T>().read_volatile() };
    }
    let mut value = MaybeUninit::<T>::uninit();
    let to = value.as_mut_ptr().cast::<u64>();
    for word in 0..size_of::<T>() / WORD {
        // SAFETY: as above; the word is one of the value.
        unsafe { to.add(word).write(read(from.wrapping_add(word * WORD))) };
    }
    // SAFETY: structs that are read whole are made of words.
    unsafe { value.assume_init() }
}

/// An address as a pointer to a type of the kernel, which is all that happens: the call is taken out by the verifier.
#[inline(always)]
pub(super) fn cast(address: *const u8, kind: u32) -> *const u8 {
    let to: u64;
    // SAFETY: the loader makes it the call of `bpf_rdonly_cast`, which takes two arguments, returns the first, and leaves no
    // other register of a caller's as it was.
    unsafe {
        asm!(
            "call {cast}",
            cast = const constants::CAST,
            lateout("r0") to,
            inlateout("r1") address as u64 => _,
            inlateout("r2") u64::from(kind) => _,
            lateout("r3") _,
            lateout("r4") _,
            lateout("r5") _,
            options(nomem, nostack, preserves_flags),
        );
    }
    to as *const u8
}

/// The same number, of which LLVM knows nothing. What it knows it uses against the verifier: it leaves out a mask that the verifier
/// would have learnt from, and what a function does not look at it does not pass, which is no scalar then.
#[inline(always)]
pub(crate) fn opaque(number: u64) -> u64 {
    let mut number = number;
    // SAFETY: changes nothing.
    unsafe { asm!("{number} += 0", number = inout(reg) number, options(nomem, nostack, preserves_flags)) };
    number
}

/// The same number, of which the verifier knows nothing any more. What it knows, and makes use of once more, keeps apart all that
/// is behind the first use: each of five calls would be followed to the end. `by`: any number that it knows nothing of.
#[inline(always)]
pub(crate) fn forgotten(number: u64, by: u64) -> u64 {
    let mut number = number;
    // SAFETY: changes nothing.
    unsafe {
        asm!(
            "{number} += {by}",
            "{number} -= {by}",
            number = inout(reg) number,
            by = in(reg) by,
            options(nomem, nostack, preserves_flags),
        );
    }
    number
}

impl Ptr {
    /// The address as a plain number. A function that the verifier looks at by itself takes no pointer that it knows something
    /// of ("R5 is not a scalar"), and forgets that only of what a helper has read.
    #[inline(always)]
    pub(crate) fn number(self) -> Option<u64> {
        let (address, mut number) = (self.0, MaybeUninit::<u64>::uninit());
        // SAFETY: both are on the stack, and as long as the length.
        let failed =
            unsafe { bpf_probe_read_kernel(number.as_mut_ptr().cast(), 8, (&raw const address).cast()) };
        // SAFETY: the helper filled it.
        if failed == 0 { Some(unsafe { number.assume_init() }) } else { None }
    }
}
