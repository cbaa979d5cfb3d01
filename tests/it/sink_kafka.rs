//! Kafka's protocol as a broker written from it keeps it (tansu).

use std::path::PathBuf;

use rskafka::client::{ClientBuilder, partition::UnknownTopicHandling};
use sensor::{
    config::KafkaConfig,
    sink::{Kafka, Reason, Remote},
};
use sensor_tests::{
    record::{by, records},
    require::skip,
    server::{Server, free_port},
    test_name,
};
use serde_json::{Value, json};

/// Where the set-up of `cargo xtask test` leaves the broker.
fn broker(test: &str) -> Option<(Server, String)> {
    let Some(program) = std::env::var_os("VEDETTE_TEST_TANSU").map(PathBuf::from) else {
        skip(test, "no broker: VEDETTE_TEST_TANSU names none");
        return None;
    };
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let url = format!("tcp://{address}");
    let args = [
        "broker",
        "--listener-url",
        &url,
        "--advertised-listener-url",
        &url,
        "--storage-engine",
        "memory://tansu/",
    ];
    Some((Server::start(&program, &args, tempfile::tempdir().unwrap(), port), address))
}

fn kafka(address: &str, more: Value) -> Kafka {
    let mut config = json!({ "brokers": [address], "topic": "vedette" });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Kafka::new(serde_json::from_value::<KafkaConfig>(config).unwrap())
}

#[test]
fn sink_kafka_has_every_record_in_order_with_its_id() {
    let Some((_server, address)) = broker(test_name!()) else { return };
    by(async {
        let client = ClientBuilder::new(vec![address.clone()]).build().await.unwrap();
        client.controller_client().unwrap().create_topic("vedette", 1, 1, 5_000).await.unwrap();
        kafka(&address, json!({})).send(&records(1, 100)).await.unwrap();
        let mut packed = kafka(&address, json!({ "compression": "gzip" }));
        packed.send(&records(101, 50)).await.unwrap();
        packed.send(&records(151, 50)).await.unwrap();
        let partition = client.partition_client("vedette", 0, UnknownTopicHandling::Retry).await.unwrap();
        let mut found = Vec::new();
        while found.len() < 200 {
            let offset = found.last().map_or(0, |it: &rskafka::record::RecordAndOffset| it.offset + 1);
            found.extend(partition.fetch_records(offset, 1..10_000_000, 1_000).await.unwrap().0);
        }
        for (it, record) in found.iter().zip(records(1, 200)) {
            assert_eq!(it.record.value.as_deref(), Some(&*record.body));
            assert_eq!(it.record.key, Some(record.id.to_string().into_bytes()));
            assert_eq!(it.record.headers["vedette-number"], record.number.to_string().into_bytes());
            assert_eq!(it.record.timestamp.timestamp_millis(), 1_700_000_000_123);
        }
        assert_eq!(found.len(), 200);
    });
}

#[test]
fn sink_kafka_says_what_is_wrong() {
    if let Some((server, address)) = broker(test_name!()) {
        by(async {
            let mut sink = kafka(&address, json!({}));
            sink.send(&records(1, 1)).await.unwrap();
            // The connection that was kept is gone, and so is the broker.
            drop(server);
            for _ in 0..2 {
                let failure = sink.send(&records(2, 1)).await.unwrap_err();
                assert_eq!(failure.reason, Reason::Connection, "{failure:?}");
            }
        });
    }
    let failure = by(kafka("no-such-host.invalid:9092", json!({})).send(&records(1, 1))).unwrap_err();
    assert_eq!(failure.reason, Reason::Name, "{failure:?}");
}
