//! Connections over TCP and TLS for those who speak no HTTP, and what went wrong with them by reason.

use std::{io, io::ErrorKind, net::SocketAddr, sync::Arc};

use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Failure, Reason, tls_client};
use crate::config::TlsConfig;

/// Connects to `host:port`.
///
/// # Errors
/// With the address in the message.
pub(super) async fn tcp(address: &str) -> Result<TcpStream, Failure> {
    let servers = resolve(address).await?;
    let stream = TcpStream::connect(&*servers).await;
    let stream = stream.map_err(|error| failure("cannot connect to", address, &error))?;
    // What is written at once is a batch: there is nothing to wait for in order to fill a packet.
    stream.set_nodelay(true).map_err(|error| failure("cannot set up the connection to", address, &error))?;
    Ok(stream)
}

/// The same within TLS. `protocols`: what to offer (ALPN), if anything.
pub(super) async fn tls(
    address: &str,
    config: &TlsConfig,
    protocols: &[&[u8]],
) -> Result<TlsStream<TcpStream>, Failure> {
    // Certificates are read first: no server is bothered for nothing.
    let mut client = tls_client(config)?;
    client.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host).map_err(|error| {
        Failure::new(Reason::Local, format!("no server can be called `{address}`: {error}"))
    })?;
    let stream = TlsConnector::from(Arc::new(client)).connect(name, tcp(address).await?).await;
    stream.map_err(|error| failure("cannot connect to", address, &error))
}

/// The addresses of `host:port`.
pub(super) async fn resolve(address: &str) -> Result<Vec<SocketAddr>, Failure> {
    let found = lookup_host(address).await;
    let found = found.map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => {
            Failure::new(Reason::Local, format!("`{address}` is no host and port: {error}"))
        }
        _ => Failure::new(Reason::Name, format!("cannot resolve `{address}`: {error}")),
    })?;
    Ok(found.collect())
}

/// An error of the system, by what is wrong.
pub(super) fn failure(what: &str, whom: &str, error: &io::Error) -> Failure {
    let tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    let reason = match error.kind() {
        _ if tls => Reason::Tls,
        ErrorKind::TimedOut => Reason::Timeout,
        ErrorKind::PermissionDenied => Reason::Local,
        _ => Reason::Connection,
    };
    Failure::new(reason, format!("{what} {whom}: {error}"))
}

/// The reason behind the text of an error whose library does not tell its causes apart.
pub(super) fn reason(text: &str) -> Reason {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["failed to lookup address", "failed to resolve", "dns error", "Name or service not known"]) {
        Reason::Name
    } else if has(&["certificate", "handshake", "invalid peer", "tls", "TLS"]) {
        Reason::Tls
    } else if has(&["timed out", "deadline has elapsed"]) {
        Reason::Timeout
    } else {
        Reason::Connection
    }
}
