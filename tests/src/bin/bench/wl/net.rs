//! Workloads over sockets: connections within one machine, and datagrams to oneself.

use std::os::fd::OwnedFd;

use anyhow::{Result, ensure};
use rustix::{
    io::{Errno, read},
    net::{
        AddressFamily, Ipv4Addr, RecvFlags, SendFlags, SocketAddrAny, SocketAddrUnix, SocketAddrV4,
        SocketFlags, SocketType, accept_with, bind, connect, getsockname, listen, recv, send, sendto,
        socket_with, sockopt::set_socket_linger,
    },
    process::{Signal, set_parent_process_death_signal},
};

/// Kind of connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// TCP on 127.0.0.1.
    Inet,
    /// An abstract stream socket.
    Unix,
}

/// connect, one byte from server to client, close. The server is a process of its own; the client resets TCP connections,
/// so that no ports pile up that wait for late packets.
pub(super) fn connections(count: u64, family: Family) -> Result<()> {
    let listener = stream(family)?;
    let address: SocketAddrAny = match family {
        Family::Inet => {
            bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
            getsockname(&listener)?
        }
        Family::Unix => {
            let name = format!("wl-{}", std::process::id());
            let address = SocketAddrUnix::new_abstract_name(name.as_bytes())?;
            bind(&listener, &address)?;
            address.into()
        }
    };
    listen(&listener, 128)?;
    let server = super::fork(|| serve(&listener, count))?;
    let mut byte = [0; 1];
    for _ in 0..count {
        let client = stream(family)?;
        connect(&client, &address)?;
        ensure!(read(&client, &mut byte)? == 1, "no byte");
        if family == Family::Inet {
            set_socket_linger(&client, Some(std::time::Duration::ZERO))?;
        }
    }
    ensure!(super::wait(server)? == 0, "the server failed");
    Ok(())
}

fn serve(listener: &OwnedFd, count: u64) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    for _ in 0..count {
        let connection = accept_with(listener, SocketFlags::CLOEXEC)?;
        match send(&connection, b"x", SendFlags::NOSIGNAL) {
            Ok(_) | Err(Errno::CONNRESET | Errno::PIPE) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn stream(family: Family) -> Result<OwnedFd> {
    let family = match family {
        Family::Inet => AddressFamily::INET,
        Family::Unix => AddressFamily::UNIX,
    };
    Ok(socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// sendto and recvfrom of 64 bytes.
pub(super) fn datagrams(count: u64) -> Result<()> {
    let socket = || socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    let (to, from) = (socket()?, socket()?);
    bind(&to, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let address: SocketAddrAny = getsockname(&to)?;
    let mut buffer = [0; 64];
    for _ in 0..count {
        ensure!(sendto(&from, &buffer, SendFlags::empty(), &address)? == 64, "short datagram");
        let _ = recv(&to, &mut buffer, RecvFlags::empty())?;
    }
    Ok(())
}
