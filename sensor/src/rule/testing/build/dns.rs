//! What was asked of DNS, and answered.

use super::{Built, Draft, Pair, unsettable};
use crate::event::{Detail, Dns, Peer, Socket, SocketAddr, Text};

/// A query over UDP to a server of nobody's.
pub(super) fn empty() -> Dns {
    let server = SocketAddr::Ip(Peer { ip: [0, 0, 0, 0].into(), port: 53 });
    let socket =
        Socket { fd: -1, family: 2, socket_type: 2, protocol: 17, remote: server, ..Socket::default() };
    Dns { socket, record_type: Text::from("A"), ..Dns::default() }
}

impl Draft {
    pub(super) fn set_dns(&mut self, pair: &Pair<'_>) -> Built<()> {
        let Detail::Dns(dns) = &mut self.event.detail else { return unsettable(pair) };
        let text = || Text::from(pair.text.as_str());
        match pair.name {
            "dns.question" => dns.question = Some(text()),
            "dns.type" => dns.record_type = text(),
            "dns.answer" => dns.answer = pair.bool()?,
            "dns.rcode" => (dns.answer, dns.rcode) = (true, Some(text())),
            "dns.addresses" => dns.addresses.push(pair.ip()?),
            "dns.names" => dns.names.push(text()),
            "dns.id" => dns.id = pair.number()?,
            "dns.ttl" => dns.ttl = Some(pair.number()?),
            "dns.size" => dns.size = pair.number()?,
            "dns.truncated" => dns.truncated = pair.bool()?,
            "dns.malformed" => dns.malformed = pair.bool()?,
            _ => return unsettable(pair),
        }
        Ok(())
    }
}
