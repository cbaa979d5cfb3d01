//! Against receivers of our own: what stands in the stream, and what becomes of a batch when the other end goes.

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener},
};

use super::*;
use crate::{config::TlsConfig, sink::Reason};

fn config(transport: SyslogTransport, address: impl Into<String>) -> SyslogConfig {
    let address = address.into();
    SyslogConfig {
        transport,
        address,
        facility: 4,
        app_name: "vedette".to_owned(),
        tls: TlsConfig::default(),
    }
}

fn expected(number: u64, body: &str) -> String {
    format!(
        "<36>1 2023-11-14T22:13:20.123456Z node-1 vedette {} alert [vedette@32473 id=\"00000000-0000-0000-0000-{number:012x}\" stream=\"00000000-0000-0000-0000-000000000007\" number=\"{number}\"] {body}",
        std::process::id()
    )
}

/// Reads a message by its count.
async fn counted(stream: &mut BufReader<TcpStream>) -> String {
    let mut count = Vec::new();
    stream.read_until(b' ', &mut count).await.unwrap();
    let count: usize = std::str::from_utf8(&count).unwrap().trim().parse().unwrap();
    let mut message = vec![0; count];
    stream.read_exact(&mut message).await.unwrap();
    String::from_utf8(message).unwrap()
}

#[tokio::test]
async fn over_tcp_each_message_is_counted_and_one_connection_is_kept() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let mut syslog = Syslog::new(config(SyslogTransport::Tcp, address), "node-1");
    let receiver = async {
        let mut stream = BufReader::new(server.accept().await.unwrap().0);
        for (number, body) in [(1, "{}"), (2, "CEF:0|a"), (3, "ü")] {
            assert_eq!(counted(&mut stream).await, expected(number, body));
        }
        stream
    };
    let sender = async {
        let first = [Record::sample(1, b"{}"), Record::sample(2, b"CEF:0|a")];
        assert_eq!(syslog.send(&first).await, Ok(Answer::default()));
        assert_eq!(syslog.send(&[Record::sample(3, "ü".as_bytes())]).await, Ok(Answer::default()));
    };
    tokio::join!(receiver, sender);
}

#[tokio::test]
async fn a_server_that_closed_meanwhile_is_found_before_anything_is_written() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let mut syslog = Syslog::new(config(SyslogTransport::Tcp, address), "node-1");
    for number in 1..=5 {
        let receiver = async {
            // Each connection takes one message and is closed.
            let mut stream = BufReader::new(server.accept().await.unwrap().0);
            assert_eq!(counted(&mut stream).await, expected(number, "x"));
        };
        let batch = [Record::sample(number, b"x")];
        let ((), sent) = tokio::join!(receiver, syslog.send(&batch));
        assert_eq!(sent, Ok(Answer::default()));
    }
}

#[tokio::test]
async fn a_reset_in_the_middle_of_a_batch_fails_all_of_it() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let mut syslog = Syslog::new(config(SyslogTransport::Tcp, address), "node-1");
    // More than both ends' buffers: the rest waits until somebody reads.
    let body = vec![b'x'; 8 << 20];
    let batch = [Record::sample(1, &body)];
    let receiver = async {
        let mut stream = server.accept().await.unwrap().0;
        let mut some = [0; 4096];
        stream.read_exact(&mut some).await.unwrap();
    };
    let ((), sent) = tokio::join!(receiver, syslog.send(&batch));
    assert_eq!(sent.unwrap_err().reason, Reason::Connection);
    // The next try is a connection of its own, and begins with a count.
    let receiver = async {
        let mut stream = BufReader::new(server.accept().await.unwrap().0);
        assert!(counted(&mut stream).await.ends_with("xxx"));
    };
    let ((), sent) = tokio::join!(receiver, syslog.send(&batch));
    assert_eq!(sent, Ok(Answer::default()));
}

#[tokio::test]
async fn what_fits_no_datagram_is_refused_and_the_rest_is_sent() {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap().to_string();
    let mut syslog = Syslog::new(config(SyslogTransport::Udp, address), "");
    let large = vec![b'x'; 66_000];
    let answer = syslog
        .send(&[Record::sample(1, b"a"), Record::sample(2, &large), Record::sample(3, b"c")])
        .await
        .unwrap();
    assert_eq!(answer.refused.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1]);
    assert!(answer.refused[0].1.contains("do not fit into a datagram"), "{answer:?}");
    for number in [1, 3] {
        let mut message = vec![0; 2048];
        let size = server.recv(&mut message).await.unwrap();
        let text = String::from_utf8_lossy(&message[..size]).into_owned();
        assert!(text.contains(&format!("Z - vedette {} alert ", std::process::id())), "{text}");
        assert!(text.contains(&format!("number=\"{number}\"")), "{text}");
    }
}

#[tokio::test]
async fn sockets_of_this_machine_are_datagrams_or_lines() {
    let folder = tempfile::tempdir().unwrap();
    let (datagrams, stream) = (folder.path().join("d"), folder.path().join("s"));
    let server = UnixDatagram::bind(&datagrams).unwrap();
    let mut syslog = Syslog::new(config(SyslogTransport::Unix, datagrams.to_str().unwrap()), "node-1");
    syslog.send(&[Record::sample(1, b"a")]).await.unwrap();
    let mut message = vec![0; 2048];
    let size = server.recv(&mut message).await.unwrap();
    assert_eq!(std::str::from_utf8(&message[..size]).unwrap(), expected(1, "a"));
    let server = UnixListener::bind(&stream).unwrap();
    let mut syslog = Syslog::new(config(SyslogTransport::Unix, stream.to_str().unwrap()), "node-1");
    let receiver = async {
        let mut lines = BufReader::new(server.accept().await.unwrap().0).lines();
        for number in [1, 2] {
            assert_eq!(lines.next_line().await.unwrap().unwrap(), expected(number, "b"));
        }
    };
    let batch = [Record::sample(1, b"b"), Record::sample(2, b"b")];
    let ((), sent) = tokio::join!(receiver, syslog.send(&batch));
    assert_eq!(sent, Ok(Answer::default()));
}

#[tokio::test]
async fn what_is_wrong_with_an_address_is_said() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    for (transport, address, reason) in [
        (SyslogTransport::Tcp, free.as_str(), Reason::Connection),
        (SyslogTransport::Tcp, "no-such-host.invalid:514", Reason::Name),
        (SyslogTransport::Udp, "no-such-host.invalid:514", Reason::Name),
        (SyslogTransport::Tcp, "no-port", Reason::Local),
        (SyslogTransport::Unix, "/nowhere/log", Reason::Connection),
    ] {
        let mut syslog = Syslog::new(config(transport, address), "node-1");
        let failure = syslog.send(&[Record::sample(1, b"a")]).await.unwrap_err();
        assert_eq!(failure.reason, reason, "{failure:?}");
        assert!(failure.message.contains(address), "{failure:?}");
    }
}
