//! What was done: to a file or a socket.

use std::net::IpAddr;

use super::{Built, Draft, Pair, Problem, layer, unsettable};
use crate::{
    event::{Detail, Dup, EventType, HostNames, Layer, Peer, SocketAddr, Text, flags},
    rule::diagnostic::Span,
};

impl Draft {
    pub(super) fn set_file(&mut self, pair: &Pair<'_>) -> Built<()> {
        let Detail::Open(open) = &mut self.event.detail else { return unsettable(pair) };
        match pair.name {
            "fd.name" => open.path = pair.text.as_str().into(),
            "fd.nameraw" => open.name = Some(pair.text.as_str().into()),
            "fd.num" => self.event.result = pair.number()?,
            "fd.directory" | "fd.filename" => {}
            "fd.typechar" if pair.text == "d" => open.file.get_or_insert_default().mode = 0o040_755,
            "fd.type" if pair.text == "directory" => open.file.get_or_insert_default().mode = 0o040_755,
            "fd.typechar" | "fd.type" => {}
            "fd.ino" => open.file.get_or_insert_default().ino = pair.number()?,
            "fd.dev" => open.file.get_or_insert_default().dev = pair.number()?,
            "fd.is_upper_layer" => {
                open.file.get_or_insert_default().layer = layer(pair.bool()?, Layer::Upper)
            }
            "fd.is_lower_layer" => {
                open.file.get_or_insert_default().layer = layer(pair.bool()?, Layer::Lower)
            }
            _ => return unsettable(pair),
        }
        Ok(())
    }

    pub(super) fn set_socket(&mut self, pair: &Pair<'_>) -> Built<()> {
        let event_type = self.event.event_type;
        let socket = match &mut self.event.detail {
            Detail::Socket(socket) | Detail::Dup(Dup { socket: Some(socket), .. }) => socket,
            Detail::Dns(dns) => &mut dns.socket,
            _ => return unsettable(pair),
        };
        let waits = matches!(event_type, EventType::Bind | EventType::Listen);
        let serves = socket.server || waits;
        let (server, client) = if serves {
            (&mut socket.local, &mut socket.remote)
        } else {
            (&mut socket.remote, &mut socket.local)
        };
        match pair.name {
            "fd.name" if pair.text.starts_with(['/', '@']) => {
                *server = SocketAddr::Unix(Text::from(pair.text.as_str()));
                socket.family = 1;
            }
            "fd.name" => {
                let (from, to) = match pair.text.split_once("->") {
                    Some((from, to)) => (Some(from), to),
                    None => (None, pair.text.as_str()),
                };
                *server = SocketAddr::Ip(end(to, pair.span)?);
                if let Some(from) = from {
                    *client = SocketAddr::Ip(end(from, pair.span)?);
                }
            }
            "fd.sip" | "fd.snet" => {
                let ip = pair.ip()?;
                with_peer(server, |peer| peer.ip = ip);
            }
            "fd.cip" | "fd.cnet" => {
                let ip = pair.ip()?;
                with_peer(client, |peer| peer.ip = ip);
            }
            "fd.sport" => {
                let port = pair.number()?;
                with_peer(server, |peer| peer.port = port);
            }
            "fd.cport" => {
                let port = pair.number()?;
                with_peer(client, |peer| peer.port = port);
            }
            "fd.lip" => {
                let ip = pair.ip()?;
                with_peer(&mut socket.local, |peer| peer.ip = ip);
            }
            "fd.rip" => {
                let ip = pair.ip()?;
                with_peer(&mut socket.remote, |peer| peer.ip = ip);
            }
            "fd.lport" => {
                let port = pair.number()?;
                with_peer(&mut socket.local, |peer| peer.port = port);
            }
            "fd.rport" => {
                let port = pair.number()?;
                with_peer(&mut socket.remote, |peer| peer.port = port);
            }
            "fd.lip.name" => socket.local_names = names(pair),
            "fd.rip.name" => socket.remote_names = names(pair),
            "fd.sip.name" | "fd.cip.name" if serves == (pair.name == "fd.sip.name") => {
                socket.local_names = names(pair);
            }
            "fd.sip.name" | "fd.cip.name" => socket.remote_names = names(pair),
            "fd.num" => socket.fd = pair.number()?,
            "fd.l4proto" => {
                (socket.socket_type, socket.protocol) = match pair.text.as_str() {
                    "tcp" => (1, 6),
                    "udp" => (2, 17),
                    "icmp" => (3, 1),
                    _ => (3, 255),
                }
            }
            "fd.typechar" | "fd.type" => {
                socket.family = match pair.text.as_str() {
                    "4" | "ipv4" => 2,
                    "6" | "ipv6" => 10,
                    _ => 1,
                }
            }
            "evt.arg.domain" => socket.family = pair.flags(flags::DOMAIN)? as u16,
            "evt.arg.type" => socket.socket_type = pair.number()?,
            "evt.arg.proto" => socket.protocol = pair.number()?,
            "evt.arg.fd" => self.event.result = pair.number()?,
            "fd.is_server" | "fd.connected" | "fd.sockfamily" => {}
            _ => return unsettable(pair),
        }
        if socket.family == 2 && matches!(socket.remote, SocketAddr::Ip(Peer { ip: IpAddr::V6(_), .. })) {
            socket.family = 10;
        }
        Ok(())
    }
}

/// The names of an address, the first of which is what the field prints.
fn names(pair: &Pair<'_>) -> HostNames {
    pair.text.split_whitespace().map(Into::into).collect()
}

/// The address and port to be changed; none yet is zero.
fn with_peer(address: &mut SocketAddr, change: impl FnOnce(&mut Peer)) {
    let mut peer = match address {
        SocketAddr::Ip(peer) => *peer,
        _ => Peer { ip: IpAddr::from([0, 0, 0, 0]), port: 0 },
    };
    change(&mut peer);
    *address = SocketAddr::Ip(peer);
}

/// `address:port`, as `fd.name` writes it: the port stands behind the last colon.
fn end(text: &str, span: Span) -> Built<Peer> {
    let parsed = text
        .rsplit_once(':')
        .and_then(|(ip, port)| Some(Peer { ip: ip.parse().ok()?, port: port.parse().ok()? }));
    parsed.ok_or(Problem { span, message: format!("`{text}` is not `address:port`") })
}
