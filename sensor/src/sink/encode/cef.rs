//! `ArcSight`'s Common Event Format, version 0: a header between bars, and pairs behind it. A bar is escaped in the header
//! alone, an equals sign in the pairs alone, a backslash in both. What the format has no key for has keys of ours, as it asks
//! products to name them.

use std::{fmt::Write, sync::Arc};

use serde::Serialize;

use super::{Own, Severity, VENDOR, VERSION, command_line, error_name, id};
use crate::{
    event::{Container, Detail, Event, Process, SocketAddr},
    sink::{Alert, Class, Delivery, Item, event_line, timestamp},
};

/// A record as it grows.
struct Cef(String);

impl Cef {
    /// `signature`: tells kinds of records from each other. `name`: says it to people.
    fn new(signature: &str, name: &str, severity: Severity) -> Self {
        let mut line = String::with_capacity(1024);
        line.push_str("CEF:0");
        for field in [VENDOR, VENDOR, VERSION, signature, name] {
            line.push('|');
            escape(&mut line, field, '|', false);
        }
        // Writing to a string does not fail, here and below.
        let _ = write!(line, "|{}|", severity.cef);
        Self(line)
    }

    /// A pair, where its value says anything.
    fn put(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        if !self.0.ends_with('|') {
            self.0.push(' ');
        }
        self.0.push_str(key);
        self.0.push('=');
        escape(&mut self.0, value, '=', true);
    }

    fn number(&mut self, key: &str, value: impl Into<i128>) {
        self.put(key, &value.into().to_string());
    }

    /// One of the keys that a product gives a meaning to.
    fn custom(&mut self, key: &str, label: &str, value: &str) {
        if !value.is_empty() {
            self.put(&format!("{key}Label"), label);
            self.put(key, value);
        }
    }

    /// What has a structure, as JSON.
    fn json(&mut self, key: &str, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) if ["null", "{}", "[]", "\"\""].contains(&text.as_str()) => {}
            Ok(text) => self.put(key, &text),
            Err(error) => self.put("reason", &error.to_string()),
        }
    }
}

/// Control characters would end the line or the pair, or be a terminal's orders: they are written as `\xNN`, as bytes are
/// that are no text. Line breaks have an escape of their own in pairs.
fn escape(out: &mut String, text: &str, special: char, lines: bool) {
    for c in text.chars() {
        match c {
            '\n' if lines => out.push_str("\\n"),
            '\r' if lines => out.push_str("\\r"),
            '\t' => out.push(' '),
            '\n' | '\r' => out.push(' '),
            '\\' => out.push_str("\\\\"),
            c if c == special => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

pub(super) fn item(item: &Item, delivery: &Delivery, hostname: &str) -> Vec<u8> {
    let severity = Severity::of_item(item);
    let uid = id(Some(item), delivery);
    match item {
        Item::Alert(alert) => {
            let mut cef = Cef::new(&alert.rule, &alert.rule, severity);
            common(&mut cef, &uid, delivery, hostname);
            of_alert(&mut cef, alert);
            cef.0.into_bytes()
        }
        Item::Event(event) => {
            let name = event.event_type.name();
            let mut cef = Cef::new(name, name, severity);
            common(&mut cef, &uid, delivery, hostname);
            of_event(&mut cef, event);
            cef.0.into_bytes()
        }
    }
}

pub(super) fn own(own: &Own<'_>) -> Vec<u8> {
    let mut cef = Cef::new(own.delivery.class.name(), own.title(), own.severity());
    common(&mut cef, &id(None, own.delivery), own.delivery, own.hostname);
    cef.number("rt", own.time / 1_000_000);
    cef.put("msg", own.title());
    cef.json(if own.delivery.class == Class::Gap { "vedetteGap" } else { "vedetteCheckpoint" }, own.what);
    cef.0.into_bytes()
}

fn common(cef: &mut Cef, uid: &str, delivery: &Delivery, hostname: &str) {
    cef.put("dvchost", hostname);
    cef.put("externalId", uid);
    cef.put("cat", delivery.class.name());
    for (key, label, number) in [
        ("cn1", "number", delivery.number),
        ("cn2", "classNumber", delivery.class_number),
        ("cn3", "placeNumber", delivery.place_number),
    ] {
        cef.custom(key, label, &number.to_string());
    }
    cef.put("vedetteStream", &delivery.stream.to_string());
    cef.put("vedettePlace", &delivery.place);
}

fn of_alert(cef: &mut Cef, alert: &Alert) {
    let time = alert.time.parse::<jiff::Timestamp>().map_or(0, |time| time.as_millisecond());
    cef.number("rt", time);
    cef.put("msg", &alert.output);
    cef.put("vedetteTime", &alert.time);
    cef.put("vedettePriority", alert.priority);
    cef.put("vedetteSource", alert.source);
    cef.put("vedetteTags", &alert.tags.join(","));
    call(cef, alert.event.event_type, alert.event.number, alert.event.result);
    process(cef, &alert.process.process);
    place(cef, alert.container.as_ref());
    if let Some(parent) = alert.process.ancestors.first() {
        cef.custom("cs6", "parent", &parent.exe);
    }
    cef.json("vedetteAncestors", &alert.process.ancestors);
    cef.json("vedetteFields", &alert.output_fields);
    cef.json("vedetteOverTime", &alert.over_time);
    if let Some(response) = &alert.response {
        cef.put("act", response.action.name());
        cef.json("vedetteResponse", response);
    }
    cef.json("vedetteLoss", &alert.loss);
}

fn of_event(cef: &mut Cef, event: &Event) {
    cef.number("rt", event.time / 1_000_000);
    cef.put("msg", &event_line(event));
    cef.put("vedetteTime", &timestamp(event.time));
    call(cef, event.event_type.name(), event.number, event.result);
    process(cef, &event.process);
    cef.json("vedetteTask", &event.task);
    place(cef, event.container.as_ref());
    if let Some(parent) = &event.process.parent {
        cef.custom("cs6", "parent", &parent.exe.to_str_lossy());
    }
    match &event.detail {
        Detail::Open(open) => cef.put("filePath", &open.path.to_str_lossy()),
        Detail::Change(change) => cef.put("filePath", &change.path.to_str_lossy()),
        Detail::Socket(socket) => {
            let ends = [("src", "spt", &socket.local), ("dst", "dpt", &socket.remote)];
            let turned = [("dst", "dpt", &socket.local), ("src", "spt", &socket.remote)];
            for (address, port, end) in if socket.server { turned } else { ends } {
                if let SocketAddr::Ip(peer) = end {
                    cef.put(address, &peer.ip.to_string());
                    cef.number(port, peer.port);
                }
            }
            cef.put("proto", &super::transport(socket.protocol).to_uppercase());
        }
        _ => {}
    }
    cef.json("vedetteDetail", &event.detail);
}

fn call(cef: &mut Cef, event_type: &str, number: u64, result: i64) {
    cef.put("vedetteType", event_type);
    cef.put("outcome", if result < 0 { "failure" } else { "success" });
    if result < 0 {
        cef.put("reason", error_name(result));
    }
    cef.number("vedetteEvent", number);
    cef.number("vedetteResult", result);
}

fn process(cef: &mut Cef, it: &Process) {
    if it.key.pid != 0 {
        cef.number("spid", it.key.pid);
    }
    cef.put("sproc", &it.exe.to_str_lossy());
    cef.number("suid", it.uid);
    cef.custom("cs1", "commandLine", &command_line(it));
    cef.json("vedetteProcess", it);
}

fn place(cef: &mut Cef, container: Option<&Arc<Container>>) {
    let Some(it) = container else { return };
    cef.custom("cs2", "containerId", &it.full_id);
    cef.custom("cs3", "containerName", it.facts.name.as_deref().unwrap_or_default());
    cef.custom("cs4", "image", it.image().map_or("", |image| &image.name));
    if let Some(pod) = it.pod() {
        let part = |text: &Option<Box<str>>| text.as_deref().unwrap_or_default().to_owned();
        cef.custom("cs5", "pod", &format!("{}/{}", part(&pod.namespace), part(&pod.name)));
        cef.json("vedettePod", pod);
    }
    cef.json("vedetteContainer", &**it);
}
