//! Names that callers pass, each with the directory at which it starts.

use sensor_common::{CALLER_DIR, FileChange, Text, syscalls, text};

use super::Call;
use crate::{
    kernel::{Task, append_relative_dir},
    record::{Record, Str},
};

/// Longest path (`PATH_MAX`).
pub(crate) const PATH: u32 = 4096;

/// A name, and the directory at which it starts where it is relative.
pub(crate) struct Name {
    pub(crate) dirfd: i32,
    pub(crate) name: Str,
}

impl Name {
    /// Argument `n`, relative to the working directory.
    #[inline(always)]
    pub(crate) fn of(call: Call, n: u32) -> Self {
        Self { dirfd: CALLER_DIR, name: Str::user(call.arg(n)) }
    }

    /// Argument `n + 1`, relative to the directory that is argument `n`.
    #[inline(always)]
    pub(crate) fn at(call: Call, n: u32) -> Self {
        Self { dirfd: call.arg(n) as i32, name: Str::user(call.arg(n + 1)) }
    }

    /// Makes it the record's `name`.
    #[inline(always)]
    pub(crate) fn write_old(self, record: &mut Record, task: Task) {
        record.body::<FileChange>().dirfd = self.dirfd;
        let (name, dir) = self.append(record, task);
        let body = record.body::<FileChange>();
        body.name = name;
        body.dir = dir;
    }

    /// Makes it the record's `new_name`.
    #[inline(always)]
    pub(crate) fn write_new(self, record: &mut Record, task: Task) {
        record.body::<FileChange>().new_dirfd = self.dirfd;
        let (name, dir) = self.append(record, task);
        let body = record.body::<FileChange>();
        body.new_name = name;
        body.new_dir = dir;
    }

    /// Makes it the record's `name` as text that starts nowhere: what a symbolic link holds, the source of a mount. A null
    /// pointer is an empty one.
    #[inline(always)]
    pub(crate) fn write_text(self, record: &mut Record) {
        if !self.name.is_none() {
            let name = record.append_str(self.name, PATH);
            record.body::<FileChange>().name = name;
        }
    }

    /// The name and, where it is relative, its directory; one that cannot be resolved is marked as such.
    #[inline(always)]
    fn append(self, record: &mut Record, task: Task) -> (Text, Text) {
        let text = record.append_str(self.name, PATH);
        if self.name.is_absolute() {
            return (text, Text { len: 0, flags: 0 });
        }
        let unknown = Text { len: 0, flags: text::FAULT };
        (text, append_relative_dir(record, task, self.dirfd).unwrap_or(unknown))
    }
}

/// What a call that removes a name was given.
#[inline(always)]
pub(crate) fn write_removed(record: &mut Record, call: Call) {
    if call.number() == syscalls::UNLINKAT {
        record.body::<FileChange>().flags = call.arg(2) as u32;
        Name::at(call, 0).write_old(record, call.task);
    } else {
        Name::of(call, 0).write_old(record, call.task);
    }
}

/// What a call that moves a name was given.
#[inline(always)]
pub(crate) fn write_renamed(record: &mut Record, call: Call) {
    let (old, new, flags) = match call.number() {
        syscalls::RENAMEAT2 => (Name::at(call, 0), Name::at(call, 2), call.arg(4)),
        syscalls::RENAMEAT => (Name::at(call, 0), Name::at(call, 2), 0),
        _ => (Name::of(call, 0), Name::of(call, 1), 0),
    };
    record.body::<FileChange>().flags = flags as u32;
    old.write_old(record, call.task);
    new.write_new(record, call.task);
}
