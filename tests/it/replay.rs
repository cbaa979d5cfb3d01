//! Recordings that nobody's kernel would write: what is wrong with a record is counted for this record alone.

use std::process::Command;

use sensor::{
    decode::{ExecTexts, NetTexts, OpenTexts, RawBody, RawEvent, RawText},
    event::{Detail, EventType},
    recording::{Note, Preamble, Writer},
};
use sensor_common::{ABI_VERSION, FileOpen, Header, Kind, Net, NetAddr, ProcExec, ProcExit, ProcFork, valid};
use sensor_tests::{daemon::run, recorded::play_bytes, vedette};

const START: u64 = 5_000_000_000;

fn task(pid: u32, ppid: u32, seq: u32) -> Header {
    let valid = valid::FILE | valid::LOCAL | valid::REMOTE;
    Header {
        tgid: pid,
        tid: pid,
        ppid,
        start: START + u64::from(pid),
        ts: START * 2,
        seq,
        valid,
        ..Header::default()
    }
}

fn text(bytes: &[u8]) -> RawText<'_> {
    RawText { bytes, flags: 0 }
}

fn exec(pid: u32, args: &[u8]) -> Vec<u8> {
    let body = ProcExec { args_len: args.len() as u32, ..ProcExec::default() };
    let texts = ExecTexts { exe: text(b"/bin/x"), args: text(args), ..ExecTexts::default() };
    RawEvent { header: task(pid, 1, 0), body: RawBody::Exec(body, texts) }.encode()
}

fn recording(records: &[Vec<u8>]) -> Vec<u8> {
    let preamble = Preamble { abi: ABI_VERSION, hostname: "h".to_owned(), ..Preamble::default() };
    let mut writer = Writer::new(Vec::new(), &preamble).unwrap();
    for record in records {
        writer.record(record).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn replay_counts_what_it_cannot_read() {
    let good = exec(7, b"x\0");
    let mut unknown = good.clone();
    unknown[0] = 63;
    let short = good[..40].to_vec();
    let cut = good[..good.len() - 8].to_vec();
    let mut longer = good.clone();
    longer.extend([0; 8]);
    // The header agrees with the length, and the texts do not.
    let mut lies = good.clone();
    let len = (lies.len() - 8) as u32;
    lies.truncate(lies.len() - 8);
    lies[4..8].copy_from_slice(&len.to_ne_bytes());
    let records = [unknown, short, Vec::new(), cut, longer, lies, good];
    let (events, stats) = play_bytes(&recording(&records)[..]);
    assert_eq!(events.len(), 1);
    assert_eq!((stats.received, stats.decoded), (7, 1));
    let malformed: Vec<(&str, u64)> = stats.malformed.into_iter().collect();
    assert_eq!(malformed, [("short", 2), ("unknown_kind", 1), ("wrong_size", 3)]);
}

#[test]
fn replay_survives_every_cut_and_every_wrong_byte() {
    let net = Net { local: NetAddr { family: 10, ..NetAddr::default() }, family: 999, ..Net::default() };
    let open = OpenTexts { path: text(b"/a"), name: text(b"b"), dir: text(b"") };
    let bodies = [
        RawBody::Open(FileOpen::default(), open),
        RawBody::Net(Kind::NetConnect, net, NetTexts { local: text(b"\0x"), remote: text(b"") }),
        RawBody::Fork(ProcFork { child_tgid: 8, parent_tgid: 7, ..ProcFork::default() }),
        RawBody::Exit(ProcExit::default()),
    ];
    let mut records = vec![exec(7, b"a\0b")];
    records.extend(bodies.into_iter().map(|body| RawEvent { header: task(7, 1, 1), body }.encode()));
    let mut all = Vec::new();
    for record in &records {
        for at in 0..record.len() {
            all.push(record[..at].to_vec());
            for wrong in [0, 1, 0x7f, 0x80, 0xff] {
                let mut record = record.clone();
                record[at] = wrong;
                all.push(record);
            }
        }
    }
    let (_, stats) = play_bytes(&recording(&all)[..]);
    let malformed: u64 = stats.malformed.values().sum();
    assert_eq!(stats.decoded + malformed, stats.received + stats.snapshots);
}

#[test]
fn replay_shows_bytes_that_are_not_utf8() {
    let (events, _) = play_bytes(&recording(&[exec(7, b"\xff\xfe\0ok\0")])[..]);
    let json = serde_json::to_value(&events[0]).unwrap();
    assert_eq!(json["process"]["args"], serde_json::json!(["\\xff\\xfe", "ok"]));
}

#[test]
fn replay_of_a_process_that_nobody_announced() {
    let exit = RawEvent { header: task(9, 1, 0), body: RawBody::Exit(ProcExit::default()) }.encode();
    let open = RawBody::Open(FileOpen::default(), OpenTexts { path: text(b"/a"), ..OpenTexts::default() });
    let open = RawEvent { header: task(9, 1, 1), body: open }.encode();
    let (events, stats) = play_bytes(&recording(&[open, exit])[..]);
    assert!(events[0].process.partial);
    assert_eq!(events[0].process.key.pid, 9);
    assert_eq!(stats.enrich.unknown_processes, 1);
    assert_eq!(events[1].event_type, EventType::Procexit);
}

#[test]
fn replay_passes_gaps_on() {
    let preamble = Preamble { abi: ABI_VERSION, ..Preamble::default() };
    let mut writer = Writer::new(Vec::new(), &preamble).unwrap();
    writer
        .note(&Note { ts: 9, lost: vec![(Kind::FileOpen.number(), 5, 1), (999, 1, 1)], ..Note::default() })
        .unwrap();
    let (events, stats) = play_bytes(&writer.finish().unwrap()[..]);
    let Detail::Loss(loss) = &events[0].detail else { panic!("no loss") };
    let lost: Vec<_> = loss.lost.iter().map(|lost| (lost.kind, lost.ring_full, lost.failed)).collect();
    assert_eq!(lost, [(Kind::FileOpen, 5, 1)]);
    assert_eq!(stats.lost, 6);
}

#[test]
fn replay_command_plays_and_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let good = recording(&[exec(7, b"x\0"), exec(8, b"y\0")]);
    let played = run(&["replay", &at("good", &good), "--events", "--json"]);
    assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
    assert_eq!(String::from_utf8(played.stdout).unwrap().lines().count(), 2);
    // A crash of the recorder leaves such an end: what is there is played.
    let torn = run(&["replay", &at("torn", &good[..good.len() - 5]), "--events", "--json"]);
    assert!(torn.status.success());
    assert_eq!(String::from_utf8(torn.stdout).unwrap().lines().count(), 1);
    let other = serde_json::to_vec(&Preamble { abi: ABI_VERSION + 1, ..Preamble::default() }).unwrap();
    for file in
        [at("empty", b""), at("elf", b"\x7fELF\x02\n"), at("other", &other), "/nowhere/rec".to_owned()]
    {
        let refused = Command::new(vedette()).args(["replay", &file]).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!((refused.status.code(), said.lines().count()), (Some(1), 1), "{file}: {said}");
    }
}
