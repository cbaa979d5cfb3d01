//! The arguments of calls that make a descriptor the same as another.

use super::{Argument, res};
use crate::{
    event::{Detail, Dup, Event, EventType, flags},
    rule::value::Out,
};

fn dup(event: &Event, read: fn(&Dup) -> i64) -> Option<i64> {
    match &event.detail {
        Detail::Dup(dup) => Some(read(dup)),
        _ => None,
    }
}

fn old_fd(event: &Event, out: &mut Out<'_>) -> bool {
    out.maybe_number(dup(event, |dup| dup.old_fd.into()))
}

fn new_fd(event: &Event, out: &mut Out<'_>) -> bool {
    out.maybe_number(dup(event, |dup| dup.fd.into()))
}

fn dup_flags(event: &Event, out: &mut Out<'_>) -> bool {
    let table = if event.event_type == EventType::Fcntl { flags::FCNTL } else { flags::FD_FLAGS };
    dup(event, |dup| dup.flags.into()).is_some_and(|flags| out.flags(table, flags.cast_unsigned(), "|"))
}

super::argument_tables! {
    DUP = ["res" => res, "oldfd" => old_fd];
    DUP2 = ["res" => res, "oldfd" => old_fd, "newfd" => new_fd];
    DUP3 = ["res" => res, "oldfd" => old_fd, "newfd" => new_fd, "flags" => dup_flags];
    FCNTL = ["res" => res, "fd" => old_fd, "cmd" => dup_flags];
}

/// The arguments of an event type of this family.
pub(super) const fn table(event_type: EventType) -> &'static [Argument] {
    match event_type {
        EventType::Dup => DUP,
        EventType::Dup2 => DUP2,
        EventType::Dup3 => DUP3,
        _ => FCNTL,
    }
}
