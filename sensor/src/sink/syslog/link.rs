//! A connection to a syslog server: opened, looked at, written to until the other end has it all. It knows no message.

use std::{
    fmt,
    io::{self, ErrorKind},
    net::Ipv6Addr,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::Path,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket, UnixDatagram, UnixStream},
    time::{sleep, timeout},
};
use tokio_rustls::client::TlsStream;

use crate::{
    config::{SyslogConfig, SyslogTransport},
    sink::{
        Failure, Reason,
        connect::{self, failure},
    },
};

/// Pauses between two looks at what the other end has not confirmed yet: the first, and the longest.
const LOOK: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(20));

/// A connection.
pub(super) enum Link {
    Unix(UnixDatagram),
    UnixStream(UnixStream),
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Link {
    pub(super) async fn open(config: &SyslogConfig) -> Result<Self, Failure> {
        let address = &config.address;
        match config.transport {
            SyslogTransport::Unix => unix(Path::new(address)).await,
            SyslogTransport::Udp => udp(address).await,
            SyslogTransport::Tcp => connect::tcp(address).await.map(Self::Tcp),
            SyslogTransport::Tls => {
                connect::tls(address, &config.tls, &[]).await.map(|stream| Self::Tls(Box::new(stream)))
            }
        }
    }

    pub(super) const fn is_datagram(&self) -> bool {
        matches!(self, Self::Unix(_) | Self::Udp(_))
    }

    /// Whether the other end has gone meanwhile: what is written to it then would be lost without an error.
    pub(super) async fn is_closed(&mut self) -> bool {
        match self {
            Self::Unix(_) | Self::Udp(_) => false,
            Self::UnixStream(stream) => ended(stream, |stream| stream.as_fd()).await.unwrap_or(true),
            Self::Tcp(stream) => ended(stream, |stream| stream.as_fd()).await.unwrap_or(true),
            Self::Tls(stream) => {
                ended(stream.as_mut(), |stream| stream.get_ref().0.as_fd()).await.unwrap_or(true)
            }
        }
    }

    /// Sends a datagram; `false` where it is too large for the socket.
    pub(super) async fn datagram(&mut self, message: &[u8]) -> Result<bool, Failure> {
        let sent = match self {
            Self::Unix(socket) => socket.send(message).await,
            Self::Udp(socket) => socket.send(message).await,
            Self::UnixStream(_) | Self::Tcp(_) | Self::Tls(_) => Ok(0),
        };
        match sent {
            Ok(_) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => Ok(false),
            Err(error) => Err(failure("cannot send to", "the server", &error)),
        }
    }

    /// Writes everything, and waits until the other end has it.
    pub(super) async fn stream(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let done = match self {
            Self::Unix(_) | Self::Udp(_) => Ok(()),
            Self::UnixStream(stream) => confirmed(stream, bytes, |stream| stream.as_fd()).await,
            Self::Tcp(stream) => confirmed(stream, bytes, |stream| stream.as_fd()).await,
            Self::Tls(stream) => confirmed(stream.as_mut(), bytes, |stream| stream.get_ref().0.as_fd()).await,
        };
        done.map_err(|error| failure("the connection broke while writing to", "the server", &error))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unix(_) => "Unix",
            Self::UnixStream(_) => "UnixStream",
            Self::Udp(_) => "Udp",
            Self::Tcp(_) => "Tcp",
            Self::Tls(_) => "Tls",
        })
    }
}

/// A datagram socket if there is one, else a stream.
async fn unix(path: &Path) -> Result<Link, Failure> {
    let socket = UnixDatagram::unbound().and_then(|socket| socket.connect(path).map(|()| socket));
    let error = match socket {
        Ok(socket) => return Ok(Link::Unix(socket)),
        Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => {
            match UnixStream::connect(path).await {
                Ok(stream) => return Ok(Link::UnixStream(stream)),
                Err(error) => error,
            }
        }
        Err(error) => error,
    };
    Err(failure("cannot connect to", &path.display().to_string(), &error))
}

async fn udp(address: &str) -> Result<Link, Failure> {
    let server = connect::resolve(address).await?.into_iter().next();
    let server = server.ok_or_else(|| Failure::new(Reason::Name, format!("`{address}` has no address")))?;
    let any =
        if server.is_ipv4() { "0.0.0.0:0".to_owned() } else { format!("[{}]:0", Ipv6Addr::UNSPECIFIED) };
    let bound = async {
        let socket = UdpSocket::bind(any).await?;
        socket.connect(server).await.map(|()| socket)
    };
    bound.await.map(Link::Udp).map_err(|error| failure("cannot send to", address, &error))
}

/// Whether the other end has closed. The socket itself is asked: the runtime may not have heard of it yet. Syslog servers do
/// not talk; what they say all the same is read and left aside, and with TLS it may be the end.
async fn ended<S, F>(stream: &mut S, socket: F) -> io::Result<bool>
where
    S: AsyncRead + Unpin,
    F: Fn(&S) -> BorrowedFd<'_>,
{
    let mut said = [0; 256];
    loop {
        match recv(socket(stream), &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Ok(true),
            Ok(_) => {}
            Err(Errno::AGAIN) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        match timeout(LOOK.1, stream.read(&mut said)).await {
            Ok(Ok(0)) => return Ok(true),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error),
            // A part of what TLS reads as one.
            Err(_) => return Ok(false),
        }
    }
}

async fn confirmed<S, F>(stream: &mut S, bytes: &[u8], socket: F) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Fn(&S) -> BorrowedFd<'_>,
{
    stream.write_all(bytes).await?;
    stream.flush().await?;
    let (mut pause, longest) = LOOK;
    loop {
        let waiting = unconfirmed(socket(stream))?;
        // A server that closes with bytes that it has not read resets the connection, which is an error here.
        let ended = ended(stream, &socket).await?;
        match (waiting, ended) {
            (0, _) => return Ok(()),
            (_, true) => return Err(ErrorKind::UnexpectedEof.into()),
            (_, false) => sleep(pause).await,
        }
        pause = (pause * 2).min(longest);
    }
}

/// Bytes that were written and that the other end has not confirmed (`SIOCOUTQ`); on this machine, that it has not read.
#[allow(unsafe_code, reason = "no crate here has a safe form of this question")]
fn unconfirmed(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is borrowed, hence open, and the kernel writes one int to the address of one.
    let asked = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if asked < 0 { Err(io::Error::last_os_error()) } else { Ok(usize::try_from(bytes).unwrap_or_default()) }
}
