//! Names that must not be removed: refused while they still lead to their files.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use sensor_common::{
    FileChange, Kind, flags, syscalls,
    verdict::{REMOVE, facts},
};

use crate::{
    filter::{Case, note_refusal},
    kernel::{Path, Ptr, Task, append_path},
    record::{emit, peek},
};

/// `-EPERM`.
const REFUSED: i32 = -1;
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
    refuse(Ptr(ctx.arg::<*const u8>(0)), Ptr(ctx.arg::<*const u8>(1)), 0)
}

/// The same of directories.
#[lsm(hook = "path_rmdir")]
fn lsm_path_rmdir(ctx: LsmContext) -> i32 {
    let before: i32 = ctx.arg(2);
    if before != 0 {
        return before;
    }
    refuse(Ptr(ctx.arg::<*const u8>(0)), Ptr(ctx.arg::<*const u8>(1)), AT_REMOVEDIR)
}

#[inline(always)]
fn refuse(dir: Ptr, name: Ptr, asked: u32) -> i32 {
    let case = Case::of(REMOVE);
    if case.is_none() {
        return 0;
    }
    let (Some(mnt), Some(dentry)) = (dir.probe::<u64>(0), name.number()) else { return 0 };
    let (task, path) = (Task::current(), Path { mnt, dentry });
    let call = task.syscall().filter(|number| is_removal(*number));
    let by_rmdir = call == Some(syscalls::RMDIR);
    let case = case.of_comm(task.comm()).of_file(if by_rmdir { facts::RMDIR } else { 0 }, path);
    if case.is_none() {
        return 0;
    }
    let refused = peek::<u64>(|record| match append_path(record, task, path) {
        Some(path) => case.of_path::<u64>(record, path).refuses_unnoted(),
        None => false,
    });
    if !refused {
        return 0;
    }
    // The end of an operation of a ring tells nothing of the call that this thread may be in.
    if call.is_some() {
        note_refusal();
    }
    tell(task, path, call.unwrap_or(syscalls::UNLINKAT), asked);
    REFUSED
}

#[inline(always)]
fn is_removal(number: u32) -> bool {
    matches!(number, syscalls::UNLINK | syscalls::UNLINKAT | syscalls::RMDIR)
}

/// The record of the removal that would have been. Its name is the one by which it was decided: the kernel's.
#[inline(always)]
fn tell(task: Task, path: Path, call: u32, asked: u32) {
    emit::<FileChange>(Kind::FileRemove, |record| {
        super::by_caller(record);
        let name = append_path(record, task, path)?;
        let body = record.body::<FileChange>();
        body.name = name;
        body.flags = if call == syscalls::UNLINKAT { asked } else { 0 };
        let header = record.header();
        header.flags |= flags::REFUSED;
        header.syscall = call as u16;
        Some(())
    });
}
