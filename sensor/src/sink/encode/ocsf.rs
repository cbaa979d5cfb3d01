//! Open Cybersecurity Schema Framework, version 1.3 (<https://schema.ocsf.io/1.3.0>): an alert is a detection finding, an event
//! the activity that fits it, or a base event where none does. What the schema has no attribute for is under `unmapped`.

mod objects;

use sensor_common::Kind;
use serde_json::{Value, json};

use self::objects::{container, device, file, fit, is_hostname, process, process_file};
use super::{Own, Severity, VENDOR, VERSION, id, moves::Moves};
use crate::{
    event::{Detail, Event, Process, Socket, SocketAddr, printable},
    sink::{Alert, Class, Delivery, Item, timestamp},
};

/// The version of the schema.
const SCHEMA: &str = "1.3.0";
/// Where the schema keeps what it does not know.
const REST: &str = "unmapped";

/// A class of the schema: category, number.
type ClassId = (u32, u32);
const BASE: ClassId = (0, 0);
const FINDING: ClassId = (2, 2004);
const FILE: ClassId = (1, 1001);
const PROCESS: ClassId = (1, 1007);
const NETWORK: ClassId = (4, 4001);
const DNS: ClassId = (4, 4003);
/// The activity that the schema has no number for.
const OTHER: u32 = 99;

pub(super) fn item(item: &Item, delivery: &Delivery, hostname: &str) -> Vec<u8> {
    let severity = Severity::of_item(item);
    let mut moves = match item {
        Item::Alert(alert) => Moves::of(&**alert),
        Item::Event(event) => Moves::of(&**event),
    };
    match item {
        Item::Alert(alert) => {
            moves.put("metadata.original_time", alert.time.as_str());
            of_alert(&mut moves, alert);
        }
        Item::Event(event) => {
            moves.put("time", event.time / 1_000_000);
            moves.put("metadata.original_time", timestamp(event.time));
            of_event(&mut moves, event);
        }
    }
    head(&mut moves, (id(Some(item), delivery), hostname), severity, delivery);
    if let Item::Event(event) = item
        && activity(event).0 == BASE
    {
        base(&mut moves);
    }
    moves.finish(REST)
}

pub(super) fn own(own: &Own<'_>) -> Vec<u8> {
    let class = own.delivery.class.name();
    let mut moves = Moves::whole(&json!({ class: own.what }));
    moves.put("time", own.time / 1_000_000);
    moves.put("metadata.original_time", timestamp(own.time));
    moves.put("message", fit(&own.sentence()));
    kind(&mut moves, BASE, OTHER, class);
    head(&mut moves, (id(None, own.delivery), own.hostname), own.severity(), own.delivery);
    base(&mut moves);
    if own.delivery.class == Class::Gap {
        moves.put("status_id", 2);
    }
    moves.finish(REST)
}

/// What every event of the schema has.
fn head(moves: &mut Moves, (uid, hostname): (String, &str), severity: Severity, delivery: &Delivery) {
    moves.put("metadata.version", SCHEMA);
    moves.put("metadata.product", json!({ "name": VENDOR, "vendor_name": VENDOR, "version": VERSION }));
    moves.put("metadata.uid", uid);
    moves.put("metadata.sequence", delivery.number);
    moves.put("metadata.log_name", delivery.class.name());
    moves.put("metadata.profiles", json!(["host", "container"]));
    moves.put("severity_id", severity.ocsf);
    moves.put("severity", severity.ocsf_name);
    moves.take("hostname");
    moves.put("device", device(hostname));
    moves.leave("delivery", json!(delivery));
}

/// The base event has no device.
fn base(moves: &mut Moves) {
    let device = moves.take_back("device");
    moves.leave("device", device);
}

/// Class and activity. `name`: what an activity is called that has no number.
fn kind(moves: &mut Moves, (category, class): ClassId, activity: u32, name: &str) {
    moves.put("category_uid", category);
    moves.put("class_uid", class);
    moves.put("activity_id", activity);
    moves.put("type_uid", class * 100 + activity);
    if activity == OTHER {
        moves.put("activity_name", name);
    }
}

fn of_alert(moves: &mut Moves, alert: &Alert) {
    let time = alert.time.parse::<jiff::Timestamp>().map_or(0, |time| time.as_millisecond());
    moves.put("time", time);
    for taken in ["time", "uuid", "rule", "tags"] {
        moves.take(taken);
    }
    kind(moves, FINDING, 1, "");
    moves.put("status_id", 1);
    moves.put("message", fit(&alert.output));
    // What does not fit there stays where it was.
    if fit(&alert.output) == alert.output {
        moves.take("output");
    }
    let rule = if alert.rule.is_empty() { VENDOR } else { alert.rule.as_str() };
    let analytic = json!({ "name": rule, "type_id": 1, "type": "Rule" });
    let attacks: Vec<Value> = attacks(&alert.tags);
    moves.put("finding_info.uid", alert.uuid.to_string());
    moves.put("finding_info.title", rule);
    moves.put("finding_info.desc", fit(&alert.output));
    moves.put("finding_info.created_time", time);
    moves.put("finding_info.analytic", analytic);
    moves.put("finding_info.attacks", attacks);
    moves.put("metadata.labels", alert.tags.as_slice());
    let parent = alert.process.ancestors.first().map(|parent| {
        let name = json!({ "pid": parent.pid, "name": parent.comm });
        with(name, "file", process_file(&parent.exe))
    });
    let it = process(moves, &alert.process.process, parent);
    let evidence = json!({ "process": it, "api": { "operation": alert.event.event_type } });
    moves.take("event.type");
    let evidence = with(evidence, "container", container(moves, alert.container.as_ref()));
    moves.put("evidences", json!([evidence]));
}

fn attacks(tags: &[String]) -> Vec<Value> {
    let technique = |id: &str| match id.split_once('.') {
        None => json!({ "technique": { "uid": id } }),
        Some((whole, _)) => json!({ "technique": { "uid": whole }, "sub_technique": { "uid": id } }),
    };
    let tactics = super::tactics(tags).into_iter().map(|name| json!({ "tactic": { "name": name } }));
    super::techniques(tags).into_iter().map(technique).chain(tactics).collect()
}

fn of_event(moves: &mut Moves, event: &Event) {
    for taken in ["time", "number"] {
        moves.take(taken);
    }
    moves.leave("event_number", event.number);
    moves.put("message", fit(&crate::sink::event_line(event)));
    moves.shift("type", "metadata.event_code");
    moves.put("status_id", if event.failed() { 2 } else { 1 });
    if event.failed() {
        moves.put("status_code", super::error_name(event.result));
    }
    let (class, activity) = activity(event);
    kind(moves, class, activity, event.event_type.name());
    let parent = event.process.parent.as_deref().map(short);
    let it = process(moves, &event.process, parent.clone());
    let it = with(it, "container", container(moves, event.container.as_ref()));
    let it = with(it, "tid", event.task.tid.into());
    match class {
        PROCESS => {
            let (who, whom) = of_process(event, it, parent);
            moves.put("actor.process", who);
            moves.put("process", whom);
        }
        BASE => moves.leave("actor", json!({ "process": it })),
        _ => moves.put("actor.process", it),
    }
    match &event.detail {
        Detail::Exit(exit) => moves.put("exit_code", exit.code()),
        Detail::Open(_) => {
            let path = moves.take("detail.path");
            moves.put("file", file(path.as_str().unwrap_or_default(), event));
        }
        Detail::Change(change) if class == FILE => {
            moves.put("file", file(&change.path.to_str_lossy(), event));
            if let Some(new) = &change.new_path {
                moves.put("file_result", file(&new.to_str_lossy(), event));
            }
        }
        Detail::Socket(socket) if class == NETWORK => endpoints(moves, socket),
        Detail::Dns(dns) if class == DNS => {
            endpoints(moves, &dns.socket);
            let question = dns.question.as_ref().filter(|name| is_hostname(&name.to_str_lossy()));
            if let Some(name) = question {
                let query = json!({ "hostname": name, "type": dns.record_type, "packet_uid": dns.id });
                moves.put("query", query);
            }
            let answer = |address: &std::net::IpAddr| json!({ "rdata": address.to_string() });
            moves.put("answers", dns.addresses.iter().map(answer).collect::<Vec<_>>());
            moves.shift("detail.rcode", "rcode");
        }
        _ => {}
    }
}

fn activity(event: &Event) -> (ClassId, u32) {
    let file = |activity| (FILE, activity);
    let network = |activity| (NETWORK, if event.failed() { 4 } else { activity });
    let known = |socket: &Socket| [&socket.local, &socket.remote].iter().any(|end| **end != SocketAddr::None);
    match (&event.detail, event.event_type.kind()) {
        (Detail::Exec(_) | Detail::Fork(_), _) => (PROCESS, 1),
        (Detail::Exit(_), _) => (PROCESS, 2),
        (Detail::Open(open), _) => file(if open.created { 1 } else { 14 }),
        (Detail::Change(_), Some(Kind::FileRemove)) => file(4),
        (Detail::Change(_), Some(Kind::FileRename)) => file(5),
        (Detail::Change(_), Some(Kind::FileMake | Kind::FileLink)) => file(1),
        (Detail::Change(_), Some(Kind::FileMode)) => file(6),
        (Detail::Change(_), Some(Kind::FileOwner)) => file(7),
        (Detail::Change(_), Some(Kind::MountAttach)) => file(12),
        (Detail::Change(_), Some(Kind::MountDetach)) => file(13),
        (Detail::Change(_), _) => file(OTHER),
        (Detail::Dns(dns), _) => (DNS, if dns.answer { 2 } else { 1 }),
        (Detail::Socket(socket), Some(kind)) if known(socket) => match kind {
            Kind::NetConnect | Kind::NetAccept => network(1),
            Kind::NetListen => network(7),
            Kind::NetSend | Kind::NetReceive => network(6),
            _ => network(OTHER),
        },
        _ => (BASE, OTHER),
    }
}

/// Who did it, and to which process.
fn of_process(event: &Event, it: Value, parent: Option<Value>) -> (Value, Value) {
    match &event.detail {
        Detail::Fork(fork) => {
            let child =
                json!({ "pid": fork.child.pid, "uid": format!("{}-{}", fork.child.pid, fork.child.start) });
            (it, child)
        }
        Detail::Exec(_) => (parent.unwrap_or_else(|| it.clone()), it),
        _ => (it.clone(), it),
    }
}

fn short(process: &Process) -> Value {
    let name = json!({
        "pid": process.key.pid,
        "uid": format!("{}-{}", process.key.pid, process.key.start),
        "name": process.comm,
    });
    with(name, "file", process_file(&printable(process.exe.as_bytes())))
}

/// The object with one more member, where that says anything.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    if let (Value::Object(members), false) = (&mut object, value.is_null()) {
        members.insert(name.to_owned(), value);
    }
    object
}

/// Both ends of a socket. The side that connects is the source.
fn endpoints(moves: &mut Moves, socket: &Socket) {
    let (local, remote) =
        if socket.server { ("dst_endpoint", "src_endpoint") } else { ("src_endpoint", "dst_endpoint") };
    let end = |address: &SocketAddr, name: Option<&std::sync::Arc<str>>| match address {
        SocketAddr::None => json!({ "name": "unknown" }),
        SocketAddr::Unix(path) => json!({ "name": path }),
        SocketAddr::Ip(peer) => {
            let end = json!({ "ip": peer.ip.to_string(), "port": peer.port });
            with(
                end,
                "hostname",
                name.filter(|name| is_hostname(name)).map_or(Value::Null, |name| json!(name)),
            )
        }
    };
    moves.put(local, end(&socket.local, socket.local_names.iter().next()));
    moves.put(remote, end(&socket.remote, socket.remote_names.iter().next()));
    let direction = if socket.server { 1 } else { 2 };
    moves.put("connection_info.direction_id", direction);
    moves.put("connection_info.protocol_num", socket.protocol);
    moves.put("connection_info.protocol_name", super::transport(socket.protocol));
}
