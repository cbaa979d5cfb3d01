//! The schema's objects, made of ours.

use std::{borrow::Cow, sync::Arc};

use serde_json::{Value, json};
use uuid::Uuid;

use super::with;
use crate::{
    event::{Container, Detail, Event, File, Process},
    sink::encode::{command_line, moves::Moves},
};

/// Characters of a text that the schema takes.
const LONGEST: usize = 65_535;

/// Regular file, directory, and so on, by the bits of a mode.
const fn file_type(mode: u32) -> u32 {
    match mode >> 12 {
        0o10 => 1,
        0o04 => 2,
        0o02 => 3,
        0o06 => 4,
        0o01 => 5,
        0o14 => 6,
        0o12 => 7,
        _ => 0,
    }
}

pub(super) fn device(hostname: &str) -> Value {
    let name = if is_hostname(hostname) { "hostname" } else { "name" };
    json!({ name: hostname, "type_id": 0, "os": { "name": "Linux", "type_id": 200 } })
}

/// Whether the schema takes it for the name of a host: letters, digits and hyphens. Names that DNS is asked for may have more.
pub(super) fn is_hostname(name: &str) -> bool {
    name.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

/// As much of a text as the schema takes, which is less than arguments may have; they are whole under `unmapped`.
pub(super) fn fit(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        None => text.into(),
        Some(_) => text.chars().take(LONGEST - 1).chain(['…']).collect::<String>().into(),
    }
}

/// Moves what the schema knows of a process.
pub(super) fn process(moves: &mut Moves, it: &Process, parent: Option<Value>) -> Value {
    for taken in ["pid", "start", "comm", "exe", "args", "uid", "loginuid"] {
        moves.take(&format!("process.{taken}"));
    }
    // The line above does not say where one argument ends.
    moves.leave("process.args", json!(it.args));
    let loginuid = it.loginuid.map(|uid| uid.to_string());
    let user = with(json!({ "uid": it.uid.to_string() }), "uid_alt", loginuid.into());
    let out = json!({
        "pid": it.key.pid,
        "uid": format!("{}-{}", it.key.pid, it.key.start),
        "name": it.comm,
        "user": user,
    });
    let line = (!it.args.is_empty()).then(|| fit(&command_line(it)).into_owned());
    let out = with(out, "cmd_line", line.into());
    if it.vpid.is_some() {
        moves.take("process.vpid");
    }
    let out = with(out, "namespace_pid", it.vpid.into());
    let out = with(out, "file", process_file(&it.exe.to_str_lossy()));
    with(out, "parent_process", parent.unwrap_or_else(|| json!({ "pid": it.ppid })))
}

/// An executable; `null` where there is none.
pub(super) fn process_file(path: &str) -> Value {
    if path.is_empty() { Value::Null } else { named(path, 1) }
}

/// What an event is about.
pub(super) fn file(path: &str, event: &Event) -> Value {
    let known: Option<&File> = match &event.detail {
        Detail::Open(open) => open.file.as_ref(),
        Detail::Change(change) => change.file.as_ref(),
        _ => None,
    };
    let out = named(path, known.map_or(0, |file| file_type(file.mode)));
    let out = with(out, "uid", known.map(|file| file.ino.to_string()).into());
    with(out, "owner", known.map_or(Value::Null, |file| json!({ "uid": file.uid.to_string() })))
}

fn named(path: &str, type_id: u32) -> Value {
    let name = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(path);
    json!({ "name": name, "path": path, "type_id": type_id })
}

/// Moves what the schema knows of a container; `null` on the host.
pub(super) fn container(moves: &mut Moves, container: Option<&Arc<Container>>) -> Value {
    let Some(it) = container else { return Value::Null };
    for taken in ["full_id", "name", "type"] {
        moves.take(&format!("container.{taken}"));
    }
    let out = json!({ "uid": it.full_id, "runtime": it.runtime.name() });
    let out = with(out, "name", it.facts.name.as_deref().into());
    let image = it.image().map_or(Value::Null, |image| {
        let uid = image.digest.as_deref().or(image.id.as_deref()).unwrap_or(&image.name);
        let named = json!({ "uid": uid, "name": image.repository().unwrap_or(&image.name) });
        with(named, "tag", image.tag().into())
    });
    let out = with(out, "image", image);
    let Some(pod) = it.pod_uid() else { return out };
    // Those of static pods are hashes.
    let is_uuid = pod.parse::<Uuid>().is_ok_and(|uuid| uuid.to_string().eq_ignore_ascii_case(pod));
    let out = with(out, "orchestrator", "kubernetes".into());
    with(out, "pod_uuid", is_uuid.then_some(pod).into())
}
