//! Records → Splunk's HTTP event collector: events one behind the other in one body. Where the collector is asked to acknowledge,
//! a batch is delivered once the indexer has it; until then it is asked about, also over several calls, and not sent again.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    Answer, Failure, Reason, Record, Remote, Secret,
    http::{Http, Reply, sensitive},
};
use crate::config::SplunkConfig;

/// Pauses between two questions whether a batch is indexed: the first, and the longest.
const ASK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// A batch that is not acknowledged by then is sent again. Collectors forget what was not asked for within ten minutes.
const FORGOTTEN: Duration = Duration::from_secs(300);

/// A collector.
#[derive(Debug)]
pub struct Splunk {
    config: SplunkConfig,
    hostname: String,
    http: Http,
    /// By which the collector tells those who want acknowledgements from each other.
    channel: Uuid,
    unacknowledged: Option<Batch>,
}

/// A batch that the collector has, and the indexer perhaps not yet.
#[derive(Debug)]
struct Batch {
    ids: Vec<Uuid>,
    number: u64,
    sent: Instant,
}

#[derive(Serialize)]
struct Event<'a> {
    /// Seconds, with milliseconds behind the point.
    time: String,
    host: &'a str,
    source: &'static str,
    sourcetype: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    index: &'a str,
    event: Body<'a>,
    fields: BTreeMap<&'static str, Cow<'static, str>>,
}

/// JSON as it is; anything else as text.
#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Json(&'a RawValue),
    Text(Cow<'a, str>),
}

/// What the collector answers.
#[derive(Debug, Default, Deserialize)]
struct Said {
    #[serde(default)]
    text: String,
    code: Option<u32>,
    #[serde(rename = "ackId")]
    ack: Option<u64>,
    #[serde(rename = "invalid-event-number")]
    invalid: Option<usize>,
}

/// What it answers to a question about acknowledgements.
#[derive(Debug, Deserialize)]
struct Acknowledged {
    acks: BTreeMap<String, bool>,
}

impl Splunk {
    /// Nothing is connected to yet.
    #[must_use]
    pub fn new(config: SplunkConfig, hostname: &str) -> Self {
        let http = Http::new(config.http.clone());
        Self { config, hostname: hostname.to_owned(), http, channel: Uuid::new_v4(), unacknowledged: None }
    }

    async fn post(&mut self, path: &str, body: Vec<u8>) -> Result<Reply, Failure> {
        let url = format!("{}/services/collector/{path}", self.config.url.trim_end_matches('/'));
        let token = sensitive("Splunk ", &Secret::read(&self.config.token)?)?;
        let channel = HeaderValue::try_from(self.channel.to_string())
            .map_err(|error| Failure::new(Reason::Local, error.to_string()))?;
        let headers = [("authorization", token), ("x-splunk-request-channel", channel)];
        let headers =
            if self.config.acknowledge { &headers[..] } else { headers.get(..1).unwrap_or_default() };
        self.http.post(&url, "application/json", headers, body).await
    }

    fn body(&self, batch: &[Record]) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::with_capacity(batch.iter().map(|record| record.body.len() + 256).sum());
        for record in batch {
            let event = Event {
                time: format!("{}.{:03}", record.time / 1_000_000_000, record.time / 1_000_000 % 1000),
                host: &self.hostname,
                source: "vedette",
                sourcetype: &self.config.sourcetype,
                index: &self.config.index,
                event: content(record),
                fields: BTreeMap::from([
                    ("vedette_id", record.id.to_string().into()),
                    ("vedette_class", record.class.name().into()),
                    ("vedette_stream", record.stream.to_string().into()),
                    ("vedette_number", record.number.to_string().into()),
                ]),
            };
            serde_json::to_writer(&mut body, &event)
                .map_err(|error| Failure::new(Reason::Local, format!("cannot write an event: {error}")))?;
        }
        Ok(body)
    }

    /// Waits until the indexer has the batch.
    async fn acknowledged(&mut self, number: u64) -> Result<(), Failure> {
        let (mut pause, longest) = ASK;
        let path = format!("ack?channel={}", self.channel);
        loop {
            let reply = self.post(&path, json!({ "acks": [number] }).to_string().into_bytes()).await?;
            if !reply.accepted() {
                return Err(failure(&reply, &said(&reply)));
            }
            let answer: Acknowledged = serde_json::from_slice(&reply.body).map_err(|error| {
                Failure::new(Reason::Protocol, format!("no answer about acknowledgements: {error}"))
            })?;
            if answer.acks.get(&number.to_string()).copied().unwrap_or_default() {
                return Ok(());
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}

impl Remote for Splunk {
    async fn send(&mut self, batch: &[Record]) -> Result<Answer, Failure> {
        if batch.is_empty() {
            return Ok(Answer::default());
        }
        let ids = || batch.iter().map(|record| record.id);
        let known = self
            .unacknowledged
            .as_ref()
            .filter(|waiting| waiting.sent.elapsed() < FORGOTTEN && waiting.ids.iter().copied().eq(ids()));
        let number = match known {
            Some(waiting) => Some(waiting.number),
            None => {
                self.unacknowledged = None;
                let reply = self.post("event", self.body(batch)?).await?;
                let said = said(&reply);
                if !reply.accepted() || said.code.is_none_or(|code| code != 0) {
                    return refused(&reply, &said, batch.len());
                }
                said.ack
            }
        };
        if !self.config.acknowledge {
            return Ok(Answer::default());
        }
        let number = number.ok_or_else(|| {
            Failure::new(
                Reason::Protocol,
                "the collector gives no number to ask for: its token has no acknowledgement",
            )
        })?;
        self.unacknowledged.get_or_insert_with(|| Batch {
            ids: ids().collect(),
            number,
            sent: Instant::now(),
        });
        self.acknowledged(number).await?;
        self.unacknowledged = None;
        Ok(Answer::default())
    }
}

fn content(record: &Record) -> Body<'_> {
    match serde_json::from_slice(&record.body) {
        Ok(json) => Body::Json(json),
        Err(_) => Body::Text(String::from_utf8_lossy(&record.body)),
    }
}

fn said(reply: &Reply) -> Said {
    serde_json::from_slice(&reply.body).unwrap_or_default()
}

/// One event that it does not like: it names it. What stands behind it was not looked at, and what stands before it may have
/// been taken or not, by version: all but that one comes again.
fn refused(reply: &Reply, said: &Said, count: usize) -> Result<Answer, Failure> {
    let of_event = matches!(said.code, Some(6 | 12 | 13 | 15));
    match said.invalid.filter(|place| of_event && *place < count) {
        Some(invalid) => Ok(Answer {
            refused: vec![(invalid, said.text.clone())],
            again: (0..count).filter(|place| *place != invalid).collect(),
            why: (count > 1).then(|| failure(reply, said)),
        }),
        None => Err(failure(reply, said)),
    }
}

/// By the collector's own codes, which say more than the status
/// (<https://docs.splunk.com/Documentation/Splunk/latest/Data/TroubleshootHTTPEventCollector>).
fn failure(reply: &Reply, said: &Said) -> Failure {
    let failure = reply.failure();
    let reason = match said.code {
        Some(1..=4) => Reason::Unauthorized,
        Some(5 | 6 | 12 | 13 | 15 | 27) => Reason::Refused,
        Some(7 | 10 | 11 | 14 | 16) => Reason::Protocol,
        Some(9 | 18..=22 | 26) => Reason::Throttled,
        Some(8 | 23) => Reason::Server,
        // Taken by its status, and not understood.
        _ if reply.accepted() => Reason::Protocol,
        _ => failure.reason,
    };
    Failure { reason, ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, retry_after: None, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn the_collectors_codes_count_more_than_the_status() {
        for (status, code, reason) in [
            (403, 4, Reason::Unauthorized),
            (400, 7, Reason::Protocol),
            (400, 6, Reason::Refused),
            (503, 9, Reason::Throttled),
            (500, 8, Reason::Server),
            (200, 99, Reason::Protocol),
        ] {
            let reply = reply(status, &json!({ "text": "x", "code": code }).to_string());
            assert_eq!(failure(&reply, &said(&reply)).reason, reason, "{code}");
        }
        let html = reply(502, "<html>");
        assert_eq!(failure(&html, &said(&html)).reason, Reason::Server);
    }

    #[test]
    fn one_bad_event_is_refused_by_its_number_and_the_rest_comes_again() {
        let reply = reply(400, r#"{"text":"Invalid data format","code":6,"invalid-event-number":1}"#);
        let answer = refused(&reply, &said(&reply), 3).unwrap();
        assert_eq!(answer.refused, [(1, "Invalid data format".to_owned())]);
        assert_eq!(answer.again, [0, 2]);
        assert_eq!(answer.why.unwrap().reason, Reason::Refused);
        assert_eq!(refused(&reply, &said(&reply), 1).unwrap_err().reason, Reason::Refused);
    }

    #[test]
    fn bodies_are_json_or_text() {
        let record = |body: &[u8]| Record { time: 1_700_000_000_001_000_000, ..Record::sample(3, body) };
        let config = serde_json::from_value(json!({ "url": "http://x", "token": { "env": "T" } })).unwrap();
        let body = Splunk::new(config, "n").body(&[record(b"{\"a\": 1}"), record(b"CEF:0|\"")]).unwrap();
        let events: Vec<serde_json::Value> =
            serde_json::Deserializer::from_slice(&body).into_iter().collect::<Result<_, _>>().unwrap();
        assert_eq!(events[0]["event"], json!({ "a": 1 }));
        assert_eq!(events[1]["event"], "CEF:0|\"");
        assert_eq!((&events[0]["time"], &events[0]["host"]), (&json!("1700000000.001"), &json!("n")));
    }
}
