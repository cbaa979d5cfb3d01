//! Paths as the kernel's dentries say them, after every symlink was followed: a walk from the file up to the task's root.

use aya_ebpf::{helpers::generated::bpf_probe_read_kernel, macros::map, maps::PerCpuArray};
use sensor_common::{Text, text};

use super::{Ptr, Task, knob, offset};
use crate::record::{Record, append_with};

/// Stretches of [`STRIDE`] components after which a path is cut (its beginning is lost, and the text says so): 48 components.
/// Deeper paths exist, but nothing that rules name lies there.
const STRETCHES: u32 = 12;
/// Components that one call of [`path_stretch`] walks over. The verifier walks through each of them, once.
const STRIDE: u32 = 4;
/// What [`path_stretch`] returns while the way goes on; no text has such flags.
const ON: u32 = 1 << 16;
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
    /// Where the walk stands, the root of the mount there, and where it is to end.
    at: Path,
    mnt_root: u64,
    root: Path,
}

#[map]
static PATH_BUFFER: PerCpuArray<PathBuffer> = PerCpuArray::with_max_entries(4, 0);

/// `struct path`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Path {
    pub(crate) mnt: u64,
    pub(crate) dentry: u64,
}

/// `d_parent` and the `qstr` that follows it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Dentry {
    pub(super) parent: u64,
    /// The length is the upper half on little-endian machines; a name has at most 255 bytes.
    pub(super) hash_len: u64,
    pub(super) name: u64,
}

/// Appends a path as the task sees it.
#[inline(always)]
pub(crate) fn append_path(record: &mut Record, task: Task, path: Path) -> Option<Text> {
    let root: Path = task.field(offset!(task_fs))?.probe(offset!(fs_root))?;
    let text = record_append_path(record.slot(), path.mnt, path.dentry, root.mnt, root.dentry);
    let text = Text { len: text as u16, flags: (text >> 16) as u16 };
    if text.flags & text::FAULT != 0 { None } else { Some(text) }
}

/// [`append_path`] as a function that the verifier checks once, with any arguments, and not again for every state of every
/// caller: inlined, a program with two paths went over the limit of a million instructions.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn record_append_path(slot: u32, mnt: u64, dentry: u64, root_mnt: u64, root_dentry: u64) -> u32 {
    let fault = u32::from(text::FAULT) << 16;
    let Some(buffer) = PATH_BUFFER.get_ptr_mut(slot) else { return fault };
    let Some(mnt_root) = Ptr::from_u64(mnt).probe(offset!(vfsmount_root)) else { return fault };
    // SAFETY: the buffer is this slot's own until the record is written.
    unsafe {
        (&raw mut (*buffer).start).write_volatile(LENGTH);
        (*buffer).at = Path { mnt, dentry };
        (*buffer).mnt_root = mnt_root;
        (*buffer).root = Path { mnt: root_mnt, dentry: root_dentry };
    }
    let ended = (0..STRETCHES).map(|_| path_stretch(slot)).find(|ended| *ended != ON);
    let flags = ended.unwrap_or(u32::from(text::TRUNCATED)) << 16;
    if flags == fault {
        return fault;
    }
    // SAFETY: the buffer is this slot's own until the record is written.
    let start = unsafe { (&raw const (*buffer).start).read_volatile() };
    // SAFETY: `append_with` gives a destination that has room for the length; the source is inside the buffer.
    let read = |to, len| unsafe {
        if start >= LENGTH {
            // Nothing was written: the file is the root itself.
            return bpf_probe_read_kernel(to, 1, c"/".as_ptr().cast());
        }
        bpf_probe_read_kernel(to, len, (&raw const (*buffer).bytes).cast::<u8>().add(start as usize).cast())
    };
    let len = if start >= LENGTH { 1 } else { LENGTH - start };
    append_with(slot, len, false, read) | flags
}

/// Appends the working directory.
#[inline(always)]
pub(crate) fn append_cwd(record: &mut Record, task: Task) -> Option<Text> {
    let cwd: Path = task.field(offset!(task_fs))?.probe(offset!(fs_pwd))?;
    append_path(record, task, cwd)
}

/// Appends the directory at which a relative name starts: the working directory, or the one behind `dirfd`.
#[inline(always)]
pub(crate) fn append_relative_dir(record: &mut Record, task: Task, dirfd: i32) -> Option<Text> {
    if dirfd == sensor_common::CALLER_DIR {
        return append_cwd(record, task);
    }
    append_path(record, task, super::fd_file(task, dirfd)?.path)
}

/// Writes some components into the buffer of this slot, right-aligned. Returns [`ON`], or what is odd about the whole path. A
/// function, so that the verifier walks through it once: one loop over all 48 took 12 000 instructions in each program.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn path_stretch(slot: u32) -> u32 {
    let Some(buffer) = PATH_BUFFER.get_ptr_mut(slot) else { return u32::from(text::FAULT) };
    // SAFETY: the map's memory, which is this slot's own until the record is written.
    let (at, mnt_root, root) = unsafe { (&mut (*buffer).at, &mut (*buffer).mnt_root, (*buffer).root) };
    for _ in 0..STRIDE {
        let ended = step(buffer, at, mnt_root, root).unwrap_or(u32::from(text::FAULT));
        if ended != ON {
            return ended;
        }
    }
    ON
}

#[inline(always)]
fn step(buffer: *mut PathBuffer, at: &mut Path, mnt_root: &mut u64, root: Path) -> Option<u32> {
    if *at == root {
        return Some(0);
    }
    if at.dentry == *mnt_root {
        let mount = Ptr::from_u64(at.mnt.wrapping_sub(u64::from(offset!(mount_mnt))));
        let parent: u64 = mount.probe(offset!(mount_parent))?;
        if parent == mount.0 as u64 {
            return Some(u32::from(text::DETACHED));
        }
        at.dentry = mount.probe(offset!(mount_point))?;
        at.mnt = parent.wrapping_add(u64::from(offset!(mount_mnt)));
        *mnt_root = Ptr::from_u64(at.mnt).probe(offset!(vfsmount_root))?;
        return Some(ON);
    }
    let read = read_dentry(at.dentry)?;
    let alone = read.parent == at.dentry;
    if !prepend(buffer, read, alone) {
        return Some(u32::from(text::TRUNCATED));
    }
    if alone {
        // A file of no directory: memfd, pipe, or one of a filesystem that is mounted nowhere.
        return Some(u32::from(text::DETACHED));
    }
    at.dentry = read.parent;
    Some(ON)
}

#[inline(always)]
pub(super) fn read_dentry(dentry: u64) -> Option<Dentry> {
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
        let at = (start - len - 1) & (LENGTH - 1);
        bytes.add(at as usize).write_volatile(b'/');
        (&raw mut (*buffer).start).write_volatile(at);
    }
    true
}
