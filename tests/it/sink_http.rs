//! Splunk, Elasticsearch and OTLP against strict servers of our own: what arrives, and what becomes of a batch when the server
//! fails in every way that servers do.

use std::{
    fs,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sensor::{
    config::{ElasticsearchConfig, OtlpConfig, SplunkConfig},
    sink::{Elasticsearch, Failure, Otlp, Reason, Remote, Splunk},
};
use sensor_tests::{
    receiver::{
        Fault, Server,
        elasticsearch::Elasticsearch as Stream,
        otlp::{Collector, GrpcServer},
        splunk::Splunk as Hec,
        tls::Certificates,
    },
    record::{by, record, records},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;

fn splunk(server: &Server<Hec>, more: Value) -> Splunk {
    let mut config = json!({ "url": server.url(), "token": secret(TOKEN) });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Splunk::new(serde_json::from_value::<SplunkConfig>(config).unwrap(), "node-1")
}

fn elasticsearch(server: &Server<Stream>, more: Value) -> Elasticsearch {
    let mut config = json!({ "url": server.url(), "index": "logs-vedette.alert-default" });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Elasticsearch::new(serde_json::from_value::<ElasticsearchConfig>(config).unwrap())
}

fn otlp(endpoint: String, more: Value) -> Otlp {
    let mut config = json!({ "endpoint": endpoint });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Otlp::new(serde_json::from_value::<OtlpConfig>(config).unwrap(), "node-1")
}

fn reason<T: std::fmt::Debug>(result: Result<T, Failure>) -> Reason {
    result.unwrap_err().reason
}

const TOKEN: &str = "0b2f7c1e-token";

/// Where a secret with this text is read from: a file of its own, since one that is written anew is empty for a moment.
fn secret(text: &str) -> Value {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let path = FOLDER.path().join(NUMBER.fetch_add(1, Ordering::Relaxed).to_string());
    fs::write(&path, text).unwrap();
    json!({ "file": path })
}

#[test]
fn sink_splunk_takes_what_it_is_sent_and_says_when_it_is_indexed() {
    for acknowledges in [None, Some(3)] {
        let server = Server::start(Hec::new(TOKEN, acknowledges));
        let more = json!({ "acknowledge": acknowledges.is_some(), "index": "main", "http": { "compression": "gzip" } });
        let mut sink = splunk(&server, more);
        by(async {
            sink.send(&records(1, 3)).await.unwrap();
            sink.send(&[record(4, b"CEF:0|a|b")]).await.unwrap();
        });
        let events = server.service.events();
        let numbers: Vec<&str> =
            events.iter().map(|it| it["fields"]["vedette_number"].as_str().unwrap()).collect();
        assert_eq!(numbers, ["1", "2", "3", "4"]);
        assert_eq!((&events[0]["host"], &events[0]["event"]["n"]), (&json!("node-1"), &json!(1)));
        assert_eq!(events[3]["event"], "CEF:0|a|b");
        let questions = if acknowledges.is_some() { 2 * 3 } else { 0 };
        assert_eq!(server.requests(), 2 + questions, "each batch is asked about until it is indexed");
    }
}

#[test]
fn sink_splunk_asks_about_a_batch_whose_wait_was_given_up_and_does_not_send_it_again() {
    let server = Server::start(Hec::new(TOKEN, Some(4)));
    let mut sink = splunk(&server, json!({ "acknowledge": true }));
    // The third request, a question, is slow: the caller gives up, and comes again with the same batch.
    server.faults.plan([None, None, Some(Fault::Slow(Duration::from_secs(60)))]);
    let batch = records(1, 2);
    by(async {
        let sent = tokio::time::timeout(Duration::from_millis(500), sink.send(&batch)).await;
        assert!(sent.is_err(), "it waits for the indexer");
        sink.send(&batch).await.unwrap();
        assert_eq!(server.service.events().len(), 2, "nothing came twice");
        sink.send(&records(3, 1)).await.unwrap();
    });
    assert_eq!(server.service.events().len(), 3);
}

#[test]
fn sink_splunk_an_expired_token_works_once_its_file_is_replaced() {
    let server = Server::start(Hec::new("new", None));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "old-secret").unwrap();
    let mut sink = splunk(&server, json!({ "token": { "file": file.path() } }));
    by(async {
        let failure = sink.send(&records(1, 1)).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Unauthorized);
        assert!(!format!("{failure:?} {sink:?}").contains("old-secret"), "{failure:?}");
        fs::write(file.path(), "new\n").unwrap();
        sink.send(&records(1, 1)).await.unwrap();
    });
    assert_eq!(server.service.events().len(), 1);
}

#[test]
fn sink_splunk_a_wrong_index_or_a_token_without_acknowledgement_is_no_records_fault() {
    let server = Server::start(Hec::new(TOKEN, None));
    assert_eq!(
        reason(by(splunk(&server, json!({ "index": "other" })).send(&records(1, 1)))),
        Reason::Protocol
    );
    assert_eq!(
        reason(by(splunk(&server, json!({ "acknowledge": true })).send(&records(1, 1)))),
        Reason::Protocol
    );
}

#[test]
fn sink_splunk_an_empty_event_is_refused_by_its_number() {
    let server = Server::start(Hec::new(TOKEN, None));
    let batch = [record(1, b"{}"), record(2, b""), record(3, b"{}")];
    let answer = by(splunk(&server, json!({})).send(&batch)).unwrap();
    assert_eq!(answer.refused, [(1, "Event field cannot be blank".to_owned())]);
    assert_eq!(answer.again, [0, 2]);
    assert!(server.service.events().is_empty());
}

#[test]
fn sink_elasticsearch_has_each_record_once_however_often_it_comes() {
    let server = Server::start(Stream::new("logs-vedette.alert-default"));
    let mut sink = elasticsearch(&server, json!({}));
    by(async {
        sink.send(&records(1, 3)).await.unwrap();
        // The answer to this one breaks off: nobody knows what was taken.
        server.faults.plan([Some(Fault::HalfAnswer)]);
        assert_eq!(reason(sink.send(&records(4, 2)).await), Reason::Connection);
        sink.send(&records(4, 2)).await.unwrap();
    });
    assert_eq!((server.service.documents().len(), server.service.duplicates()), (5, 2));
    for document in server.service.documents().values() {
        assert_eq!(document["@timestamp"], "2023-11-14T22:13:20.123456789Z");
    }
}

#[test]
fn sink_elasticsearch_each_document_has_its_own_answer() {
    let server = Server::start(Stream::new("logs-vedette.alert-default"));
    let mut sink = elasticsearch(&server, json!({}));
    server.service.planned.lock().unwrap().extend([0, 429, 0, 503]);
    let mut batch = records(1, 5);
    batch[2].body = b"{\"n\":".to_vec().into();
    by(async {
        let answer = sink.send(&batch).await.unwrap();
        assert_eq!(answer.refused.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [2]);
        assert!(answer.refused[0].1.contains("document_parsing_exception"), "{answer:?}");
        assert_eq!((answer.again, answer.why.unwrap().reason), (vec![1, 3], Reason::Throttled));
        server.service.planned.lock().unwrap().extend([429, 429]);
        assert_eq!(reason(sink.send(&records(6, 2)).await), Reason::Throttled);
    });
}

#[test]
fn sink_elasticsearch_shows_a_password_or_a_key() {
    let server = Server::start(Stream::new("logs-vedette.alert-default"));
    let wants = |text: &str| *server.service.authorization.lock().unwrap() = Some(text.to_owned());
    // `elastic:changeme`
    wants("Basic ZWxhc3RpYzpjaGFuZ2VtZQ==");
    let password = json!({ "user": "elastic", "password": secret("changeme") });
    by(elasticsearch(&server, password).send(&records(1, 1))).unwrap();
    wants("ApiKey a-key");
    let mut sink = elasticsearch(&server, json!({ "api_key": secret("a-key") }));
    by(sink.send(&records(2, 1))).unwrap();
    wants("ApiKey another");
    assert_eq!(reason(by(sink.send(&records(3, 1)))), Reason::Unauthorized);
}

#[test]
fn sink_http_servers_fail_in_many_ways_and_each_has_its_reason() {
    let server = Server::start(Stream::new("logs-vedette.alert-default"));
    let mut sink = elasticsearch(&server, json!({}));
    let expected = [
        (Fault::Status(429, Some(7)), Reason::Throttled),
        (Fault::Status(503, None), Reason::Server),
        (Fault::Status(413, None), Reason::Refused),
        (Fault::Status(404, None), Reason::Protocol),
        (Fault::Reset, Reason::Connection),
        (Fault::HalfAnswer, Reason::Connection),
        (Fault::Garbage, Reason::Protocol),
    ];
    by(async {
        for (fault, reason) in expected {
            server.faults.plan([Some(fault.clone())]);
            let failure = sink.send(&records(1, 1)).await.unwrap_err();
            assert_eq!(failure.reason, reason, "{fault:?}: {failure:?}");
            let after = (fault == Fault::Status(429, Some(7))).then_some(Duration::from_secs(7));
            assert_eq!(failure.retry_after, after, "{fault:?}");
        }
        sink.send(&records(1, 1)).await.unwrap();
    });
    let address = server.url();
    drop(server);
    let mut gone = elasticsearch(&Server::start(Stream::new("x")), json!({ "url": address }));
    assert_eq!(reason(by(gone.send(&records(1, 1)))), Reason::Connection);
    let mut nowhere =
        elasticsearch(&Server::start(Stream::new("x")), json!({ "url": "http://no-such-host.invalid:9200" }));
    assert_eq!(reason(by(nowhere.send(&records(1, 1)))), Reason::Name);
}

#[test]
fn sink_http_certificates_are_checked_on_both_sides() {
    let (ours, others) = (Certificates::mutual(), Certificates::new());
    let server = Server::secure(Stream::new("logs-vedette.alert-default"), &ours);
    let tls = |ca: &Certificates, client: &Certificates| {
        let (certificate, key) = (client.path("client.pem"), client.path("client.key"));
        json!({ "http": { "tls": { "ca": ca.path("ca.pem"), "certificate": certificate, "key": key } } })
    };
    by(elasticsearch(&server, tls(&ours, &ours)).send(&records(1, 1))).unwrap();
    assert_eq!(reason(by(elasticsearch(&server, tls(&others, &ours)).send(&records(2, 1)))), Reason::Tls);
    let stranger = reason(by(elasticsearch(&server, tls(&ours, &others)).send(&records(3, 1))));
    assert!(matches!(stranger, Reason::Tls | Reason::Connection), "{stranger:?}");
    let missing = json!({ "http": { "tls": { "ca": "/nowhere/ca.pem" } } });
    let failure = by(elasticsearch(&server, missing).send(&records(4, 1))).unwrap_err();
    assert_eq!(failure.reason, Reason::Local);
    assert!(failure.message.contains("/nowhere/ca.pem"), "{failure:?}");
    assert_eq!(server.service.documents().len(), 1);
}

#[test]
fn sink_otlp_by_http_and_by_grpc_say_the_same() {
    let http = Server::start(Collector::default());
    let grpc = GrpcServer::start();
    for compression in ["none", "gzip"] {
        let more = json!({ "http": { "compression": compression } });
        let mut protocol = more.clone();
        protocol["protocol"] = "http".into();
        by(otlp(format!("{}/v1/logs", http.url()), protocol).send(&records(1, 3))).unwrap();
        by(otlp(grpc.url(), more).send(&records(1, 3))).unwrap();
    }
    let records = http.service.records();
    assert_eq!(records.len(), 6);
    assert_eq!(records, grpc.collector.records());
    assert_eq!(http.service.hosts(), grpc.collector.hosts());
    let first = &records[0];
    assert_eq!((first.severity_number, first.severity_text.as_str()), (13, "Warning"));
    assert_eq!(first.event_name, "vedette.alert");
    assert!(format!("{:?}", first.body).contains("{\\\"n\\\":1}"), "{first:?}");
    assert!(format!("{:?}", first.attributes).contains("00000000-0000-0000-0000-000000000001"), "{first:?}");
}

#[test]
fn sink_otlp_speaks_grpc_within_tls_to_whom_it_trusts() {
    let (ours, others) = (Certificates::mutual(), Certificates::new());
    let grpc = GrpcServer::secure(&ours);
    let tls = |ca: &Certificates| {
        let (certificate, key) = (ours.path("client.pem"), ours.path("client.key"));
        json!({ "http": { "tls": { "ca": ca.path("ca.pem"), "certificate": certificate, "key": key } } })
    };
    by(otlp(grpc.url(), tls(&ours)).send(&records(1, 2))).unwrap();
    assert_eq!(grpc.collector.records().len(), 2);
    assert_eq!(reason(by(otlp(grpc.url(), tls(&others)).send(&records(3, 1)))), Reason::Tls);
}

#[test]
fn sink_otlp_rejected_records_are_found_by_halving() {
    let grpc = GrpcServer::start();
    *grpc.collector.rejects.lock().unwrap() = Some("\\\"n\\\":2".to_owned());
    let mut sink = otlp(grpc.url(), json!({}));
    by(async {
        assert_eq!(reason(sink.send(&records(1, 3)).await), Reason::Refused);
        assert_eq!(sink.send(&records(1, 1)).await.unwrap().refused, []);
        let answer = sink.send(&records(2, 1)).await.unwrap();
        assert_eq!(answer.refused, [(0, "not wanted".to_owned())]);
    });
}

#[test]
fn sink_otlp_codes_and_lost_connections_have_their_reasons() {
    let grpc = GrpcServer::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "old").unwrap();
    *grpc.collector.token.lock().unwrap() = Some("new".to_owned());
    let headers = json!({ "http": { "headers": [{ "name": "X-Token", "value": { "file": file.path() } }] } });
    let mut sink = otlp(grpc.url(), headers);
    by(async {
        assert_eq!(reason(sink.send(&records(1, 1)).await), Reason::Unauthorized);
        fs::write(file.path(), "new").unwrap();
        sink.send(&records(1, 1)).await.unwrap();
        for (code, expected) in [
            (Code::Unavailable, Reason::Server),
            (Code::ResourceExhausted, Reason::Throttled),
            (Code::InvalidArgument, Reason::Refused),
            (Code::Unimplemented, Reason::Protocol),
        ] {
            grpc.planned.lock().unwrap().push(code);
            let failure = sink.send(&records(1, 1)).await.unwrap_err();
            assert_eq!(failure.reason, expected, "{failure:?}");
        }
        sink.send(&records(2, 1)).await.unwrap();
    });
    drop(grpc);
    by(async {
        // The connection that was kept is gone, and so is the server.
        for _ in 0..2 {
            let failure = sink.send(&records(3, 1)).await.unwrap_err();
            assert_eq!(failure.reason, Reason::Connection, "{failure:?}");
        }
    });
}
