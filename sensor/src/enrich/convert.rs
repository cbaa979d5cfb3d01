//! Wire bodies → the event's typed details, one function each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sensor_common::{
    Dns, FileChange, FileId, FileOpen, Header, Kind, LAYER_LOWER, LAYER_UPPER, Net, NetAddr, ProcExec, flags,
    syscalls, text, valid,
};

use super::path;
use crate::{
    decode::{ChangeTexts, ExecTexts, NetTexts, OpenTexts, RawText},
    event::{
        Args, Change, Comm, Detail, EventType, ExeFile, Exec, File, HostNames, Layer, Namespaces, Open, Peer,
        Process, ProcessKey, Socket, SocketAddr, Text,
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

/// The type of event: the kind says the family, the system call which of its members.
#[must_use]
pub fn event_type(kind: Kind, syscall: u16) -> EventType {
    match (kind, u32::from(syscall)) {
        (Kind::ProcExec, syscalls::EXECVEAT) => EventType::Execveat,
        (Kind::ProcFork, syscalls::FORK) => EventType::Fork,
        (Kind::ProcFork, syscalls::VFORK) => EventType::Vfork,
        (Kind::ProcFork, syscalls::CLONE3) => EventType::Clone3,
        (Kind::ProcFork, _) => EventType::Clone,
        (Kind::ProcExit, _) => EventType::Procexit,
        (Kind::FileOpen, syscalls::OPEN) => EventType::Open,
        (Kind::FileOpen, syscalls::OPENAT2) => EventType::Openat2,
        (Kind::FileOpen, syscalls::CREAT) => EventType::Creat,
        (Kind::FileOpen, syscalls::OPEN_BY_HANDLE_AT) => EventType::OpenByHandleAt,
        (Kind::FileOpen, _) => EventType::Openat,
        (Kind::FileRemove, syscalls::UNLINKAT) => EventType::Unlinkat,
        (Kind::FileRemove, syscalls::RMDIR) => EventType::Rmdir,
        (Kind::FileRemove, _) => EventType::Unlink,
        (Kind::FileRename, syscalls::RENAMEAT) => EventType::Renameat,
        (Kind::FileRename, syscalls::RENAMEAT2) => EventType::Renameat2,
        (Kind::FileRename, _) => EventType::Rename,
        (Kind::FileLink, syscalls::LINKAT) => EventType::Linkat,
        (Kind::FileLink, syscalls::SYMLINK) => EventType::Symlink,
        (Kind::FileLink, syscalls::SYMLINKAT) => EventType::Symlinkat,
        (Kind::FileLink, _) => EventType::Link,
        (Kind::FileMake, syscalls::MKDIRAT) => EventType::Mkdirat,
        (Kind::FileMake, syscalls::MKNOD) => EventType::Mknod,
        (Kind::FileMake, syscalls::MKNODAT) => EventType::Mknodat,
        (Kind::FileMake, _) => EventType::Mkdir,
        (Kind::FileMode, syscalls::FCHMOD) => EventType::Fchmod,
        (Kind::FileMode, syscalls::FCHMODAT) => EventType::Fchmodat,
        (Kind::FileMode, syscalls::FCHMODAT2) => EventType::Fchmodat2,
        (Kind::FileMode, _) => EventType::Chmod,
        (Kind::FileOwner, syscalls::LCHOWN) => EventType::Lchown,
        (Kind::FileOwner, syscalls::FCHOWN) => EventType::Fchown,
        (Kind::FileOwner, syscalls::FCHOWNAT) => EventType::Fchownat,
        (Kind::FileOwner, _) => EventType::Chown,
        (Kind::NetConnect, _) => EventType::Connect,
        (Kind::NetAccept, syscalls::ACCEPT4) => EventType::Accept4,
        (Kind::NetAccept, _) => EventType::Accept,
        (Kind::NetBind, _) => EventType::Bind,
        (Kind::NetListen, _) => EventType::Listen,
        (Kind::NetSend, syscalls::SENDMSG) => EventType::Sendmsg,
        (Kind::NetSend, syscalls::SENDMMSG) => EventType::Sendmmsg,
        (Kind::NetSend, _) => EventType::Sendto,
        (Kind::NetDns, _) => EventType::Dns,
        // The rest makes no events.
        (Kind::ProcExec | Kind::ProcArgs | Kind::CgroupMkdir | Kind::CgroupRmdir, _) => EventType::Execve,
    }
}

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
        path: if header.result < 0 { path::absolute(&texts.name, &texts.dir) } else { texts.path.to_text() },
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
    let call = event_type(kind, header.syscall);
    let symlink = matches!(call, EventType::Symlink | EventType::Symlinkat);
    let descriptor = matches!(call, EventType::Fchmod | EventType::Fchown);
    // `AT_EMPTY_PATH`: the descriptor itself is meant, and the name may be no string at all.
    let itself = matches!(kind, Kind::FileLink | Kind::FileMode | Kind::FileOwner)
        && body.flags & AT_EMPTY_PATH != 0
        && texts.name.bytes.is_empty();
    let path = if symlink {
        texts.name.to_text()
    } else if descriptor || itself {
        texts.dir.to_text()
    } else {
        path::absolute_name(&texts.name, &texts.dir)
    };
    let two = matches!(kind, Kind::FileRename | Kind::FileLink);
    let only = |holds: bool, value: u32| holds.then_some(value);
    let make = matches!(call, EventType::Mknod | EventType::Mknodat);
    Detail::Change(Change {
        path,
        new_path: two.then(|| path::absolute_name(&texts.new_name, &texts.new_dir)),
        name: texts.name.to_text(),
        new_name: two.then(|| texts.new_name.to_text()),
        detached: (texts.dir.flags | texts.new_dir.flags) & text::DETACHED != 0,
        file: (header.valid & valid::FILE != 0).then(|| file(&body.file, header.valid)),
        dirfd: body.dirfd,
        new_dirfd: two.then_some(body.new_dirfd),
        flags: body.flags,
        mode: only(matches!(kind, Kind::FileMake | Kind::FileMode), body.mode),
        uid: only(kind == Kind::FileOwner, body.uid),
        gid: only(kind == Kind::FileOwner, body.gid),
        dev: only(make, body.dev),
    })
}

pub(super) fn socket(kind: Kind, header: &Header, body: &Net, texts: &NetTexts<'_>) -> Socket {
    let end = |bit: u32, addr: &NetAddr, path: &RawText<'_>| {
        if header.valid & bit == 0 { SocketAddr::None } else { address(addr, path) }
    };
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
        server: matches!(kind, Kind::NetAccept | Kind::NetListen | Kind::NetBind),
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
