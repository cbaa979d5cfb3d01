//! The set says what it promises to say, and loads.

use std::collections::BTreeSet;

use super::*;
use crate::{
    event::EventType,
    rule::{Options, RuleSet, Severity, field},
};

/// The fields that stock rules use, as the manual of the language lists them.
const FIELDS: &str = "evt.type evt.num evt.time evt.time.iso8601 evt.rawtime evt.dir evt.res evt.rawres evt.failed
    evt.is_open_read evt.is_open_write evt.is_open_exec evt.buffer evt.args evt.hostname evt.info evt.arg.flags evt.arg.name
    evt.arg.path evt.arg.filename evt.arg.oldpath evt.arg.newpath evt.arg.target evt.arg.linkpath evt.arg.mode evt.arg.uid
    evt.arg.request evt.arg.domain evt.arg.cmd evt.arg.fd proc.name proc.exe proc.exepath proc.cmdline proc.args proc.cwd
    proc.env proc.tty proc.pid proc.ppid proc.vpid proc.vppid proc.sid proc.sname proc.pgid proc.vpgid proc.is_vpgid_leader
    proc.is_sid_leader proc.pname proc.pexe proc.pexepath proc.pcmdline proc.aname[ proc.aexe[ proc.aexepath[ proc.apid[
    proc.acmdline[ proc.aenv[ proc.duration proc.ppid.duration proc.is_exe_writable proc.is_exe_upper_layer
    proc.is_exe_from_memfd proc.exe_ino proc.exe_ino.ctime proc.exe_ino.mtime proc.exe_ino.ctime_duration_proc_start
    proc.nthreads thread.tid thread.vtid thread.cap_permitted thread.cap_effective thread.cap_inheritable user.name user.uid
    user.loginuid user.loginname user.homedir user.shell group.gid group.name fd.num fd.type fd.typechar fd.name fd.nameraw
    fd.directory fd.filename fd.ip fd.sip fd.cip fd.lip fd.rip fd.port fd.sport fd.cport fd.lport fd.rport fd.net fd.snet
    fd.cnet fd.lnet fd.rnet fd.l4proto fd.sockfamily fd.is_server fd.connected fd.name_changed fd.sip.name fd.cip.name
    fd.lip.name fd.rip.name fd.dev fd.ino container.id container.full_id container.name container.image container.image.id
    container.image.repository container.image.tag container.image.digest container.type container.privileged
    container.mounts container.mount.dest[ container.start_ts container.duration container.ip container.cni.json
    container.healthcheck k8s.ns.name k8s.pod.name k8s.pod.id k8s.pod.uid k8s.pod.sandbox_id k8s.pod.label[ k8s.pod.labels
    k8s.pod.ip";

/// Whether the text holds the word, and not only as a part of a longer name.
fn says(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let mut behind = text[at + word.len()..].chars();
        let ends = match behind.next() {
            // A full stop may end the sentence of a template.
            Some('.') => behind.next().is_none_or(|next| !part(next)),
            Some(next) => !part(next),
            None => true,
        };
        !before.is_some_and(part) && (ends || word.ends_with('['))
    })
}

#[test]
fn it_has_the_size_the_fields_and_the_event_types_that_it_promises() {
    let sources = stock_size();
    let text: String = sources.iter().map(|source| source.text.as_str()).collect();
    let number = |kind: &str| {
        let names: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix(kind)).collect();
        names.len()
    };
    let sizes = [number("- rule: "), number("- macro: "), number("- list: ")];
    assert!(sizes[0] >= 100 && sizes[1] >= 350 && sizes[2] >= 160, "{sizes:?}");
    let missing: Vec<_> = FIELDS.split_whitespace().filter(|field| !says(&text, field)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let unknown = |field: &&str| {
        let name = field.trim_end_matches('[');
        field::find(name).is_none() && !name.starts_with("evt.arg.")
    };
    assert_eq!(FIELDS.split_whitespace().find(unknown), None);
    // Other tools have no such events.
    let own = [EventType::Loss, EventType::Dns, EventType::PidfdSendSignal];
    let types = EventType::ALL.iter().filter(|event_type| !own.contains(event_type));
    let missing: Vec<_> =
        types.map(|event_type| event_type.name()).filter(|name| !says(&text, name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn it_loads_without_an_error_or_a_surprise() {
    let (set, found) = RuleSet::compile(&stock_size(), &Options::default());
    let expected = [
        "is blind",
        "no event carries",
        "this never matches: all events are exit events",
        "of another source than `syscall`",
        "rule `A field of the future` is skipped",
    ];
    let said: Vec<_> = found
        .iter()
        .filter(|found| !expected.iter().any(|expected| found.message.contains(expected)))
        .map(ToString::to_string)
        .collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
    assert!(found.iter().any(|found| found.severity == Severity::Warning));
    let set = set.unwrap();
    let loaded = |name: &str| set.rules().iter().any(|rule| rule.name == name);
    assert!(set.rules().len() >= 96, "{}", set.rules().len());
    assert!(loaded("Something the site wants to know") && !loaded("A raw socket is opened"));
}
