//! Every form of every kind of record: valid by its schema, one line whatever is in it, nothing left out.

mod schema;

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::{
    event::{Args, Event, Loss, Lost, Process},
    respond::{Action, Outcome, Target},
    rule::testing,
    sink::Alert,
};

const ENCODINGS: [Encoding; 4] = [Encoding::Falco, Encoding::Ecs, Encoding::Ocsf, Encoding::Cef];

fn delivery(class: Class) -> Delivery {
    Delivery {
        stream: Uuid::from_u128(7),
        number: 12,
        class,
        class_number: 11,
        place: "c1".to_owned(),
        place_number: 5,
    }
}

/// One event of every family, and failed ones.
fn events() -> Vec<Event> {
    let text = "
- {evt.type: execve, proc.name: sh, proc.exepath: /bin/sh, proc.cmdline: 'sh -c id', proc.pname: nginx, container.id: 0123456789abcdef}
- {evt.type: execve, evt.res: ENOENT, proc.name: sh}
- {evt.type: clone, proc.name: sh}
- {evt.type: procexit, proc.name: sh}
- {evt.type: openat, fd.name: /etc/shadow, proc.name: cat}
- {evt.type: openat, fd.name: /etc/shadow, evt.res: EACCES, proc.name: cat}
- {evt.type: unlinkat, fs.path.name: /var/log/wtmp, proc.name: rm}
- {evt.type: renameat2, fs.path.source: /tmp/a, fs.path.target: /tmp/b, proc.name: mv}
- {evt.type: fchmodat, fs.path.name: /tmp/b, proc.name: chmod}
- {evt.type: connect, fd.name: '10.0.0.1:40000->10.0.0.2:443', proc.name: curl}
- {evt.type: accept, fd.name: '10.0.0.9:50000->10.0.0.1:80', proc.name: nginx}
- {evt.type: dns, dns.question: example.org, dns.rcode: NOERROR, proc.name: curl}
- {evt.type: dns, dns.question: _x.example.org, proc.name: curl}
- {evt.type: setuid, proc.name: su}
- {evt.type: ptrace, proc.name: gdb}
- {evt.type: mount, proc.name: mount}
- {evt.type: dup2, fd.num: 0, fd.name: '10.0.0.1:40000->10.0.0.2:443', proc.name: sh}
";
    testing::events("events", text).unwrap()
}

fn alert_of(event: &Event) -> Alert {
    let mut alert = Alert::of_sensor(event, &"node-1".into(), None);
    alert.uuid = Uuid::from_u128(42);
    alert.rule = "Shell in a container".to_owned();
    alert.priority = "Warning";
    alert.output = "A shell | command=sh -c id".to_owned();
    alert.output_fields =
        [("proc.name", json!("sh")), ("proc.pid", json!(4)), ("evt.arg.x", json!(["a", 1]))]
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect();
    alert.tags = ["container", "mitre_privilege_escalation", "T1059.004", "T1068"].map(str::to_owned).into();
    alert
}

/// An alert that has everything that an alert can have.
fn full() -> Alert {
    let text = "- {evt.type: execve, proc.name: sh, proc.exepath: /bin/sh, proc.cmdline: 'sh -c id', proc.pname: nginx, \
                proc.pexepath: /usr/sbin/nginx, proc.cwd: /srv, proc.vpid: 7, container.id: 0123456789abcdef, container.name: web, container.image.repository: docker.io/library/nginx, \
                container.image.tag: '1.27', k8s.pod.name: web-0, k8s.ns.name: shop, k8s.pod.uid: 6ba7b810-9dad-11d1-80b4-00c04fd430c8, \
                'k8s.pod.label[app]': web, 'k8s.pod.label[app.kubernetes.io/name]': web, 'container.label[a.b]': c}";
    let events = testing::events("full", text).unwrap();
    let mut alert = alert_of(&events[0]);
    alert.over_time.suppressed = 3;
    alert.over_time.by.insert("fd.sip".to_owned(), "10.0.0.2".to_owned());
    alert.response = Some(Box::new(Outcome {
        action: Action::Kill,
        decision: "act",
        reason: None,
        mechanism: None,
        target: Target { pid: Some(4), workload: "web".to_owned(), ..Target::default() },
        result: None,
        processes: None,
        error: None,
        latency_us: 900,
        response_us: 400,
    }));
    alert.loss = Some(Loss {
        lost: vec![Lost { kind: sensor_common::Kind::FileOpen, ring_full: 3, failed: 0 }],
        limited: Vec::new(),
    });
    alert
}

fn items() -> Vec<(Item, Delivery)> {
    let of_event = |event| (Item::Event(Arc::new(event)), delivery(Class::Event));
    let of_alert = |alert| (Item::Alert(Arc::new(alert)), delivery(Class::Alert));
    let alerts = events().iter().map(alert_of).chain([full()]).map(of_alert).collect::<Vec<_>>();
    let mut lone = Alert::without_event(1_700_000_000_000_000_001, &"node-1".into());
    (lone.rule, lone.output) = ("Records were lost".to_owned(), "3 records were lost".to_owned());
    alerts.into_iter().chain([of_alert(lone)]).chain(events().into_iter().map(of_event)).collect()
}

fn object(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Every text and number that stands anywhere in a value, as text.
fn leaves(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::Bool(flag) => found.push(flag.to_string()),
        Value::Number(number) => found.push(number.to_string()),
        Value::String(text) => found.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| leaves(value, found)),
        Value::Object(map) => map.values().for_each(|value| leaves(value, found)),
    }
}

#[test]
fn the_own_form_is_what_it_always_was_and_says_where_it_stands() {
    let alert = full();
    let written =
        encode(Encoding::Falco, &Item::Alert(Arc::new(alert.clone())), &delivery(Class::Alert), "x");
    let plain = serde_json::to_string(&alert).unwrap();
    let behind = r#","delivery":{"stream":"00000000-0000-0000-0000-000000000007","number":12,"class":"alert","class_number":11,"place":"c1","place_number":5}}"#;
    assert_eq!(String::from_utf8(written).unwrap(), format!("{}{behind}", plain.strip_suffix('}').unwrap()));
    let event = Arc::new(events().remove(0));
    let written = object(&encode(Encoding::Falco, &Item::Event(event), &delivery(Class::Event), "node-1"));
    assert_eq!((&written["hostname"], &written["type"]), (&json!("node-1"), &json!("execve")));
    assert_eq!(written["delivery"]["class"], "event");
}

#[test]
fn nothing_of_an_alert_is_left_out() {
    // A leaf is written as it is, or as a part of another one: `repository:tag`, a list of `key:value`, JSON in CEF.
    for (item, delivery) in items() {
        let mut wanted = Vec::new();
        leaves(&object(&encode(Encoding::Falco, &item, &delivery, "node-1")), &mut wanted);
        for encoding in [Encoding::Ecs, Encoding::Ocsf] {
            let text = encode(encoding, &item, &delivery, "node-1");
            let mut found = Vec::new();
            leaves(&object(&text), &mut found);
            for leaf in &wanted {
                let (repository, tag) = leaf.rsplit_once(':').unwrap_or((leaf, leaf));
                let has = |part: &str| found.iter().any(|other| other == part || other.contains(part));
                // The number of nanoseconds of an event is there as the time that it is.
                let time = leaf.len() == 19 && leaf.bytes().all(|byte| byte.is_ascii_digit());
                assert!(
                    has(leaf) || has(repository) && has(tag) || time,
                    "{encoding:?} lacks {leaf}: {found:?}"
                );
            }
        }
    }
}

/// What an attacker would have us write.
fn hostile() -> [(Item, Delivery); 2] {
    let long = "a".repeat(64 << 10);
    let hostile: [&[u8]; 4] = [
        b"x\n{\"rule\":\"forged\"}\r\n\0\x1b[2J\x7f|=\\",
        b"\xed\xa0\x80\xff\"'",
        "\u{2028}\u{85}ü".as_bytes(),
        long.as_bytes(),
    ];
    let process =
        Process { exe: "/tmp/a|b=c\\d\n".into(), args: Args::from_list(hostile), ..Process::default() };
    let mut event = events().remove(0);
    event.process = Arc::new(process);
    let mut alert = alert_of(&event);
    alert.rule = "a|b\\c=d\ne".to_owned();
    alert.output = "k=v\nCEF:0|forged".to_owned();
    [
        (Item::Alert(Arc::new(alert)), delivery(Class::Alert)),
        (Item::Event(Arc::new(event)), delivery(Class::Event)),
    ]
}

#[test]
fn hostile_text_stays_one_line() {
    let long = "a".repeat(64 << 10);
    for (item, delivery) in hostile() {
        for encoding in ENCODINGS {
            let line = encode(encoding, &item, &delivery, "h\nx");
            let text = std::str::from_utf8(&line).unwrap();
            assert!(!text.contains(['\n', '\r', '\0', '\x1b']), "{encoding:?}: {text:?}");
            assert!(text.contains(&long), "{encoding:?} keeps long arguments whole");
            if encoding != Encoding::Cef {
                assert!(object(&line).is_object());
            }
        }
    }
}

#[test]
fn cef_escapes_its_header_and_its_pairs_each_in_its_way() {
    let mut alert = full();
    alert.rule = "a|b\\c=d\ne".to_owned();
    alert.output = "k=v|w\\\nnext\x1b".to_owned();
    let line = encode(Encoding::Cef, &Item::Alert(Arc::new(alert)), &delivery(Class::Alert), "node-1");
    let text = String::from_utf8(line).unwrap();
    let name = "a\\|b\\\\c=d e";
    assert!(
        text.starts_with(&format!("CEF:0|Vedette|Vedette|{VERSION}|{name}|{name}|5|dvchost=node-1 ")),
        "{text}"
    );
    assert!(text.contains(" msg=k\\=v|w\\\\\\nnext\\\\x1b "), "{text}");
    assert!(text.contains(" cn1Label=number cn1=12 cn2Label=classNumber cn2=11 "), "{text}");
    assert!(text.contains(" cs1Label=commandLine cs1=sh -c id "), "{text}");
    assert!(text.contains(" act=kill "), "{text}");
    for key in ["vedetteLoss={\"lost\"", "vedettePod={", "vedetteFields={", "vedetteOverTime={\"by\""] {
        assert!(text.contains(key), "{key}: {text}");
    }
}

#[test]
fn what_a_sink_says_of_itself_can_be_read_in_every_form() {
    for class in [Class::Gap, Class::Checkpoint] {
        let what = json!({ "count": 3, "reason": "expired", "first": 7, "key": null, "empty": {} });
        let name = class.name();
        for encoding in ENCODINGS {
            let line = encode_own(encoding, &delivery(class), "node-1", 1_700_000_000_000_000_001, &what);
            let text = String::from_utf8(line.clone()).unwrap();
            let (own, place) = match encoding {
                Encoding::Cef => {
                    let key = if class == Class::Gap { " vedetteGap=" } else { " vedetteCheckpoint=" };
                    let value = text.split_once(key).unwrap().1;
                    assert!(text.contains(" vedetteStream=00000000-0000-0000-0000-000000000007 "), "{text}");
                    assert_eq!(serde_json::from_str::<Value>(value).unwrap(), what);
                    continue;
                }
                Encoding::Falco => (object(&line), Value::Null),
                Encoding::Ecs => (object(&line), json!("vedette")),
                Encoding::Ocsf => (object(&line), json!("unmapped")),
            };
            let inside = place.as_str().map_or(&own, |place| &own[place]);
            assert_eq!(inside[name], what, "{encoding:?}");
            assert_eq!(inside["delivery"], json!(delivery(class)), "{encoding:?}");
            if encoding == Encoding::Falco {
                for key in ["rule", "priority", "output", "time", "source", "output_fields"] {
                    assert!(own[key].is_string() || own[key].is_object(), "Falco's readers want {key}");
                }
            }
        }
    }
}
