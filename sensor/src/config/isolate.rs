//! Keys about isolation: whom a group that is cut off from the network may still talk to.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Isolation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IsolateConfig {
    /// Whom isolated groups may talk to, as `10.0.0.0/8`, `169.254.169.254:80`, `[fd00::]/8` or `[fd00::1]:53`.
    pub allow: Vec<AllowedPeer>,
}

/// A network, and perhaps the only port of its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AllowedPeer {
    /// Addresses.
    pub network: IpNet,
    /// The peer's port; `None`: any, and protocols that have none.
    pub port: Option<u16>,
}

impl FromStr for AllowedPeer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "`{text}`: {why}; write 10.0.0.0/8, 169.254.169.254, 169.254.169.254:80, 10.0.0.0/8:443, fd00::/8, [fd00::]/8 or [fd00::1]:53"
            )
        };
        let (network, port) = split(text.trim()).ok_or_else(|| wrong("not an address or a network"))?;
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port != 0 => Some(port),
            Some(_) => return Err(wrong("a port is a number from 1 to 65535")),
        };
        let network = match network.parse::<IpNet>() {
            Ok(network) => network,
            Err(_) => {
                IpNet::from(network.parse::<IpAddr>().map_err(|_| wrong("not an address or a network"))?)
            }
        };
        if network.trunc() != network {
            return Err(wrong(&format!("the network is {}", network.trunc())));
        }
        // Sockets of IPv6 that talk to one of IPv4 send packets of IPv4, so this would never match.
        if let IpAddr::V6(addr) = network.addr()
            && addr.to_ipv4_mapped().is_some()
        {
            return Err(wrong("an address of IPv4 is written as one"));
        }
        Ok(Self { network, port })
    }
}

/// The network without brackets, and the text of the port.
fn split(text: &str) -> Option<(String, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (addr, rest) = rest.split_once(']')?;
        let (length, port) = rest.split_once(':').map_or((rest, None), |(length, port)| (length, Some(port)));
        let length_is_one = length.is_empty() || length.starts_with('/');
        return (length_is_one && addr.contains(':')).then(|| (format!("{addr}{length}"), port));
    }
    // More than one colon is an address of IPv6, which has no port without brackets.
    match text.split_once(':') {
        Some((network, port)) if !port.contains(':') && network.contains('.') => {
            Some((network.to_owned(), Some(port)))
        }
        _ => Some((text.to_owned(), None)),
    }
}

impl fmt::Display for AllowedPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.network, self.port) {
            (network, None) => write!(f, "{network}"),
            (IpNet::V4(network), Some(port)) => write!(f, "{network}:{port}"),
            (IpNet::V6(network), Some(port)) => {
                write!(f, "[{}]/{}:{port}", network.addr(), network.prefix_len())
            }
        }
    }
}

impl TryFrom<String> for AllowedPeer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<AllowedPeer> for String {
    fn from(peer: AllowedPeer) -> Self {
        peer.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_read_in_every_form_and_written_so_that_it_can_be_read() {
        for (text, network, port) in [
            ("10.0.0.0/8", "10.0.0.0/8", None),
            (" 10.1.2.3 ", "10.1.2.3/32", None),
            ("169.254.169.254:80", "169.254.169.254/32", Some(80)),
            ("10.0.0.0/8:443", "10.0.0.0/8", Some(443)),
            ("0.0.0.0/0:53", "0.0.0.0/0", Some(53)),
            ("fd00::/8", "fd00::/8", None),
            ("::1", "::1/128", None),
            ("[fd00::]/8", "fd00::/8", None),
            ("[fd00::1]", "fd00::1/128", None),
            ("[fd00::1]:53", "fd00::1/128", Some(53)),
            ("[fd00::]/8:65535", "fd00::/8", Some(65535)),
        ] {
            let peer: AllowedPeer = text.parse().unwrap();
            assert_eq!(peer, AllowedPeer { network: network.parse().unwrap(), port }, "{text}");
            assert_eq!(peer.to_string().parse(), Ok(peer), "{text}");
        }
    }

    #[test]
    fn what_is_no_peer_is_said() {
        for (text, why) in [
            ("", "not an address or a network"),
            ("example.com", "not an address or a network"),
            ("10.0.0.0/33", "not an address or a network"),
            ("10.0.0.1/8", "the network is 10.0.0.0/8"),
            ("10.0.0.1:0", "a port is a number from 1 to 65535"),
            ("10.0.0.1:http", "a port is a number from 1 to 65535"),
            ("10.0.0.1:65536", "a port is a number from 1 to 65535"),
            ("[10.0.0.1]:80", "not an address or a network"),
            ("[fd00::]8", "not an address or a network"),
            ("[fd00::", "not an address or a network"),
            ("fd00::1:80/8", "the network is fd00::/8"),
            ("::ffff:10.0.0.1", "an address of IPv4 is written as one"),
            ("::ffff:10.0.0.0/104", "an address of IPv4 is written as one"),
        ] {
            let error = text.parse::<AllowedPeer>().unwrap_err();
            assert!(error.starts_with(&format!("`{text}`: {why}; write ")), "{error}");
        }
    }
}
