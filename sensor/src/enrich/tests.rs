//! Whole streams through the stage.

mod dns;
mod uring;

use sensor_common::{
    CgroupDir, FileChange, FileOpen, Net, NetAddr, ProcArgs, ProcExec, ProcExit, ProcFork, SysCall, syscalls,
};

use super::*;
use crate::{
    decode::{CallTexts, ChangeTexts, ExecTexts, NetTexts, OpenTexts, RawText, decode},
    event::{EventType, Peer, SocketAddr},
};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const TICK: u64 = process::TICK;

/// Feeds records as bytes, as the pipeline does.
struct Stream {
    enricher: Enricher<Machine>,
}

/// A machine whose `/proc` holds what a test puts there.
#[derive(Default)]
struct Machine {
    processes: HashMap<u32, Vec<u8>>,
}

impl Lookup for Machine {
    fn process(&mut self, pid: u32) -> Option<Vec<u8>> {
        self.processes.get(&pid).cloned()
    }

    fn cgroup(&mut self, _pid: u32, key: u64) -> Option<String> {
        (key == 99).then(|| format!("/docker/{ID}"))
    }
}

fn header(pid: u32, start: u64) -> Header {
    Header { tgid: pid, tid: pid, start, ts: start + 1, valid: valid::CGROUP, ..Header::default() }
}

fn exec_record(header: Header, ppid: u32, parent_start: u64, exe: &str, args: &[u8]) -> Vec<u8> {
    let text = |bytes| RawText { bytes, flags: 0 };
    let texts = ExecTexts { exe: text(exe.as_bytes()), args: text(args), ..ExecTexts::default() };
    let body = ProcExec { parent_start, args_len: args.len() as u32, ..ProcExec::default() };
    RawEvent { header: Header { ppid, ..header }, body: RawBody::Exec(body, texts) }.encode()
}

impl Stream {
    fn new() -> Self {
        let users = Users::of_recording(&[(0, User::named("root"))].into(), &[].into());
        Self { enricher: Enricher::new(Machine::default(), users, 1_000_000, 1 << 24) }
    }

    fn take(&mut self, bytes: &[u8]) -> Option<Event> {
        self.enricher.enrich(decode(bytes).unwrap())
    }

    fn fork(&mut self, parent: (u32, u64), child: (u32, u64)) -> Event {
        let body = ProcFork {
            child_tgid: child.0,
            child_start: child.1,
            parent_tgid: parent.0,
            parent_start: parent.1,
            ..ProcFork::default()
        };
        let record = RawEvent { header: header(parent.0, parent.1), body: RawBody::Fork(body) };
        self.take(&record.encode()).unwrap()
    }

    fn exec(&mut self, (pid, start): (u32, u64), exe: &str, args: &[u8]) -> Event {
        self.take(&exec_record(header(pid, start), 0, 0, exe, args)).unwrap()
    }

    fn exit(&mut self, (pid, start): (u32, u64)) -> Option<Event> {
        self.take(&RawEvent { header: header(pid, start), body: RawBody::Exit(ProcExit::default()) }.encode())
    }

    fn open(&mut self, header: Header, path: &str) -> Event {
        let texts = OpenTexts { path: RawText { bytes: path.as_bytes(), flags: 0 }, ..OpenTexts::default() };
        self.take(&RawEvent { header, body: RawBody::Open(FileOpen::default(), texts) }.encode()).unwrap()
    }
}

fn lineage(event: &Event) -> Vec<String> {
    event.process.ancestors().map(|process| process.exe.to_string()).collect()
}

#[test]
fn ancestry_is_that_of_creation_and_outlives_the_creators() {
    let mut stream = Stream::new();
    stream.exec((1, 10), "/sbin/init", b"init\0");
    stream.fork((1, 10), (2, 20));
    stream.exec((2, 20), "/bin/sh", b"sh\0");
    stream.fork((2, 20), (3, 30));
    let forked = stream.open(header(3, 30), "/x");
    assert_eq!(
        (forked.process.exe.to_string(), lineage(&forked)),
        ("/bin/sh".into(), vec!["/bin/sh".into(), "/sbin/init".into()])
    );
    stream.exec((3, 30), "/bin/curl", b"curl\0-s\0");
    assert!(stream.exit((2, 20)).is_some());
    let orphan = stream.open(Header { ppid: 1, ..header(3, 30) }, "/x");
    assert_eq!(lineage(&orphan), ["/bin/sh", "/sbin/init"]);
    assert_eq!((orphan.process.ppid, orphan.task.ppid), (2, 1));
    assert_eq!(orphan.process.args.iter().collect::<Vec<_>>(), [&b"curl"[..], b"-s"]);
}

#[test]
fn a_reused_pid_inherits_nothing() {
    let mut stream = Stream::new();
    stream.exec((7, 10), "/bin/old", b"old\0");
    let event = stream.open(header(7, 5_000_000_000), "/x");
    assert!(event.process.partial && event.process.exe.is_empty());
    assert_eq!(stream.enricher.counts().unknown_processes, 1);
}

#[test]
fn the_second_exit_of_a_process_is_no_event() {
    let mut stream = Stream::new();
    stream.exec((7, 10), "/bin/x", b"x\0");
    assert!(stream.exit((7, 10)).is_some());
    assert!(stream.exit((7, 10)).is_none());
    assert_eq!((stream.enricher.processes().len(), stream.enricher.counts().duplicate_exits), (0, 1));
}

#[test]
fn arguments_come_together_from_pieces_and_a_lost_piece_shows() {
    let piece = |offset: u32, bytes: &[u8]| {
        let body = ProcArgs { offset, ..ProcArgs::default() };
        RawEvent { header: header(7, 10), body: RawBody::Args(body, RawText { bytes, flags: 0 }) }.encode()
    };
    let exec = |len: u32| {
        let record = exec_record(header(7, 10), 0, 0, "/bin/x", b"");
        let mut raw = decode(&record).unwrap();
        if let RawBody::Exec(body, _) = &mut raw.body {
            body.args_len = len;
        }
        raw.encode()
    };
    let mut stream = Stream::new();
    assert!(stream.take(&piece(0, b"x\0lo")).is_none());
    assert!(stream.take(&piece(4, b"ng\0")).is_none());
    let event = stream.take(&exec(7)).unwrap();
    assert_eq!(event.process.args.iter().collect::<Vec<_>>(), [&b"x"[..], b"long"]);
    assert!(!event.process.args.is_truncated());
    // The piece in the middle is missing: what follows it is not glued on.
    stream.take(&piece(0, b"x\0lo"));
    stream.take(&piece(8, b"zz\0"));
    let event = stream.take(&exec(11)).unwrap();
    assert_eq!((event.process.args.as_bytes(), event.process.args.is_truncated()), (&b"x\0lo"[..], true));
    assert_eq!(stream.enricher.counts().lost_args, 1);
}

#[test]
fn a_snapshot_fills_what_was_lost_and_leaves_what_is_known() {
    let snapshot = |pid: u32, start: u64, exe: &str| {
        exec_record(Header { flags: flags::SNAPSHOT, ..header(pid, start) }, 1, 0, exe, b"a\0")
    };
    let mut stream = Stream::new();
    assert!(stream.take(&snapshot(1, 0, "/sbin/init")).is_none());
    assert!(stream.take(&snapshot(7, 3 * TICK, "/bin/seven")).is_none());
    // The record knows the nanosecond, `/proc` the tick.
    let event = stream.open(header(7, 3 * TICK + 77), "/x");
    assert_eq!(
        (event.process.exe.to_string(), event.process.key.start),
        ("/bin/seven".into(), 3 * TICK + 77)
    );
    assert_eq!(lineage(&event), ["/sbin/init"]);
    // An exec was lost: the next snapshot puts it right and keeps the exact start and the creator.
    stream.take(&snapshot(7, 3 * TICK, "/bin/other"));
    let event = stream.open(header(7, 3 * TICK + 77), "/x");
    assert_eq!(
        (event.process.exe.to_string(), lineage(&event)),
        ("/bin/other".into(), vec!["/sbin/init".into()])
    );
    // A process that nobody announced is read from `/proc`.
    stream.enricher.lookup().processes.insert(9, snapshot(9, 5 * TICK, "/bin/nine"));
    let event = stream.open(header(9, 5 * TICK + 1), "/x");
    assert_eq!((event.process.exe.to_string(), event.process.partial), ("/bin/nine".into(), false));
    assert_eq!(stream.enricher.counts().healed_processes, 1);
    assert_eq!(stream.enricher.retain_processes(|pid| pid == 1), 2);
}

#[test]
fn a_snapshot_of_a_process_that_is_ending_takes_nothing_away() {
    let ending = exec_record(Header { flags: flags::SNAPSHOT, ..header(7, 0) }, 1, 0, "", b"");
    let mut stream = Stream::new();
    stream.exec((7, 10), "/bin/seven", b"seven\0");
    assert!(stream.take(&ending).is_none());
    let event = stream.open(header(7, 10), "/x");
    assert_eq!((event.process.exe.to_string(), event.process.args.iter().count()), ("/bin/seven".into(), 1));
}

#[test]
fn the_control_group_names_the_container() {
    let mut stream = Stream::new();
    let path = format!("/docker/{ID}");
    let text = RawText { bytes: path.as_bytes(), flags: 0 };
    let group = CgroupDir { id: 5, ..CgroupDir::default() };
    let dir = |body| RawEvent { header: Header::default(), body }.encode();
    assert!(stream.take(&dir(RawBody::CgroupMkdir(group, text))).is_none());
    let container = |event: Event| event.container.map(|container| container.id.to_string());
    let within = |key: u64| Header { cgroup: key, ..header(7, 10) };
    assert_eq!(container(stream.open(within(5), "/x")).as_deref(), Some("0123456789ab"));
    // What its last processes did may still come.
    stream.take(&dir(RawBody::CgroupRmdir(group, text)));
    assert_eq!(container(stream.open(within(5), "/x")).as_deref(), Some("0123456789ab"));
    assert_eq!(stream.enricher.release(60_000_000_000).count(), 1);
    assert_eq!(container(stream.open(within(5), "/x")), None);
    assert_eq!(stream.enricher.counts().unknown_cgroups, 1);
    assert_eq!(container(stream.open(within(99), "/x")).as_deref(), Some("0123456789ab"), "looked up");
}

#[test]
fn clone_parent_makes_a_sibling() {
    let mut stream = Stream::new();
    stream.exec((1, 10), "/sbin/init", b"init\0");
    stream.fork((1, 10), (2, 20));
    stream.exec((2, 20), "/bin/sh", b"sh\0");
    let body =
        ProcFork { child_tgid: 3, child_start: 30, parent_tgid: 1, parent_start: 10, ..ProcFork::default() };
    stream.take(&RawEvent { header: header(2, 20), body: RawBody::Fork(body) }.encode()).unwrap();
    let event = stream.open(header(3, 30), "/x");
    assert_eq!(
        (event.process.exe.to_string(), event.process.ppid, lineage(&event)),
        ("/bin/sh".into(), 1, vec!["/sbin/init".into()])
    );
}

#[test]
fn a_socket_record_gets_its_type_time_and_names() {
    let mut stream = Stream::new();
    let remote = NetAddr { addr: [10; 16], port: 443, family: 2 };
    let body = Net { remote, ..Net::default() };
    let header =
        Header { valid: valid::REMOTE, syscall: syscalls::ACCEPT4 as u16, result: -11, ..header(7, 10) };
    let record = RawEvent { header, body: RawBody::Net(Kind::NetAccept, body, NetTexts::default()) };
    let event = stream.take(&record.encode()).unwrap();
    assert_eq!((event.event_type, event.time, event.failed()), (EventType::Accept4, 1_000_011, true));
    assert_eq!(event.task.user.as_ref().map(|user| &*user.name), Some("root"));
    let Detail::Socket(socket) = event.detail else { panic!("not a socket") };
    assert_eq!(socket.remote, SocketAddr::Ip(Peer { ip: [10, 10, 10, 10].into(), port: 443 }));
    assert_eq!((socket.local, socket.server), (SocketAddr::None, true));
}

#[test]
fn users_are_those_of_the_container() {
    use crate::event::{Facts, Names};
    let mut stream = Stream::new();
    let user = |event: &Event| event.task.user.as_deref().map(|user| user.name.to_string());
    let within = Header { cgroup: 99, euid: 33, ..header(7, 10) };
    assert_eq!(user(&stream.open(header(7, 10), "/x")).as_deref(), Some("root"), "on the host");
    let mut before = stream.open(within, "/x");
    assert_eq!(user(&before), None, "nobody knows yet what it is called there");
    let root = stream.open(Header { euid: 0, ..within }, "/x");
    assert_eq!(
        user(&root).as_deref(),
        Some("root"),
        "which is root everywhere, until somebody says otherwise"
    );
    let asked: Vec<_> = stream.enricher.asks().collect();
    assert_eq!((asked.len(), &*asked[0].id, asked[0].pid), (1, ID, Some(7)));
    let names = Names {
        users: [(33, "web"), (0, "admin")].map(|(uid, name)| (uid, Arc::new(User::named(name)))).into(),
        ..Names::default()
    };
    let facts = Facts { users: Some(Arc::new(names)), ..Facts::default() };
    let instance = asked[0].instance;
    stream.enricher.learn(runtime::Found { instance, source: runtime::Source::Users, facts });
    assert_eq!(user(&stream.open(within, "/x")).as_deref(), Some("web"));
    assert_eq!(user(&stream.open(Header { euid: 0, ..within }, "/x")).as_deref(), Some("admin"));
    stream.enricher.name(&mut before);
    assert_eq!(user(&before).as_deref(), Some("web"), "what waited is named again");
}

#[test]
fn a_runtimes_first_step_is_marked_and_cannot_be_pretended() {
    let mut stream = Stream::new();
    let path = format!("/docker/{ID}");
    let text = RawText { bytes: path.as_bytes(), flags: 0 };
    let of = |mnt_ns: u32, cgroup: u64| Header {
        cgroup,
        mnt_ns,
        valid: valid::CGROUP | valid::MNT_NS,
        ..header(7, 10)
    };
    let group = CgroupDir { id: 5, ..CgroupDir::default() };
    stream.take(&RawEvent { header: of(1, 0), body: RawBody::CgroupMkdir(group, text) }.encode());
    let exec = |stream: &mut Stream, header, exe: &str, args: &[u8]| {
        let event = stream.take(&exec_record(header, 0, 0, exe, args)).unwrap();
        event.process.runtime_init
    };
    assert!(exec(&mut stream, of(1, 5), "/usr/sbin/runc", b"runc\0init\0"));
    assert!(!exec(&mut stream, of(1, 77), "/usr/sbin/runc", b"runc\0init\0"), "not in a container");
    assert!(
        !exec(&mut stream, of(2, 5), "/usr/sbin/runc", b"runc\0init\0"),
        "the container's mount namespace"
    );
    assert!(!exec(&mut stream, of(1, 5), "/bin/sh", b"runc\0init\0"), "no runtime");
}

#[test]
fn a_change_gets_the_paths_that_its_call_named() {
    let mut stream = Stream::new();
    let mut change = |kind, syscall: u32, flags, [name, dir, new_name, new_dir]: [&str; 4]| {
        let text = |text| RawText { bytes: str::as_bytes(text), flags: 0 };
        let texts = ChangeTexts {
            name: text(name),
            dir: text(dir),
            new_name: text(new_name),
            new_dir: text(new_dir),
            ..ChangeTexts::default()
        };
        let header = Header { syscall: syscall as u16, ..header(7, 10) };
        let body = RawBody::Change(kind, FileChange { flags, ..FileChange::default() }, texts);
        let event = stream.take(&RawEvent { header, body }.encode()).unwrap();
        let Detail::Change(change) = event.detail else { panic!("not a change") };
        (event.event_type.name(), change.path.to_string(), change.new_path.map(|path| path.to_string()))
    };
    let new = |path: &str| Some(path.to_owned());
    assert_eq!(
        change(Kind::FileRename, syscalls::RENAMEAT2, 0, ["../a", "/x/y", "b", "/z"]),
        ("renameat2", "/x/a".into(), new("/z/b"))
    );
    assert_eq!(
        change(Kind::FileLink, syscalls::SYMLINK, 0, ["../a", "", "b", "/z"]),
        ("symlink", "../a".into(), new("/z/b"))
    );
    assert_eq!(
        change(Kind::FileMode, syscalls::FCHMOD, 0, ["", "/x", "", ""]),
        ("fchmod", "/x".into(), None)
    );
    // An empty name is the descriptor itself where the call says so, and nothing elsewhere.
    assert_eq!(
        change(Kind::FileOwner, syscalls::FCHOWNAT, 0x1000, ["", "/x", "", ""]),
        ("fchownat", "/x".into(), None)
    );
    assert_eq!(
        change(Kind::FileOwner, syscalls::FCHOWNAT, 0, ["", "/x", "", ""]),
        ("fchownat", String::new(), None)
    );
    assert_eq!(change(Kind::FileRemove, 0, 0, ["/a/./b", "", "", ""]), ("unlink", "/a/b".into(), None));
}

#[test]
fn a_process_has_what_a_call_left_it() {
    let mut stream = Stream::new();
    stream.exec((7, 10), "/bin/seven", b"seven\0");
    let known = Header { valid: valid::CAPS | valid::NAMESPACES, ..header(7, 10) };
    let body = SysCall { cap_permitted: 6, cap_inheritable: 4, net_ns: 5, user_ns: 8, ..SysCall::default() };
    let mut call = |kind, header, body| {
        let body = RawBody::Call(kind, body, CallTexts::default());
        stream.take(&RawEvent { header, body }.encode()).unwrap()
    };
    let process = |event: &Event| (event.process.cap_permitted, event.process.cap_inheritable);
    let asked = SysCall { args: [0, 0, 9, 9, 9, 0], ..body };
    let refused = call(Kind::CredCaps, Header { result: -1, ..known }, asked);
    assert_ne!(process(&refused), (Some(6), Some(4)), "it was refused");
    let other = call(Kind::CredChange, Header { tid: 8, ..known }, body);
    assert_ne!(process(&other), (Some(6), Some(4)), "another thread's credentials");
    let done = call(Kind::CredCaps, Header { cap_effective: 2, ..known }, asked);
    assert_eq!((done.event_type, process(&done)), (EventType::Capset, (Some(6), Some(4))));
    assert_eq!(done.process.exe.to_string(), "/bin/seven");
    let Detail::Call(found) = &done.detail else { panic!("not a call") };
    assert_eq!(found.args[2..5], [2, 6, 4], "what the kernel has, not what the caller's memory says");
    let Detail::Call(found) = &refused.detail else { panic!("not a call") };
    assert_eq!(found.args[2..5], [9; 3]);
    let syscall = syscalls::PTRACE as u16;
    let traced = call(Kind::ProcTrace, Header { syscall, ..known }, SysCall::default());
    assert_eq!((traced.event_type, process(&traced)), (EventType::Ptrace, (Some(6), Some(4))));
}

#[test]
fn a_mount_is_a_path_only_where_it_binds_one() {
    let mut stream = Stream::new();
    let mut mount = |syscall: u32, flags, names: [&str; 4]| {
        let [name, dir, new_name, new_dir] = names.map(|text| RawText { bytes: text.as_bytes(), flags: 0 });
        let fs_type = RawText { bytes: b"tmpfs", flags: 0 };
        let texts = ChangeTexts { name, dir, new_name, new_dir, fs_type };
        let header = Header { syscall: syscall as u16, ..header(7, 10) };
        let body = RawBody::Change(Kind::MountAttach, FileChange { flags, ..FileChange::default() }, texts);
        let event = stream.take(&RawEvent { header, body }.encode()).unwrap();
        let Detail::Change(change) = event.detail else { panic!("not a change") };
        let new = change.new_path.map(|path| path.to_string());
        (change.path.to_string(), new.unwrap(), change.flags, change.fs_type.is_some())
    };
    let to = "/x/m".to_owned();
    let plain = mount(syscalls::MOUNT, 0xc0ed_0001, ["sda", "", "m", "/x"]);
    assert_eq!(plain, ("sda".into(), to.clone(), 1, true), "the magic number is no flag");
    assert_eq!(
        mount(syscalls::MOUNT, 0x1000, ["a", "/x", "m", "/x"]),
        ("/x/a".into(), to.clone(), 0x1000, true)
    );
    assert_eq!(mount(syscalls::MOVE_MOUNT, 4, ["", "/", "m", "/x"]), ("/".into(), to, 4, false));
}
