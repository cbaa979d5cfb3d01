//! The arguments of DNS messages.

use super::Argument;
use crate::{
    event::{Detail, Event},
    rule::{
        field::{Arg, find},
        value::Out,
    },
};

/// An argument that is a field as well.
fn field(name: &str, event: &Event, out: &mut Out<'_>) -> bool {
    find(name).is_some_and(|field| (field.extract)(event, &Arg::None, out))
}

/// Several values as one text.
fn list(event: &Event, out: &mut Out<'_>, write: impl FnOnce(&crate::event::Dns) -> String) -> bool {
    match &event.detail {
        Detail::Dns(dns) => {
            let text = write(dns);
            out.known(text.as_bytes())
        }
        _ => false,
    }
}

super::argument_tables! {
    /// Of `dns`.
    DNS = [
        "question" => |event, out| field("dns.question", event, out),
        "type" => |event, out| field("dns.type", event, out),
        "answer" => |event, out| field("dns.answer", event, out),
        "rcode" => |event, out| field("dns.rcode", event, out),
        "names" => |event, out| list(event, out, |dns| {
            dns.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        }),
        "addresses" => |event, out| list(event, out, |dns| {
            dns.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        }),
        "id" => |event, out| field("dns.id", event, out),
        "tuple" => super::tuple,
    ];
}

pub(super) const fn table() -> &'static [Argument] {
    DNS
}
