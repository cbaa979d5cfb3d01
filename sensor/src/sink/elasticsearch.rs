//! Records → Elasticsearch's or OpenSearch's bulk interface. Each is created under its id: what was sent twice is there once, and
//! the answer to the second (409) means that it is there. What has no `@timestamp` gets one, since data streams ask for it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, Failure, Reason, Record, Remote, Secret,
    http::{self, Http, Reply, sensitive},
    timestamp,
};
use crate::config::ElasticsearchConfig;

/// What of the answer is wanted: it would repeat much of the request else.
const WANTED: &str = "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason";
/// Characters of the server's words about one record.
const QUOTED: usize = 300;

/// A data stream or an index.
#[derive(Debug)]
pub struct Elasticsearch {
    config: ElasticsearchConfig,
    http: Http,
}

#[derive(Deserialize)]
struct Bulk {
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    create: Done,
}

#[derive(Deserialize)]
struct Done {
    status: u16,
    #[serde(default)]
    error: Value,
}

impl Elasticsearch {
    /// Nothing is connected to yet.
    #[must_use]
    pub fn new(config: ElasticsearchConfig) -> Self {
        Self { http: Http::new(config.http.clone()), config }
    }

    async fn post(&mut self, body: Vec<u8>) -> Result<Reply, Failure> {
        let ElasticsearchConfig { url, index, user, password, api_key, .. } = &self.config;
        let url = format!("{}/{index}/_bulk?{WANTED}", url.trim_end_matches('/'));
        let api_key = match api_key {
            Some(key) => Some(("authorization", sensitive("ApiKey ", &Secret::read(key)?)?)),
            None => None,
        };
        let password = match password {
            Some(password) => Some(Secret::read(password)?),
            None => None,
        };
        let mut request = self.http.prepare(&url, "application/x-ndjson", api_key.as_slice(), body)?;
        if let Some(password) = password {
            request = request.basic_auth(user, Some(password.expose()));
        }
        let reply = http::answer(request).await;
        match &reply {
            Ok(reply) if reply.accepted() => {}
            Ok(reply) => self.http.doubt(&reply.failure()),
            Err(failure) => self.http.doubt(failure),
        }
        reply
    }
}

impl Remote for Elasticsearch {
    async fn send(&mut self, batch: &[Record]) -> Result<Answer, Failure> {
        let mut body = Vec::with_capacity(batch.iter().map(|record| record.body.len() + 128).sum());
        for record in batch {
            body.extend_from_slice(format!("{{\"create\":{{\"_id\":\"{}\"}}}}\n", record.id).as_bytes());
            body.extend_from_slice(&document(record));
            body.push(b'\n');
        }
        let reply = self.post(body).await?;
        if !reply.accepted() {
            return Err(reply.failure());
        }
        answer(&reply.body, batch.len())
    }
}

/// The record, with a time and as an object.
fn document(record: &Record) -> Cow<'_, [u8]> {
    let time = timestamp(record.time);
    let body = &*record.body;
    let Some(members) = body.strip_prefix(b"{") else {
        let text = String::from_utf8_lossy(body);
        return json!({ "@timestamp": time, "message": text }).to_string().into_bytes().into();
    };
    if members.starts_with(b"\"@timestamp\":") {
        return body.into();
    }
    let mut document = format!("{{\"@timestamp\":\"{time}\",").into_bytes();
    document.extend_from_slice(members);
    document.into()
}

/// What became of each record.
fn answer(body: &[u8], count: usize) -> Result<Answer, Failure> {
    let bulk: Bulk = serde_json::from_slice(body)
        .map_err(|error| Failure::new(Reason::Protocol, format!("no answer to a bulk request: {error}")))?;
    if bulk.items.len() != count {
        let message = format!("{count} records were sent, and {} answered", bulk.items.len());
        return Err(Failure::new(Reason::Protocol, message));
    }
    let mut answer = Answer::default();
    let mut first = None;
    for (place, Item { create }) in bulk.items.into_iter().enumerate() {
        match create.status {
            // It is there already, under the same id.
            200..=299 | 409 => {}
            400 | 413 | 422 => answer.refused.push((place, words(&create))),
            status => {
                answer.again.push(place);
                first.get_or_insert_with(|| {
                    let reply = Reply { status, retry_after: None, body: words(&create).into_bytes() };
                    reply.failure()
                });
            }
        }
    }
    match first {
        // Nothing of it was taken: that is a failure of the batch, by which it is counted and paused.
        Some(failure) if answer.again.len() == count => Err(failure),
        why => Ok(Answer { why, ..answer }),
    }
}

fn words(done: &Done) -> String {
    let part = |name| done.error.get(name).and_then(Value::as_str).unwrap_or_default();
    let text = format!("{}: {}", part("type"), part("reason"));
    text.chars().take(QUOTED).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {

    use super::*;

    fn record(body: &[u8]) -> Record {
        Record { time: 1_700_000_000_000_000_001, ..Record::sample(1, body) }
    }

    #[test]
    fn every_document_has_a_time() {
        let time = "2023-11-14T22:13:20.000000001Z";
        let written = |body: &[u8]| -> Value { serde_json::from_slice(&document(&record(body))).unwrap() };
        assert_eq!(written(b"{\"rule\":\"r\"}"), json!({ "@timestamp": time, "rule": "r" }));
        assert_eq!(
            written(b"{\"@timestamp\":\"2020-01-01T00:00:00Z\",\"a\":1}")["@timestamp"],
            "2020-01-01T00:00:00Z"
        );
        assert_eq!(written(b"CEF:0|\""), json!({ "@timestamp": time, "message": "CEF:0|\"" }));
    }

    #[test]
    fn each_record_has_its_own_answer() {
        let items = |statuses: &[u16]| {
            let item = |status: &u16| json!({ "create": { "status": status, "error": { "type": "t", "reason": "r" } } });
            json!({ "errors": true, "items": statuses.iter().map(item).collect::<Vec<_>>() })
                .to_string()
                .into_bytes()
        };
        let some = answer(&items(&[201, 409, 429, 400, 503]), 5).unwrap();
        assert_eq!(some.refused, [(3, "t: r".to_owned())]);
        assert_eq!(some.again, [2, 4]);
        assert_eq!(answer(&items(&[429, 429]), 2).unwrap_err().reason, Reason::Throttled);
        assert_eq!(answer(&items(&[201]), 2).unwrap_err().reason, Reason::Protocol);
        assert_eq!(answer(b"<html>", 1).unwrap_err().reason, Reason::Protocol);
    }
}
