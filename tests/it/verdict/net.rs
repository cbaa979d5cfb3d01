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
    let container = container!(7);
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
