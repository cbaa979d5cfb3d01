//! Fields of what a descriptor stands for, file or socket alike.

use super::{fields, socket};
use crate::{
    event::{Change, Detail, Event, EventType, File, Text},
    rule::value::Out,
};

const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFIFO: u32 = 0o010_000;

/// Whether a change was made through a descriptor: only such an event has the fields of one.
const fn on_descriptor(event: &Event) -> bool {
    matches!(event.event_type, EventType::Fchmod | EventType::Fchown)
}

/// The descriptor, or the negative errno of the call that should have made it.
fn number(event: &Event) -> Option<i64> {
    match &event.detail {
        Detail::Open(_) => Some(event.result),
        Detail::Change(change) => on_descriptor(event).then_some(i64::from(change.dirfd)),
        Detail::Socket(socket) => Some(i64::from(socket.fd)),
        Detail::Dup(dup) => Some(if event.failed() { event.result } else { dup.fd.into() }),
        Detail::Call(call) => match event.event_type {
            EventType::FinitModule | EventType::Setns => call.args.first().copied(),
            _ => makes(event.event_type).map(|_| event.result),
        },
        _ => None,
    }
}

/// Type and letter of the descriptor that a call makes which makes one and says so with numbers alone.
const fn makes(event_type: EventType) -> Option<(&'static str, &'static str)> {
    Some(match event_type {
        EventType::MemfdCreate => ("memfd", "m"),
        EventType::Bpf => ("bpf", "b"),
        EventType::Userfaultfd => ("userfaultfd", "u"),
        EventType::IoUringSetup => ("io_uring", "r"),
        EventType::PerfEventOpen => ("event", "e"),
        EventType::PidfdGetfd => ("file", "f"),
        _ => return None,
    })
}

fn file(event: &Event) -> Option<File> {
    match &event.detail {
        Detail::Open(open) => open.file,
        Detail::Change(change) => change.file,
        Detail::Dup(dup) => dup.file,
        Detail::Call(call) => call.file,
        _ => None,
    }
}

/// Type and its one-letter form.
pub(super) fn kind(event: &Event) -> Option<(&'static str, &'static str)> {
    match &event.detail {
        Detail::Open(open) if open.file.is_some_and(|file| file.mode & S_IFMT == S_IFDIR) => {
            Some(("directory", "d"))
        }
        Detail::Open(_) => Some(("file", "f")),
        Detail::Call(call) if call.file.is_none() => makes(event.event_type),
        Detail::Dup(dup) if dup.socket.is_some() => socket::socket(event).and_then(socket::kind),
        Detail::Change(_) | Detail::Dup(_) | Detail::Call(_) => Some(match file(event)?.mode & S_IFMT {
            S_IFDIR => ("directory", "d"),
            S_IFIFO => ("fifo", "p"),
            _ => ("file", "f"),
        }),
        _ => socket::socket(event).and_then(socket::kind),
    }
}

/// A path and what was asked for, of an event on a file.
fn path(event: &Event) -> Option<&[u8]> {
    match &event.detail {
        Detail::Open(open) => Some(open.path.as_bytes()).filter(|path| !path.is_empty()),
        Detail::Change(change) if on_descriptor(event) => {
            Some(change.path.as_bytes()).filter(|path| !path.is_empty())
        }
        Detail::Dup(dup) => Some(dup.path.as_bytes()).filter(|path| !path.is_empty()),
        Detail::Call(call) => {
            let name = if event.event_type == EventType::MemfdCreate { &call.text } else { &call.path };
            Some(name.as_bytes()).filter(|path| !path.is_empty())
        }
        _ => None,
    }
}

/// A file's path, a unix socket's path, or `client:port->server:port`.
pub(super) fn show_name(event: &Event, out: &mut Out<'_>) -> bool {
    if socket::show_name(event, out) {
        return true;
    }
    out.maybe(path(event))
}

/// Everything before the last slash; `/` for what lies in the root.
fn directory(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) => b"/",
        Some(at) => path.get(..at).unwrap_or_default(),
        None => b"",
    }
}

/// Everything behind the last slash.
pub(in crate::rule) fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// An event with one path, as rules on any of them see it: the path, and the caller's words.
fn one_path(event: &Event) -> Option<(&Text, &Text)> {
    match &event.detail {
        Detail::Open(open) => Some((&open.path, open.name.as_ref().unwrap_or(&open.path))),
        Detail::Change(change @ Change { new_path: None, .. }) => {
            let name = if change.name.is_empty() { &change.path } else { &change.name };
            Some((&change.path, name))
        }
        _ => None,
    }
}

/// An event with two: where something comes from and where it goes. A symbolic link comes from its own path and goes where
/// it points.
fn two_paths(event: &Event) -> Option<[(&Text, &Text); 2]> {
    let Detail::Change(change) = &event.detail else { return None };
    let old = (&change.path, &change.name);
    let new = (change.new_path.as_ref()?, change.new_name.as_ref()?);
    match event.event_type {
        EventType::Symlink | EventType::Symlinkat => Some([new, old]),
        _ => Some([old, new]),
    }
}

fields! {
    FIELDS;
    /// Descriptor; a negative errno where an open failed.
    "fd.num" Number None FD => |event, _, out| out.maybe_number(number(event));
    /// `file`, `directory`, `fifo`, `ipv4`, `ipv6`, `unix`, `memfd`, `bpf` …
    "fd.type" Text None FD => |event, _, out| out.maybe(kind(event).map(|(name, _)| name.as_bytes()));
    /// `f`, `d`, `p`, `4`, `6`, `u`, `m`, `b` …
    "fd.typechar" Text None FD => |event, _, out| out.maybe(kind(event).map(|(_, letter)| letter.as_bytes()));
    /// A file's path, a unix socket's path, or `client:port->server:port`.
    "fd.name" Text None FD => |event, _, out| show_name(event, out);
    /// The same before links were followed, where that is known.
    "fd.nameraw" Text None FD => |event, _, out| match &event.detail {
        Detail::Open(open) => out.known(open.name.as_ref().unwrap_or(&open.path).as_bytes()),
        _ => show_name(event, out),
    };
    /// Directory of a file.
    "fd.directory" Text None FILE => |event, _, out| path(event).is_some_and(|path| out.known(directory(path)));
    /// File name without its directory.
    "fd.filename" Text None FILE => |event, _, out| path(event).is_some_and(|path| out.known(file_name(path)));
    /// Inode number of a file or a socket.
    "fd.ino" Number None FD => |event, _, out| match socket::socket(event) {
        Some(socket) => out.wide(socket.ino),
        None => file(event).is_some_and(|file| out.wide(file.ino)),
    };
    /// Device number of a file.
    "fd.dev" Number None FILE => |event, _, out| file(event).is_some_and(|file| out.number(file.dev));
    /// Whether the file was opened in the overlay's upper layer.
    "fd.is_upper_layer" Bool None OPEN => |event, _, out| {
        file(event).is_some_and(|file| out.bool(file.layer == crate::event::Layer::Upper))
    };
    /// Whether the file was opened in the overlay's lower layer.
    "fd.is_lower_layer" Bool None OPEN => |event, _, out| {
        file(event).is_some_and(|file| out.bool(file.layer == crate::event::Layer::Lower))
    };
    /// Path that a call opens, removes, makes or changes.
    "fs.path.name" Text None PATH => |event, _, out| one_path(event).is_some_and(|(path, _)| out.known(path.as_bytes()));
    /// The same in the caller's words.
    "fs.path.nameraw" Text None PATH => |event, _, out| one_path(event).is_some_and(|(_, name)| out.known(name.as_bytes()));
    /// What a call renames or links to; of a symbolic link its own path.
    "fs.path.source" Text None TWO_PATHS => |event, _, out| two_paths(event).is_some_and(|[(path, _), _]| out.known(path.as_bytes()));
    /// The same in the caller's words.
    "fs.path.sourceraw" Text None TWO_PATHS => |event, _, out| two_paths(event).is_some_and(|[(_, name), _]| out.known(name.as_bytes()));
    /// The new name that a call gives; of a symbolic link what it points to, as given.
    "fs.path.target" Text None TWO_PATHS => |event, _, out| two_paths(event).is_some_and(|[_, (path, _)]| out.known(path.as_bytes()));
    /// The same in the caller's words.
    "fs.path.targetraw" Text None TWO_PATHS => |event, _, out| two_paths(event).is_some_and(|[_, (_, name)]| out.known(name.as_bytes()));
}
