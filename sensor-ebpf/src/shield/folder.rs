//! The folder in which the sensor pins: what is in it is removed and moved by the sensor alone.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use sensor_common::{
    CALLER_DIR, FileChange, Kind,
    shield::{FOLDER, Shielded},
};

use super::{Caller, REFUSED, is_of, object::SHIELDED, refused, usual};
use crate::{
    filter::note_refusal,
    kernel::{Ptr, offset},
    record::{Record, emit},
    syscall::{Call, write_removed, write_renamed},
};

/// Where alone things are pinned.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

#[lsm(hook = "inode_unlink")]
fn shield_unlink(ctx: LsmContext) -> i32 {
    let before: i32 = ctx.arg(2);
    if before != 0 {
        return before;
    }
    remove(Ptr(ctx.arg::<*const u8>(0)), Ptr(ctx.arg::<*const u8>(1)))
}

#[lsm(hook = "inode_rmdir")]
fn shield_rmdir(ctx: LsmContext) -> i32 {
    let before: i32 = ctx.arg(2);
    if before != 0 {
        return before;
    }
    remove(Ptr(ctx.arg::<*const u8>(0)), Ptr(ctx.arg::<*const u8>(1)))
}

/// Out of the folder, into it over something, or the folder itself.
#[lsm(hook = "inode_rename")]
fn shield_rename(ctx: LsmContext) -> i32 {
    let before: i32 = ctx.arg(4);
    if before != 0 {
        return before;
    }
    let old = is_ours(Ptr(ctx.arg::<*const u8>(0)), Ptr(ctx.arg::<*const u8>(1)));
    let new = || is_ours(Ptr(ctx.arg::<*const u8>(2)), Ptr(ctx.arg::<*const u8>(3)));
    if !(old || new()) || Caller::current() == Caller::Sensor {
        return 0;
    }
    tell(Kind::FileRename)
}

#[inline(always)]
fn remove(dir: Ptr, entry: Ptr) -> i32 {
    if !is_ours(dir, entry) || Caller::current() == Caller::Sensor {
        return 0;
    }
    tell(Kind::FileRemove)
}

/// Whether an entry is in a shielded folder, or is one.
#[inline(always)]
fn is_ours(dir: Ptr, entry: Ptr) -> bool {
    let Some(sb) = dir.probe_ptr(offset!(inode_sb)) else { return false };
    if sb.probe::<u64>(offset!(sb_magic)) != Some(BPF_FS_MAGIC) {
        return false;
    }
    let Some(dev) = sb.probe::<u32>(offset!(sb_dev)) else { return false };
    is_folder(dev, dir) || entry.probe_ptr(offset!(dentry_inode)).is_some_and(|inode| is_folder(dev, inode))
}

#[inline(always)]
fn is_folder(dev: u32, inode: Ptr) -> bool {
    let Some(id) = inode.probe::<u64>(offset!(inode_ino)) else { return false };
    // SAFETY: the value is not looked at.
    unsafe { SHIELDED.get(Shielded { kind: FOLDER, dev, id }) }.is_some()
}

/// As in [`super::tell`]; by a ring of `io_uring` without the names, whose end then is told of, too.
#[inline(always)]
fn tell(kind: Kind) -> i32 {
    let Some(call) = Call::current().filter(|call| is_of(kind, call.number())) else {
        emit::<FileChange>(kind, |record| {
            refused(record, usual(kind));
            by_caller(record);
            Some(())
        });
        return REFUSED;
    };
    note_refusal();
    emit::<FileChange>(kind, |record| {
        refused(record, call.number());
        by_caller(record);
        if matches!(kind, Kind::FileRename) {
            write_renamed(record, call)
        } else {
            write_removed(record, call)
        }
        Some(())
    });
    REFUSED
}

/// Relative names start where the caller is, until one says otherwise.
#[inline(always)]
fn by_caller(record: &mut Record) {
    record.body::<FileChange>().dirfd = CALLER_DIR;
    record.body::<FileChange>().new_dirfd = CALLER_DIR;
}
