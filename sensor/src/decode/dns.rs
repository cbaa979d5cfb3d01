//! A datagram of port 53 → what it says. Anybody can send anything: whatever cannot be read is left out, and the message
//! then is malformed. It knows nothing of sockets.

use std::net::IpAddr;

use domain::{
    base::{Message, ParsedName, Record, message::RecordSection},
    rdata::{A, Aaaa, Cname},
};

use crate::event::Text;

/// Names in a chain at most. Resolvers give up at 8 to 16; more is an attempt to make somebody work.
const CHAIN: usize = 16;

/// What a message says. Names are in lower case and have no dot at their end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its number.
    pub id: u16,
    /// Whether it calls itself an answer.
    pub answer: bool,
    /// The name that is asked for.
    pub question: Option<Text>,
    /// What is asked of it.
    pub record_type: Text,
    /// How it went, of an answer.
    pub rcode: Option<Text>,
    /// Addresses of the name.
    pub addresses: Vec<IpAddr>,
    /// The names that lead to them, without the one that is asked for.
    pub names: Vec<Text>,
    /// The shortest time for which a part of it holds, in seconds.
    pub ttl: Option<u32>,
    /// Whether the server left something out.
    pub truncated: bool,
    /// Whether it could not be read to its end.
    pub malformed: bool,
}

/// Reads a message. `whole`: whether its end is there; where it is not, nobody is to blame that it cannot be read.
#[must_use]
pub fn read(bytes: &[u8], whole: bool) -> Said {
    let Ok(message) = Message::from_slice(bytes) else { return Said { malformed: whole, ..Said::default() } };
    let header = message.header();
    let mut said = Said {
        id: header.id(),
        answer: header.qr(),
        rcode: header.qr().then(|| text(header.rcode())),
        truncated: header.tc() || !whole,
        ..Said::default()
    };
    let read = (|| {
        let question = message.question().next()?.ok()?;
        said.question = Some(name(question.qname()));
        said.record_type = text(question.qtype());
        let records = message.answer().ok()?;
        follow(*question.qname(), records, &mut said)
    })();
    // A truncated answer may end in the middle of a record.
    said.malformed = read.is_none() && !said.truncated;
    said
}

/// Walks from the name that is asked for to its addresses. `None` where a record cannot be read; those before count.
fn follow<'m>(asked: ParsedName<&'m [u8]>, records: RecordSection<'m, [u8]>, said: &mut Said) -> Option<()> {
    let mut chain = vec![asked];
    let mut ttl = u32::MAX;
    // Servers write the chain in its order and the addresses behind it.
    for record in records {
        let record = record.ok()?;
        if !chain.contains(&record.owner()) {
            continue;
        }
        let address = match (record.to_record::<A>(), record.to_record::<Aaaa>()) {
            (Ok(Some(record)), _) => Some(IpAddr::from(record.data().addr())),
            (_, Ok(Some(record))) => Some(IpAddr::from(record.data().addr())),
            (Err(_), _) | (_, Err(_)) => return None,
            _ => None,
        };
        let target: Option<Record<_, Cname<ParsedName<&[u8]>>>> = record.to_record().ok()?;
        if let Some(target) = &target
            && chain.len() < CHAIN
        {
            let target = *target.data().cname();
            // A circle adds nothing.
            if !chain.contains(&target) {
                said.names.push(name(&target));
                chain.push(target);
            }
        }
        if address.is_some() || target.is_some() {
            ttl = ttl.min(record.ttl().as_secs());
            said.ttl = Some(ttl);
        }
        // A hostile server may repeat itself.
        said.addresses.extend(address.filter(|address| !said.addresses.contains(address)));
    }
    Some(())
}

/// A name as rules write it; only the root's is a dot. Bytes that are no letters are escaped as in zone files; case means
/// nothing, and some resolvers mix it at random.
fn name(name: &ParsedName<&[u8]>) -> Text {
    if name.is_root() {
        return Text::from(".");
    }
    Text::from(name.to_string().to_ascii_lowercase().as_str())
}

fn text(value: impl std::fmt::Display) -> Text {
    Text::from(value.to_string().as_str())
}

#[cfg(test)]
mod tests;
