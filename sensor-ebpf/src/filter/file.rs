//! Terms by a file: what was done to it, its name, its path.

use core::{hint::black_box, mem::MaybeUninit};

use aya_ebpf::{helpers::generated::bpf_map_lookup_elem, maps::lpm_trie};
use sensor_common::filter::{KindFilter, NAME_LEN, NameKey, PATH_LEN, PathKey};

use super::{FILTER_KINDS, FILTER_NAMES, FILTER_PATHS, is_marked};
use crate::kernel::{Path, WORDS, copy_name, file_name};

/// [`file_terms`] as a function of its own.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn filter_file(slot: u32, terms: u64, facts: u32, mnt: u64, dentry: u64) -> u64 {
    let Some(kind) = FILTER_KINDS.get(slot) else { return terms };
    file_terms(kind, slot, terms, facts, Path { mnt, dentry })
}

/// Terms by what was done to a file, and by its name.
#[inline(always)]
pub(super) fn file_terms(kind: &KindFilter, slot: u32, terms: u64, facts: u32, path: Path) -> u64 {
    let terms = super::fact_terms(kind, terms, facts);
    if terms & kind.name.property.asked == 0 {
        return terms;
    }
    let mut key = Key::uninit();
    // A file of no directory has a name of its own kind, and one that is mounted over another goes by that one's.
    match file_name(path, words(&mut key), |first| is_nothing(first) || is_marked(&kind.name, first)) {
        Some(true) => name_terms(kind, slot, terms, &mut key),
        Some(false) => terms & kind.name.property.other,
        None => terms,
    }
}

/// The same for a verdict: a file whose name is not to be had fits none.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn verdict_file(slot: u32, terms: u64, facts: u32, mnt: u64, dentry: u64) -> u64 {
    let Some(kind) = FILTER_KINDS.get(slot) else { return 0 };
    let terms = super::fact_terms(kind, terms, facts);
    let asked = kind.name.property.asked;
    if terms & asked == 0 {
        return terms;
    }
    let mut key = Key::uninit();
    match file_name(Path { mnt, dentry }, words(&mut key), |_| true) {
        Some(_) => name_terms(kind, slot, terms, &mut key),
        None => terms & !asked,
    }
}

type Key = MaybeUninit<NameKey>;

/// Where the name goes.
#[inline(always)]
fn words(key: &mut Key) -> *mut u64 {
    // SAFETY: the slot is the first word.
    unsafe { key.as_mut_ptr().cast::<u64>().add(1) }
}

/// Terms by a name, of which the key has the words.
#[inline(always)]
fn name_terms(kind: &KindFilter, slot: u32, terms: u64, key: &mut Key) -> u64 {
    // SAFETY: the words are written.
    let first = unsafe { words(key).read() };
    if is_nothing(first) {
        return terms;
    }
    if !is_marked(&kind.name, first) {
        return terms & kind.name.property.other;
    }
    // SAFETY: with its first word the key is whole.
    let key = unsafe {
        key.as_mut_ptr().cast::<u64>().write(u64::from(slot));
        key.assume_init_ref()
    };
    // SAFETY: the daemon writes an entry once, before its set of tables is at work.
    terms & unsafe { FILTER_NAMES.get(key) }.copied().unwrap_or(kind.name.property.other)
}

/// What is no name (`x/`, `.`, `..`) decides nothing.
#[inline(always)]
fn is_nothing(first: u64) -> bool {
    first == 0 || first == u64::from(b'.') || first == u64::from(b'.') * 0x101
}

/// Terms by the last component of the `len` bytes that lie at `at` in the scratch memory.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn filter_request(slot: u32, terms: u64, scratch: u32, at: u32, len: u32) -> u64 {
    let Some(kind) = FILTER_KINDS.get(slot) else { return terms };
    if terms & kind.name.property.asked == 0 {
        return terms;
    }
    let Some(base) = crate::record::scratch(scratch) else { return terms };
    let (text, len) = (at as usize & 0xff8, len as usize & 0xfff);
    let mut took = 0;
    for step in 1..NAME_LEN {
        if step > len {
            break;
        }
        // Where LLVM sees the loop through it walks a pointer down instead ("R1 min value is outside of the allowed memory
        // range").
        let at = black_box(len - step) & 0xfff;
        // SAFETY: the scratch memory is many times larger than both numbers together.
        let byte = unsafe { base.add(text + at).read_volatile() };
        if byte == b'/' {
            break;
        }
        took = step;
    }
    // SAFETY: as above.
    let name = unsafe { base.add(text + (black_box(len - took) & 0xfff)) };
    let mut key = Key::uninit();
    let Some(()) = copy_name(name, took as u32, words(&mut key)) else { return terms };
    name_terms(kind, slot, terms, &mut key)
}

/// Terms by the path of `len` bytes that lies at `at` in the scratch memory. What precedes it there is a part of the body:
/// for the time of the look it is the head of the key.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn filter_path(slot: u32, terms: u64, scratch: u32, at: u32, len: u32) -> u64 {
    let Some(kind) = FILTER_KINDS.get(slot) else { return terms };
    if terms & kind.path.asked == 0 {
        return terms;
    }
    let Some(base) = crate::record::scratch(scratch) else { return terms };
    let (at, len) = (at as usize & 0xff8, len as usize & 0xfff);
    // One byte more than the path has: the NUL behind it.
    let bytes = if len + 1 > PATH_LEN { PATH_LEN } else { len + 1 };
    // SAFETY: the scratch memory is many times larger than both numbers together, and no text follows yet.
    unsafe {
        let text = base.add(at + 8);
        let head = base.add(at).cast::<u32>();
        let saved = (head.read_volatile(), head.add(1).read_volatile());
        text.add(len).write_volatile(0);
        head.write_volatile((size_of::<u32>() + bytes) as u32 * 8);
        head.add(1).write_volatile(slot);
        let entry = bpf_map_lookup_elem((&raw const FILTER_PATHS).cast_mut().cast(), head.cast());
        head.write_volatile(saved.0);
        head.add(1).write_volatile(saved.1);
        if entry.is_null() { terms & kind.path.other } else { terms & entry.cast::<u64>().read_volatile() }
    }
}

const _: () = assert!(size_of::<NameKey>() == 8 + WORDS * 8);
const _: () = assert!(size_of::<lpm_trie::Key<PathKey>>() == 8 + PATH_LEN);
