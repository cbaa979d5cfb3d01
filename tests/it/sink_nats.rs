//! NATS JetStream as nats-server keeps it: what is acknowledged, what comes twice, what a server refuses.

use std::{fs, path::Path};

use async_nats::jetstream::{self, stream::Config};
use futures_util::StreamExt;
use sensor::{
    config::NatsConfig,
    sink::{Nats, Reason, Remote},
};
use sensor_tests::{
    record::{by, record, records},
    require::{has_program, skip},
    server::{Server, free_port},
    test_name,
};
use serde_json::{Value, json};

fn installed(test: &str) -> bool {
    let there = has_program("nats-server");
    if !there {
        skip(test, "nats-server is not installed");
    }
    there
}

fn start(port: u16, dir: tempfile::TempDir, more: &[&str]) -> Server {
    let (port_text, store) = (port.to_string(), dir.path().join("js").display().to_string());
    let program = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("nats-server"))
        .find(|path| path.is_file())
        .unwrap();
    let args = [&["-a", "127.0.0.1", "-p", &port_text, "-js", "-sd", &store], more].concat();
    Server::start(Path::new(&program), &args, dir, port)
}

fn nats(port: u16, more: Value) -> Nats {
    let mut config = json!({ "servers": [format!("nats://127.0.0.1:{port}")], "subject": "vedette.alerts" });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Nats::new(serde_json::from_value::<NatsConfig>(config).unwrap())
}

async fn stream(port: u16, limits: Config) -> jetstream::stream::Stream {
    let client = async_nats::connect(format!("127.0.0.1:{port}")).await.unwrap();
    let config = Config { name: "alerts".to_owned(), subjects: vec!["vedette.>".to_owned()], ..limits };
    jetstream::new(client).get_or_create_stream(config).await.unwrap()
}

#[test]
fn sink_nats_has_each_record_once_and_in_order() {
    if !installed(test_name!()) {
        return;
    }
    let port = free_port();
    let _server = start(port, tempfile::tempdir().unwrap(), &[]);
    by(async {
        let stream = stream(port, Config::default()).await;
        let mut sink = nats(port, json!({}));
        let batch = records(1, 500);
        sink.send(&batch).await.unwrap();
        // The same again, as after an answer that was lost.
        sink.send(&batch).await.unwrap();
        sink.send(&records(501, 1)).await.unwrap();
        assert_eq!(stream.get_info().await.unwrap().state.messages, 501);
        let consumer = stream.create_consumer(jetstream::consumer::pull::Config::default()).await.unwrap();
        let messages: Vec<_> = consumer.fetch().max_messages(501).messages().await.unwrap().collect().await;
        for (message, record) in messages.iter().zip(batch.iter().chain(&records(501, 1))) {
            let message = message.as_ref().unwrap();
            let headers = message.headers.as_ref().unwrap();
            assert_eq!(headers.get("Nats-Msg-Id").unwrap().as_str(), record.id.to_string());
            assert_eq!(&message.payload[..], &record.body[..]);
        }
    });
}

#[test]
fn sink_nats_what_no_stream_takes_up_or_is_too_large_has_its_reason() {
    if !installed(test_name!()) {
        return;
    }
    let port = free_port();
    let _server = start(port, tempfile::tempdir().unwrap(), &[]);
    by(async {
        let mut sink = nats(port, json!({}));
        assert_eq!(sink.send(&records(1, 2)).await.unwrap_err().reason, Reason::Protocol);
        let stream = stream(port, Config { max_message_size: 100_000, ..Config::default() }).await;
        // One more than the stream takes, and one more than the server takes.
        let batch =
            [record(1, b"{}"), record(2, &[b'x'; 200_000]), record(3, &[b'x'; 2 << 20]), record(4, b"{}")];
        let answer = sink.send(&batch).await.unwrap();
        let mut refused: Vec<usize> = answer.refused.iter().map(|(place, _)| *place).collect();
        refused.sort_unstable();
        assert_eq!(refused, [1, 2], "{answer:?}");
        assert_eq!(stream.get_info().await.unwrap().state.messages, 2);
    });
}

#[test]
fn sink_nats_goes_on_when_its_server_comes_back() {
    if !installed(test_name!()) {
        return;
    }
    let port = free_port();
    let server = start(port, tempfile::tempdir().unwrap(), &[]);
    by(async {
        stream(port, Config::default()).await;
        let mut sink = nats(port, json!({}));
        sink.send(&records(1, 10)).await.unwrap();
        let dir = server.kill();
        assert_eq!(sink.send(&records(11, 10)).await.unwrap_err().reason, Reason::Connection);
        let _server = start(port, dir, &[]);
        sink.send(&records(11, 10)).await.unwrap();
        assert_eq!(stream(port, Config::default()).await.get_info().await.unwrap().state.messages, 20);
    });
}

#[test]
fn sink_nats_an_expired_token_works_once_its_file_is_replaced() {
    if !installed(test_name!()) {
        return;
    }
    let port = free_port();
    let _server = start(port, tempfile::tempdir().unwrap(), &["--auth", "new"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "old-secret").unwrap();
    by(async {
        let mut sink = nats(port, json!({ "token": { "file": file.path() } }));
        let failure = sink.send(&records(1, 1)).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Unauthorized, "{failure:?}");
        assert!(!format!("{failure:?} {sink:?}").contains("old-secret"));
        fs::write(file.path(), "new").unwrap();
        // It is let in; that no stream takes the subject up is another matter.
        assert_eq!(sink.send(&records(1, 1)).await.unwrap_err().reason, Reason::Protocol);
    });
    let failure = by(nats(free_port(), json!({})).send(&records(1, 1))).unwrap_err();
    assert_eq!(failure.reason, Reason::Connection, "{failure:?}");
}
