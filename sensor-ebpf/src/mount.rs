//! What is mounted and unmounted, and roots that change.
//!
//! Since 5.5 as BTF programs, when the call ends, failed or not; names are the caller's strings, as in every change of
//! names. The directory of a relative name is the one after the call: behind `chroot` and `pivot_root` it is seen from the
//! new root. Missed: what the new mount calls (`fsconfig`, `fsmount`) prepare; `move_mount` is where it gets a place.

use sensor_common::{CALLER_DIR, FileChange, Kind, Mount, syscalls};

use crate::{
    record::{Record, emit_call},
    syscall::{Call, Name, on_end},
};

/// Longest name of a filesystem's type that is copied; those of the kernel have fewer than 20 bytes.
const FS_TYPE: u32 = 64;
const MS_BIND: u32 = 0x1000;
const MS_MOVE: u32 = 0x2000;

/// The source of a mount is a path where that is bound or moved, and any text otherwise.
#[inline(always)]
fn mount_attach(call: Call) {
    emit_call::<Mount>(Kind::MountAttach, call, |record| {
        begin(record);
        if call.number() == syscalls::MOVE_MOUNT {
            record.body::<FileChange>().flags = call.arg(4) as u32;
            Name::at(call, 0).write_old(record, call.task);
            Name::at(call, 2).write_new(record, call.task);
            return Some(());
        }
        let flags = call.arg(3) as u32;
        record.body::<FileChange>().flags = flags;
        if flags & (MS_BIND | MS_MOVE) != 0 {
            Name::of(call, 0).write_old(record, call.task);
        } else {
            Name::of(call, 0).write_text(record);
        }
        Name::of(call, 1).write_new(record, call.task);
        if call.arg(2) != 0 {
            let fs_type = record.append_user_str(call.arg(2), FS_TYPE);
            record.body::<Mount>().fs_type = fs_type;
        }
        Some(())
    });
}

on_end!(sx_mount_attach, fx_mount_attach, mount_attach);

#[inline(always)]
fn mount_detach(call: Call) {
    emit_call::<FileChange>(Kind::MountDetach, call, |record| {
        begin(record);
        if call.number() == syscalls::UMOUNT2 {
            record.body::<FileChange>().flags = call.arg(1) as u32;
        }
        Name::of(call, 0).write_old(record, call.task);
        Some(())
    });
}

on_end!(sx_mount_detach, fx_mount_detach, mount_detach);

#[inline(always)]
fn mount_root(call: Call) {
    emit_call::<FileChange>(Kind::MountRoot, call, |record| {
        begin(record);
        Name::of(call, 0).write_old(record, call.task);
        if call.number() == syscalls::PIVOT_ROOT {
            Name::of(call, 1).write_new(record, call.task);
        }
        Some(())
    });
}

on_end!(sx_mount_root, fx_mount_root, mount_root);

#[inline(always)]
fn begin(record: &mut Record) {
    let body = record.body::<FileChange>();
    body.dirfd = CALLER_DIR;
    body.new_dirfd = CALLER_DIR;
}
