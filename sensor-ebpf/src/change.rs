//! Names that are removed, moved and made, and files whose mode or owner changes.
//!
//! Since 5.5 as BTF programs, when the call ends, failed or not. What a name led to is not at hand there any more, so a
//! record has the caller's string (another thread may have changed it meanwhile) and, for a relative one, the directory at
//! which it starts, from the kernel's dentries. Symlinks stay unresolved.

mod refuse;
mod uring;

use sensor_common::{CALLER_DIR, FileChange, Kind, syscalls};

use crate::{
    filter::was_refused,
    kernel::{append_path, fd_file},
    record::{Ending, Record, emit_call, filtered},
    syscall::{Call, Name, on_end, write_removed, write_renamed},
};

#[inline(always)]
fn file_remove(call: Call) {
    if was_refused(call.result()) {
        return filtered(Kind::FileRemove);
    }
    change(call, Kind::FileRemove, |record| {
        write_removed(record, call);
        Some(())
    })
}

on_end!(sx_file_remove, fx_file_remove, file_remove);

#[inline(always)]
fn file_rename(call: Call) {
    if was_refused(call.result()) {
        return filtered(Kind::FileRename);
    }
    change(call, Kind::FileRename, |record| {
        write_renamed(record, call);
        Some(())
    })
}

on_end!(sx_file_rename, fx_file_rename, file_rename);

/// What a symbolic link holds is text and no path: it is not resolved at any directory.
#[inline(always)]
fn file_link(call: Call) {
    if was_refused(call.result()) {
        return filtered(Kind::FileLink);
    }
    change(call, Kind::FileLink, |record| {
        let (old, new, flags) = match call.number() {
            syscalls::LINKAT => (Name::at(call, 0), Name::at(call, 2), call.arg(4)),
            syscalls::SYMLINKAT => (Name::of(call, 0), Name::at(call, 1), 0),
            _ => (Name::of(call, 0), Name::of(call, 1), 0),
        };
        record.body::<FileChange>().flags = flags as u32;
        if call.number() == syscalls::LINK || call.number() == syscalls::LINKAT {
            old.write_old(record, call.task);
        } else {
            old.write_text(record);
        }
        new.write_new(record, call.task);
        Some(())
    })
}

on_end!(sx_file_link, fx_file_link, file_link);

#[inline(always)]
fn file_make(call: Call) {
    change(call, Kind::FileMake, |record| {
        let (name, mode, dev) = match call.number() {
            syscalls::MKNODAT => (Name::at(call, 0), call.arg(2), call.arg(3)),
            syscalls::MKDIRAT => (Name::at(call, 0), call.arg(2), 0),
            syscalls::MKNOD => (Name::of(call, 0), call.arg(1), call.arg(2)),
            _ => (Name::of(call, 0), call.arg(1), 0),
        };
        let body = record.body::<FileChange>();
        // The kernel knows 16 bits of a mode (`umode_t`).
        body.mode = mode as u32 & 0xffff;
        body.dev = dev as u32;
        name.write_old(record, call.task);
        Some(())
    })
}

on_end!(sx_file_make, fx_file_make, file_make);

#[inline(always)]
fn file_mode(call: Call) {
    change(call, Kind::FileMode, |record| {
        let (name, mode, flags) = match call.number() {
            syscalls::FCHMODAT2 => (Name::at(call, 0), call.arg(2), call.arg(3)),
            syscalls::FCHMODAT => (Name::at(call, 0), call.arg(2), 0),
            _ => (Name::of(call, 0), call.arg(1), 0),
        };
        let body = record.body::<FileChange>();
        body.mode = mode as u32 & 0xffff;
        body.flags = flags as u32;
        if call.number() == syscalls::FCHMOD {
            return descriptor(record, call);
        }
        name.write_old(record, call.task);
        Some(())
    })
}

on_end!(sx_file_mode, fx_file_mode, file_mode);

#[inline(always)]
fn file_owner(call: Call) {
    change(call, Kind::FileOwner, |record| {
        let (name, uid, gid, flags) = match call.number() {
            syscalls::FCHOWNAT => (Name::at(call, 0), call.id(2), call.id(3), call.arg(4)),
            _ => (Name::of(call, 0), call.id(1), call.id(2), 0),
        };
        let body = record.body::<FileChange>();
        body.uid = uid;
        body.gid = gid;
        body.flags = flags as u32;
        if call.number() == syscalls::FCHOWN {
            return descriptor(record, call);
        }
        name.write_old(record, call.task);
        Some(())
    })
}

on_end!(sx_file_owner, fx_file_owner, file_owner);

#[inline(always)]
fn change(ending: impl Into<Ending>, kind: Kind, fill: impl FnOnce(&mut Record) -> Option<()>) {
    emit_call::<FileChange>(kind, ending, |record| {
        by_caller(record);
        fill(record)
    });
}

/// Relative names start where the caller is, until one says otherwise.
#[inline(always)]
fn by_caller(record: &mut Record) {
    record.body::<FileChange>().dirfd = CALLER_DIR;
    record.body::<FileChange>().new_dirfd = CALLER_DIR;
}

/// A call on a descriptor: its file, whose path is the kernel's own. One that is not open leaves its number.
#[inline(always)]
fn descriptor(record: &mut Record, call: Call) -> Option<()> {
    let fd = call.arg(0) as i32;
    record.body::<FileChange>().dirfd = fd;
    let Some(file) = fd_file(call.task, fd) else { return Some(()) };
    let valid = file.identify(&mut record.body::<FileChange>().file)?;
    record.header().valid |= valid;
    let path = append_path(record, call.task, file.path)?;
    record.body::<FileChange>().dir = path;
    Some(())
}
