//! Fields of the event itself.

use super::{arg, fields, not_carried};
use crate::{
    event::{Category, Detail, Event, errno_name},
    rule::value::{Clock, Value},
};

/// The name of a result: `SUCCESS`, or the errno's.
pub(super) fn result_name(result: i64) -> Option<&'static str> {
    if result >= 0 { Some("SUCCESS") } else { errno_name(u32::try_from(-result).ok()?) }
}

/// Access mode and what decides over it.
const O_ACCMODE: u32 = 3;
const O_PATH: u32 = 0o10_000_000;

/// Whether an open file can be used as `wanted` says: an open that failed, or of the path alone, can be used for
/// nothing.
fn opened(event: &Event, wanted: fn(u32) -> bool) -> Option<bool> {
    match &event.detail {
        Detail::Open(open) => {
            Some(!event.failed() && open.flags & O_PATH == 0 && wanted(open.flags & O_ACCMODE))
        }
        _ => None,
    }
}

fields! {
    FIELDS;
    /// Counts the events of this run from 1.
    "evt.num" Number None ALL => |event, _, out| out.wide(event.number);
    /// Time of day, UTC.
    "evt.time" Text None ALL => |event, _, out| out.value(Value::Time(event.time, Clock::Time));
    /// Time of day without fractions.
    "evt.time.s" Text None ALL => |event, _, out| out.value(Value::Time(event.time, Clock::Seconds));
    /// Date and time.
    "evt.time.iso8601" Text None ALL => |event, _, out| out.value(Value::Time(event.time, Clock::Iso8601));
    /// Date and time with a blank between.
    "evt.datetime" Text None ALL => |event, _, out| out.value(Value::Time(event.time, Clock::DateTime));
    /// Nanoseconds since 1970.
    "evt.rawtime" Number None ALL => |event, _, out| out.wide(event.time);
    /// Seconds since 1970.
    "evt.rawtime.s" Number None ALL => |event, _, out| out.wide(event.time / 1_000_000_000);
    /// Fraction of the second, nanoseconds.
    "evt.rawtime.ns" Number None ALL => |event, _, out| out.wide(event.time % 1_000_000_000);
    /// What happened: the name of the system call, or `procexit`.
    "evt.type" Text None ALL => |event, _, out| out.text(event.event_type.name().as_bytes());
    /// Direction: always `<`, the event tells of a call that has returned.
    "evt.dir" Text None ALL => |_, _, out| out.text(b"<");
    /// Family: `process`, `file`, `net` or `other`.
    "evt.category" Text None ALL => |event, _, out| out.text(match event.event_type.category() {
        Category::Process => b"process",
        Category::File => b"file",
        Category::Network => b"net",
        Category::Privilege | Category::Sensor => b"other",
    });
    /// CPU on which it happened.
    "evt.cpu" Number None ALL => |event, _, out| out.number(event.cpu);
    /// Always 1, so that events can be added up.
    "evt.count" Number None ALL => |_, _, out| out.number(1);
    /// Where the event comes from: `syscall`.
    "evt.source" Text None ALL => |_, _, out| out.text(b"syscall");
    /// Result: `SUCCESS`, or the name of the error.
    "evt.res" Text None CALLS => |event, _, out| out.maybe(result_name(event.result).map(str::as_bytes));
    /// Result as a number, a negative errno where the call failed.
    "evt.rawres" Number None CALLS => |event, _, out| out.number(event.result);
    /// Whether the call failed.
    "evt.failed" Bool None CALLS => |event, _, out| out.bool(event.failed());
    /// Whether a file was opened so that it can be read.
    "evt.is_open_read" Bool None OPEN => |event, _, out| {
        opened(event, |mode| mode == 0 || mode == 2).is_some_and(|read| out.bool(read))
    };
    /// Whether a file was opened so that it can be written.
    "evt.is_open_write" Bool None OPEN => |event, _, out| {
        opened(event, |mode| mode == 1 || mode == 2).is_some_and(|write| out.bool(write))
    };
    /// Whether a new file was opened that may be executed.
    "evt.is_open_exec" Bool None OPEN => |event, _, out| match &event.detail {
        Detail::Open(open) => out.bool(open.created && !event.failed() && open.mode & 0o111 != 0),
        _ => false,
    };
    /// Whether it was asked for through `io_uring` (its `evt.type` is the system call that means the same). Not in Falco.
    "evt.is_io_uring" Bool None ALL => |event, _, out| out.bool(event.io_uring);
    /// An argument of the event, by name (`evt.arg.flags`, `evt.arg[flags]`) or place (`evt.arg[0]`).
    "evt.arg" Any EventArg ALL => arg::read;
    /// The argument as a number where it is one; the same as `evt.arg` otherwise.
    "evt.rawarg" Any EventArg ALL => arg::read;
    /// All arguments, as `name=value`.
    "evt.args" Text None CALLS => |event, _, out| out.rendered(|to| arg::write_all(event, to));
    /// The same as `evt.args`.
    "evt.info" Text None CALLS => |event, _, out| out.rendered(|to| arg::write_all(event, to));
}

not_carried! {
    NOT_CARRIED;
    /// Data that was read or written.
    "evt.buffer" Text None;
    /// Length of the data that was read or written.
    "evt.buflen" Number None;
    /// The machine's name.
    "evt.hostname" Text None;
    /// Whether the event was made by a plugin.
    "evt.is_async" Bool None;
    /// Path of an `*at` call made absolute.
    "evt.abspath" Text Key;
}
