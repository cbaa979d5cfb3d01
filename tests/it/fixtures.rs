//! Recordings of every kind, made once on a real kernel: what decoding and enrichment make of them must not change unseen.
//!
//! `VEDETTE_TEST_BLESS=1` writes the expected lines anew; `VEDETTE_TEST_RECORD=1` (as root) also makes the recordings that are
//! not there: one that is to be made anew is deleted first.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

use sensor::{
    decode::{RawBody, decode},
    event::{Event, Text, User},
    recording::{Frame, Preamble, Reader, Writer},
};
use sensor_common::{Header, Kind};
use sensor_tests::{
    Act,
    act::program,
    cgroup::{Group, unified},
    dns, needs_kernel,
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
    // One after the other: they do their work in one folder.
    save_busy_host();
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
    let at = "/tmp/vedette-fixture/a";
    let make = ["creat", "a", "0o600", "--"];
    save(
        Kind::FileRemove,
        &[
            &make[..],
            &["unlink", "../vedette-fixture/a", "--", "unlinkat", "3", "x", "0", "--", "rmdir", "/no/d"],
        ]
        .concat(),
    );
    save(
        Kind::FileRename,
        &[&make[..], &["renameat2", "-100", "a", "-100", "/tmp/vedette-fixture/b", "1"]].concat(),
    );
    save(Kind::FileLink, &[&make[..], &["link", "a", "b", "--", "symlink", "/etc/shadow", "c"]].concat());
    save(Kind::FileMake, &["mkdir", "d", "0o755", "--", "mknod", "d/n", "0o20666", "259"]);
    save(Kind::FileMode, &[&make[..], &["chmod", at, "0o4755", "--", "fchmod", "3", "0o600"]].concat());
    save(Kind::FileOwner, &[&make[..], &["fchownat", "-100", "a", "0", "-1", "256"]].concat());
    save(Kind::NetConnect, &[&tcp[..], &connect, &["connect", "77", "127.0.0.1:9"]].concat());
    save(Kind::NetAccept, &[&tcp[..], &connect, &["accept4", "3", "2048"]].concat());
    save(Kind::NetBind, &[&tcp[..], &["socket", "10", "2", "0", "--", "bind", "4", "[::1]:0"]].concat());
    save(Kind::NetListen, &[&unix[..], &["listen", "1", "3"]].concat());
    save(Kind::NetSend, &["socket", "2", "2", "0", "--", "sendto", "3", "9", "127.0.0.1:9"]);
    dns::serve("127.0.53.9", |query| {
        dns::answer(query, 0, &[dns::address("www.example", 30, [127, 0, 54, 9].into())])
    });
    let query = dns::hex(&dns::query(77, "www.example", dns::A));
    let asked =
        ["socket", "2", "2", "0", "--", "connect", "3", "127.0.53.9:53", "--", "send-hex", "3", &query, "-"];
    let told = ["--", "recv", "3", "--", "socket", "2", "1", "0", "--", "connect", "4", "127.0.54.9:9"];
    save(Kind::NetDns, &[&asked[..], &told].concat());
    save(Kind::NetSocket, &["socket", "17", "3", "768", "--", "socket", "99", "1", "0"]);
    let udp =
        ["socket", "2", "2", "0", "--", "bind", "3", "127.0.0.1:0", "--", "socket", "2", "2", "0", "--"];
    let sent = ["sendto-port-of", "4", "3", "127.0.0.1", "--", "recvfrom", "3", "1"];
    save(Kind::NetReceive, &[&udp[..], &sent].concat());
    let own = ["own-mounts", "--", "mkdir", "m", "0o700", "--"];
    let tmpfs = ["mount", "nothing", "m", "tmpfs", "6", "0", "--"];
    save(Kind::MountAttach, &[&own[..], &tmpfs, &["mount", "m", "/no", "", "4096", "0"]].concat());
    save(Kind::MountDetach, &[&own[..], &tmpfs, &["umount2", "m", "2", "--", "umount-32", "/no"]].concat());
    save(Kind::MountRoot, &["root", "/no", "--", "pivot_root", "/no", "old"]);
    let dups = ["dup2", "4", "0", "--", "openat", "-100", "/dev/null", "0", "0", "--", "dup2", "5", "2"];
    save(Kind::FdDup, &[&tcp[..], &connect, &dups].concat());
    save(Kind::CredChange, &["setresgid", "5", "6", "-1", "--", "setuid", "7", "--", "setuid", "0"]);
    save(Kind::CredCaps, &["capset", "537396514,0", "1,2097153,4,0,256,0", "--", "capset", "77,0", "0"]);
    save(
        Kind::NsChange,
        &[
            "openat",
            "-100",
            "/proc/self/ns/net",
            "0",
            "0",
            "--",
            "setns",
            "3",
            "0",
            "--",
            "unshare",
            "131072",
        ],
    );
    save(Kind::ProcTrace, &["ptrace", "16", "999999999", "0", "0", "--", "pidfd_getfd", "77", "5", "0"]);
    save(Kind::ProcSignal, &["kill", "999999999", "9", "--", "tgkill", "999999999", "999999999", "15"]);
    save(Kind::ProcControl, &["set-name", "15", "act", "--", "prctl", "38", "1", "0", "0", "0"]);
    save(Kind::KernelMod, &["finit_module", "0", "a=b", "1", "--", "delete_module", "none", "2048"]);
    save(Kind::KernelBpf, &["bpf", "5", "0", "0"]);
    save(Kind::KernelPerf, &["perf_event_open", "1,128,9", "0", "-1", "-1", "0"]);
    save(Kind::KernelKeys, &["keyctl", "99", "0", "0", "0", "0"]);
    save(Kind::KernelUring, &["io_uring_setup", "8", "0,0,0", "--", "io_uring_setup", "0", "0"]);
    save(Kind::MemCreate, &["memfd_create", "payload", "1"]);
    save(Kind::MemFault, &["userfaultfd", "77777"]);
    save(Kind::MemProtect, &["mprotect", "4096", "4096", "5"]);
}

/// Records steps of a helper that lies at a path of no particular machine, and keeps what is the helper's own.
fn save(kind: Kind, steps: &[&str]) {
    if path(kind.stem(), "rec").exists() {
        return;
    }
    let dir = Path::new("/tmp/vedette-fixture");
    fs::create_dir_all(dir).unwrap();
    fs::copy(program(), dir.join("act")).unwrap();
    let raw = tempfile::NamedTempFile::new().unwrap();
    let id = "f1".repeat(32);
    let named = ["--kinds", "proc_fork,proc_exec,proc_exit,mem_protect"];
    let (done, _) = record(raw.path(), if kind.is_noise() { &named } else { &[] }, || {
        let group = unified().map(|unified| Group::new(&unified, &format!("/docker/{id}")));
        let act = Act::of(dir.join("act"), steps).with(|act| {
            act.env_clear().current_dir(dir);
        });
        group.as_ref().map_or_else(|| panic!("no unified hierarchy"), |group| group.join(act)).run()
    });
    fs::remove_dir_all(dir).unwrap();
    let mut family = BTreeSet::from([done.pid]);
    keep(raw.path(), &path(kind.stem(), "rec"), |header, bytes| {
        let of_group = [Kind::CgroupMkdir, Kind::CgroupRmdir].map(Kind::number).contains(&header.kind)
            && Text::new(bytes).to_string().contains(&id);
        // What the child did before its first image is this test's.
        let mine = family.contains(&header.tgid) && header.comm.starts_with(b"act\0");
        // Every start opens the same libraries and sets up the same memory: one recording of that is enough.
        let start = [Kind::FileOpen, Kind::MemProtect];
        let library = start.iter().any(|start| header.kind == start.number() && kind != *start);
        // The kernel does not know whose an answer is; this server answers nobody else.
        let answer =
            header.kind == Kind::NetDns.number() && bytes.windows(4).any(|four| four == [127, 0, 53, 9]);
        let kept = of_group || answer || (mine && !library);
        if kept {
            family.extend(child(bytes));
        }
        kept
    });
}

/// The process that a record says was created.
fn child(bytes: &[u8]) -> Option<u32> {
    match decode(bytes).ok()?.body {
        RawBody::Fork(fork) => Some(fork.child_tgid),
        _ => None,
    }
}

/// Copies the records that are wanted, and leaves out what tells of the machine.
fn keep(from: &Path, to: &Path, mut wanted: impl FnMut(Header, &[u8]) -> bool) {
    let mut reader = Reader::new(BufReader::new(File::open(from).unwrap())).unwrap();
    let preamble = Preamble {
        hostname: "fixture".to_owned(),
        kernel: "6.18".to_owned(),
        users: [(0, User::named("root"))].into(),
        groups: [(0, "root".to_owned())].into(),
        ..reader.preamble().clone()
    };
    let mut writer = Writer::new(File::create(to).unwrap(), &preamble).unwrap();
    while let Frame::Record(bytes) = reader.next_frame().unwrap() {
        if wanted(header(bytes), bytes) {
            writer.record(bytes).unwrap();
        }
    }
    writer.finish().unwrap();
}

/// What a busy host does, for the benches of the rule engine: compiles, looks for files, packs, serves and asks.
const BUSY: &str = r#"
cd /tmp/vedette-fixture
printf '#include <stdio.h>\nint main(void) { puts("x"); return 0; }\n' > main.c
printf 'all: main\nmain: main.c\n\tcc -O1 -o main main.c\n' > Makefile
make >/dev/null; ./main >/dev/null
git init -q . && git add main.c && git -c user.name=x -c user.email=x@x commit -qm x; git log --oneline >/dev/null
find /usr/share/doc -maxdepth 1 -name 'lib*' | head -3 >/dev/null; grep -r include . >/dev/null
tar czf all.tgz main.c Makefile; tar xzf all.tgz -C /tmp/vedette-fixture
python3 -c '
import socket, threading, pathlib
server = socket.create_server(("127.0.0.1", 0))
def serve():
    for _ in range(20):
        server.accept()[0].close()
thread = threading.Thread(target=serve); thread.start()
for n in range(20):
    socket.create_connection(server.getsockname()).close()
    pathlib.Path(f"data{n}").write_text("x"); pathlib.Path(f"data{n}").read_text()
thread.join()'
for n in 1 2 3; do ls -l /etc >/dev/null; date >/dev/null; id >/dev/null; sleep 0.01; done
"#;

fn save_busy_host() {
    if path("busy_host", "rec").exists() {
        return;
    }
    let dir = Path::new("/tmp/vedette-fixture");
    let raw = tempfile::NamedTempFile::new().unwrap();
    let id = "f1".repeat(32);
    let ((), _) = record(raw.path(), &[], || {
        // Once on the host and once in a container.
        for contained in [false, true] {
            fs::create_dir_all(dir).unwrap();
            let group = unified().filter(|_| contained);
            let group = group.map(|unified| Group::new(&unified, &format!("/docker/{id}")));
            let act = Act::of("/bin/sh".into(), ["-c", BUSY]).with(|shell| {
                shell.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", dir).current_dir("/");
            });
            let _ = match &group {
                Some(group) => group.join(act).run(),
                None => act.run(),
            };
            fs::remove_dir_all(dir).unwrap();
        }
    });
    let own = std::process::id();
    let mut family = BTreeSet::new();
    keep(raw.path(), &path("busy_host", "rec"), |header, bytes| {
        let child = child(bytes);
        if header.tgid == own {
            family.extend(child);
            return false;
        }
        let kept = family.contains(&header.tgid) && !header.comm.starts_with(b"fixtures");
        if family.contains(&header.tgid) {
            family.extend(child);
        }
        kept || (header.kind == Kind::CgroupMkdir.number() && Text::new(bytes).to_string().contains(&id))
    });
}
