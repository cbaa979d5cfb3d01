//! What sockets are refused, by what they ask for: ports of their own, and whom they send to.

use super::*;

const TCP: &str = "1";
const UDP: &str = "2";
const V4: &str = "2";
const V6: &str = "10";
const EPERM: i64 = -(libc::EPERM as i64);

/// The result of the last of these steps, done in the container.
fn last(container: &Container, program: &Path, steps: &[&str]) -> i64 {
    let output = container.command(program, steps).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    last["result"].as_i64().unwrap()
}

/// A port that nobody has.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn verdict_refuses_a_bind() {
    let container = container!();
    let program = container.program("server");
    let (port, free) = (free_port(), free_port());
    let bind = |family: &str, kind: &str, address: String| {
        last(&container, &program, &["socket", family, kind, "0", "--", "bind", "3", &address])
    };
    let condition = format!(
        "evt.type = bind and container.id != host and fd.lport = {port} and not fd.lip = 127.9.9.9 and fd.l4proto = tcp"
    );
    let watcher = container.watched(&rule("refused", "block", &condition));
    let said = watcher.stderr();
    assert!(said.contains("a bind") && said.contains("refused in the kernel, in containers"), "{said}");
    let before = container.until_forbidden(&watcher, || bind(V4, TCP, format!("127.0.0.1:{port}")) == 0);
    for _ in 0..tries() {
        assert_eq!(bind(V4, TCP, format!("127.0.0.1:{port}")), EPERM);
    }
    assert_eq!(bind(V4, TCP, format!("0.0.0.0:{port}")), EPERM);
    assert_eq!(bind(V6, TCP, format!("[::1]:{port}")), EPERM);
    assert_eq!(bind(V6, TCP, format!("[::ffff:127.0.0.1]:{port}")), EPERM);
    assert_eq!(bind(V4, TCP, format!("127.9.9.9:{port}")), 0, "another address");
    assert_eq!(bind(V4, TCP, format!("127.0.0.1:{free}")), 0, "another port");
    assert_eq!(bind(V4, UDP, format!("127.0.0.1:{port}")), 0, "another protocol");
    assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok(), "the host is let alone");
    let refusals = before + tries() + 3;
    let alert = watcher.alert("refused", refusals);
    assert_eq!(alert["event"]["type"], "bind");
    assert_eq!(alert["response"]["decision"], "done-in-kernel", "{alert}");
    assert_eq!(told(watcher), refusals, "each refusal is one alert");
}

#[test]
fn verdict_refuses_datagrams() {
    let container = container!();
    let program = container.program("sender");
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (port, free) = (receiver.local_addr().unwrap().port(), other.local_addr().unwrap().port());
    let send = |family: &str, call: &str, address: String| {
        last(&container, &program, &["socket", family, UDP, "0", "--", call, "3", "5", &address])
    };
    let condition = format!(
        "evt.type in (sendto, sendmsg, sendmmsg) and container.id != host and fd.sport = {port} and fd.snet = \"127.0.0.0/8\""
    );
    let watcher = container.watched(&rule("refused", "block", &condition));
    let before = container.until_forbidden(&watcher, || send(V4, "sendto", format!("127.0.0.1:{port}")) > 0);
    for _ in 0..tries() {
        assert_eq!(send(V4, "sendto", format!("127.0.0.1:{port}")), EPERM);
    }
    for call in ["sendmsg", "sendmmsg"] {
        assert_eq!(send(V4, call, format!("127.0.0.1:{port}")), EPERM, "{call}");
    }
    assert_eq!(send(V6, "sendto", format!("[::ffff:127.0.0.1]:{port}")), EPERM);
    assert_eq!(send(V4, "sendto", format!("127.0.0.1:{free}")), 5, "another port");
    let to = format!("127.0.0.1:{port}");
    let connected = ["socket", V4, UDP, "0", "--", "connect", "3", &to, "--", "send", "3", "5"];
    assert_eq!(last(&container, &program, &connected), 5, "where it is connected to no rule asks");
    assert_eq!(other.send_to(b"x", ("127.0.0.1", port)).unwrap(), 1, "the host is let alone");
    let refusals = before + tries() + 3;
    let alert = watcher.alert("refused", refusals);
    assert_eq!(alert["event"]["type"], "sendto");
    assert_eq!(alert["response"]["decision"], "done-in-kernel", "{alert}");
    assert_eq!(told(watcher), refusals, "each refusal is one alert");
}

#[test]
fn verdict_of_a_connect_holds_for_datagrams() {
    let container = container!();
    let program = container.program("sender");
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (port, by_tcp) = (receiver.local_addr().unwrap().port(), other.local_addr().unwrap().port());
    let over = |steps: &[&str], port: u16| {
        let to = format!("127.0.0.1:{port}");
        last(&container, &program, &[&["socket", V4, UDP, "0", "--"], steps, &[to.as_str()]].concat())
    };
    let condition = |more: String| format!("evt.type = connect and container.id != host and {more}");
    let rules = [
        rule("refused", "block", &condition(format!("fd.sip = 127.0.0.1 and fd.sport = {port}"))),
        rule("of tcp", "block", &condition(format!("fd.l4proto = tcp and fd.sport = {by_tcp}"))),
    ];
    let watcher = container.watched(&rules.concat());
    let connects = || over(&["connect", "3"], port) == 0;
    let before = container.until_forbidden(&watcher, connects);
    assert_eq!(over(&["connect", "3"], port), EPERM);
    for _ in 0..tries() {
        assert_eq!(over(&["sendto", "3", "5"], port), EPERM);
    }
    assert_eq!(over(&["sendmsg", "3", "5"], port), EPERM);
    assert_eq!(over(&["sendto", "3", "5"], by_tcp), 5, "another port");
    let refusals = before + tries() + 2;
    let alert = watcher.alert("refused", refusals);
    assert_eq!(alert["event"]["type"], "connect");
    assert_eq!(alert["response"]["decision"], "done-in-kernel", "{alert}");
    assert_eq!(told(watcher), refusals, "each refusal is one alert");
}
