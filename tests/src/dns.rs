//! A DNS server of this test's own, on an address of loopback that no other test uses, and messages to ask it with. It says
//! whatever the test wants, right or wrong.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    thread,
};

/// Type numbers.
pub const A: u16 = 1;
/// See [`A`].
pub const CNAME: u16 = 5;
/// See [`A`].
pub const TXT: u16 = 16;
/// See [`A`].
pub const AAAA: u16 = 28;

/// Answers every query with what `answer` makes of it, as long as the test binary runs. Gives the address.
///
/// # Panics
/// Where the port is taken.
pub fn serve(ip: &str, mut answer: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let address = SocketAddr::new(ip.parse().expect("an address"), 53);
    let socket = UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    thread::spawn(move || {
        let mut query = [0; 4096];
        while let Ok((len, from)) = socket.recv_from(&mut query) {
            // A client that is gone wants no answer.
            let _ = socket.send_to(&answer(&query[..len]), from);
        }
    });
    address
}

/// A name as messages have it.
#[must_use]
pub fn name(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let bytes = labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    bytes.chain([0]).collect()
}

/// A query.
#[must_use]
pub fn query(id: u16, asked: &str, kind: u16) -> Vec<u8> {
    let header: [u16; 6] = [id, 0x0100, 1, 0, 0, 0];
    let question = [&name(asked)[..], &kind.to_be_bytes(), &[0, 1]].concat();
    header.iter().flat_map(|word| word.to_be_bytes()).chain(question).collect()
}

/// One record of an answer.
#[must_use]
pub fn record(owner: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u16).to_be_bytes();
    [&name(owner)[..], &kind.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &len, data].concat()
}

/// The record of an address.
#[must_use]
pub fn address(owner: &str, ttl: u32, address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => record(owner, A, ttl, &v4.octets()),
        IpAddr::V6(v6) => record(owner, AAAA, ttl, &v6.octets()),
    }
}

/// The answer to a query with these records.
#[must_use]
pub fn answer(query: &[u8], rcode: u8, records: &[Vec<u8>]) -> Vec<u8> {
    let mut message = query.to_vec();
    message[2] |= 0x80;
    message[3] = 0x80 | rcode;
    message[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
    message.extend(records.concat());
    message
}

/// For a step of the helper.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
