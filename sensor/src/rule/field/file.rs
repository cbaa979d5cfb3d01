//! Fields of what a descriptor stands for, file or socket alike.

use super::{fields, socket};
use crate::event::{Detail, Event, File};

const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;

/// The descriptor, or the negative errno of the call that should have made it.
fn number(event: &Event) -> Option<i64> {
    match &event.detail {
        Detail::Open(_) => Some(event.result),
        Detail::Socket(socket) => Some(i64::from(socket.fd)),
        _ => None,
    }
}

fn file(event: &Event) -> Option<File> {
    match &event.detail {
        Detail::Open(open) => open.file,
        _ => None,
    }
}

/// Type and its one-letter form.
fn kind(event: &Event) -> Option<(&'static str, &'static str)> {
    match &event.detail {
        Detail::Open(open) if open.file.is_some_and(|file| file.mode & S_IFMT == S_IFDIR) => {
            Some(("directory", "d"))
        }
        Detail::Open(_) => Some(("file", "f")),
        Detail::Socket(socket) => socket::kind(socket),
        _ => None,
    }
}

/// A path and what was asked for, of an event on a file.
fn path(event: &Event) -> Option<&[u8]> {
    match &event.detail {
        Detail::Open(open) => Some(open.path.as_bytes()).filter(|path| !path.is_empty()),
        _ => None,
    }
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

fields! {
    FIELDS;
    /// Descriptor; a negative errno where an open failed.
    "fd.num" Number None FD => |event, _, out| out.maybe_number(number(event));
    /// `file`, `directory`, `ipv4`, `ipv6` or `unix`.
    "fd.type" Text None FD => |event, _, out| out.maybe(kind(event).map(|(name, _)| name.as_bytes()));
    /// `f`, `d`, `4`, `6` or `u`.
    "fd.typechar" Text None FD => |event, _, out| out.maybe(kind(event).map(|(_, letter)| letter.as_bytes()));
    /// A file's path, a unix socket's path, or `client:port->server:port`.
    "fd.name" Text None FD => |event, _, out| match &event.detail {
        Detail::Open(open) => out.known(open.path.as_bytes()),
        Detail::Socket(_) => socket::show_name(event, out),
        _ => false,
    };
    /// The same before links were followed, where that is known.
    "fd.nameraw" Text None FD => |event, _, out| match &event.detail {
        Detail::Open(open) => out.known(open.name.as_ref().unwrap_or(&open.path).as_bytes()),
        Detail::Socket(_) => socket::show_name(event, out),
        _ => false,
    };
    /// Directory of a file.
    "fd.directory" Text None FILE => |event, _, out| path(event).is_some_and(|path| out.known(directory(path)));
    /// File name without its directory.
    "fd.filename" Text None FILE => |event, _, out| path(event).is_some_and(|path| out.known(file_name(path)));
    /// Inode number of a file or a socket.
    "fd.ino" Number None FD => |event, _, out| match &event.detail {
        Detail::Socket(socket) => out.wide(socket.ino),
        _ => file(event).is_some_and(|file| out.wide(file.ino)),
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
}
