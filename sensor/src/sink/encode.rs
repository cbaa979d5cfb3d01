//! Records as those who receive them read them: an alert or an event → one line of text in a chosen form. It knows no
//! destination, and nothing of an alert is left out in any form: what a schema has no place for goes where the schema keeps
//! such things.

mod cef;
mod ecs;
mod falco;
mod moves;
mod ocsf;

use serde_json::Value;

use super::{Class, Delivery, Item, Severity};
use crate::{
    config::Encoding,
    event::{Process, errno_name, printable},
};

/// Who we are for those who keep records of many products.
const VENDOR: &str = "Vedette";
/// Version of the sensor.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// An alert or an event as one line, without a line break at its end. Everything but CEF is one JSON object.
#[must_use]
pub fn encode(encoding: Encoding, item: &Item, delivery: &Delivery, hostname: &str) -> Vec<u8> {
    match encoding {
        Encoding::Falco => falco::item(item, delivery, hostname),
        Encoding::Ecs => ecs::item(item, delivery, hostname),
        Encoding::Ocsf => ocsf::item(item, delivery, hostname),
        Encoding::Cef => cef::item(item, delivery, hostname),
    }
}

/// What a sink says about its own stream. `time`: nanoseconds since 1970. `what`: an object, which stands under the name of
/// the class; in CEF it is the JSON text of `vedetteGap` or `vedetteCheckpoint`.
#[must_use]
pub fn encode_own(
    encoding: Encoding,
    delivery: &Delivery,
    hostname: &str,
    time: u64,
    what: &Value,
) -> Vec<u8> {
    let own = Own { delivery, hostname, time, what };
    match encoding {
        Encoding::Falco => falco::own(&own),
        Encoding::Ecs => ecs::own(&own),
        Encoding::Ocsf => ocsf::own(&own),
        Encoding::Cef => cef::own(&own),
    }
}

/// A statement of a sink about its own stream.
struct Own<'a> {
    delivery: &'a Delivery,
    hostname: &'a str,
    time: u64,
    what: &'a Value,
}

impl Own<'_> {
    /// What stands where others have the name of a rule.
    const fn title(&self) -> &'static str {
        match self.delivery.class {
            Class::Gap => "Records were not delivered",
            _ => "Checkpoint of the stream",
        }
    }

    const fn severity(&self) -> Severity {
        Severity::of_own(self.delivery.class)
    }

    fn sentence(&self) -> String {
        let Delivery { stream, number, .. } = self.delivery;
        format!("{} | stream={stream} number={number} {}", self.title(), self.what)
    }
}

/// Stays the same however often a record is sent: an alert's own id, for the rest its place in the stream.
fn id(item: Option<&Item>, delivery: &Delivery) -> String {
    match item {
        Some(Item::Alert(alert)) => alert.uuid.to_string(),
        _ => format!("{}-{}", delivery.stream, delivery.number),
    }
}

/// The arguments in one line, for people: where one ends does not show.
fn command_line(process: &Process) -> String {
    let args: Vec<_> = process.args.iter().map(printable).collect();
    args.join(" ")
}

/// The tags that are techniques of MITRE's matrix: `T1059`, `T1059.004`.
fn techniques(tags: &[String]) -> Vec<&str> {
    let is_technique = |tag: &&str| {
        tag.strip_prefix('T').is_some_and(|rest| {
            rest.len() >= 4 && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
    };
    tags.iter().map(String::as_str).filter(is_technique).collect()
}

/// The tactics among tags, as MITRE writes them: `mitre_privilege_escalation` → `Privilege Escalation`.
fn tactics(tags: &[String]) -> Vec<String> {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    };
    let name = |tag: &str| match tag {
        "command_and_control" => "Command and Control".to_owned(),
        tag => tag.split('_').map(word).collect::<Vec<_>>().join(" "),
    };
    tags.iter().filter_map(|tag| tag.strip_prefix("mitre_")).map(name).collect()
}

/// `EACCES` … of a call's result; empty where it did not fail.
fn error_name(result: i64) -> &'static str {
    u32::try_from(-result).ok().and_then(errno_name).unwrap_or_default()
}

/// Name of the protocol above IP; empty where it is none of those that have one here.
const fn transport(protocol: u16) -> &'static str {
    match protocol {
        1 => "icmp",
        6 => "tcp",
        17 => "udp",
        58 => "ipv6-icmp",
        132 => "sctp",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
