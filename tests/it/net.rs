//! Sockets: both ends, protocol and result of every call, for v4, v6 and unix.

use std::net::{TcpListener, UdpSocket};

use sensor_tests::{Act, Done, Event, needs_32_bit_calls, needs_kernel, shared};
use serde_json::{Value, json};

const INET: &str = "2";
const INET6: &str = "10";
const UNIX: &str = "1";
const STREAM: &str = "1";
const DGRAM: &str = "2";

/// Runs steps, and gives the socket events of these types.
#[track_caller]
fn sockets(types: &[&str], list: &[&[&str]]) -> (Done, Vec<Event>) {
    let (done, mut events) = Act::new(list.join(&"--")).seen_by(&shared());
    events.retain(|event| event.is_socket() && types.contains(&event.kind()));
    (done, events)
}

fn end(ip: &str, port: impl Into<Value>) -> Value {
    json!({ "ip": ip, "port": port.into() })
}

/// Port that a step's socket was bound to when the step was over.
fn port(done: &Done, step: usize) -> Value {
    done.said(step, "port").clone()
}

#[track_caller]
fn assert_tcp(event: &Event, family: i32, ino: &Value) {
    let detail = &event["detail"];
    assert_eq!(detail["family"], "socket", "{detail}");
    assert_eq!(
        (&detail["type"], &detail["protocol"]),
        (&json!(libc::SOCK_STREAM), &json!(libc::IPPROTO_TCP))
    );
    assert_eq!(detail["domain"], family);
    assert_eq!(detail["ino"], *ino);
}

/// A connection of a process with itself: bind, listen, connect, accept.
fn tcp_both_ends(af: &str, family: i32, ip: &str, any_port: &str) {
    let (done, events) = sockets(
        &["bind", "listen", "connect", "accept", "accept4"],
        &[
            &["socket", af, STREAM, "0"],
            &["bind", "3", any_port],
            &["listen", "3", "17"],
            &["socket", af, STREAM, "0"],
            &["connect-to-port-of", "4", "3", if af == INET { "127.0.0.1" } else { "[::1]" }],
            &["accept", "3"],
            &["socket", af, STREAM, "0"],
            &["connect-to-port-of", "6", "3", if af == INET { "127.0.0.1" } else { "[::1]" }],
            &["accept4", "3", "2048"],
        ],
    );
    let kinds: Vec<&str> = events.iter().map(Event::kind).collect();
    assert_eq!(kinds, ["bind", "listen", "connect", "accept", "connect", "accept4"]);
    let (listener, first) = (done.said(0, "ino"), done.said(3, "ino"));
    let [bind, listen, connect, accept, _, accept4] = &events[..] else { panic!("six events") };
    assert_tcp(bind, family, listener);
    assert_tcp(listen, family, listener);
    assert_tcp(connect, family, first);
    let (server, client) = (end(ip, port(&done, 1)), end(ip, port(&done, 4)));
    // Port 0 became a real one.
    assert_ne!(port(&done, 1), 0);
    assert_eq!(bind["/detail/local"], server);
    assert_eq!(bind["/detail/fd"], 3);
    assert_eq!(bind["/detail/untrusted"], false);
    assert_eq!(listen["/detail/local"], server);
    assert_eq!(listen["/detail/arg"], 17);
    assert_eq!(listen["/detail/server"], true);
    assert_eq!((&connect["/detail/local"], &connect["/detail/remote"]), (&client, &server));
    assert_eq!((connect.result(), &connect["/detail/server"]), (0, &json!(false)));
    assert_eq!(connect["/detail/fd"], 4);
    assert_eq!(connect["/detail/untrusted"], false);
    assert_eq!((&accept["/detail/local"], &accept["/detail/remote"]), (&server, &client));
    assert_eq!((accept.result(), &accept["/detail/fd"]), (done.result(5), &json!(5)));
    assert_eq!(accept["/detail/server"], true);
    assert_eq!(accept4["/detail/arg"], 2048);
    assert_eq!(accept4["/detail/remote"], end(ip, port(&done, 7)));
}

#[test]
fn net_tcp_v4_both_ends() {
    needs_kernel!();
    tcp_both_ends(INET, libc::AF_INET, "127.0.0.1", "127.0.0.1:0");
}

#[test]
fn net_tcp_v6_both_ends() {
    needs_kernel!();
    tcp_both_ends(INET6, libc::AF_INET6, "::1", "[::1]:0");
}

#[test]
fn net_connect_to_a_mapped_address() {
    needs_kernel!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let to = format!("[::ffff:127.0.0.1]:{port}");
    let (done, events) = sockets(&["connect"], &[&["socket", INET6, STREAM, "0"], &["connect", "3", &to]]);
    assert_eq!(done.result(1), 0);
    // The socket is one of v6, the addresses are said to be what they are.
    assert_eq!(events[0]["/detail/remote"], end("127.0.0.1", port));
    assert_tcp(&events[0], libc::AF_INET6, done.said(0, "ino"));
}

#[test]
fn net_connect_refused_and_in_progress() {
    needs_kernel!();
    // A port that was just free: nobody listens.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nonblocking = (libc::SOCK_STREAM | libc::SOCK_NONBLOCK).to_string();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (done, events) = sockets(
        &["connect"],
        &[
            &["socket", INET, STREAM, "0"],
            &["connect", "3", &format!("127.0.0.1:{free}")],
            &["socket", INET, &nonblocking, "0"],
            &["connect", "4", &format!("127.0.0.1:{}", listener.port())],
            &["connect", "1", "127.0.0.1:9"],
            &["connect", "77", "127.0.0.1:9"],
        ],
    );
    let results: Vec<i64> = events.iter().map(Event::result).collect();
    assert_eq!(results, [done.result(1), done.result(3), done.result(4), done.result(5)]);
    assert_eq!(results[0], -i64::from(libc::ECONNREFUSED));
    assert_eq!(events[0]["/detail/remote"], end("127.0.0.1", free));
    assert_eq!(results[2..], [-i64::from(libc::ENOTSOCK), -i64::from(libc::EBADF)]);
    for event in &events[2..] {
        assert_eq!(event["/detail/ino"], 0);
    }
    assert_eq!(events[3]["/detail/fd"], 77);
}

#[test]
fn net_connect_in_progress_says_where() {
    needs_kernel!();
    // A listener whose queue is full drops what comes, and whoever does not wait is told so.
    let nonblocking = (libc::SOCK_STREAM | libc::SOCK_NONBLOCK).to_string();
    let (done, events) = sockets(
        &["connect"],
        &[
            &["socket", INET, STREAM, "0"],
            &["bind", "3", "127.0.0.1:0"],
            &["listen", "3", "0"],
            &["socket", INET, &nonblocking, "0"],
            &["connect-to-port-of", "4", "3", "127.0.0.1"],
            &["socket", INET, &nonblocking, "0"],
            &["connect-to-port-of", "5", "3", "127.0.0.1"],
            &["socket", INET, &nonblocking, "0"],
            &["connect-to-port-of", "6", "3", "127.0.0.1"],
        ],
    );
    let last = events.last().unwrap();
    assert_eq!(last.result(), -i64::from(libc::EINPROGRESS));
    assert_eq!(last["/detail/remote"], end("127.0.0.1", port(&done, 1)));
    assert_eq!(last["/detail/local"], end("127.0.0.1", port(&done, 8)));
}

#[test]
fn net_bind_in_use() {
    needs_kernel!();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let to = format!("127.0.0.1:{port}");
    let (done, events) = sockets(&["bind"], &[&["socket", INET, STREAM, "0"], &["bind", "3", &to]]);
    assert_eq!((events[0].result(), done.result(1)), (-i64::from(libc::EADDRINUSE), -98));
    // What was asked for, in the caller's words.
    assert_eq!(events[0]["/detail/local"], end("127.0.0.1", port));
    assert_eq!(events[0]["/detail/untrusted"], true);
}

#[test]
fn net_send_udp() {
    needs_kernel!();
    for (af, ip, any) in [(INET, "127.0.0.1", "127.0.0.1:0"), (INET6, "::1", "[::1]:0")] {
        let receiver = UdpSocket::bind(any).unwrap();
        let to = receiver.local_addr().unwrap();
        let target = to.to_string();
        let (done, events) = sockets(
            &["sendto", "sendmsg", "sendmmsg", "connect"],
            &[
                &["socket", af, DGRAM, "0"],
                &["sendto", "3", "5", &target],
                &["sendmsg", "3", "6", &target],
                &["sendmmsg", "3", "7", &target],
                &["connect", "3", &target],
                &["send", "3", "8"],
            ],
        );
        // A send without a destination repeats what connect said, and is no event.
        let kinds: Vec<&str> = events.iter().map(Event::kind).collect();
        assert_eq!(kinds, ["sendto", "sendmsg", "sendmmsg", "connect"]);
        for (step, event) in events[..3].iter().enumerate() {
            assert_eq!(event.result(), done.result(step + 1));
            assert_eq!(event["/detail/remote"], end(ip, to.port()));
            assert_eq!(event["/detail/local/port"], port(&done, 1));
            assert_eq!(event["/detail/protocol"], libc::IPPROTO_UDP);
            assert_eq!(event["/detail/type"], libc::SOCK_DGRAM);
            assert_eq!(event["/detail/ino"], *done.said(0, "ino"));
            assert_eq!(event["/detail/untrusted"], true);
        }
        assert_eq!(events[0]["/detail/arg"], 5);
        assert_eq!(events[3]["/detail/remote"], end(ip, to.port()));
    }
}

#[test]
fn net_unix_paths() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let (path, asked) = (at("socket"), format!("unix:{}", at("socket")));
    let missing = format!("unix:{}", at("none"));
    let (done, events) = sockets(
        &["bind", "listen", "connect", "accept"],
        &[
            &["socket", UNIX, STREAM, "0"],
            &["bind", "3", &asked],
            &["listen", "3", "3"],
            &["socket", UNIX, STREAM, "0"],
            &["connect", "4", &asked],
            &["accept", "3"],
            &["connect", "4", &missing],
            &["socket", UNIX, STREAM, "0"],
            &["connect", "6", &missing],
        ],
    );
    let kinds: Vec<&str> = events.iter().map(Event::kind).collect();
    assert_eq!(kinds, ["bind", "listen", "connect", "accept", "connect", "connect"]);
    assert_eq!(events[0]["/detail/local"], path);
    assert_eq!(events[1]["/detail/local"], path);
    assert_eq!((events[2].result(), &events[2]["/detail/remote"]), (0, &json!(path)));
    assert_eq!(events[2]["/detail/ino"], *done.said(3, "ino"));
    assert_eq!(events[3]["/detail/local"], path);
    assert_eq!((events[5].result(), &events[5]["/detail/remote"]), (-2, &json!(at("none"))));
    assert_eq!(events[4].result(), done.result(6));
    assert!(events.iter().all(|event| event["/detail/domain"] == libc::AF_UNIX));
}

#[test]
fn net_unix_abstract_names_and_datagrams() {
    needs_kernel!();
    let name = format!("@vedette-test-{}", std::process::id());
    let to = format!("unix:{name}");
    let (done, events) = sockets(
        &["bind", "connect", "sendto", "sendmsg"],
        &[
            &["socket", UNIX, DGRAM, "0"],
            &["bind", "3", &to],
            &["socket", UNIX, DGRAM, "0"],
            &["sendto", "4", "3", &to],
            &["sendmsg", "4", "3", &to],
            &["connect", "4", &to],
        ],
    );
    let kinds: Vec<&str> = events.iter().map(Event::kind).collect();
    assert_eq!(kinds, ["bind", "sendto", "sendmsg", "connect"]);
    assert_eq!(events[0]["/detail/local"], name);
    for event in &events[1..] {
        assert_eq!(event["/detail/remote"], name, "{}", event.kind());
        assert_eq!(event["/detail/type"], libc::SOCK_DGRAM);
    }
    assert_eq!(events[1].result(), done.result(3));
}

#[test]
fn net_connect_by_a_32_bit_caller() {
    needs_kernel!();
    needs_32_bit_calls!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let to = format!("127.0.0.1:{port}");
    let (done, events) = sockets(&["connect"], &[&["socket", INET, STREAM, "0"], &["connect32", "3", &to]]);
    assert_eq!((done.result(1), events[0].result()), (0, 0));
    assert_eq!(events[0]["/detail/remote"], end("127.0.0.1", port));
    assert_eq!(events[0]["compat"], true);
    assert_tcp(&events[0], libc::AF_INET, done.said(0, "ino"));
}

#[test]
fn net_socket_of_every_sort() {
    needs_kernel!();
    let (done, mut events) = sockets(
        &["socket"],
        &[
            &["socket", INET, STREAM, "0"],
            &["socket", "17", "3", "768"],
            &["socket", UNIX, "526338", "0"],
            &["socket", "16", "3", "0"],
            &["socket", "99", "1", "7"],
        ],
    );
    // A second `socket` of the C library is none of these.
    events.truncate(5);
    assert_eq!(events.iter().map(Event::result).collect::<Vec<_>>(), [3, 4, 5, 6, -97]);
    let said = |at: usize| {
        ["domain", "type", "protocol"].map(|name| events[at][&*format!("/detail/{name}")].as_u64())
    };
    assert_eq!(said(0), [2, 1, 6].map(Some));
    assert_eq!(said(1)[..2], [17, 3].map(Some));
    assert_eq!(said(2), [1, 2, 0].map(Some));
    assert_eq!(events[2]["/detail/arg"], 526_338);
    assert_eq!(said(3), [16, 3, 0].map(Some));
    assert_eq!((events[4].result(), said(4)), (-97, [99, 1, 7].map(Some)));
    assert_eq!(events[0]["/detail/ino"], *done.said(0, "ino"));
}

#[test]
fn net_receive_says_where_a_datagram_came_from() {
    needs_kernel!();
    let (done, events) = sockets(
        &["recvfrom", "recvmsg"],
        &[
            &["socket", INET, DGRAM, "0"],
            &["bind", "3", "127.0.0.1:0"],
            &["socket", INET, DGRAM, "0"],
            &["sendto-port-of", "4", "3", "127.0.0.1"],
            &["recvfrom", "3", "1"],
            // Nothing has come; and nobody asks where from.
            &["recvfrom", "3", "1"],
            &["sendto-port-of", "4", "3", "127.0.0.1"],
            &["recvfrom", "3", "0"],
            &["sendto-port-of", "4", "3", "127.0.0.1"],
            &["recvmsg", "3"],
        ],
    );
    assert_eq!([4, 5, 7, 9].map(|step| done.result(step)), [1, -11, 1, 1]);
    let kinds: Vec<_> = events.iter().map(|event| (event.kind(), event.result())).collect();
    assert_eq!(kinds, [("recvfrom", 1), ("recvmsg", 1)]);
    for event in &events {
        assert_eq!(event["/detail/remote/ip"], "127.0.0.1");
        assert_eq!(event["/detail/remote/port"], *done.said(3, "port"));
        assert_eq!(event["/detail/local/port"], *done.said(1, "port"));
        assert_eq!((&event["/detail/server"], &event["/detail/untrusted"]), (&json!(true), &json!(true)));
    }
    assert_eq!(events[0]["/detail/arg"], 64);
}
