//! Fields of DNS queries and answers.

use super::fields;
use crate::event::{Detail, Dns, Event, Text};

fn dns(event: &Event) -> Option<&Dns> {
    match &event.detail {
        Detail::Dns(dns) => Some(dns),
        _ => None,
    }
}

fn bytes(text: &Option<Text>) -> Option<&[u8]> {
    text.as_ref().map(Text::as_bytes)
}

fields! {
    FIELDS;
    /// The name that is asked for, in lower case and without a dot at its end. Missing where the message is no DNS.
    "dns.question" Text None DNS => |event, _, out| out.maybe(dns(event).and_then(|dns| bytes(&dns.question)));
    /// What is asked of the name: `A`, `AAAA`, `TXT`, `MX`, …
    "dns.type" Text None DNS => |event, _, out| dns(event).is_some_and(|dns| out.known(dns.record_type.as_bytes()));
    /// Whether it is an answer that came; otherwise a query that left.
    "dns.answer" Bool None DNS => |event, _, out| dns(event).is_some_and(|dns| out.bool(dns.answer));
    /// How it went, of an answer: `NOERROR`, `NXDOMAIN`, `SERVFAIL`, …
    "dns.rcode" Text None DNS => |event, _, out| out.maybe(dns(event).and_then(|dns| bytes(&dns.rcode)));
    /// Each address that the answer gives the name. `!=` holds where none is equal.
    "dns.addresses" Address None DNS => |event, _, out| {
        dns(event).is_some_and(|dns| dns.addresses.iter().any(|address| out.ip(Some(*address))))
    };
    /// Each other name that leads from the question to the addresses (`CNAME`). `!=` holds where none is equal.
    "dns.names" Text None DNS => |event, _, out| {
        dns(event).is_some_and(|dns| dns.names.iter().any(|name| out.text(name.as_bytes())))
    };
    /// Number of the message: a query and its answer have the same.
    "dns.id" Number None DNS => |event, _, out| dns(event).is_some_and(|dns| out.number(dns.id));
    /// Seconds for which the answer holds.
    "dns.ttl" Number None DNS => |event, _, out| out.maybe_number(dns(event).and_then(|dns| dns.ttl));
    /// Bytes of the message.
    "dns.size" Number None DNS => |event, _, out| dns(event).is_some_and(|dns| out.number(dns.size));
    /// Whether the server left something out, or the sensor did not see the end.
    "dns.truncated" Bool None DNS => |event, _, out| dns(event).is_some_and(|dns| out.bool(dns.truncated));
    /// Whether what came over the port of DNS is no DNS, or damaged.
    "dns.malformed" Bool None DNS => |event, _, out| dns(event).is_some_and(|dns| out.bool(dns.malformed));
}
