//! Fields of a socket and its ends.

use std::{io::Write, net::IpAddr};

use super::fields;
use crate::{
    event::{Detail, Event, EventType, HostNames, Peer, Socket, SocketAddr},
    rule::value::Out,
};

pub(in crate::rule) const AF_UNIX: u16 = 1;
pub(in crate::rule) const AF_INET: u16 = 2;
pub(in crate::rule) const AF_INET6: u16 = 10;

pub(super) fn socket(event: &Event) -> Option<&Socket> {
    match &event.detail {
        Detail::Socket(socket) => Some(socket),
        Detail::Dns(dns) => Some(&dns.socket),
        Detail::Dup(dup) => dup.socket.as_ref(),
        _ => None,
    }
}

const fn peer(address: &SocketAddr) -> Option<Peer> {
    match address {
        SocketAddr::Ip(peer) => Some(*peer),
        _ => None,
    }
}

/// Whether this end serves: it accepted the connection, or waits for some.
fn serves(event: &Event, socket: &Socket) -> bool {
    socket.server || waits(event)
}

const fn waits(event: &Event) -> bool {
    matches!(event.event_type, EventType::Bind | EventType::Listen)
}

fn local(event: &Event) -> Option<Peer> {
    peer(&socket(event)?.local)
}

fn remote(event: &Event) -> Option<Peer> {
    peer(&socket(event)?.remote)
}

fn server(event: &Event) -> Option<Peer> {
    let socket = socket(event)?;
    peer(if serves(event, socket) { &socket.local } else { &socket.remote })
}

fn client(event: &Event) -> Option<Peer> {
    let socket = socket(event)?;
    peer(if serves(event, socket) { &socket.remote } else { &socket.local })
}

fn names(names: &HostNames, out: &mut Out<'_>) -> bool {
    names.iter().any(|name| out.text(name.as_bytes()))
}

/// The server's or the client's names.
fn show_names(event: &Event, of_server: bool, out: &mut Out<'_>) -> bool {
    socket(event).is_some_and(|socket| {
        let local = serves(event, socket) == of_server;
        names(if local { &socket.local_names } else { &socket.remote_names }, out)
    })
}

const fn ip(peer: Peer) -> IpAddr {
    peer.ip
}

/// The path of a unix socket: of the end that has one, the server's first.
fn unix(socket: &Socket) -> Option<&[u8]> {
    let ends = if socket.server { [&socket.local, &socket.remote] } else { [&socket.remote, &socket.local] };
    ends.into_iter().find_map(|end| match end {
        SocketAddr::Unix(path) if !path.is_empty() => Some(path.as_bytes()),
        _ => None,
    })
}

/// Type and its one-letter form. A v6 socket that speaks to a v4 address counts as what it speaks.
pub(super) fn kind(socket: &Socket) -> Option<(&'static str, &'static str)> {
    let address = peer(&socket.remote).or_else(|| peer(&socket.local)).map(ip);
    match (address, socket.family) {
        (Some(IpAddr::V4(_)), _) | (None, AF_INET) => Some(("ipv4", "4")),
        (Some(IpAddr::V6(_)), _) | (None, AF_INET6) => Some(("ipv6", "6")),
        (None, AF_UNIX) => Some(("unix", "u")),
        _ => None,
    }
}

/// One end as text. An end that the kernel has not bound yet is written as what it is: zero.
fn write_end(end: Option<Peer>, socket: &Socket, to: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = match (end, kind(socket)) {
        (Some(Peer { ip, port }), _) => write!(to, "{ip}:{port}"),
        (None, Some((_, "6"))) => write!(to, ":::0"),
        (None, _) => write!(to, "0.0.0.0:0"),
    };
}

/// `client:port->server:port`; of a socket that waits, only its own end.
pub(super) fn write_tuple(event: &Event, to: &mut Vec<u8>) {
    let Some(socket) = socket(event) else { return };
    if !waits(event) {
        write_end(client(event), socket, to);
        to.extend_from_slice(b"->");
    }
    write_end(server(event), socket, to);
}

pub(super) fn show_name(event: &Event, out: &mut Out<'_>) -> bool {
    let Some(socket) = socket(event) else { return false };
    if let Some(path) = unix(socket) {
        return out.text(path);
    }
    if peer(&socket.local).or_else(|| peer(&socket.remote)).is_none() {
        return false;
    }
    out.rendered(|to| write_tuple(event, to))
}

/// Whether the socket is connected after the call.
fn connected(event: &Event) -> Option<bool> {
    let socket = socket(event)?;
    Some(!event.failed() && !waits(event) && socket.remote != SocketAddr::None)
}

fn protocol(socket: &Socket) -> Option<&'static str> {
    Some(match (socket.protocol, socket.socket_type & 0xf) {
        (6, _) | (0, 1) => "tcp",
        (17, _) | (0, 2) => "udp",
        (1 | 58, _) => "icmp",
        (_, 3) => "raw",
        _ => return None,
    })
}

fn each<T>(ends: [Option<T>; 2], show: impl FnMut(T) -> bool) -> bool {
    ends.into_iter().flatten().any(show)
}

fields! {
    FIELDS;
    /// Either end's address.
    "fd.ip" Address None SOCKET => |event, _, out| each([local(event), remote(event)], |end| out.ip(Some(end.ip)));
    /// Server's address.
    "fd.sip" Address None SOCKET => |event, _, out| out.ip(server(event).map(ip));
    /// Client's address.
    "fd.cip" Address None SOCKET => |event, _, out| out.ip(client(event).map(ip));
    /// This end's address.
    "fd.lip" Address None SOCKET => |event, _, out| out.ip(local(event).map(ip));
    /// The other end's address.
    "fd.rip" Address None SOCKET => |event, _, out| out.ip(remote(event).map(ip));
    /// Either end's port.
    "fd.port" Number None SOCKET => |event, _, out| each([local(event), remote(event)], |end| out.number(end.port));
    /// Server's port.
    "fd.sport" Number None SOCKET => |event, _, out| out.maybe_number(server(event).map(|end| end.port));
    /// Client's port.
    "fd.cport" Number None SOCKET => |event, _, out| out.maybe_number(client(event).map(|end| end.port));
    /// This end's port.
    "fd.lport" Number None SOCKET => |event, _, out| out.maybe_number(local(event).map(|end| end.port));
    /// The other end's port.
    "fd.rport" Number None SOCKET => |event, _, out| out.maybe_number(remote(event).map(|end| end.port));
    /// Either end's network.
    "fd.net" Network None SOCKET => |event, _, out| each([local(event), remote(event)], |end| out.ip(Some(end.ip)));
    /// Server's network.
    "fd.snet" Network None SOCKET => |event, _, out| out.ip(server(event).map(ip));
    /// Client's network.
    "fd.cnet" Network None SOCKET => |event, _, out| out.ip(client(event).map(ip));
    /// This end's network.
    "fd.lnet" Network None SOCKET => |event, _, out| out.ip(local(event).map(ip));
    /// The other end's network.
    "fd.rnet" Network None SOCKET => |event, _, out| out.ip(remote(event).map(ip));
    /// `tcp`, `udp`, `icmp` or `raw`.
    "fd.l4proto" Text None SOCKET => |event, _, out| {
        let socket = socket(event).filter(|socket| matches!(socket.family, AF_INET | AF_INET6));
        out.maybe(socket.and_then(protocol).map(str::as_bytes))
    };
    /// `ip` or `unix`.
    "fd.sockfamily" Text None SOCKET => |event, _, out| match socket(event).map(|socket| socket.family) {
        Some(AF_INET | AF_INET6) => out.text(b"ip"),
        Some(AF_UNIX) => out.text(b"unix"),
        _ => false,
    };
    /// Whether this end accepted the connection or waits for some.
    "fd.is_server" Bool None SOCKET => |event, _, out| {
        socket(event).is_some_and(|socket| out.bool(serves(event, socket)))
    };
    /// Whether the socket is connected after the call.
    "fd.connected" Bool None SOCKET => |event, _, out| connected(event).is_some_and(|is| out.bool(is));
    /// Whether the call gave the descriptor another name.
    "fd.name_changed" Bool None FD => |event, _, out| match &event.detail {
        Detail::Open(_) | Detail::Change(_) | Detail::Dup(_) | Detail::Call(_) => out.bool(false),
        Detail::Socket(_) => out.bool(!event.failed() && event.event_type != EventType::Listen),
        _ => false,
    };
    /// Server's names: those under which the workload itself got the address from DNS, and those that rules compare with
    /// and that the sensor resolves to it. `!=` holds where none is equal. What DNS said is as true as the server that said
    /// it: who runs in a container can ask one of its own.
    "fd.sip.name" Text None SOCKET => |event, _, out| show_names(event, true, out);
    /// Client's names, likewise.
    "fd.cip.name" Text None SOCKET => |event, _, out| show_names(event, false, out);
    /// Names of this end, likewise.
    "fd.lip.name" Text None SOCKET => |event, _, out| socket(event).is_some_and(|it| names(&it.local_names, out));
    /// Names of the other end, likewise.
    "fd.rip.name" Text None SOCKET => |event, _, out| socket(event).is_some_and(|it| names(&it.remote_names, out));
}
