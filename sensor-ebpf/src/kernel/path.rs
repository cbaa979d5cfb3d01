//! Paths as the kernel's dentries say them, after every symlink was followed: a walk from the file up to the task's root.

use aya_ebpf::{helpers::generated::bpf_probe_read_kernel, macros::map, maps::PerCpuArray};
use sensor_common::{Text, text};

use super::{Ptr, Task, knob, offset};
use crate::record::Record;

/// Components after which a path is cut (its beginning is lost, and the text says so). Deeper paths exist, but nothing
/// that rules name lies there, and each step is checked by the verifier.
const DEPTH: u32 = 48;
/// Longest path (`PATH_MAX`).
const LENGTH: u32 = 4096;

/// Room for a path that is written from its end to its beginning, and for the longest name ahead of it.
#[repr(C)]
struct PathBuffer {
    bytes: [u8; LENGTH as usize + 256],
    /// Where the path begins. It lives in map memory so that the verifier forgets its value from one step to the next:
    /// kept in a register, each step would double the states ("the sequence of 8193 jumps is too complex").
    start: u32,
    reserved: u32,
}

#[map]
static PATH_BUFFER: PerCpuArray<PathBuffer> = PerCpuArray::with_max_entries(4, 0);

/// `struct path`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
struct Path {
    mnt: u64,
    dentry: u64,
}

/// `d_parent` and the `qstr` that follows it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Dentry {
    parent: u64,
    hash_len: u64,
    name: u64,
}

/// Appends the path of the `struct path` that lies at `at` to the record.
#[inline(always)]
pub(crate) fn append_path(record: &mut Record, task: Task, at: Ptr) -> Option<Text> {
    let path: Path = at.probe(0)?;
    let root: Path = task.field(offset!(task_fs))?.probe(offset!(fs_root))?;
    let flags = walk_path(record.slot(), path.mnt, path.dentry, root.mnt, root.dentry) as u16;
    let buffer = PATH_BUFFER.get_ptr_mut(record.slot())?;
    // SAFETY: the buffer is this slot's own until the record is written.
    let start = unsafe { (&raw const (*buffer).start).read_volatile() } & (LENGTH - 1);
    let mut len = LENGTH - start;
    // SAFETY: the offset is inside the buffer.
    let mut from = unsafe { (&raw const (*buffer).bytes).cast::<u8>().add(start as usize) };
    if start == 0 {
        // Nothing was written: the file is the root itself. (A full buffer also starts at 0, but is flagged.)
        if flags & text::TRUNCATED == 0 {
            from = c"/".as_ptr().cast();
            len = 1;
        }
    }
    Some(record.append_kernel(Ptr(from), len, LENGTH, flags))
}

/// Appends the working directory.
#[inline(always)]
pub(crate) fn append_cwd(record: &mut Record, task: Task) -> Option<Text> {
    let fs = task.field(offset!(task_fs))?;
    append_path(record, task, Ptr(fs.0.wrapping_add(offset!(fs_pwd) as usize)))
}

/// Appends the directory at which a relative name starts: the working directory, or the one behind `dirfd`.
#[inline(always)]
pub(crate) fn append_relative_dir(record: &mut Record, task: Task, dirfd: i32) -> Option<Text> {
    if dirfd == sensor_common::CALLER_DIR {
        return append_cwd(record, task);
    }
    let file = super::fd_file(task, dirfd)?;
    append_path(record, task, file.path())
}

/// [`walk`] as a function that the verifier checks once, with any arguments, and not again for every state of every caller:
/// inlined, a program with two paths went over the limit of a million instructions.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_path(slot: u32, mnt: u64, dentry: u64, root_mnt: u64, root_dentry: u64) -> u64 {
    let Some(buffer) = PATH_BUFFER.get_ptr_mut(slot) else { return u64::from(text::FAULT) };
    let root = Path { mnt: root_mnt, dentry: root_dentry };
    u64::from(walk(buffer, Path { mnt, dentry }, root).unwrap_or(text::FAULT))
}

/// Writes the path into the buffer, right-aligned, and says what is odd about it.
#[inline(always)]
fn walk(buffer: *mut PathBuffer, path: Path, root: Path) -> Option<u16> {
    // SAFETY: the map's memory; the position is masked before each use.
    let start = unsafe { &raw mut (*buffer).start };
    // SAFETY: as above.
    unsafe { start.write_volatile(LENGTH) };
    let Path { mut mnt, mut dentry } = path;
    let mut mnt_root: u64 = Ptr::from_u64(mnt).probe(offset!(vfsmount_root))?;
    for _ in 0..DEPTH {
        if dentry == root.dentry && mnt == root.mnt {
            return Some(0);
        }
        if dentry == mnt_root {
            let mount = Ptr::from_u64(mnt.wrapping_sub(u64::from(offset!(mount_mnt))));
            let parent: u64 = mount.probe(offset!(mount_parent))?;
            if parent == mount.0 as u64 {
                return Some(text::DETACHED);
            }
            dentry = mount.probe(offset!(mount_point))?;
            mnt = parent.wrapping_add(u64::from(offset!(mount_mnt)));
            mnt_root = Ptr::from_u64(mnt).probe(offset!(vfsmount_root))?;
            continue;
        }
        let step = read_dentry(dentry)?;
        let alone = step.parent == dentry;
        if !prepend(buffer, step, alone) {
            return Some(text::TRUNCATED);
        }
        if alone {
            // A file of no directory: memfd, pipe, or one of a filesystem that is mounted nowhere.
            return Some(text::DETACHED);
        }
        dentry = step.parent;
    }
    Some(text::TRUNCATED)
}

#[inline(always)]
fn read_dentry(dentry: u64) -> Option<Dentry> {
    let dentry = Ptr::from_u64(dentry);
    if knob!(dentry_packed) != 0 {
        return dentry.probe(offset!(dentry_parent));
    }
    Some(Dentry {
        parent: dentry.probe(offset!(dentry_parent))?,
        hash_len: dentry.probe(offset!(dentry_name))?,
        name: dentry.probe(offset!(dentry_name) + 8)?,
    })
}

/// Puts `/name` before what the buffer holds; false where there is no room for it.
#[inline(always)]
fn prepend(buffer: *mut PathBuffer, step: Dentry, alone: bool) -> bool {
    // SAFETY: the map's memory.
    let start = unsafe { (&raw const (*buffer).start).read_volatile() };
    // The length is the upper half of `hash_len` on little-endian machines; a name has at most 255 bytes.
    let len = (step.hash_len >> 32) as u32 & 0xff;
    if start <= len {
        return false;
    }
    // SAFETY: the position is below LENGTH and the name below 256 bytes, which is what the buffer has room for.
    unsafe {
        let bytes = (&raw mut (*buffer).bytes).cast::<u8>();
        let at = (start - len) & (LENGTH - 1);
        // `start` may be LENGTH itself, and an empty name leaves it there: the mask then points at 0, unused.
        bpf_probe_read_kernel(bytes.add(at as usize).cast(), len, step.name as *const _);
        // The root of a filesystem is called "/".
        if alone && len == 1 && bytes.add(at as usize).read_volatile() == b'/' {
            return true;
        }
        let at = (start - len).wrapping_sub(1) & (LENGTH - 1);
        bytes.add(at as usize).write_volatile(b'/');
        (&raw mut (*buffer).start).write_volatile(at);
    }
    true
}
