//! Wire bodies → the event's typed details, one function each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sensor_common::{
    Dns, FdDup, FileChange, FileId, FileOpen, Header, Kind, LAYER_LOWER, LAYER_UPPER, Net, NetAddr, ProcExec,
    SysCall, flags, text, valid,
};

use super::path;
use crate::{
    decode::{CallTexts, ChangeTexts, ExecTexts, NetTexts, OpenTexts, RawText},
    event::{
        Args, Call, Change, Comm, Detail, Dup, EventType, ExeFile, Exec, File, HostNames, Layer, Namespaces,
        Open, Peer, Process, ProcessKey, Socket, SocketAddr, Text,
    },
};

const AF_UNIX: u32 = 1;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const SOCK_DGRAM: u16 = 2;
const IPPROTO_UDP: u16 = 17;
/// `FMODE_CREATED`: the open made the file.
const FMODE_CREATED: u32 = 1 << 20;
const AT_EMPTY_PATH: u32 = 0x1000;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 4;
const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
const MS_BIND: u32 = 0x1000;
const MS_MOVE: u32 = 0x2000;
/// `MS_MGC_VAL`: what once had to stand above the flags of `mount`, and means nothing.
const MOUNT_MAGIC: u32 = 0xc0ed;

/// `None` where nobody logged in, or the kernel does not keep it.
pub(super) fn loginuid(header: &Header) -> Option<u32> {
    (header.valid & valid::LOGINUID != 0 && header.loginuid != u32::MAX).then_some(header.loginuid)
}

/// The image that a successful exec made; the parent is not known here.
pub(super) fn image(
    header: &Header,
    body: &ProcExec,
    texts: &ExecTexts<'_>,
    args: Args,
    env: Option<Args>,
) -> Process {
    let has = |bit: u32| header.valid & bit != 0;
    let vpid = has(valid::VPID);
    Process {
        key: ProcessKey { pid: header.tgid, start: header.start },
        ppid: header.ppid,
        comm: Comm::new(header.comm),
        exe: texts.exe.to_text(),
        exe_file: has(valid::FILE).then(|| ExeFile {
            file: file(&body.file, header.valid),
            ctime: body.ctime,
            mtime: body.mtime,
            memfd: body.file.nlink == 0
                && texts.exe.flags & text::DETACHED != 0
                && texts.exe.bytes.starts_with(b"/memfd:"),
        }),
        args,
        env,
        cwd: texts.cwd.to_text(),
        exec_time: header.ts,
        pgid: body.pgid,
        sid: body.sid,
        vpid: vpid.then_some(body.vpid),
        vppid: vpid.then_some(body.vppid),
        vpgid: vpid.then_some(body.vpgid),
        vsid: vpid.then_some(body.vsid),
        tty: has(valid::TTY).then_some(body.tty),
        uid: header.uid,
        loginuid: loginuid(header),
        cap_inheritable: has(valid::CAPS).then_some(body.cap_inheritable),
        cap_permitted: has(valid::CAPS).then_some(body.cap_permitted),
        namespaces: has(valid::NAMESPACES).then_some(Namespaces {
            pid: body.pid_ns,
            net: body.net_ns,
            user: body.user_ns,
        }),
        ..Process::default()
    }
}

pub(super) fn exec(header: &Header, texts: &ExecTexts<'_>) -> Detail {
    let failed = header.result < 0;
    let script = texts.interpreter.bytes != texts.filename.bytes;
    Detail::Exec(Exec {
        filename: texts.filename.to_text(),
        interpreter: if script { texts.interpreter.to_text() } else { Text::default() },
        attempted_args: if failed {
            let cut = u32::from(texts.args.is_truncated());
            Args::from_raw(texts.args.bytes, texts.args.bytes.len() as u32 + cut)
        } else {
            Args::default()
        },
    })
}

fn file(id: &FileId, valid: u32) -> File {
    let layer = match id.layer {
        LAYER_LOWER if valid & valid::LAYER != 0 => Layer::Lower,
        LAYER_UPPER if valid & valid::LAYER != 0 => Layer::Upper,
        _ => Layer::Other,
    };
    File { ino: id.ino, dev: id.dev, mode: id.mode, nlink: id.nlink, uid: id.uid, gid: id.gid, layer }
}

pub(super) fn open(header: &Header, body: &FileOpen, texts: &OpenTexts<'_>) -> Detail {
    let asked = body.name.len > 0 || texts.name.is_fault();
    Detail::Open(Open {
        // One that failed has a file only where it was refused at the last moment; through `io_uring`, a file is not always at
        // hand when the open is told of.
        path: if texts.path.bytes.is_empty() && (header.result < 0 || asked) {
            path::absolute(&texts.name, &texts.dir)
        } else {
            texts.path.to_text()
        },
        detached: texts.path.flags & text::DETACHED != 0,
        name: asked.then(|| texts.name.to_text()),
        file: (header.valid & valid::FILE != 0).then(|| file(&body.file, header.valid)),
        flags: body.open_flags,
        created: body.f_mode & FMODE_CREATED != 0,
        mode: body.mode,
        dirfd: body.dirfd,
        resolve: body.resolve,
    })
}

pub(super) fn change(kind: Kind, header: &Header, body: &FileChange, texts: &ChangeTexts<'_>) -> Detail {
    use EventType as E;
    let call = E::of(kind, header.syscall);
    let flags =
        if call == E::Mount && body.flags >> 16 == MOUNT_MAGIC { body.flags & 0xffff } else { body.flags };
    let mounts_path = flags & (MS_BIND | MS_MOVE) != 0;
    // The descriptor itself is meant, and the name may be no string at all.
    let itself = texts.name.bytes.is_empty()
        && match kind {
            Kind::FileLink | Kind::FileMode | Kind::FileOwner => flags & AT_EMPTY_PATH != 0,
            Kind::MountAttach => call == E::MoveMount && flags & MOVE_MOUNT_F_EMPTY_PATH != 0,
            _ => false,
        };
    let new_itself =
        call == E::MoveMount && texts.new_name.bytes.is_empty() && flags & MOVE_MOUNT_T_EMPTY_PATH != 0;
    let path = match call {
        E::Symlink | E::Symlinkat => texts.name.to_text(),
        E::Mount if !mounts_path => texts.name.to_text(),
        E::Fchmod | E::Fchown => texts.dir.to_text(),
        _ if itself => texts.dir.to_text(),
        _ => path::absolute_name(&texts.name, &texts.dir),
    };
    let two = matches!(kind, Kind::FileRename | Kind::FileLink | Kind::MountAttach) || call == E::PivotRoot;
    let new_path = || match new_itself {
        true => texts.new_dir.to_text(),
        false => path::absolute_name(&texts.new_name, &texts.new_dir),
    };
    let only = |holds: bool, value: u32| holds.then_some(value);
    Detail::Change(Change {
        path,
        new_path: two.then(new_path),
        name: texts.name.to_text(),
        new_name: two.then(|| texts.new_name.to_text()),
        detached: (texts.dir.flags | texts.new_dir.flags) & text::DETACHED != 0,
        file: (header.valid & valid::FILE != 0).then(|| file(&body.file, header.valid)),
        dirfd: body.dirfd,
        new_dirfd: two.then_some(body.new_dirfd),
        flags,
        mode: only(matches!(kind, Kind::FileMake | Kind::FileMode), body.mode),
        uid: only(kind == Kind::FileOwner, body.uid),
        gid: only(kind == Kind::FileOwner, body.gid),
        dev: only(matches!(call, E::Mknod | E::Mknodat), body.dev),
        fs_type: (call == E::Mount).then(|| texts.fs_type.to_text()),
    })
}

/// A call whose arguments are numbers. What a `capset` that succeeded asked for is what the kernel has now.
pub(super) fn call(kind: Kind, header: &Header, body: &SysCall, texts: &CallTexts<'_>) -> Detail {
    let mut args = body.args;
    if kind == Kind::CredCaps && header.result >= 0 && header.valid & valid::CAPS != 0 {
        let [_, _, effective, permitted, inheritable, _] = &mut args;
        *effective = header.cap_effective;
        *permitted = body.cap_permitted;
        *inheritable = body.cap_inheritable;
    }
    Detail::Call(Call {
        args: args.map(u64::cast_signed),
        text: texts.text.to_text(),
        file: (header.valid & valid::FILE != 0).then(|| file(&body.file, header.valid)),
        path: texts.path.to_text(),
    })
}

pub(super) fn dup(header: &Header, body: &FdDup, texts: &NetTexts<'_>, path: &RawText<'_>) -> Detail {
    let is_socket = header.valid & valid::SOCKET != 0;
    Detail::Dup(Dup {
        fd: body.socket.fd,
        old_fd: body.old_fd,
        flags: body.flags,
        socket: is_socket.then(|| socket(Kind::FdDup, header, &body.socket, texts)),
        file: (header.valid & valid::FILE != 0).then(|| file(&body.file, header.valid)),
        path: path.to_text(),
    })
}

pub(super) fn socket(kind: Kind, header: &Header, body: &Net, texts: &NetTexts<'_>) -> Socket {
    let end = |bit: u32, addr: &NetAddr, path: &RawText<'_>| {
        if header.valid & bit == 0 { SocketAddr::None } else { address(addr, path) }
    };
    let well_known = |addr: &NetAddr| addr.port < 1024;
    Socket {
        fd: body.fd,
        family: body.family,
        socket_type: body.sock_type,
        protocol: body.protocol,
        ino: body.ino,
        local: end(valid::LOCAL, &body.local, &texts.local),
        remote: end(valid::REMOTE, &body.remote, &texts.remote),
        local_names: HostNames::default(),
        remote_names: HostNames::default(),
        untrusted: header.flags & flags::UNTRUSTED_ADDR != 0,
        server: match kind {
            Kind::NetAccept | Kind::NetListen | Kind::NetBind => true,
            // A datagram asks, unless it comes from a port that answers.
            Kind::NetReceive => well_known(&body.local) || !well_known(&body.remote),
            _ => false,
        },
        arg: body.arg,
    }
}

/// The socket of a DNS message, as far as a packet tells.
pub(super) fn dns_socket(body: &Dns) -> Socket {
    Socket {
        fd: -1,
        family: body.family as u16,
        socket_type: SOCK_DGRAM,
        protocol: IPPROTO_UDP,
        local: address(&body.local, &RawText::default()),
        remote: address(&body.remote, &RawText::default()),
        ..Socket::default()
    }
}

fn address(addr: &NetAddr, path: &RawText<'_>) -> SocketAddr {
    let port = addr.port as u16;
    match addr.family {
        AF_INET => {
            let [a, b, c, d, ..] = addr.addr;
            SocketAddr::Ip(Peer { ip: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port })
        }
        AF_INET6 => SocketAddr::Ip(Peer { ip: Ipv6Addr::from(addr.addr).to_canonical(), port }),
        AF_UNIX => SocketAddr::Unix(unix_name(path)),
        _ => SocketAddr::None,
    }
}

/// An abstract name starts with a NUL and may hold more; it is written as `ss` does, with `@`. A path ends at its NUL.
fn unix_name(name: &RawText<'_>) -> Text {
    let text = name.to_text();
    match name.bytes.split_first() {
        Some((0, rest)) => {
            let rest = rest.iter().map(|byte| if *byte == 0 { b'@' } else { *byte });
            Text::new(std::iter::once(b'@').chain(rest).collect::<Vec<_>>())
        }
        Some(_) => Text::new(name.bytes.split(|byte| *byte == 0).next().unwrap_or_default()),
        None => return text,
    }
    .with_truncated(text.is_truncated())
    .with_untrusted(text.is_untrusted())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_names_and_mapped_addresses_are_written_as_tools_do() {
        let raw = |bytes| RawText { bytes, flags: 0 };
        assert_eq!(unix_name(&raw(b"\0bus\0x")).to_string(), "@bus@x");
        assert_eq!(unix_name(&raw(b"/run/s\0junk")).to_string(), "/run/s");
        let mut mapped = NetAddr { family: AF_INET6, port: 80, ..NetAddr::default() };
        mapped.addr[10..].copy_from_slice(&[0xff, 0xff, 127, 0, 0, 1]);
        assert_eq!(
            address(&mapped, &raw(b"")),
            SocketAddr::Ip(Peer { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 80 })
        );
    }
}
