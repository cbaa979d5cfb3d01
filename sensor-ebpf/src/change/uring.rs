//! Names that are removed, moved and made through `io_uring`, since 6.0: when the operation is completed, with the names that
//! were remembered at its submission; at the submission itself where there will be no completion.
//!
//! The names are the kernel's own copies: no other thread can have changed them.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use sensor_common::{CALLER_DIR, FileChange, Kind, syscalls, uring};

use super::change;
use crate::{kernel::offset, record::Record, syscall::Name, uring::Operation};

/// Both programs of a kind.
macro_rules! programs {
    ($submit:ident $complete:ident $kind:ident $syscall:expr, $fill:ident, $first:ident $($second:ident)?) => {
        #[btf_tracepoint(function = "io_uring_submit_req")]
        fn $submit(ctx: BtfTracePointContext) -> i32 {
            let Some(operation) = Operation::submitted(&ctx, $syscall) else { return 0 };
            let second = None$(.or(Some(offset!($second))))?;
            let _ = operation.remember(offset!($first), second);
            if operation.is_silent() {
                change(operation.ending, Kind::$kind, |record| $fill(operation, record));
            }
            0
        }

        #[btf_tracepoint(function = "io_uring_complete")]
        fn $complete(ctx: BtfTracePointContext) -> i32 {
            let Some(operation) = Operation::completed(&ctx, $syscall) else { return 0 };
            change(operation.ending, Kind::$kind, |record| $fill(operation, record));
            operation.forget();
            0
        }
    };
}

programs!(us_file_remove ur_file_remove FileRemove |_| syscalls::UNLINKAT, remove, unlink_name);
programs!(us_file_rename ur_file_rename FileRename |_| syscalls::RENAMEAT2, rename, rename_old rename_new);
programs!(us_file_link ur_file_link FileLink link_call, link, link_old link_new);
programs!(us_file_make ur_file_make FileMake |_| syscalls::MKDIRAT, make, mkdir_name);

#[inline(always)]
fn link_call(operation: u32) -> u32 {
    if operation == uring::SYMLINKAT { syscalls::SYMLINKAT } else { syscalls::LINKAT }
}

#[inline(always)]
fn remove(operation: Operation, record: &mut Record) -> Option<()> {
    record.body::<FileChange>().flags = operation.get(offset!(unlink_flags));
    let name = operation.name(offset!(unlink_name), false);
    Name { dirfd: operation.get(offset!(unlink_dirfd)), name }.write_old(record, operation.ending.task);
    Some(())
}

#[inline(always)]
fn rename(operation: Operation, record: &mut Record) -> Option<()> {
    record.body::<FileChange>().flags = operation.get(offset!(rename_flags));
    let name = operation.name(offset!(rename_old), false);
    Name { dirfd: operation.get(offset!(rename_old_dirfd)), name }.write_old(record, operation.ending.task);
    let name = operation.name(offset!(rename_new), true);
    Name { dirfd: operation.get(offset!(rename_new_dirfd)), name }.write_new(record, operation.ending.task);
    Some(())
}

#[inline(always)]
fn link(operation: Operation, record: &mut Record) -> Option<()> {
    let task = operation.ending.task;
    let name = operation.name(offset!(link_old), false);
    if operation.ending.number == syscalls::SYMLINKAT {
        // What it holds is text, and starts nowhere.
        Name { dirfd: CALLER_DIR, name }.write_text(record);
    } else {
        record.body::<FileChange>().flags = operation.get(offset!(link_flags));
        Name { dirfd: operation.get(offset!(link_old_dirfd)), name }.write_old(record, task);
    }
    let name = operation.name(offset!(link_new), true);
    Name { dirfd: operation.get(offset!(link_new_dirfd)), name }.write_new(record, task);
    Some(())
}

#[inline(always)]
fn make(operation: Operation, record: &mut Record) -> Option<()> {
    record.body::<FileChange>().mode = u32::from(operation.get::<u16>(offset!(mkdir_mode)));
    let name = operation.name(offset!(mkdir_name), false);
    Name { dirfd: operation.get(offset!(mkdir_dirfd)), name }.write_old(record, operation.ending.task);
    Some(())
}
