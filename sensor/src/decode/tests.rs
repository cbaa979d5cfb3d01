//! Records of every kind, whole and damaged.

use sensor_common::NetAddr;

use super::*;

fn text(bytes: &[u8]) -> RawText<'_> {
    RawText { bytes, flags: 0 }
}

/// One record of each kind.
fn samples() -> Vec<Vec<u8>> {
    let bodies = [
        RawBody::Exec(
            ProcExec { args_len: 7, vpid: 4, ..ProcExec::default() },
            ExecTexts {
                exe: text(b"/usr/bin/\xff\xfe"),
                filename: text(b"x"),
                args: text(b"a\0b c\0"),
                ..ExecTexts::default()
            },
        ),
        RawBody::Fork(ProcFork { child_tgid: 9, ..ProcFork::default() }),
        RawBody::Exit(ProcExit { status: 256, ..ProcExit::default() }),
        RawBody::Args(ProcArgs { offset: 8192, ..ProcArgs::default() }, text(&[b'z'; 300])),
        RawBody::CgroupMkdir(CgroupDir { id: 77, ..CgroupDir::default() }, text(b"/docker/abc")),
        RawBody::CgroupRmdir(CgroupDir { id: 77, ..CgroupDir::default() }, text(b"/docker/abc")),
        RawBody::Open(
            FileOpen { open_flags: 0o101, ..FileOpen::default() },
            OpenTexts { path: text(b"/etc/shadow"), ..OpenTexts::default() },
        ),
    ];
    let changes = [
        Kind::FileRemove,
        Kind::FileRename,
        Kind::FileLink,
        Kind::FileMake,
        Kind::FileMode,
        Kind::FileOwner,
        Kind::MountAttach,
        Kind::MountDetach,
        Kind::MountRoot,
    ]
    .map(|kind| {
        let texts = ChangeTexts {
            name: text(b"../x"),
            dir: text(b"/etc"),
            new_name: text(b"/y"),
            new_dir: text(b""),
            fs_type: text(if kind == Kind::MountAttach { b"tmpfs" } else { b"" }),
        };
        RawBody::Change(kind, FileChange { dirfd: -100, mode: 0o4755, ..FileChange::default() }, texts)
    });
    let remote = NetAddr { addr: [1; 16], port: 443, family: 2 };
    let net = Net { remote, ..Net::default() };
    let names = NetTexts { local: text(b"/run/x"), remote: text(b"\0y") };
    let dup = RawBody::Dup(FdDup { socket: net, old_fd: 7, ..FdDup::default() }, names, text(b"/dev/null"));
    let sockets = [
        Kind::NetConnect,
        Kind::NetAccept,
        Kind::NetBind,
        Kind::NetListen,
        Kind::NetSend,
        Kind::NetSocket,
        Kind::NetReceive,
    ]
    .map(|kind| RawBody::Net(kind, net, NetTexts::default()));
    let numbers_only = Kind::CredChange.number()..=Kind::MemProtect.number();
    let calls = Kind::ALL.into_iter().filter(|kind| numbers_only.contains(&kind.number())).map(|kind| {
        let texts = CallTexts { text: text(b"name"), path: text(b"/lib/x.ko") };
        RawBody::Call(kind, SysCall { args: [1, 2, 3, 4, 5, u64::MAX], ..SysCall::default() }, texts)
    });
    let header = Header { ts: 5, tgid: 1, ..Header::default() };
    let dns = RawBody::Dns(Dns { len: 3, answer: 1, ..Dns::default() }, text(b"\x00\x01\x81"));
    bodies
        .into_iter()
        .chain(changes)
        .chain([dup])
        .chain(sockets)
        .chain(calls)
        .chain([dns])
        .map(|body| RawEvent { header, body }.encode())
        .collect()
}

#[test]
fn every_kind_survives_the_way_there_and_back() {
    let samples = samples();
    assert_eq!(samples.len(), Kind::ALL.len());
    for bytes in samples {
        let event = decode(&bytes).unwrap();
        assert_eq!(event.encode(), bytes);
    }
}

#[test]
fn text_that_is_not_utf8_arrives_as_it_is() {
    let bytes = samples().remove(0);
    let RawBody::Exec(_, texts) = decode(&bytes).unwrap().body else { panic!("not an exec") };
    assert_eq!(texts.exe.bytes, b"/usr/bin/\xff\xfe");
}

#[test]
fn unknown_kinds_and_wrong_sizes_are_errors() {
    let good = samples().remove(0);
    assert_eq!(decode(&good[..100]), Err(DecodeError::Short(100)));
    let mut unknown = good.clone();
    unknown[0] = 0xee;
    assert_eq!(decode(&unknown), Err(DecodeError::UnknownKind(0xee)));
    for cut in size_of::<Header>()..good.len() {
        assert!(matches!(decode(&good[..cut]), Err(DecodeError::Size { .. })), "cut to {cut}");
        // Also where the header agrees with the cut.
        let mut cut = good[..cut].to_vec();
        let len = (cut.len() as u32).to_ne_bytes();
        cut[4..8].copy_from_slice(&len);
        assert!(matches!(decode(&cut), Err(DecodeError::Size { .. })));
    }
    let mut long = good.clone();
    long.extend([0; 8]);
    long[4..8].copy_from_slice(&(good.len() as u32 + 8).to_ne_bytes());
    assert!(matches!(decode(&long), Err(DecodeError::Size { .. })));
}

/// A short, repeatable run of what `fuzz/` does for hours: damaged records of every kind.
#[test]
fn damaged_records_never_panic_and_what_decodes_encodes_to_the_same() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let samples = samples();
    let mut decoded = 0;
    for _ in 0..200_000 {
        let mut bytes = samples[random() as usize % samples.len()].clone();
        for _ in 0..random() % 4 {
            let at = random() as usize % bytes.len();
            bytes[at] = random() as u8;
        }
        if random() % 4 == 0 {
            bytes.truncate(random() as usize % (bytes.len() + 1));
        }
        if let Ok(event) = decode(&bytes) {
            decoded += 1;
            assert_eq!(event.encode().len(), bytes.len());
        }
    }
    assert!(decoded > 10_000, "only {decoded} damaged records still decode: the mutations are too coarse");
}
