//! DNS: what was asked and answered, and the names of addresses. It knows neither the format of messages nor where names
//! come from.

use std::{net::IpAddr, sync::Arc};

use serde::Serialize;

use super::{Socket, Text};

/// A query that left, or an answer that came. Names are in lower case and have no dot at their end.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Dns {
    /// Who asked whom: this end is the one that asks, also where the answer comes in.
    pub socket: Socket,
    /// Whether it is an answer.
    pub answer: bool,
    /// The message's number; the answer has that of the query.
    pub id: u16,
    /// The name that is asked for; `None` where it cannot be read.
    pub question: Option<Text>,
    /// What is asked of it: `A`, `AAAA`, `TXT`, …
    pub record_type: Text,
    /// How it went, of an answer: `NOERROR`, `NXDOMAIN`, …
    pub rcode: Option<Text>,
    /// The addresses of the name.
    pub addresses: Vec<IpAddr>,
    /// The other names that lead from the name to the addresses (`CNAME`), in order.
    pub names: Vec<Text>,
    /// Seconds for which all of this holds.
    pub ttl: Option<u32>,
    /// Bytes of the message.
    pub size: u32,
    /// Whether the server left something out, or the sensor did not see the end.
    pub truncated: bool,
    /// Whether it is no DNS message, or a damaged one.
    pub malformed: bool,
}

/// Names of one address, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct HostNames(Option<Arc<[Arc<str>]>>);

impl HostNames {
    /// Whether none is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().flat_map(|names| names.iter())
    }

    /// The same and those of `other` behind.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        match (&self.0, &other.0) {
            (_, None) => self,
            (None, _) => other.clone(),
            (Some(own), Some(more)) => {
                own.iter().chain(more.iter().filter(|name| !own.contains(name))).cloned().collect()
            }
        }
    }
}

impl FromIterator<Arc<str>> for HostNames {
    fn from_iter<T: IntoIterator<Item = Arc<str>>>(names: T) -> Self {
        let names: Arc<[Arc<str>]> = names.into_iter().collect();
        Self((!names.is_empty()).then_some(names))
    }
}
