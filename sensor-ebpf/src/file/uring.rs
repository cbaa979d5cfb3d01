//! Files that are opened through `io_uring`: into a descriptor, or into a slot of the ring's own table.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use sensor_common::{FileOpen, Kind, filter::NO_FACTS, syscalls, uring};

use super::{Request, append_dir, append_name, ask, opened, refused};
use crate::{
    kernel::offset,
    record::{emit_call, filtered},
    uring::Operation,
};

#[inline(always)]
fn syscall(operation: u32) -> u32 {
    if operation == uring::OPENAT2 { syscalls::OPENAT2 } else { syscalls::OPENAT }
}

/// Since 6.0. What one would learn by the name alone (what it led to is not known yet) where there will be no completion.
#[btf_tracepoint(function = "io_uring_submit_req")]
fn us_file_open(ctx: BtfTracePointContext) -> i32 {
    let Some(operation) = Operation::submitted(&ctx, syscall) else { return 0 };
    let _ = operation.remember(offset!(open_name), None);
    if operation.is_silent() {
        by_name(operation);
    }
    0
}

/// Since 6.0. What was opened is in the caller's table, or in the ring's.
#[btf_tracepoint(function = "io_uring_complete")]
fn ur_file_open(ctx: BtfTracePointContext) -> i32 {
    let Some(operation) = Operation::completed(&ctx, syscall) else { return 0 };
    let ending = operation.ending;
    let terms = ending.wanted(Kind::FileOpen, NO_FACTS);
    if terms.is_none() {
        filtered(Kind::FileOpen);
    } else if ending.result < 0 {
        refused(ending, terms, || request(operation));
    } else {
        match operation.opened(operation.get(offset!(open_slot))) {
            Some(file) => {
                let request = request(operation);
                opened(ending, terms, request.facts(file.f_mode), || request, file);
            }
            // Another thread took it out of the table again.
            None => by_name(operation),
        }
    }
    operation.forget();
    0
}

/// Tells of a file of which only the name is known.
#[inline(always)]
fn by_name(operation: Operation) {
    emit_call::<FileOpen>(Kind::FileOpen, operation.ending, |record| {
        let request = request(operation);
        ask(record, request);
        append_name(record, request);
        append_dir(record, operation.ending.task, request);
        Some(())
    });
}

#[inline(always)]
fn request(operation: Operation) -> Request {
    // `struct open_how`: flags, mode, resolve.
    let how = offset!(open_how);
    Request {
        dirfd: operation.get(offset!(open_dirfd)),
        name: operation.name(offset!(open_name), false),
        flags: operation.get::<u64>(how) as u32,
        mode: operation.get::<u64>(how + 8) as u32,
        resolve: operation.get(how + 16),
    }
}
