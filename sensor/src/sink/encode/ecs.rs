//! Elastic Common Schema, version 8: fields by <https://www.elastic.co/guide/en/ecs/8.11>; what it has no field for is under
//! `vedette`. Names there have no dots and keep their kind of value, so that one record cannot make an index refuse another.

use std::sync::Arc;

use sensor_common::Kind;
use serde_json::{Value, json};

use super::{
    Own, Severity, VENDOR, VERSION, id,
    moves::{Moves, pairs, text, without_dots},
};
use crate::{
    event::{Category, Container, Detail, Event, EventType, Process, Socket, SocketAddr},
    sink::{Alert, Class, Delivery, Item, timestamp},
};

/// The version of the schema.
const ECS: &str = "8.11.0";
/// Where our own fields are.
const OWN: &str = "vedette";

pub(super) fn item(item: &Item, delivery: &Delivery, hostname: &str) -> Vec<u8> {
    let mut moves = match item {
        Item::Alert(alert) => Moves::of(&**alert),
        Item::Event(event) => Moves::of(&**event),
    };
    sensor(&mut moves, hostname, Severity::of_item(item));
    moves.put("event.id", id(Some(item), delivery));
    moves.put("event.dataset", format!("vedette.{}", delivery.class.name()));
    match item {
        Item::Alert(alert) => of_alert(&mut moves, alert),
        Item::Event(event) => of_event(&mut moves, event),
    }
    moves.leave("delivery", json!(delivery));
    moves.finish(OWN)
}

pub(super) fn own(own: &Own<'_>) -> Vec<u8> {
    let class = own.delivery.class;
    let mut moves = Moves::whole(&json!({ class.name(): own.what, "delivery": own.delivery }));
    sensor(&mut moves, own.hostname, own.severity());
    moves.put("@timestamp", timestamp(own.time));
    moves.put("message", own.sentence());
    moves.put("event.id", id(None, own.delivery));
    moves.put("event.dataset", format!("vedette.{}", class.name()));
    moves.put("event.kind", if class == Class::Gap { "pipeline_error" } else { "state" });
    moves.put("event.action", class.name());
    moves.finish(OWN)
}

/// Who says it, and how bad it is.
fn sensor(moves: &mut Moves, hostname: &str, severity: Severity) {
    moves.put("ecs.version", ECS);
    moves.put(
        "observer",
        json!({ "vendor": VENDOR, "product": VENDOR, "type": "sensor", "version": VERSION }),
    );
    moves.put("host", json!({ "hostname": hostname, "name": hostname }));
    moves.put("event.module", OWN);
    moves.put("event.provider", OWN);
    moves.put("event.severity", severity.ecs);
    moves.put("log.level", severity.priority.to_lowercase());
    moves.put("log.syslog.severity", json!({ "code": severity.syslog, "name": severity.priority }));
}

fn of_alert(moves: &mut Moves, alert: &Alert) {
    moves.take("uuid");
    moves.take("hostname");
    moves.shift("time", "@timestamp");
    moves.shift("output", "message");
    moves.shift("rule", "rule.name");
    moves.shift("tags", "tags");
    moves.put("event.kind", "alert");
    moves.shift("event.number", "event.sequence");
    moves.shift("event.type", "event.action");
    action(moves, EventType::from_name(alert.event.event_type), alert.event.result);
    threat(moves, &alert.tags);
    let first = alert.process.ancestors.first();
    if let Some(parent) = first {
        moves.put("process.parent.name", parent.comm.as_str());
        moves.put("process.parent.executable", parent.exe.as_str());
    }
    process(moves, &alert.process.process);
    container(moves, alert.container.as_ref());
    // Fields by rules have any name and any kind of value.
    for fields in ["output_fields", "by"] {
        let value = moves.take(fields);
        moves.leave(fields, without_dots(value, true));
    }
}

fn of_event(moves: &mut Moves, event: &Event) {
    moves.put("@timestamp", timestamp(event.time));
    moves.put("message", crate::sink::event_line(event));
    moves.put("event.kind", "event");
    moves.shift("number", "event.sequence");
    moves.shift("type", "event.action");
    action(moves, Some(event.event_type), event.result);
    moves.shift("task.tid", "process.thread.id");
    moves.shift("task.comm", "process.thread.name");
    moves.shift_text("task.uid", "user.id");
    moves.shift_text("task.euid", "user.effective.id");
    moves.shift("task.user", "user.effective.name");
    moves.shift_text("task.egid", "user.effective.group.id");
    moves.shift("task.group", "user.effective.group.name");
    if let Some(parent) = &event.process.parent {
        moves.put("process.parent.name", parent.comm.to_str_lossy());
        moves.put("process.parent.executable", parent.exe.to_str_lossy());
    }
    process(moves, &event.process);
    container(moves, event.container.as_ref());
    detail(moves, &event.detail);
}

/// Category, type and outcome.
fn action(moves: &mut Moves, event_type: Option<EventType>, result: i64) {
    let Some(event_type) = event_type else { return };
    let category = match event_type.category() {
        Category::Process => "process",
        Category::File => "file",
        Category::Network => "network",
        Category::Privilege => "process",
        Category::Sensor => "host",
    };
    let kind = match event_type.kind() {
        Some(Kind::ProcExec | Kind::ProcFork | Kind::NetConnect | Kind::NetAccept) => "start",
        Some(Kind::ProcExit) => "end",
        Some(Kind::FileRemove) => "deletion",
        Some(Kind::FileMake | Kind::FileLink | Kind::MemCreate) => "creation",
        Some(Kind::FileOpen) => "access",
        Some(Kind::FileRename | Kind::FileMode | Kind::FileOwner) => "change",
        Some(Kind::MountAttach | Kind::MountDetach | Kind::MountRoot | Kind::ProcTrace) => "change",
        _ => "info",
    };
    moves.put("event.category", json!([category]));
    moves.put("event.type", json!([kind]));
    moves.put("event.outcome", if result < 0 { "failure" } else { "success" });
}

/// Tags of MITRE's matrix: `T1059.004`, `mitre_execution`.
fn threat(moves: &mut Moves, tags: &[String]) {
    let (techniques, tactics) = (super::techniques(tags), super::tactics(tags));
    if techniques.is_empty() && tactics.is_empty() {
        return;
    }
    moves.put("threat.framework", "MITRE ATT&CK");
    let (whole, sub): (Vec<&str>, Vec<&str>) = techniques.into_iter().partition(|id| !id.contains('.'));
    moves.put("threat.technique.id", whole);
    moves.put("threat.technique.subtechnique.id", sub);
    moves.put("threat.tactic.name", tactics);
}

fn process(moves: &mut Moves, process: &Process) {
    moves.put("process.entity_id", format!("{}-{}", process.key.pid, process.key.start));
    for (from, to) in [
        ("pid", "pid"),
        ("comm", "name"),
        ("exe", "executable"),
        ("cwd", "working_directory"),
        ("args", "args"),
        ("ppid", "parent.pid"),
        ("pgid", "group_leader.pid"),
        ("sid", "session_leader.pid"),
        ("vpid", "vpid"),
    ] {
        moves.shift(&format!("process.{from}"), &format!("process.{to}"));
    }
    moves.shift_text("process.uid", "process.user.id");
    let args = super::command_line(process);
    if !process.args.is_empty() {
        moves.put("process.args_count", process.args.iter().count());
        moves.put("process.command_line", args);
    }
    if process.args.is_truncated() {
        moves.leave("process.args_bytes", process.args.full_len());
    }
}

fn container(moves: &mut Moves, container: Option<&Arc<Container>>) {
    let Some(it) = container else { return };
    moves.shift("container.full_id", "container.id");
    moves.shift("container.name", "container.name");
    moves.shift("container.type", "container.runtime");
    moves.shift("container.privileged", "container.security_context.privileged");
    if let Some(image) = it.image() {
        moves.put("container.image.name", image.repository().unwrap_or(&image.name));
        moves.put("container.image.tag", image.tag().map_or(Value::Null, |tag| json!([tag])));
        let digest = image.digest.as_deref();
        moves.put("container.image.hash.all", digest.map_or(Value::Null, |digest| json!([digest])));
    }
    let labels = moves.take("container.labels");
    moves.put("container.labels", without_dots(labels, true));
    if it.pod().is_none() && it.pod_uid().is_none() {
        return;
    }
    moves.put("orchestrator.type", "kubernetes");
    moves.put("orchestrator.resource.type", "pod");
    moves.shift("kubernetes.namespace", "orchestrator.namespace");
    moves.shift("kubernetes.pod_name", "orchestrator.resource.name");
    moves.shift("kubernetes.pod_uid", "orchestrator.resource.id");
    moves.shift("kubernetes.owner.kind", "orchestrator.resource.parent.type");
    let ip = moves.take("kubernetes.ip");
    moves.put("orchestrator.resource.ip", if ip.is_null() { ip } else { json!([ip]) });
    for (from, to) in [("labels", "label"), ("annotations", "annotation")] {
        let value = moves.take(&format!("kubernetes.{from}"));
        moves.put(&format!("orchestrator.resource.{to}"), pairs(&value));
    }
}

fn detail(moves: &mut Moves, detail: &Detail) {
    match detail {
        Detail::Exit(exit) => moves.put("process.exit_code", exit.code()),
        Detail::Open(_) => moves.shift("detail.path", "file.path"),
        Detail::Change(change) => {
            let made = change.new_path.is_some();
            moves.shift(if made { "detail.new_path" } else { "detail.path" }, "file.path");
        }
        Detail::Socket(it) => socket(moves, it, "detail"),
        Detail::Dns(dns) => {
            socket(moves, &dns.socket, "detail.socket");
            moves.put("network.protocol", "dns");
            moves.put("dns.type", if dns.answer { "answer" } else { "query" });
            moves.shift_text("detail.id", "dns.id");
            moves.shift("detail.question", "dns.question.name");
            moves.shift("detail.record_type", "dns.question.type");
            moves.shift("detail.rcode", "dns.response_code");
            moves.shift("detail.addresses", "dns.resolved_ip");
        }
        Detail::Dup(dup) if dup.socket.is_some() => {
            if let Some(it) = &dup.socket {
                socket(moves, it, "detail.socket");
            }
        }
        _ => {}
    }
    for (from, to) in [("ino", "inode"), ("uid", "uid"), ("gid", "gid")] {
        let value = moves.take(&format!("detail.file.{from}"));
        moves.put(&format!("file.{to}"), text(value));
    }
    if let Some(mode) = moves.take("detail.file.mode").as_u64() {
        moves.put("file.mode", format!("{:04o}", mode & 0o7777));
    }
}

/// This end is the source where it is the one that connects.
fn socket(moves: &mut Moves, socket: &Socket, at: &str) {
    let (local, remote) = if socket.server { ("destination", "source") } else { ("source", "destination") };
    for (from, end, to) in [("local", &socket.local, local), ("remote", &socket.remote, remote)] {
        moves.take(&format!("{at}.{from}"));
        match end {
            SocketAddr::None => {}
            SocketAddr::Unix(path) => moves.put(&format!("{to}.address"), path.to_str_lossy()),
            SocketAddr::Ip(peer) => {
                moves.put(&format!("{to}.address"), peer.ip.to_string());
                moves.put(&format!("{to}.ip"), peer.ip.to_string());
                moves.put(&format!("{to}.port"), peer.port);
                moves.put("network.type", if peer.ip.is_ipv4() { "ipv4" } else { "ipv6" });
            }
        }
        let names = moves.take(&format!("{at}.{from}_names"));
        moves.put(&format!("{to}.domain"), names.get(0).cloned().unwrap_or_default());
        moves.leave(&format!("{at}.{from}_names"), names);
    }
    moves.put("network.transport", super::transport(socket.protocol));
}
