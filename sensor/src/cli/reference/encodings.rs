//! The page of encodings: the scales of severity, and the same alert in every form.

use std::fmt::Write;

use anyhow::Context;
use serde_json::Value;
use uuid::Uuid;

use super::GENERATED;
use crate::{
    config::Encoding,
    rule::testing,
    sink::{Alert, Class, Delivery, Gap, GapReason, Item, Severity, encode, encode_own},
};

/// What happened in the example.
const EVENT: &str = "- {evt.type: execve, proc.name: sh, proc.exepath: /bin/busybox, proc.cmdline: 'sh -c id', proc.pname: nginx, \
                     proc.pexepath: /usr/sbin/nginx, proc.cwd: /srv, container.id: 4f1c0a9b7d2e, container.name: web, \
                     container.image.repository: docker.io/library/nginx, container.image.tag: '1.27', k8s.pod.name: web-0, \
                     k8s.ns.name: shop, k8s.pod.uid: 6ba7b810-9dad-11d1-80b4-00c04fd430c8}";
/// 2026-01-01.
const TIME: u64 = 1_767_225_600_000_000_000;

const FORMS: [(Encoding, &str, &str); 4] = [
    (
        Encoding::Falco,
        "falco",
        "What everything reads that reads Falco's output, and beside it what Falco's does not carry. Where the record stands in \
         its stream is in `delivery`.",
    ),
    (
        Encoding::Ecs,
        "ecs",
        "Elastic Common Schema 8. What it has no field for is under `vedette`, so is `delivery`. Names there have no dots, and \
         the fields of rules are text: an index has one kind of value for a name.",
    ),
    (
        Encoding::Ocsf,
        "ocsf",
        "OCSF 1.3. An alert is a detection finding (2004); an event is the process (1007), file (1001), network (4001) or DNS \
         (4003) activity that it is, and a base event (0) where none fits, as are gaps and checkpoints. What the schema does not \
         know is under `unmapped`, so is `delivery`.",
    ),
    (
        Encoding::Cef,
        "cef",
        "Common Event Format 0. What it has no key for has keys that begin with `vedette`; what has a structure is JSON there.",
    ),
];

/// Writing to a string does not fail.
macro_rules! line {
    ($page:ident, $($text:tt)*) => { let _ = writeln!($page, $($text)*); };
}

pub(super) fn page() -> anyhow::Result<String> {
    let mut page = format!("{GENERATED}# Encodings\n\n");
    line!(
        page,
        "How a sink writes records (`encoding`). Each is one line; JSON is broken here for reading.\n"
    );
    line!(page, "| priority | syslog | ECS `event.severity` | OCSF `severity_id` | CEF | OTLP |");
    line!(page, "| --- | --- | --- | --- | --- | --- |");
    for Severity { priority, syslog, ecs, ocsf, ocsf_name, cef, otlp } in Severity::ALL {
        line!(page, "| {priority} | {syslog} | {ecs} | {ocsf} {ocsf_name} | {cef} | {otlp} |");
    }
    let item = Item::Alert(alert()?.into());
    for (encoding, name, what) in FORMS {
        line!(page, "\n## {name}\n\n{what}\n");
        block(&mut page, &encode(encoding, &item, &delivery(Class::Alert), "node-1"))?;
    }
    line!(page, "\n## Gaps\n");
    line!(
        page,
        "What a sink says about its own stream, in the form `falco`. The other forms have the same object under the same name, at \
         the place where they have `delivery`; CEF has it in `vedetteGap` and `vedetteCheckpoint`.\n"
    );
    let gap = Gap { stream: delivery(Class::Gap).stream, from: 8, to: 10, reason: GapReason::Expired };
    let what = serde_json::to_value(gap)?;
    block(&mut page, &encode_own(Encoding::Falco, &delivery(Class::Gap), "node-1", TIME, &what))?;
    Ok(page)
}

fn block(page: &mut String, record: &[u8]) -> anyhow::Result<()> {
    let (kind, text) = match serde_json::from_slice::<Value>(record) {
        Ok(value) => ("json", serde_json::to_string_pretty(&value)?),
        Err(_) => ("text", String::from_utf8_lossy(record).into_owned()),
    };
    line!(page, "```{kind}\n{text}\n```");
    Ok(())
}

fn delivery(class: Class) -> Delivery {
    Delivery {
        stream: Uuid::from_u128(0x2c1e_7d5a_9b3f_4e60_8a71_5c0d_2b9e_4f13),
        number: 12,
        class,
        class_number: 11,
        place: "4f1c0a9b7d2e".to_owned(),
        place_number: 5,
    }
}

fn alert() -> anyhow::Result<Alert> {
    let events = testing::events("example", EVENT).map_err(anyhow::Error::msg)?;
    let event = events.first().context("the example is no event")?;
    let mut alert = Alert::of_sensor(event, &"node-1".into(), None);
    alert.uuid = Uuid::from_u128(0x9d0f_3a6c_51b8_4c2e_b7d4_e60a_1f82_c935);
    alert.rule = "Shell in a container".to_owned();
    alert.priority = "Warning";
    alert.output = "Shell in a container | command=sh -c id parent=nginx container=web".to_owned();
    alert.output_fields = [("proc.cmdline", "sh -c id"), ("proc.pname", "nginx"), ("container.name", "web")]
        .map(|(name, value)| (name.to_owned(), value.into()))
        .into_iter()
        .collect();
    alert.tags = ["container", "mitre_execution", "T1059.004"].map(str::to_owned).into();
    Ok(alert)
}
