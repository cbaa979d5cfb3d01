//! The table of fields: ONE declaration of each, with its type, its argument, the events that can carry it and the
//! function that reads it. Name lookup, completion, compile-time types and the reference come from here.

mod arg;
mod container;
mod dns;
mod event;
mod file;
mod mount;
mod process;
mod socket;

use std::{collections::HashMap, sync::LazyLock};

use serde::Serialize;

pub(crate) use self::arg::{
    Argument, argument_names, arguments,
    call::{Form, parts},
    change::{call_flags, mode_flags},
    write_all as write_arguments,
};
pub(in crate::rule) use self::{
    file::file_name,
    socket::{AF_INET, AF_INET6, AF_UNIX},
};
use super::{
    types::TypeSet,
    value::{Out, Slot, Value},
};
use crate::event::{Event, EventType};

/// Type of a field: it decides which operators and values a rule may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// Bytes.
    Text,
    /// Signed 64-bit.
    Number,
    /// `true` or `false`.
    Bool,
    /// An IP address.
    Address,
    /// An IP address that is compared with networks.
    Network,
    /// Named bits, compared as their text.
    Flags,
    /// Text or number, by event: compared as text with words and as a number with `<` and `>`.
    Any,
}

impl Type {
    /// In lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Address => "address",
            Self::Network => "network",
            Self::Flags => "flags",
            Self::Any => "any",
        }
    }
}

/// What may or must stand in brackets behind a field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArgKind {
    /// Nothing.
    None,
    /// A number, or nothing for "any".
    Index,
    /// A name, or nothing for the whole.
    Key,
    /// A name, which must be there.
    Name,
    /// An argument of the event, by name or place.
    EventArg,
}

pub(crate) type Extract = fn(&Event, &Arg, &mut Out<'_>) -> bool;

/// One row of the table.
#[derive(Debug, Serialize)]
pub struct Field {
    /// As rules write it.
    pub name: &'static str,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Type,
    /// What may stand in brackets.
    pub arg: ArgKind,
    /// What it says.
    pub doc: &'static str,
    /// Whether the sensor knows it; where not, every check on it is false.
    pub carried: bool,
    /// Whether it has several values of one event of which `!=` must hold for each: both ends of a socket, every name.
    #[serde(skip)]
    pub(crate) ends: bool,
    /// The events that can have it.
    #[serde(skip)]
    pub(crate) on: TypeSet,
    #[serde(skip)]
    pub(crate) extract: Extract,
}

/// Declares fields: `/// doc`, name, type, what stands in brackets, the events that have it, the reader.
macro_rules! fields {
    ($(#[$outer:meta])* $table:ident; $($(#[doc = $doc:literal])+ $name:literal $kind:ident $arg:ident $on:ident => $extract:expr;)*) => {
        $(#[$outer])*
        pub(super) static $table: &[$crate::rule::field::Field] = &[$($crate::rule::field::Field {
            name: $name,
            kind: $crate::rule::field::Type::$kind,
            arg: $crate::rule::field::ArgKind::$arg,
            doc: concat!($($doc),+),
            carried: true,
            ends: matches!(
                $name.as_bytes(),
                b"fd.ip" | b"fd.port" | b"fd.net" | b"fd.sip.name" | b"fd.cip.name" | b"fd.lip.name"
                    | b"fd.rip.name" | b"dns.addresses" | b"dns.names"
            ),
            on: $crate::rule::types::TypeSet::$on,
            extract: $extract,
        },)*];
    };
}

/// Declares fields that rules in the wild use and that no event carries.
macro_rules! not_carried {
    ($(#[$outer:meta])* $table:ident; $($(#[doc = $doc:literal])+ $name:literal $kind:ident $arg:ident;)*) => {
        $(#[$outer])*
        pub(super) static $table: &[$crate::rule::field::Field] = &[$($crate::rule::field::Field {
            name: $name,
            kind: $crate::rule::field::Type::$kind,
            arg: $crate::rule::field::ArgKind::$arg,
            doc: concat!($($doc),+),
            carried: false,
            ends: false,
            on: $crate::rule::types::TypeSet::NONE,
            extract: |_, _, _| false,
        },)*];
    };
}

use {fields, not_carried};

/// A field's argument, compiled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Arg {
    None,
    Index(u32),
    Key(Box<str>),
    /// The reader of each event type, by the type's number.
    Event(Box<[Option<&'static Argument>]>),
}

/// A field with its argument: what a rule reads of an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reading {
    pub(crate) field: &'static Field,
    pub(crate) arg: Arg,
    /// The events that can have it.
    pub(crate) on: TypeSet,
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Field {}

impl std::hash::Hash for Field {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// Why a name and its argument are not a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    Field { near: Option<&'static str> },
    Argument { message: String, near: Option<&'static str> },
}

impl Reading {
    /// The field of this name, `evt.arg.NAME` included, with this argument.
    pub(crate) fn resolve(name: &str, arg: Option<&str>) -> Result<Self, Unknown> {
        let (field, arg) = match name.strip_prefix("evt.arg.").or_else(|| name.strip_prefix("evt.rawarg.")) {
            Some(inner) if arg.is_none() => (find("evt.arg"), Some(inner)),
            _ => (find(name), arg),
        };
        let Some(field) = field else { return Err(Unknown::Field { near: near(name) }) };
        let refused = |message: String| Unknown::Argument { message, near: None };
        let compiled = match (field.arg, arg) {
            (ArgKind::None, Some(_)) => return Err(refused(format!("`{name}` takes no argument"))),
            (ArgKind::Name | ArgKind::EventArg, None) => {
                return Err(refused(format!("`{name}` needs an argument: `{name}[…]`")));
            }
            (ArgKind::None | ArgKind::Index | ArgKind::Key, None) => Arg::None,
            (ArgKind::Index, Some(text)) => match text.parse() {
                Ok(index) => Arg::Index(index),
                Err(_) => return Err(refused(format!("the argument of `{name}` must be a number"))),
            },
            (ArgKind::Key | ArgKind::Name, Some(text)) => Arg::Key(text.into()),
            (ArgKind::EventArg, Some(text)) => {
                let readers = arguments(text);
                if readers.iter().all(Option::is_none) && !argument_names().any(|known| known == text) {
                    let near = super::diagnostic::nearest(text, argument_names());
                    return Err(Unknown::Argument {
                        message: format!("no event has an argument `{text}`"),
                        near,
                    });
                }
                Arg::Event(readers)
            }
        };
        let on = match &compiled {
            Arg::Event(readers) => arg::types(arg.unwrap_or_default(), readers),
            _ => field.on,
        };
        Ok(Self { field, arg: compiled, on })
    }

    /// As rules write it.
    pub(crate) const fn name(&self) -> &'static str {
        self.field.name
    }

    /// The argument of such events that it reads, where it reads one.
    pub(crate) fn argument(&self, of: EventType) -> Option<&'static str> {
        let Arg::Event(readers) = &self.arg else { return None };
        readers.get(of as usize).copied().flatten().map(|argument| argument.name)
    }

    /// Shows the field's values of `event` to the visitor until it accepts one.
    pub(crate) fn read(&self, event: &Event, out: &mut Out<'_>) -> bool {
        (self.field.extract)(event, &self.arg, out)
    }

    /// Appends the first value's text; `false` where there is none. For everything that is not on the event path.
    pub(crate) fn write(&self, event: &Event, to: &mut Vec<u8>) -> bool {
        let mut slot = Slot::default();
        let mut write = |value: Value<'_>| {
            value.write(to);
            true
        };
        self.read(event, &mut Out::new(&mut slot, 1, &mut write))
    }
}

/// Every field.
pub fn all() -> impl Iterator<Item = &'static Field> {
    let tables = [
        event::FIELDS,
        event::NOT_CARRIED,
        process::FIELDS,
        process::NOT_CARRIED,
        file::FIELDS,
        socket::FIELDS,
        dns::FIELDS,
        container::FIELDS,
        container::NOT_CARRIED,
    ];
    tables.into_iter().flatten()
}

/// The field of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Field> {
    static BY_NAME: LazyLock<HashMap<&'static str, &'static Field>> =
        LazyLock::new(|| all().map(|field| (field.name, field)).collect());
    BY_NAME.get(name).copied()
}

/// The known name that an unknown one was most likely meant to be.
fn near(name: &str) -> Option<&'static str> {
    super::diagnostic::nearest(name, all().map(|field| field.name))
}

#[cfg(test)]
mod tests;
