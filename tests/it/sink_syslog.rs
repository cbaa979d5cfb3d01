//! Syslog as rsyslog reads it: over UDP, TCP, TLS and a socket of this machine.

use std::{fs, path::Path};

use sensor::{
    config::SyslogConfig,
    sink::{Reason, Record, Remote, Syslog},
};
use sensor_tests::{
    deadline,
    receiver::tls::Certificates,
    record::{by, record, records},
    require::{has_program, skip},
    server::{Server, free_port},
    test_name,
};
use serde_json::{Value, json};

/// What rsyslog made of each message, field by field.
const TEMPLATE: &str = r#"template(name="t" type="string" string="%pri%;%timestamp:::date-rfc3339%;%hostname%;%app-name%;%msgid%;%structured-data%;%msg%\n")
action(type="omfile" file="out" template="t")
"#;

fn rsyslog(test: &str) -> bool {
    let there = has_program("rsyslogd") || Path::new("/usr/sbin/rsyslogd").is_file();
    if !there {
        skip(test, "rsyslogd is not installed");
    }
    there
}

fn start(config: &str, port: u16) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().display();
    let head = format!("global(workDirectory=\"{at}\" maxMessageSize=\"256k\")\n");
    let template = TEMPLATE.replace("\"out\"", &format!("\"{at}/out\""));
    fs::write(dir.path().join("rs.conf"), head + &config.replace("DIR", &at.to_string()) + &template)
        .unwrap();
    let (config, pid) = (format!("{at}/rs.conf"), format!("{at}/pid"));
    Server::start(Path::new("/usr/sbin/rsyslogd"), &["-n", "-f", &config, "-i", &pid], dir, port)
}

fn syslog(transport: &str, address: String, more: Value) -> Syslog {
    let mut config = json!({ "transport": transport, "address": address, "facility": 16 });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Syslog::new(serde_json::from_value::<SyslogConfig>(config).unwrap(), "node-1")
}

fn expected(record: &Record) -> String {
    let text = String::from_utf8_lossy(&record.body);
    // rsyslog keeps no more than microseconds, and writes the zone as a number.
    format!(
        "132;2023-11-14T22:13:20.123456+00:00;node-1;vedette;alert;[vedette@32473 id=\"{}\" stream=\"{}\" number=\"{}\"];{text}",
        record.id, record.stream, record.number
    )
}

/// Records that a careless reader would misread: long ones, an `=`, a bracket, other scripts.
fn batch() -> Vec<Record> {
    let mut batch = records(1, 50);
    batch.push(record(51, "CEF:0|Vedette|Vedette|1|a]b|c|5|msg=ü ]\\\" x".as_bytes()));
    batch.push(record(52, &[b'x'; 60_000]));
    batch
}

fn without_zone(line: &str) -> String {
    line.replace("Z;node-1", "+00:00;node-1")
}

#[test]
fn sink_syslog_rsyslog_understands_every_field_on_every_way() {
    if !rsyslog(test_name!()) {
        return;
    }
    let port = free_port();
    let config = format!(
        "module(load=\"imtcp\")\nmodule(load=\"imudp\")\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\n\
         input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")\n\
         input(type=\"imudp\" address=\"127.0.0.1\" port=\"{port}\")\n\
         input(type=\"imuxsock\" Socket=\"DIR/socket\" UseSpecialParser=\"off\" ParseHostname=\"on\" UseSysTimeStamp=\"off\" IgnoreTimestamp=\"off\" RateLimit.Interval=\"0\")\n"
    );
    let server = start(&config, port);
    let socket = server.dir.path().join("socket");
    let end = std::time::Instant::now() + deadline();
    while !socket.exists() {
        assert!(std::time::Instant::now() < end, "no socket: {}", server.said());
        std::thread::yield_now();
    }
    let mut seen = 0;
    for (transport, address) in [
        ("tcp", format!("127.0.0.1:{port}")),
        ("unix", socket.display().to_string()),
        ("udp", format!("127.0.0.1:{port}")),
    ] {
        // rsyslog reads no more than 64 KiB less a head from a datagram.
        let batch = batch();
        let answer = by(syslog(transport, address, json!({})).send(&batch)).unwrap();
        assert_eq!(answer, Default::default(), "{transport}");
        let lines = server.lines("out", seen + batch.len());
        for (line, record) in lines.iter().skip(seen).zip(&batch) {
            assert_eq!(without_zone(line), expected(record), "{transport}");
        }
        seen += batch.len();
    }
}

#[test]
fn sink_syslog_goes_on_in_another_connection_when_rsyslog_comes_back() {
    if !rsyslog(test_name!()) {
        return;
    }
    let port = free_port();
    let config =
        format!("module(load=\"imtcp\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")\n");
    let server = start(&config, port);
    let mut sink = syslog("tcp", format!("127.0.0.1:{port}"), json!({}));
    by(sink.send(&records(1, 3))).unwrap();
    assert_eq!(server.lines("out", 3).len(), 3);
    drop(server);
    assert_eq!(by(sink.send(&records(4, 3))).unwrap_err().reason, Reason::Connection);
    let server = start(&config, port);
    by(sink.send(&records(4, 3))).unwrap();
    let lines = server.lines("out", 3);
    assert_eq!(
        lines.iter().map(|line| without_zone(line)).collect::<Vec<_>>(),
        records(4, 3).iter().map(expected).collect::<Vec<_>>()
    );
}

#[test]
fn sink_syslog_speaks_tls_to_whom_it_trusts() {
    if !rsyslog(test_name!()) {
        return;
    }
    let driver = ["x86_64", "aarch64"].map(|arch| format!("/usr/lib/{arch}-linux-gnu/rsyslog/lmnsd_gtls.so"));
    if !driver.iter().any(|path| Path::new(path).is_file()) {
        return skip(test_name!(), "rsyslog has no TLS (rsyslog-gnutls)");
    }
    let (port, ours, others) = (free_port(), Certificates::new(), Certificates::new());
    let path = |name: &str| ours.path(name).display().to_string();
    let config = format!(
        "global(defaultNetstreamDriverCAFile=\"{}\" defaultNetstreamDriverCertFile=\"{}\" defaultNetstreamDriverKeyFile=\"{}\")\n\
         module(load=\"imtcp\" StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"anon\")\n\
         input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")\n",
        path("ca.pem"),
        path("server.pem"),
        path("server.key"),
    );
    let server = start(&config, port);
    let address = format!("localhost:{port}");
    let mut sink = syslog("tls", address.clone(), json!({ "tls": { "ca": ours.path("ca.pem") } }));
    let batch = batch();
    by(async {
        sink.send(&batch).await.unwrap();
        sink.send(&records(60, 1)).await.unwrap();
    });
    let lines = server.lines("out", batch.len() + 1);
    for (line, record) in lines.iter().zip(batch.iter().chain(&records(60, 1))) {
        assert_eq!(without_zone(line), expected(record));
    }
    let mut distrusting = syslog("tls", address, json!({ "tls": { "ca": others.path("ca.pem") } }));
    assert_eq!(by(distrusting.send(&records(70, 1))).unwrap_err().reason, Reason::Tls);
}
