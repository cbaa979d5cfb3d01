//! Splunk's HTTP event collector, by "Format events for HTTP Event Collector", "HTTP Event Collector REST API endpoints" and
//! "About HTTP Event Collector Indexer Acknowledgment" of its documentation.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use axum::http::{HeaderMap, Uri};
use serde_json::{Deserializer, Value, json};

use super::Service;

/// A collector with one token.
#[derive(Debug)]
pub struct Splunk {
    /// The token that it knows; it may be replaced.
    pub token: Mutex<String>,
    /// Indexes that the token may write to.
    pub indexes: BTreeSet<&'static str>,
    /// Whether the token has indexer acknowledgement, and after how many questions a batch is indexed.
    pub acknowledges: Option<u32>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Value>,
    next: u64,
    /// Questions about each batch so far, by channel and number.
    asked: BTreeMap<(String, u64), u32>,
}

type Answer = (u16, Value);

const fn code(number: u32) -> (u16, &'static str) {
    match number {
        0 => (200, "Success"),
        2 => (401, "Token is required"),
        3 => (401, "Invalid authorization"),
        4 => (403, "Invalid token"),
        5 => (400, "No data"),
        6 => (400, "Invalid data format"),
        7 => (400, "Incorrect index"),
        10 => (400, "Data channel is missing"),
        11 => (400, "Invalid data channel"),
        12 => (400, "Event field is required"),
        13 => (400, "Event field cannot be blank"),
        14 => (400, "ACK is disabled"),
        _ => (404, "Not found"),
    }
}

fn say(number: u32) -> Answer {
    let (status, text) = code(number);
    (status, json!({ "text": text, "code": number }))
}

fn of_event(number: u32, place: usize) -> Answer {
    let (status, text) = code(number);
    (status, json!({ "text": text, "code": number, "invalid-event-number": place }))
}

impl Splunk {
    /// A collector that knows `token` and the index `main`.
    #[must_use]
    pub fn new(token: &str, acknowledges: Option<u32>) -> Self {
        Self {
            token: Mutex::new(token.to_owned()),
            indexes: BTreeSet::from(["main"]),
            acknowledges,
            state: Mutex::default(),
        }
    }

    /// The events that it took, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.state.lock().unwrap().events.clone()
    }

    fn channel(&self, uri: &Uri, headers: &HeaderMap) -> Result<String, Answer> {
        let query = uri.query().unwrap_or_default().split('&');
        let in_query = query.filter_map(|pair| pair.strip_prefix("channel=")).next();
        let in_header = headers.get("x-splunk-request-channel").and_then(|value| value.to_str().ok());
        let channel = in_header.or(in_query).ok_or_else(|| say(10))?;
        let parts: Vec<usize> = channel.split('-').map(str::len).collect();
        let is_guid =
            parts == [8, 4, 4, 4, 12] && channel.bytes().all(|c| c == b'-' || c.is_ascii_hexdigit());
        if is_guid { Ok(channel.to_owned()) } else { Err(say(11)) }
    }

    fn take(&self, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<Answer, Answer> {
        let channel = if self.acknowledges.is_some() { Some(self.channel(uri, headers)?) } else { None };
        let mut events = Vec::new();
        for event in Deserializer::from_slice(body).into_iter::<Value>() {
            let place = events.len();
            let event = event.map_err(|_| of_event(6, place))?;
            let object = event.as_object().ok_or_else(|| of_event(6, place))?;
            let known = ["time", "host", "source", "sourcetype", "index", "event", "fields"];
            if object.keys().any(|key| !known.contains(&key.as_str())) {
                return Err(of_event(6, place));
            }
            match object.get("event") {
                None | Some(Value::Null) => return Err(of_event(12, place)),
                Some(Value::String(text)) if text.is_empty() => return Err(of_event(13, place)),
                Some(_) => {}
            }
            if object
                .get("index")
                .is_some_and(|index| !index.as_str().is_some_and(|it| self.indexes.contains(it)))
            {
                return Err(of_event(7, place));
            }
            let flat = |fields: &Value| {
                fields
                    .as_object()
                    .is_some_and(|map| map.values().all(|value| value.is_string() || value.is_number()))
            };
            if object.get("fields").is_some_and(|fields| !flat(fields)) {
                return Err(of_event(6, place));
            }
            let time =
                object.get("time").and_then(Value::as_str).is_none_or(|time| time.parse::<f64>().is_ok());
            if !time {
                return Err(of_event(6, place));
            }
            events.push(event);
        }
        if events.is_empty() {
            return Err(say(5));
        }
        let mut state = self.state.lock().unwrap();
        state.events.extend(events);
        let (status, mut answer) = say(0);
        if let Some(channel) = channel {
            let number = state.next;
            state.next += 1;
            state.asked.insert((channel, number), 0);
            answer["ackId"] = number.into();
        }
        Ok((status, answer))
    }

    fn acknowledge(&self, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<Answer, Answer> {
        let wanted = self.acknowledges.ok_or_else(|| say(14))?;
        let channel = self.channel(uri, headers)?;
        let question: Value = serde_json::from_slice(body).map_err(|_| say(6))?;
        let numbers = question["acks"].as_array().ok_or_else(|| say(6))?;
        let mut state = self.state.lock().unwrap();
        let mut acks = serde_json::Map::new();
        for number in numbers {
            let number = number.as_u64().ok_or_else(|| say(6))?;
            let indexed = match state.asked.get_mut(&(channel.clone(), number)) {
                None => false,
                Some(asked) => {
                    *asked += 1;
                    *asked >= wanted
                }
            };
            // Its status is removed once it was said.
            if indexed {
                state.asked.remove(&(channel.clone(), number));
            }
            acks.insert(number.to_string(), indexed.into());
        }
        Ok((200, json!({ "acks": acks })))
    }

    fn authorized(&self, headers: &HeaderMap) -> Result<(), Answer> {
        let value = headers.get("authorization").ok_or_else(|| say(2))?;
        let token =
            value.to_str().ok().and_then(|value| value.strip_prefix("Splunk ")).ok_or_else(|| say(3))?;
        if token == *self.token.lock().unwrap() { Ok(()) } else { Err(say(4)) }
    }
}

impl Service for Splunk {
    fn answer(&self, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> (u16, &'static str, Vec<u8>) {
        let answer = self.authorized(headers).and_then(|()| match uri.path() {
            "/services/collector/event" => self.take(uri, headers, body),
            "/services/collector/ack" => self.acknowledge(uri, headers, body),
            _ => Err(say(404)),
        });
        let (status, answer) = answer.unwrap_or_else(|answer| answer);
        (status, "application/json; charset=UTF-8", answer.to_string().into_bytes())
    }
}
