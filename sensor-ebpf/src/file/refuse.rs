//! Files that must not be opened: refused before the caller gets a descriptor.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use sensor_common::{CALLER_DIR, FileOpen, Kind, flags, verdict::OPEN};

use super::Request;
use crate::{
    filter::Case,
    kernel::{File, Ptr, Task, append_path, offset},
    record::{Str, emit, peek},
    syscall::opening,
};

/// Of a file's flags: opened by the kernel, to run it. That is no open of anybody's.
const FMODE_EXEC: u32 = 0o40;
/// `-EPERM`.
const REFUSED: i32 = -1;

/// Since 5.7, where the kernel was started with BPF among its security modules. Every way to open a file leads here, also
/// operations through `io_uring`; what was created is there by now, and empty.
#[lsm(hook = "file_open")]
fn lsm_file_open(ctx: LsmContext) -> i32 {
    let before: i32 = ctx.arg(1);
    if before != 0 {
        return before;
    }
    if refuse(Ptr(ctx.arg::<*const u8>(0))) { REFUSED } else { 0 }
}

#[inline(always)]
fn refuse(at: Ptr) -> bool {
    let case = Case::of(OPEN);
    if case.is_none() {
        return false;
    }
    let Some(open_flags) = at.probe::<u32>(offset!(file_flags)) else { return false };
    if open_flags & FMODE_EXEC != 0 {
        return false;
    }
    let task = Task::current();
    let case = case.of_comm(task.comm());
    if case.is_none() {
        return false;
    }
    let Some(file) = File::read(at) else { return false };
    let request = Request { dirfd: CALLER_DIR, name: Str::NONE, flags: open_flags, mode: 0, resolve: 0 };
    let case = case.of_file(request.verdict_facts(file), file.path);
    if case.is_none() {
        return false;
    }
    let refused = peek::<u64>(|record| match append_path(record, task, file.path) {
        Some(path) => case.of_path::<u64>(record, path).refuses(),
        None => false,
    });
    if refused {
        tell(task, request, file);
    }
    refused
}

/// The record of the open that would have been.
#[inline(always)]
fn tell(task: Task, request: Request, file: File) {
    emit::<FileOpen>(Kind::FileOpen, |record| {
        let path = append_path(record, task, file.path)?;
        super::ask(record, request);
        let body = record.body::<FileOpen>();
        body.path = path;
        body.f_mode = file.f_mode;
        let valid = file.identify(&mut body.file)?;
        let header = record.header();
        header.valid |= valid;
        header.flags |= flags::REFUSED;
        header.syscall = opening(task);
        Some(())
    });
}
