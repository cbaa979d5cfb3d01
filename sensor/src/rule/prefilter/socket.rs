//! What a check says of a socket: what it speaks, and the port and the address of the end that the kernel looks at.

use sensor_common::{Kind, filter::facts};

use super::{Demand, Term};
use crate::{
    event::{EventType, flags},
    rule::{
        Sets,
        check::{Check, nets, ports},
        field::{AF_INET, AF_INET6, AF_UNIX, Reading},
        value::{Flags, Value},
    },
};

/// What a socket is for in an event. The kernel looks at its other end, but for what waits, and for the port that accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// It reaches out.
    Client,
    /// It is reached.
    Acceptor,
    /// It waits for somebody.
    Listener,
    /// It gets datagrams, and which end serves is told by the ports.
    Receiver,
    /// It was just made, or could not be.
    New,
}

impl Role {
    /// That of the records of a kind.
    pub(crate) const fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::NetConnect | Kind::NetSend => Some(Self::Client),
            Kind::NetAccept => Some(Self::Acceptor),
            Kind::NetBind | Kind::NetListen => Some(Self::Listener),
            Kind::NetReceive => Some(Self::Receiver),
            Kind::NetSocket => Some(Self::New),
            _ => None,
        }
    }
}

impl Demand {
    /// What a check of this field of a socket needs.
    pub(super) fn socket(check: &Check, positive: bool, reading: &Reading, role: Role) -> Self {
        match (reading.name(), role) {
            ("evt.arg", Role::New) if reading.argument(EventType::Socket) == Some("domain") => {
                Self::facts(|number| {
                    let word = match number & facts::FAMILY {
                        0 => AF_INET,
                        facts::V6 => AF_INET6,
                        facts::UNIX => AF_UNIX,
                        _ => return true,
                    };
                    let domain = Flags { table: flags::DOMAIN, word: word.into(), separator: "|" };
                    check.holds_of(Value::Flags(domain)) != Some(!positive)
                })
            }
            ("fd.rip" | "fd.rnet", Role::Client | Role::Acceptor | Role::Receiver)
            | ("fd.sip" | "fd.snet", Role::Client | Role::Listener)
            | ("fd.cip" | "fd.cnet", Role::Acceptor)
            | ("fd.lip" | "fd.lnet", Role::Listener) => match nets(check) {
                Some(nets) => {
                    let net = Sets::new(nets, positive != check.negated);
                    Self::from(Term { net, ..Term::any() })
                }
                None => Self::Unknown,
            },
            ("fd.rport", Role::Client | Role::Receiver)
            | ("fd.sport", Role::Client | Role::Acceptor | Role::Listener)
            | ("fd.lport", Role::Acceptor | Role::Listener) => match ports(check) {
                Some(ports) => {
                    let port = Sets::new(ports, positive != check.negated);
                    Self::from(Term { port, ..Term::any() })
                }
                None => Self::Unknown,
            },
            ("fd.l4proto", _) => Self::texts(check, positive, |number| match number & facts::FAMILY {
                facts::UNIX | facts::OTHER => Known::Nothing,
                _ if number & facts::TCP != 0 => Known::Text("tcp"),
                _ if number & facts::UDP != 0 => Known::Text("udp"),
                _ => Known::Something,
            }),
            ("fd.typechar", _) => Self::texts(check, positive, |number| family(number, ["4", "6", "u"])),
            ("fd.type", _) => Self::texts(check, positive, |number| family(number, ["ipv4", "ipv6", "unix"])),
            ("fd.sockfamily", _) => {
                Self::texts(check, positive, |number| family(number, ["ip", "ip", "unix"]))
            }
            _ => Self::Unknown,
        }
    }

    /// Of a text that follows from the facts.
    fn texts(check: &Check, positive: bool, value: impl Fn(u32) -> Known) -> Self {
        Self::facts(|number| match value(number) {
            Known::Text(text) => check.holds_of(Value::Bytes(text.as_bytes())) != Some(!positive),
            // What has no value makes no check true.
            Known::Nothing => !positive,
            Known::Something => true,
        })
    }
}

/// What the facts say of a text.
enum Known {
    Text(&'static str),
    Nothing,
    /// It may be another one, or none.
    Something,
}

fn family(number: u32, [v4, v6, unix]: [&'static str; 3]) -> Known {
    match number & facts::FAMILY {
        0 => Known::Text(v4),
        facts::V6 => Known::Text(v6),
        facts::UNIX => Known::Text(unix),
        _ => Known::Something,
    }
}
