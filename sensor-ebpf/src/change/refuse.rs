//! Names that must not be removed, moved, linked or taken: refused while they still lead to their files.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use sensor_common::{
    FileChange, Kind, flags, syscalls,
    verdict::{LINK, MOVE, REMOVE, facts},
};

use crate::{
    filter::{Case, note_refusal},
    kernel::{Path, Ptr, Task, append_path},
    record::{Record, emit, peek},
};

/// `-EPERM`.
const REFUSED: i32 = -1;
/// No call's number. (Where an empty option would do, its payload is read all the same: "invalid read from stack" on 6.1.)
const NONE: u32 = u32::MAX;
/// `unlinkat` of a directory.
const AT_REMOVEDIR: u32 = 0x200;

/// Since 5.7, where the kernel was started with BPF among its security modules and built with those that go by paths
/// (`CONFIG_SECURITY_PATH`). Both ways lead here that remove a name which is no directory's, also through `io_uring`.
#[lsm(hook = "path_unlink")]
fn lsm_path_unlink(ctx: LsmContext) -> i32 {
    let before: i32 = ctx.arg(2);
    if before != 0 {
        return before;
    }
    refuse(|| entry(&ctx, 0, 1), 0)
}

/// The same of directories.
#[lsm(hook = "path_rmdir")]
fn lsm_path_rmdir(ctx: LsmContext) -> i32 {
    let before: i32 = ctx.arg(2);
    if before != 0 {
        return before;
    }
    refuse(|| entry(&ctx, 0, 1), AT_REMOVEDIR)
}

/// Since 5.7 likewise. Before 5.19 the kernel asks of an exchange in both directions.
#[lsm(hook = "path_rename")]
fn lsm_path_rename(ctx: LsmContext) -> i32 {
    // Before 5.19 the flags are what a program before this one said: zero, as none is asked behind one that refused.
    refuse_pair(MOVE, Kind::FileRename, || (entry(&ctx, 0, 1), entry(&ctx, 2, 3)), ctx.arg(4))
}

/// The old name has no directory of its own here: the kernel links within one mount only.
#[lsm(hook = "path_link")]
fn lsm_path_link(ctx: LsmContext) -> i32 {
    let before: i32 = ctx.arg(3);
    if before != 0 {
        return before;
    }
    refuse_pair(LINK, Kind::FileLink, || (entry(&ctx, 1, 0), entry(&ctx, 1, 2)), 0)
}

/// What stands at an entry (argument `dentry`) of a mount, which is that of a directory (argument `dir`). Zeros where that cannot
/// be read, of which no path is had.
#[inline(always)]
fn entry(ctx: &LsmContext, dir: usize, dentry: usize) -> Path {
    let (dir, dentry) = (Ptr(ctx.arg::<*const u8>(dir)), Ptr(ctx.arg::<*const u8>(dentry)));
    Path { mnt: dir.probe::<u64>(0).unwrap_or(0), dentry: dentry.number().unwrap_or(0) }
}

#[inline(always)]
fn refuse(name: impl FnOnce() -> Path, asked: u32) -> i32 {
    let case = Case::of(REMOVE);
    if case.is_none() {
        return 0;
    }
    let (path, task) = (name(), Task::current());
    let call = call_of(task, REMOVE);
    let case = case.of_comm(task.comm());
    if !refuses(case, task, if call == syscalls::RMDIR { facts::RMDIR } else { 0 }, path) {
        return 0;
    }
    noted(call);
    emit::<FileChange>(Kind::FileRemove, |record| {
        let call = if call == NONE { syscalls::UNLINKAT } else { call };
        tell(record, call, if call == syscalls::UNLINKAT { asked } else { 0 });
        record.body::<FileChange>().name = append_path(record, task, path)?;
        Some(())
    });
    REFUSED
}

/// Of an act on two names, each of which may be what is not to be touched.
#[inline(always)]
fn refuse_pair(class: u32, kind: Kind, names: impl FnOnce() -> (Path, Path), asked: u32) -> i32 {
    let case = Case::of(class);
    if case.is_none() {
        return 0;
    }
    let ((old, new), task) = (names(), Task::current());
    let case = case.of_comm(task.comm());
    if !refuses(case, task, 0, old) && !refuses(case, task, facts::TARGET, new) {
        return 0;
    }
    let call = call_of(task, class);
    noted(call);
    emit::<FileChange>(kind, |record| {
        let usual = if class == MOVE { syscalls::RENAMEAT2 } else { syscalls::LINKAT };
        tell(record, if call == NONE { usual } else { call }, asked);
        record.body::<FileChange>().name = append_path(record, task, old)?;
        record.body::<FileChange>().new_name = append_path(record, task, new)?;
        Some(())
    });
    REFUSED
}

#[inline(always)]
fn refuses(case: Case, task: Task, facts: u32, path: Path) -> bool {
    let case = case.of_file(facts, path);
    if case.is_none() {
        return false;
    }
    peek::<u64>(|record| match append_path(record, task, path) {
        Some(path) => case.of_path::<u64>(record, path).refuses_unnoted(),
        None => false,
    })
}

/// The end of an operation of a ring tells nothing of the call that this thread may be in.
#[inline(always)]
fn noted(call: u32) {
    if call != NONE {
        note_refusal();
    }
}

/// The call that the task is in, if it is one of those that a class is about, else [`NONE`].
#[inline(always)]
fn call_of(task: Task, class: u32) -> u32 {
    let call = task.syscall().unwrap_or(NONE);
    if is_of(call, class) { call } else { NONE }
}

#[inline(always)]
fn is_of(call: u32, class: u32) -> bool {
    match class {
        REMOVE => matches!(call, syscalls::UNLINK | syscalls::UNLINKAT | syscalls::RMDIR),
        MOVE => matches!(call, syscalls::RENAME | syscalls::RENAMEAT | syscalls::RENAMEAT2),
        _ => matches!(call, syscalls::LINK | syscalls::LINKAT),
    }
}

/// Begins the record of what would have been. Its names are those by which it was decided: the kernel's.
#[inline(always)]
fn tell(record: &mut Record, call: u32, asked: u32) {
    super::by_caller(record);
    record.body::<FileChange>().flags = asked;
    let header = record.header();
    header.flags |= flags::REFUSED;
    header.syscall = call as u16;
}
