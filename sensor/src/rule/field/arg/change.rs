//! The arguments of calls that change names and files, mounts and roots included.

use super::{Argument, descriptor, res};
use crate::{
    event::{Change, Detail, Event, EventType, Text, flags},
    rule::value::Out,
};

const fn change(event: &Event) -> Option<&Change> {
    match &event.detail {
        Detail::Change(change) => Some(change),
        _ => None,
    }
}

fn path(event: &Event, out: &mut Out<'_>) -> bool {
    change(event).is_some_and(|change| out.known(change.path.as_bytes()))
}

fn new_path(event: &Event, out: &mut Out<'_>) -> bool {
    let path = change(event).and_then(|change| change.new_path.as_ref());
    path.is_some_and(|path| out.known(Text::as_bytes(path)))
}

fn fd(event: &Event, out: &mut Out<'_>) -> bool {
    change(event).is_some_and(|change| out.number(change.dirfd))
}

fn dirfd(event: &Event, out: &mut Out<'_>) -> bool {
    change(event).is_some_and(|change| descriptor(change.dirfd, out))
}

fn new_dirfd(event: &Event, out: &mut Out<'_>) -> bool {
    change(event).and_then(|change| change.new_dirfd).is_some_and(|dirfd| descriptor(dirfd, out))
}

fn mode(event: &Event, out: &mut Out<'_>) -> bool {
    change(event)
        .and_then(|change| change.mode)
        .is_some_and(|mode| out.flags(mode_flags(event.event_type), mode.into(), "|"))
}

/// The bits of a mode argument: that of `mknod` also says the type.
pub(crate) const fn mode_flags(event_type: EventType) -> &'static [flags::Flag] {
    match event_type {
        EventType::Mknod | EventType::Mknodat => flags::NODE,
        _ => flags::MODE,
    }
}

/// The bits of a flags argument.
pub(crate) const fn call_flags(event_type: EventType) -> &'static [flags::Flag] {
    match event_type {
        EventType::Renameat2 => flags::RENAME,
        EventType::Mount => flags::MOUNT,
        EventType::Umount2 => flags::UMOUNT,
        EventType::MoveMount => flags::MOVE_MOUNT,
        _ => flags::AT,
    }
}

fn at_flags(event: &Event, out: &mut Out<'_>) -> bool {
    change(event).is_some_and(|change| out.flags(call_flags(event.event_type), change.flags.into(), "|"))
}

fn uid(event: &Event, out: &mut Out<'_>) -> bool {
    change(event).is_some_and(|change| out.maybe_number(change.uid))
}

fn gid(event: &Event, out: &mut Out<'_>) -> bool {
    change(event).is_some_and(|change| out.maybe_number(change.gid))
}

fn dev(event: &Event, out: &mut Out<'_>) -> bool {
    change(event).is_some_and(|change| out.maybe_number(change.dev))
}

fn fs_type(event: &Event, out: &mut Out<'_>) -> bool {
    let name = change(event).and_then(|change| change.fs_type.as_ref());
    name.is_some_and(|name| out.known(Text::as_bytes(name)))
}

super::argument_tables! {
    UNLINK = ["res" => res, "path" => path];
    UNLINKAT = ["res" => res, "dirfd" => dirfd, "name" => path, "flags" => at_flags];
    RENAME = ["res" => res, "oldpath" => path, "newpath" => new_path];
    RENAMEAT = [
        "res" => res, "olddirfd" => dirfd, "oldpath" => path, "newdirfd" => new_dirfd, "newpath" => new_path,
    ];
    RENAMEAT2 = [
        "res" => res, "olddirfd" => dirfd, "oldpath" => path, "newdirfd" => new_dirfd, "newpath" => new_path,
        "flags" => at_flags,
    ];
    MKDIR = ["res" => res, "path" => path, "mode" => mode];
    MKDIRAT = ["res" => res, "dirfd" => dirfd, "path" => path, "mode" => mode];
    MKNOD = ["res" => res, "path" => path, "mode" => mode, "dev" => dev];
    MKNODAT = ["res" => res, "dirfd" => dirfd, "path" => path, "mode" => mode, "dev" => dev];
    LINKAT = [
        "res" => res, "olddir" => dirfd, "oldpath" => path, "newdir" => new_dirfd, "newpath" => new_path,
        "flags" => at_flags,
    ];
    SYMLINK = ["res" => res, "target" => path, "linkpath" => new_path];
    SYMLINKAT = ["res" => res, "target" => path, "linkdirfd" => new_dirfd, "linkpath" => new_path];
    CHMOD = ["res" => res, "filename" => path, "mode" => mode];
    FCHMOD = ["res" => res, "fd" => fd, "mode" => mode];
    FCHMODAT = ["res" => res, "dirfd" => dirfd, "filename" => path, "mode" => mode];
    FCHMODAT2 = ["res" => res, "dirfd" => dirfd, "filename" => path, "mode" => mode, "flags" => at_flags];
    CHOWN = ["res" => res, "path" => path, "uid" => uid, "gid" => gid];
    FCHOWN = ["res" => res, "fd" => fd, "uid" => uid, "gid" => gid];
    FCHOWNAT = [
        "res" => res, "dirfd" => dirfd, "pathname" => path, "uid" => uid, "gid" => gid, "flags" => at_flags,
    ];
    MOUNT = ["res" => res, "dev" => path, "dir" => new_path, "type" => fs_type, "flags" => at_flags];
    MOVE_MOUNT = [
        "res" => res, "from_dirfd" => dirfd, "from_path" => path, "to_dirfd" => new_dirfd, "to_path" => new_path,
        "flags" => at_flags,
    ];
    UMOUNT = ["res" => res, "name" => path];
    UMOUNT2 = ["res" => res, "name" => path, "flags" => at_flags];
    PIVOT_ROOT = ["res" => res, "new_root" => path, "put_old" => new_path];
}

/// The arguments of an event type of this family.
pub(super) const fn table(event_type: EventType) -> &'static [Argument] {
    match event_type {
        EventType::Unlink | EventType::Rmdir | EventType::Chroot => UNLINK,
        EventType::Unlinkat => UNLINKAT,
        // A hard link has the same.
        EventType::Rename | EventType::Link => RENAME,
        EventType::Renameat => RENAMEAT,
        EventType::Renameat2 => RENAMEAT2,
        EventType::Mkdir => MKDIR,
        EventType::Mkdirat => MKDIRAT,
        EventType::Mknod => MKNOD,
        EventType::Mknodat => MKNODAT,
        EventType::Linkat => LINKAT,
        EventType::Symlink => SYMLINK,
        EventType::Symlinkat => SYMLINKAT,
        EventType::Chmod => CHMOD,
        EventType::Fchmod => FCHMOD,
        EventType::Fchmodat => FCHMODAT,
        EventType::Fchmodat2 => FCHMODAT2,
        EventType::Chown | EventType::Lchown => CHOWN,
        EventType::Fchown => FCHOWN,
        EventType::Fchownat => FCHOWNAT,
        EventType::Mount => MOUNT,
        EventType::MoveMount => MOVE_MOUNT,
        EventType::Umount => UMOUNT,
        EventType::Umount2 => UMOUNT2,
        EventType::PivotRoot => PIVOT_ROOT,
        _ => &[],
    }
}
