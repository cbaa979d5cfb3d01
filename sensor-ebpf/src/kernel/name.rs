//! A file's own name, as a key of a table: its last bytes in native words, NULs behind them.

use core::{hint::black_box, mem::MaybeUninit};

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use sensor_common::filter::NAME_LEN;

use super::{
    Head, Path, Ptr, knob, offset,
    path::{Dentry, read_dentry},
};

/// Words of a name.
pub(crate) const WORDS: usize = NAME_LEN / 8;

/// Bytes of a thread name.
const COMM: usize = 15;

/// By length: the bytes of each word that belong to a name.
static KEPT: [[u64; WORDS]; NAME_LEN] = kept();

#[allow(clippy::indexing_slicing, reason = "the compiler runs it, and takes no wrong index")]
const fn kept() -> [[u64; WORDS]; NAME_LEN] {
    let mut masks = [[0; WORDS]; NAME_LEN];
    let mut len = 0;
    while len < NAME_LEN {
        let mut byte = 0;
        while byte < len {
            masks[len][byte / 8] |= 0xff << (byte % 8 * 8);
            byte += 1;
        }
        len += 1;
    }
    masks
}

/// Writes the last component of a path; none where it is not the dentry's own name: of a file that is in no directory, and of
/// the root of a mount, which goes by the name of what it is mounted on. False where it wrote only the first word, with which
/// `goes_on` was content.
#[inline(always)]
pub(crate) fn file_name(
    Path { mnt, dentry }: Path,
    to: *mut u64,
    goes_on: impl FnOnce(u64) -> bool,
) -> Option<bool> {
    if Ptr::from_u64(mnt).probe::<u64>(offset!(vfsmount_root))? == dentry {
        return None;
    }
    if knob!(dentry_packed) < 2 {
        return read_name(read_dentry(dentry)?, dentry, to).map(|()| true);
    }
    // One read for `d_parent`, `d_name`, `d_inode`, and the room for short names, where most names are.
    let mut head =
        Head::<{ 4 + WORDS }>::new(Ptr::from_u64(dentry.wrapping_add(u64::from(offset!(dentry_parent)))));
    head.fetch()?;
    let own = Dentry { parent: head.get(0)?, hash_len: head.get(8)?, name: head.get(16)? };
    let len = (own.hash_len >> 32) as usize & 0xff;
    let short = dentry.wrapping_add(u64::from(offset!(dentry_parent)) + 32);
    if own.parent == dentry || own.name != short || len >= NAME_LEN {
        return read_name(own, dentry, to).map(|()| true);
    }
    let kept = KEPT.get(len & (NAME_LEN - 1))?;
    let [a, b, c, d] = kept;
    let first = head.get::<u64>(32)? & *a;
    // SAFETY: the caller has room for four words.
    unsafe { to.write(first) };
    if !goes_on(first) {
        return Some(false);
    }
    // SAFETY: as above.
    unsafe {
        to.add(1).write(head.get::<u64>(40)? & *b);
        to.add(2).write(head.get::<u64>(48)? & *c);
        to.add(3).write(head.get::<u64>(56)? & *d);
    }
    Some(true)
}

#[inline(always)]
fn read_name(own: Dentry, dentry: u64, to: *mut u64) -> Option<()> {
    if own.parent == dentry {
        return None;
    }
    let len = (own.hash_len >> 32) as u32 & 0xff;
    let cut = len.saturating_sub(NAME_LEN as u32 - 1);
    copy_name((own.name + u64::from(cut)) as *const u8, len - cut, to)
}

/// Copies a name of `len` bytes, fewer than [`NAME_LEN`], from an address in the kernel.
#[inline(always)]
pub(crate) fn copy_name(from: *const u8, len: u32, to: *mut u64) -> Option<()> {
    // Word by word: an array of zeros would be a loop over bytes.
    // SAFETY: the caller has room for four words.
    unsafe {
        to.write_volatile(0);
        to.add(1).write_volatile(0);
        to.add(2).write_volatile(0);
        to.add(3).write_volatile(0);
    }
    let len = black_box(len) & (NAME_LEN as u32 - 1);
    // SAFETY: the destination has room for any length below NAME_LEN; the helper checks the source.
    let failed = unsafe { bpf_probe_read_kernel(to.cast(), len, from.cast()) };
    (failed == 0).then_some(())
}

/// The thread name that a program gets which is run by the path of `len` bytes that lies at `at` in the scratch memory: the
/// beginning of its last component.
#[inline(always)]
pub(crate) fn path_comm(slot: u32, at: u32, len: u32) -> Option<[u64; 2]> {
    let mut comm = MaybeUninit::<[u64; 2]>::uninit();
    let to = comm.as_mut_ptr().cast::<u64>();
    (read_comm(slot, at, len, to) != 0).then(|| {
        // SAFETY: both words are written.
        unsafe { [to.read(), to.add(1).read()] }
    })
}

#[inline(always)]
fn read_comm(slot: u32, at: u32, len: u32, to: *mut u64) -> u32 {
    let Some(base) = crate::record::scratch(slot) else { return 0 };
    let (text, len) = (at as usize & 0x3ff8, len as usize & 0xfff);
    let mut took = 0;
    // A component has at most 255 bytes.
    for step in 1..256 {
        if step > len {
            break;
        }
        let at = black_box(len - step) & 0xfff;
        // SAFETY: the scratch memory is larger than both numbers together.
        if unsafe { base.add(text + at).read_volatile() } == b'/' {
            break;
        }
        took = step;
    }
    // SAFETY: as above.
    let name = unsafe { base.add(text + (black_box(len - took) & 0xfff)) };
    let most = if took > COMM { COMM } else { took };
    // SAFETY: the caller has room for two words, of which the last byte stays zero.
    unsafe {
        to.write_volatile(0);
        to.add(1).write_volatile(0);
        let len = black_box(most as u32) & COMM as u32;
        if bpf_probe_read_kernel(to.cast(), len, name.cast()) != 0 {
            return 0;
        }
    }
    took as u32
}

const _: () = assert!(WORDS == 4);
