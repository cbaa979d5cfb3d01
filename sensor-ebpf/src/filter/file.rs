//! Terms by a file: what was done to it, its name, its path.

use core::{hint::black_box, mem::MaybeUninit};

use aya_ebpf::{
    helpers::generated::{bpf_map_lookup_elem, bpf_probe_read_kernel},
    maps::lpm_trie::Key,
};
use sensor_common::filter::{FACTS, NAME_LEN, NameKey, PATH_LEN, PathKey};

use super::{FILTER_KINDS, FILTER_NAMES, FILTER_PATHS};
use crate::kernel::{Path, dentry_name};

/// Terms by what was done to a file, and by its name.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn filter_file(slot: u32, terms: u64, facts: u32, mnt: u64, dentry: u64) -> u64 {
    let Some(kind) = FILTER_KINDS.get(slot) else { return terms };
    let Some(by_facts) = kind.facts.get(facts as usize & (FACTS - 1)) else { return terms };
    let terms = terms & by_facts;
    if terms & kind.name.asked == 0 {
        return terms;
    }
    // A file of no directory has a name of its own kind, and one that is mounted over another goes by that one's.
    let Some((name, len)) = dentry_name(Path { mnt, dentry }) else { return terms };
    let cut = len.saturating_sub(NAME_LEN as u32 - 1);
    let name = name + u64::from(cut);
    name_terms(slot, terms, name as *const u8, len - cut)
}

/// Terms by the name of `len` bytes, fewer than [`NAME_LEN`], at an address in the kernel.
#[inline(always)]
fn name_terms(slot: u32, terms: u64, name: *const u8, len: u32) -> u64 {
    let Some(kind) = FILTER_KINDS.get(slot) else { return terms };
    // Word by word: an array of zeros would be a loop over bytes.
    let mut key = MaybeUninit::<NameKey>::uninit();
    let words = key.as_mut_ptr().cast::<u64>();
    // SAFETY: the key is this many words.
    unsafe {
        words.write(u64::from(slot));
        words.add(1).write_volatile(0);
        words.add(2).write_volatile(0);
        words.add(3).write_volatile(0);
        words.add(4).write_volatile(0);
    }
    // SAFETY: every word is written.
    let key = unsafe { key.assume_init_mut() };
    let len = black_box(len) & (NAME_LEN as u32 - 1);
    // SAFETY: the destination has room for any length below NAME_LEN; the helper checks the source.
    let failed = unsafe { bpf_probe_read_kernel(key.name.as_mut_ptr().cast(), len, name.cast()) };
    let [first, second, third, ..] = key.name;
    // What is no name (`x/`, `.`, `..`) decides nothing.
    if failed != 0 || first == 0 || first == b'.' && (second == 0 || second == b'.' && third == 0) {
        return terms;
    }
    // SAFETY: the daemon writes an entry once, before its set of tables is at work.
    terms & unsafe { FILTER_NAMES.get(*key) }.copied().unwrap_or(kind.name.other)
}

/// Terms by the last component of the `len` bytes that lie at `at` in the scratch memory.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn filter_request(slot: u32, terms: u64, scratch: u32, at: u32, len: u32) -> u64 {
    let Some(kind) = FILTER_KINDS.get(slot) else { return terms };
    if terms & kind.name.asked == 0 {
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
    name_terms(slot, terms, name, took as u32)
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

const _: () = assert!(size_of::<NameKey>() == 8 + NAME_LEN && NAME_LEN == 4 * 8);
const _: () = assert!(size_of::<Key<PathKey>>() == 8 + PATH_LEN);
