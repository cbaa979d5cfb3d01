//! Elasticsearch's `_bulk` on one data stream, by "Bulk index or delete documents" and "Use a data stream" of its documentation.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
};

use axum::http::{HeaderMap, Uri};
use serde_json::{Value, json};

use super::Service;

/// A data stream.
#[derive(Debug)]
pub struct Elasticsearch {
    /// What has to stand in the header `authorization`.
    pub authorization: Mutex<Option<String>>,
    /// Its name.
    pub stream: &'static str,
    /// Statuses of the next documents instead of taking them; 0 takes one.
    pub planned: Mutex<VecDeque<u16>>,
    documents: Mutex<BTreeMap<String, Value>>,
    again: Mutex<u64>,
}

impl Elasticsearch {
    /// An empty stream.
    #[must_use]
    pub fn new(stream: &'static str) -> Self {
        Self {
            authorization: Mutex::default(),
            stream,
            planned: Mutex::default(),
            documents: Mutex::default(),
            again: Mutex::default(),
        }
    }

    /// The documents by their ids.
    #[must_use]
    pub fn documents(&self) -> BTreeMap<String, Value> {
        self.documents.lock().unwrap().clone()
    }

    /// How many documents came that were there already.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        *self.again.lock().unwrap()
    }

    fn bulk(&self, body: &[u8]) -> Result<Value, (u16, String)> {
        let illegal = |why: &str| (400, format!("illegal_argument_exception: {why}"));
        if !body.ends_with(b"\n") {
            return Err(illegal("The bulk request must be terminated by a newline [\\n]"));
        }
        let mut lines = body.split(|byte| *byte == b'\n');
        let mut items = Vec::new();
        let mut errors = false;
        while let Some(line) = lines.next() {
            if line.is_empty() {
                break;
            }
            let action: Value =
                serde_json::from_slice(line).map_err(|_| illegal("Malformed action/metadata line"))?;
            let create = action.get("create").ok_or_else(|| {
                illegal("only write ops with an op_type of create are allowed in data streams")
            })?;
            let id = create["_id"].as_str().ok_or_else(|| illegal("an id is expected here"))?.to_owned();
            let document = lines.next().filter(|line| !line.is_empty());
            let document = document.ok_or_else(|| illegal("an action without its document"))?;
            let (status, error) = self.create(&id, document);
            errors |= status >= 300;
            let mut item = json!({ "_index": self.stream, "_id": id, "status": status });
            if let Some((kind, reason)) = error {
                item["error"] = json!({ "type": kind, "reason": reason });
            }
            items.push(json!({ "create": item }));
        }
        Ok(json!({ "took": 1, "errors": errors, "items": items }))
    }

    fn create(&self, id: &str, document: &[u8]) -> (u16, Option<(&'static str, String)>) {
        let parsing = |why: &str| (400, Some(("document_parsing_exception", why.to_owned())));
        match self.planned.lock().unwrap().pop_front().unwrap_or_default() {
            0 => {}
            status => return (status, Some(("es_rejected_execution_exception", "planned".to_owned()))),
        }
        let Ok(document) = serde_json::from_slice::<Value>(document) else { return parsing("no JSON") };
        if !document.is_object() {
            return parsing("no object");
        }
        if document["@timestamp"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok()).is_none() {
            return parsing("data stream timestamp field [@timestamp] is missing");
        }
        let mut documents = self.documents.lock().unwrap();
        if documents.contains_key(id) {
            *self.again.lock().unwrap() += 1;
            return (
                409,
                Some(("version_conflict_engine_exception", format!("[{id}]: document already exists"))),
            );
        }
        documents.insert(id.to_owned(), document);
        (201, None)
    }
}

impl Service for Elasticsearch {
    fn answer(&self, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> (u16, &'static str, Vec<u8>) {
        let wanted = self.authorization.lock().unwrap().clone();
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let said = if wanted.is_some() && header("authorization") != wanted.as_deref() {
            Err((401, "security_exception: unable to authenticate".to_owned()))
        } else if uri.path() != format!("/{}/_bulk", self.stream) {
            Err((404, "index_not_found_exception".to_owned()))
        } else if header("content-type") != Some("application/x-ndjson") {
            Err((406, "Content-Type header is not supported".to_owned()))
        } else {
            self.bulk(body)
        };
        match said {
            Ok(answer) => (200, "application/json", answer.to_string().into_bytes()),
            Err((status, why)) => {
                let error = json!({ "error": { "reason": why }, "status": status });
                (status, "application/json", error.to_string().into_bytes())
            }
        }
    }
}
