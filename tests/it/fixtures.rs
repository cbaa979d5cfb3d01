//! Recordings of every kind, made once on a real kernel: what decoding and enrichment make of them must not change unseen.
//!
//! `VEDETTE_TEST_BLESS=1` writes the expected lines anew; `VEDETTE_TEST_RECORD=1` (as root) also the recordings.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

use sensor::{
    event::{Event, Text},
    recording::{Frame, Preamble, Reader, Writer},
};
use sensor_common::{Header, Kind};
use sensor_tests::{
    Act,
    act::program,
    cgroup::{Group, unified},
    needs_kernel,
    recorded::{play, record},
};
use zerocopy::FromBytes;

fn path(stem: &str, extension: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(format!("{stem}.{extension}"))
}

fn asked(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| value == "1")
}

fn header(bytes: &[u8]) -> Header {
    Header::read_from_prefix(bytes).expect("a record has a header").0
}

/// Every event as JSON, with what JSON leaves out: ancestors, and how long the argument list was. A process is said once,
/// and again when it changes.
fn lines(events: &[Event]) -> String {
    let mut text = String::new();
    let mut said = HashMap::new();
    for event in events {
        let mut json = serde_json::to_value(event).unwrap();
        let process = json["process"].take();
        if said.insert(event.process.key, process.clone()).is_none_or(|before| before != process) {
            json["process"] = process;
        }
        let ancestors: Vec<u32> = event.process.ancestors().map(|process| process.key.pid).collect();
        let args = &event.process.args;
        let cut = if args.is_truncated() { "cut" } else { "whole" };
        writeln!(text, "{}", json).unwrap();
        writeln!(text, "    ancestors {ancestors:?}, {} bytes of arguments, {cut}", args.full_len()).unwrap();
    }
    text
}

#[test]
fn fixtures_are_understood_as_ever() {
    for kind in Kind::ALL {
        let stem = kind.stem();
        let (events, stats) = play(&path(stem, "rec"));
        assert!(stats.malformed.is_empty(), "{stem}: {:?}", stats.malformed);
        let found = lines(&events);
        let expected = path(stem, "expected");
        if asked("VEDETTE_TEST_BLESS") || asked("VEDETTE_TEST_RECORD") {
            fs::write(&expected, found).unwrap();
            continue;
        }
        let expected = fs::read_to_string(expected).unwrap();
        for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
            assert_eq!(found, expected, "{stem}, line {} (VEDETTE_TEST_BLESS=1 takes it over)", number + 1);
        }
        assert_eq!(found.lines().count(), expected.lines().count(), "{stem}");
    }
}

#[test]
fn fixtures_have_every_kind_and_nothing_of_a_machine() {
    for kind in Kind::ALL {
        let file = File::open(path(kind.stem(), "rec")).unwrap();
        let mut reader = Reader::new(BufReader::new(file)).unwrap();
        assert_eq!((reader.preamble().hostname.as_str(), reader.preamble().users.len()), ("fixture", 1));
        let mut found = false;
        while let Frame::Record(bytes) = reader.next_frame().unwrap() {
            found |= header(bytes).kind == kind.number();
        }
        assert!(found, "{}", kind.stem());
    }
}

#[test]
fn fixtures_recorded_anew() {
    if !asked("VEDETTE_TEST_RECORD") {
        return;
    }
    needs_kernel!();
    let long = "x".repeat(4000);
    let socket = "unix:/tmp/vedette-fixture/socket";
    let act = "/tmp/vedette-fixture/act";
    let tcp = ["socket", "2", "1", "0", "--", "bind", "3", "127.0.0.1:0", "--", "listen", "3", "5", "--"];
    let connect = ["socket", "2", "1", "0", "--", "connect-to-port-of", "4", "3", "127.0.0.1", "--"];
    let unix = ["socket", "1", "1", "0", "--", "bind", "3", socket, "--", "listen", "3", "5", "--"];
    let files =
        ["openat", "-100", "/tmp/vedette-fixture/new", "0o101", "0o600", "--", "open", "no/file", "0", "0"];
    save(Kind::ProcExec, &["exec", "/no/such/file", "a b", "", "--", "exec", act, "again", "exit", "3"]);
    save(Kind::ProcFork, &["fork", "1", "--", "clone-parent", "2", "--", "vfork-exec", act, "exit", "4"]);
    save(Kind::ProcExit, &["killed-child", "15", "--", "threads-exit", "2", "5"]);
    save(Kind::ProcArgs, &["exit", "0", &long]);
    save(Kind::CgroupMkdir, &["exit", "0"]);
    save(Kind::CgroupRmdir, &["exit", "0"]);
    save(Kind::FileOpen, &files);
    save(Kind::NetConnect, &[&tcp[..], &connect, &["connect", "77", "127.0.0.1:9"]].concat());
    save(Kind::NetAccept, &[&tcp[..], &connect, &["accept4", "3", "2048"]].concat());
    save(Kind::NetBind, &[&tcp[..], &["socket", "10", "2", "0", "--", "bind", "4", "[::1]:0"]].concat());
    save(Kind::NetListen, &[&unix[..], &["listen", "1", "3"]].concat());
    save(Kind::NetSend, &["socket", "2", "2", "0", "--", "sendto", "3", "9", "127.0.0.1:9"]);
}

/// Records steps of a helper that lies at a path of no particular machine, and keeps what is the helper's own.
fn save(kind: Kind, steps: &[&str]) {
    let dir = Path::new("/tmp/vedette-fixture");
    fs::create_dir_all(dir).unwrap();
    fs::copy(program(), dir.join("act")).unwrap();
    let raw = tempfile::NamedTempFile::new().unwrap();
    let id = "f1".repeat(32);
    let (done, _) = record(raw.path(), &[], || {
        let group = unified().map(|unified| Group::new(&unified, &format!("/docker/{id}")));
        let act = Act::of(dir.join("act"), steps).with(|act| {
            act.env_clear().current_dir(dir);
        });
        group.as_ref().map_or_else(|| panic!("no unified hierarchy"), |group| group.join(act)).run()
    });
    fs::remove_dir_all(dir).unwrap();
    let mut reader = Reader::new(BufReader::new(File::open(raw.path()).unwrap())).unwrap();
    let preamble = Preamble {
        hostname: "fixture".to_owned(),
        kernel: "6.18".to_owned(),
        users: [(0, "root".to_owned())].into(),
        groups: [(0, "root".to_owned())].into(),
        ..reader.preamble().clone()
    };
    let mut writer = Writer::new(File::create(path(kind.stem(), "rec")).unwrap(), &preamble).unwrap();
    let mut family = BTreeSet::from([done.pid]);
    while let Frame::Record(bytes) = reader.next_frame().unwrap() {
        let header = header(bytes);
        let of_group = [Kind::CgroupMkdir, Kind::CgroupRmdir].map(Kind::number).contains(&header.kind)
            && Text::new(bytes).to_string().contains(&id);
        // What the child did before its first image is this test's.
        let mine = family.contains(&header.tgid) && header.comm.starts_with(b"act\0");
        // Every start opens the same libraries: one recording of that is enough.
        let library = header.kind == Kind::FileOpen.number() && kind != Kind::FileOpen;
        if !of_group && (!mine || library) {
            continue;
        }
        if let Ok(sensor::decode::RawEvent { body: sensor::decode::RawBody::Fork(fork), .. }) =
            sensor::decode::decode(bytes)
        {
            family.insert(fork.child_tgid);
        }
        writer.record(bytes).unwrap();
    }
    writer.finish().unwrap();
}
