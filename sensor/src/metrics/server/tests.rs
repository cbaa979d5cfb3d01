//! The server as clients see it, by loopback.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream as Client,
    path::Path,
    process::{Command, Stdio},
};

use super::*;
use crate::config::{Config, Listen, ServerTlsConfig};

/// What a server says to a request for a path, with these lines more in its head.
fn ask(address: SocketAddr, path: &str, more: &str) -> String {
    let mut client = Client::connect(address).unwrap();
    write!(client, "GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

fn anywhere() -> MetricsConfig {
    MetricsConfig { listen: Listen(Some(([127, 0, 0, 1], 0).into())), ..MetricsConfig::default() }
}

fn bounds() -> Bounds {
    Bounds::of(&Config::default())
}

#[test]
fn it_is_not_ready_before_the_first_accounts_and_says_why_it_is_not_later() {
    let latest = Published::default();
    let address = start(&anywhere(), bounds(), latest.clone()).unwrap().unwrap();
    assert!(ask(address, "/healthz", "").starts_with("HTTP/1.1 200 "));
    let answer = ask(address, "/readyz", "");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains(r#"{"ready":false,"reasons":[{"reason":"starting"}],"blind":[]}"#), "{answer}");
    assert!(ask(address, "/metrics", "").contains("\nvedette_pipeline_ready 0\n"));
    let mut stats = Stats { received: 42, ..Stats::default() };
    (stats.kernel.ring_bytes, stats.kernel.ring_waiting_bytes) = (1 << 20, 1 << 19);
    latest.publish(&stats);
    assert!(ask(address, "/readyz", "").contains(r#"{"ready":true,"reasons":[],"blind":[]}"#));
    let answer = ask(address, "/metrics", "");
    assert!(answer.contains("content-type: text/plain; version=0.0.4\r\n"), "{answer}");
    assert!(answer.contains("\nvedette_decode_received_total 42\n"), "{answer}");
    stats.kernel.ring_waiting_bytes = 3 << 18;
    (stats.queue.offered, stats.queue.taken) = (1 << 20, 1);
    latest.publish(&stats);
    let answer = ask(address, "/readyz", "");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    for reason in [r#"{"reason":"backlog","of":"ring","share":1.0}"#, r#""of":"queue""#] {
        assert!(answer.contains(reason), "{answer}");
    }
    assert!(ask(address, "/", "").ends_with("vedette: /metrics /healthz /readyz\n"));
    assert!(ask(address, "/nothing", "").starts_with("HTTP/1.1 404 "));
}

#[test]
fn it_is_alive_while_accounts_come() {
    let latest = Published::default();
    latest.publish(&Stats::default());
    let snapshot = latest.latest().unwrap();
    let alive =
        |seconds| health::alive(Some(&snapshot), &bounds(), snapshot.at + Duration::from_secs(seconds));
    assert!(alive(1) && alive(14) && !alive(15));
    let bounds = bounds();
    let starting = |seconds| health::alive(None, &bounds, bounds.started + Duration::from_secs(seconds));
    assert!(starting(100) && !starting(200));
    let health = health::ready(Some(&snapshot), &bounds, snapshot.at + Duration::from_secs(20));
    assert_eq!(health.reasons, [health::Reason::Stalled { seconds: 20.0 }]);
}

#[test]
fn a_port_in_use_names_the_key() {
    let address = start(&anywhere(), bounds(), Published::default()).unwrap();
    let taken = MetricsConfig { listen: Listen(address), ..anywhere() };
    let error = start(&taken, bounds(), Published::default()).unwrap_err().to_string();
    assert!(error.contains("metrics.listen: cannot listen at 127.0.0.1:"), "{error}");
    assert!(error.contains("--set metrics.listen="), "{error}");
    let none = MetricsConfig { listen: Listen(None), ..anywhere() };
    assert_eq!(start(&none, bounds(), Published::default()).unwrap(), None);
}

#[test]
fn metrics_are_for_who_has_the_token_and_it_is_read_anew() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = MetricsConfig { token: Some(SecretSource::File(file.path().to_owned())), ..anywhere() };
    let error = start(&config, bounds(), Published::default()).unwrap_err().to_string();
    assert!(error.starts_with("metrics.token: ") && error.contains("it is empty"), "{error}");
    fs::write(file.path(), "first\n").unwrap();
    let address = start(&config, bounds(), Published::default()).unwrap().unwrap();
    let status = |more: &str| ask(address, "/metrics", more)[9..12].to_owned();
    let with = |token: &str| status(&format!("Authorization: {token}\r\n"));
    assert_eq!(status(""), "401");
    for wrong in ["", "Bearer", "Bearer ", "Bearer firs", "Bearer first2", "Basic first", "first"] {
        assert_eq!(with(wrong), "401", "{wrong}");
    }
    assert_eq!((with("Bearer first"), with("bearer first")), ("200".to_owned(), "200".to_owned()));
    fs::write(file.path(), "second").unwrap();
    assert_eq!((with("Bearer first"), with("Bearer second")), ("401".to_owned(), "200".to_owned()));
    fs::write(file.path(), "").unwrap();
    assert_eq!(with("Bearer "), "503");
    assert!(ask(address, "/healthz", "").starts_with("HTTP/1.1 200 "), "probes have no token");
}

#[test]
fn clients_that_say_nothing_lose_their_places() {
    let address = start(&anywhere(), bounds(), Published::default()).unwrap().unwrap();
    let silent: Vec<_> = (0..CONNECTIONS + 8).map(|_| Client::connect(address).unwrap()).collect();
    // Answered once their time is over.
    assert!(ask(address, "/healthz", "").starts_with("HTTP/1.1 200 "));
    drop(silent);
}

/// A certificate for 127.0.0.1 with its key; `false` where the machine has no openssl.
fn certificate(dir: &Path) -> bool {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-out", "c.pem", "-keyout", "k.pem"])
        .current_dir(dir)
        .stderr(Stdio::null())
        .status();
    made.is_ok_and(|status| status.success())
}

/// The answer of a server to who trusts this certificate alone.
fn ask_securely(address: SocketAddr, trusted: &Path) -> Result<String, io::Error> {
    let tls = crate::config::TlsConfig { ca: trusted.to_owned(), ..crate::config::TlsConfig::default() };
    let config = Arc::new(crate::sink::tls_client(&tls).unwrap());
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let mut session = rustls::ClientConnection::new(config, name).map_err(io::Error::other)?;
    let mut socket = Client::connect(address)?;
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn a_certificate_that_changes_is_at_work_with_the_next_client() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    if !certificate(first.path()) || !certificate(second.path()) {
        println!(
            "skipped: a_certificate_that_changes_is_at_work_with_the_next_client: openssl is not installed"
        );
        return;
    }
    let at = |name: &str| first.path().join(name);
    let old = at("old.pem");
    fs::copy(at("c.pem"), &old).unwrap();
    let tls = ServerTlsConfig { certificate: at("c.pem"), key: at("k.pem") };
    let config = MetricsConfig { tls: tls.clone(), ..anywhere() };
    let address = start(&config, bounds(), Published::default()).unwrap().unwrap();
    assert!(ask_securely(address, &old).unwrap().starts_with("HTTP/1.1 200 "));
    // Half of a pair cannot be used: the old one stays.
    fs::copy(second.path().join("c.pem"), at("c.pem")).unwrap();
    assert!(ask_securely(address, &old).unwrap().starts_with("HTTP/1.1 200 "));
    fs::copy(second.path().join("k.pem"), at("k.pem")).unwrap();
    assert!(ask_securely(address, &second.path().join("c.pem")).unwrap().starts_with("HTTP/1.1 200 "));
    assert!(ask_securely(address, &old).is_err());
    // Whoever speaks no TLS is not answered.
    let mut plain = Client::connect(address).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    fs::write(at("k.pem"), "no key").unwrap();
    let error = start(&config, bounds(), Published::default()).unwrap_err().to_string();
    assert!(error.starts_with("metrics.tls: cannot use ") && error.contains("k.pem"), "{error}");
}
