//! What was done to names and files.

use super::{Built, Draft, Pair, unsettable};
use crate::{
    event::{Change, Detail, EventType, File, Text},
    rule::field::{call_flags, mode_flags},
};

/// A change of this type with nothing in it yet: what its call has an argument for is there, and zero.
pub(super) fn empty(event_type: EventType) -> Change {
    use EventType as E;
    let two = matches!(
        event_type,
        E::Rename
            | E::Renameat
            | E::Renameat2
            | E::Link
            | E::Linkat
            | E::Symlink
            | E::Symlinkat
            | E::Mount
            | E::MoveMount
            | E::PivotRoot
    );
    let mode = matches!(
        event_type,
        E::Mkdir | E::Mkdirat | E::Mknod | E::Mknodat | E::Chmod | E::Fchmod | E::Fchmodat | E::Fchmodat2
    );
    let owner = matches!(event_type, E::Chown | E::Lchown | E::Fchown | E::Fchownat);
    let fd = matches!(event_type, E::Fchmod | E::Fchown);
    Change {
        new_path: two.then(Text::default),
        new_name: two.then(Text::default),
        new_dirfd: two.then_some(-100),
        dirfd: if fd { 3 } else { -100 },
        file: fd.then(File::default),
        mode: mode.then_some(0),
        uid: owner.then_some(u32::MAX),
        gid: owner.then_some(u32::MAX),
        dev: matches!(event_type, E::Mknod | E::Mknodat).then_some(0),
        ..Change::default()
    }
}

impl Draft {
    pub(super) fn set_change(&mut self, pair: &Pair<'_>) -> Built<()> {
        let event_type = self.event.event_type;
        let Detail::Change(change) = &mut self.event.detail else { return unsettable(pair) };
        let text = || Text::from(pair.text.as_str());
        let symlink = matches!(event_type, EventType::Symlink | EventType::Symlinkat);
        // Which of two paths a field means: the one that is there already, or the new one.
        let is_new = match pair.name {
            "evt.arg.newpath" | "evt.arg.linkpath" | "evt.arg.dir" | "evt.arg.to_path"
            | "evt.arg.put_old" => true,
            "fs.path.target" | "fs.path.targetraw" => !symlink,
            "fs.path.source" | "fs.path.sourceraw" => symlink,
            _ => false,
        };
        match pair.name {
            "evt.arg.dev" if change.dev.is_some() => change.dev = Some(pair.number()?),
            "evt.arg.path" | "evt.arg.name" | "evt.arg.filename" | "evt.arg.pathname" | "evt.arg.oldpath"
            | "evt.arg.newpath" | "evt.arg.target" | "evt.arg.linkpath" | "evt.arg.dev" | "evt.arg.dir"
            | "evt.arg.from_path" | "evt.arg.to_path" | "evt.arg.new_root" | "evt.arg.put_old"
            | "fs.path.name" | "fs.path.source" | "fs.path.target" | "fd.name" => {
                if is_new {
                    (change.new_path, change.new_name) = (Some(text()), Some(text()));
                } else {
                    change.path = text();
                }
            }
            "fs.path.nameraw" | "fs.path.sourceraw" | "fs.path.targetraw" => {
                if is_new {
                    change.new_name = Some(text());
                } else {
                    change.name = text();
                }
            }
            "fd.directory" | "fd.filename" => {}
            "fd.typechar" | "fd.type" => {
                let directory = matches!(pair.text.as_str(), "d" | "directory");
                change.file = Some(File { mode: if directory { 0o040_755 } else { 0 }, ..File::default() });
            }
            "evt.arg.fd" | "fd.num" => change.dirfd = pair.number()?,
            "evt.arg.dirfd" | "evt.arg.olddirfd" | "evt.arg.olddir" => change.dirfd = directory(pair)?,
            "evt.arg.newdirfd" | "evt.arg.newdir" | "evt.arg.linkdirfd" => {
                change.new_dirfd = Some(directory(pair)?);
            }
            "evt.arg.flags" => change.flags = pair.flags(call_flags(event_type))? as u32,
            "evt.arg.mode" => change.mode = Some(pair.flags(mode_flags(event_type))? as u32),
            "evt.arg.uid" => change.uid = Some(pair.number()?),
            "evt.arg.gid" => change.gid = Some(pair.number()?),
            "evt.arg.type" => change.fs_type = Some(text()),
            _ => return unsettable(pair),
        }
        Ok(())
    }
}

fn directory(pair: &Pair<'_>) -> Built<i32> {
    if pair.text == "AT_FDCWD" { Ok(-100) } else { pair.number() }
}
