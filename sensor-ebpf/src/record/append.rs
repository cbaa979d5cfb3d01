//! Texts: bytes of kernel or user memory behind the body of a record.

use core::{ffi::c_void, hint::black_box};

use aya_ebpf::helpers::generated::{
    bpf_probe_read_kernel, bpf_probe_read_kernel_str, bpf_probe_read_user, bpf_probe_read_user_str,
};
use sensor_common::{Header, Text, text};

use super::{CURSOR_MASK, Record, SCRATCH};
use crate::kernel::{Ptr, read_user};

/// Strings of an array that are copied at most, bytes of each, and bytes of all (a power of two above their product).
const LIST_LEN: u32 = 16;
const LIST_STRING: u32 = 512;
const LIST_MAX: u32 = 0x2000;

/// What [`record_append`] copies.
const KERNEL: u32 = 0;
const USER: u32 = 1;
const KERNEL_STR: u32 = 2;
const USER_STR: u32 = 3;

/// Copies `len` bytes, or a NUL-terminated string of at most `len - 1`, behind what the record of a slot has. The result is
/// a [`Text`]: length, and flags shifted by 16.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn record_append(slot: u32, how: u32, from: u64, len: u32) -> u32 {
    let from = from as *const _;
    // SAFETY: `append_with` gives a destination that has room for the length; the helpers check the source.
    append_with(slot, len, how >= KERNEL_STR, |to, len| unsafe {
        match how {
            KERNEL => bpf_probe_read_kernel(to, len, from),
            USER => bpf_probe_read_user(to, len, from),
            KERNEL_STR => bpf_probe_read_kernel_str(to, len, from),
            _ => bpf_probe_read_user_str(to, len, from),
        }
    })
}

/// The same with any way to `read`; it returns what the helpers return: an error below zero or, for a string,
/// its length with the NUL.
#[inline(always)]
pub(crate) fn append_with(
    slot: u32,
    len: u32,
    string: bool,
    read: impl FnOnce(*mut c_void, u32) -> i64,
) -> u32 {
    let Some(base) = SCRATCH.get_ptr_mut(slot) else { return 0 };
    // SAFETY: the scratch memory is aligned and larger than a header.
    let header = unsafe { &mut *base.cast::<Header>() };
    let at = header.len & CURSOR_MASK;
    // Where LLVM can prove the mask needless it drops it, and the verifier cannot ("R2 min value is negative").
    let len = black_box(len) & CURSOR_MASK;
    // SAFETY: both numbers are masked to half of the scratch memory.
    let got = read(unsafe { base.cast::<u8>().add(at as usize) }.cast(), len);
    let (took, flags) = match (string, got) {
        (false, 0) => (len, 0),
        // An empty string, of which kernels up to 6.12 do not count the NUL.
        (true, 0) => (0, 0),
        (true, 1..) if got as u32 == len => (len - 1, u32::from(text::TRUNCATED) << 16),
        (true, 1..) => (got as u32 - 1, 0),
        _ => return u32::from(text::FAULT) << 16,
    };
    header.len = at + ((took + 7) & !7);
    took & 0xffff | flags
}

/// Where a NUL-terminated string lies that a caller gave. Numbers, no enum: the payload of an empty one is compared all the same
/// ("R3 !read_ok").
#[derive(Clone, Copy)]
pub(crate) struct Str {
    place: u32,
    at: u64,
}

impl Str {
    /// There is none, or it is not to be had any more.
    pub(crate) const NONE: Self = Self { place: KERNEL_STR, at: 0 };

    /// In the caller's memory.
    #[inline(always)]
    pub(crate) fn user(at: u64) -> Self {
        Self { place: USER_STR, at }
    }

    /// The kernel has a copy.
    #[inline(always)]
    pub(crate) fn kernel(at: u64) -> Self {
        Self { place: KERNEL_STR, at }
    }

    #[inline(always)]
    pub(crate) fn is_none(self) -> bool {
        self.at == 0
    }

    /// Whether it begins with a slash.
    #[inline(always)]
    pub(crate) fn is_absolute(self) -> bool {
        let first: Option<u8> =
            if self.place == USER_STR { read_user(self.at) } else { Ptr::from_u64(self.at).probe(0) };
        first.unwrap_or(0) == b'/'
    }
}

impl Record {
    /// Appends a string of any place (without the NUL), at most `max - 1` bytes; of none that it could not be read.
    #[inline(always)]
    pub(crate) fn append_str(&mut self, from: Str, max: u32) -> Text {
        let flags = if from.place == USER_STR { text::UNTRUSTED } else { 0 };
        self.append(from.place, from.at, max, max, flags)
    }

    /// Appends `len` bytes of kernel (or map) memory, at most `max`.
    #[inline(always)]
    pub(crate) fn append_kernel(&mut self, from: Ptr, len: u32, max: u32, flags: u16) -> Text {
        self.append(KERNEL, from.0 as u64, len, max, flags)
    }

    /// Appends `len` bytes of the current task's memory, at most `max`.
    #[inline(always)]
    pub(crate) fn append_user(&mut self, from: u64, len: u32, max: u32, flags: u16) -> Text {
        self.append(USER, from, len, max, flags)
    }

    /// Appends a NUL-terminated string of kernel memory (without the NUL), at most `max - 1` bytes.
    #[inline(always)]
    pub(crate) fn append_kernel_str(&mut self, from: Ptr, max: u32) -> Text {
        self.append(KERNEL_STR, from.0 as u64, max, max, 0)
    }

    /// Appends a NUL-terminated string of the current task's memory (without the NUL), at most `max - 1` bytes.
    #[inline(always)]
    pub(crate) fn append_user_str(&mut self, from: u64, max: u32) -> Text {
        self.append_str(Str::user(from), max)
    }

    #[inline(always)]
    fn append(&mut self, how: u32, from: u64, len: u32, max: u32, flags: u16) -> Text {
        let (len, cut) = if len > max { (max, text::TRUNCATED) } else { (len, 0) };
        let text = record_append(self.slot, how, from, len);
        Text { len: text as u16, flags: (text >> 16) as u16 | flags | cut }
    }

    /// Appends the strings of an argument array in the current task's memory, a NUL behind each.
    #[inline(always)]
    pub(crate) fn append_user_list(&mut self, array: u64, compat: bool) -> Text {
        let text = record_append_list(self.slot, array, u32::from(compat));
        Text { len: text as u16, flags: (text >> 16) as u16 | text::UNTRUSTED }
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn record_append_list(slot: u32, array: u64, compat: u32) -> u32 {
    let Some(base) = SCRATCH.get_ptr_mut(slot) else { return 0 };
    // SAFETY: the scratch memory is aligned and larger than a header.
    let header = unsafe { &mut *base.cast::<Header>() };
    let at = header.len & CURSOR_MASK;
    let (mut len, mut flags) = (0_u32, 0_u32);
    for index in 0..LIST_LEN {
        let size = if compat != 0 { 4 } else { 8 };
        let took = record_append_item(slot, len, array + u64::from(index) * size, compat);
        if took == 0 {
            break;
        }
        if took < 0 {
            flags |= u32::from(text::FAULT);
            break;
        }
        len = (len + (took as u32 & (LIST_STRING * 2 - 1))) & (LIST_MAX - 1);
        if index + 1 == LIST_LEN || took as u32 == LIST_STRING {
            flags |= u32::from(text::TRUNCATED);
        }
    }
    header.len = at + ((len + 7) & !7);
    len | flags << 16
}

/// Copies the string of one entry of an argument array behind `len` bytes of the list: its length with the NUL; 0 behind the
/// last entry, and below 0 where it cannot be read. A function of its own, so that the verifier walks through it once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn record_append_item(slot: u32, len: u32, entry: u64, compat: u32) -> i32 {
    let Some(base) = SCRATCH.get_ptr_mut(slot) else { return 0 };
    // SAFETY: the scratch memory is aligned and larger than a header.
    let at = unsafe { &*base.cast::<Header>() }.len & CURSOR_MASK;
    let string = if compat != 0 { read_user::<u32>(entry).map(u64::from) } else { read_user::<u64>(entry) };
    let Some(string) = string.filter(|string| *string != 0) else { return 0 };
    let to = at + (black_box(len) & (LIST_MAX - 1));
    // SAFETY: the list stays below LIST_MAX, for which there is room behind any cursor.
    let took = unsafe {
        bpf_probe_read_user_str(base.cast::<u8>().add(to as usize).cast(), LIST_STRING, string as *const _)
    };
    // Kernels up to 6.12 do not count the NUL of an empty string, which they do write.
    if took < 0 { -1 } else { took.max(1) as i32 }
}
