//! The arguments of events, by event type, under the names and in the order in which other tools give them.

pub(super) mod call;
pub(super) mod change;
mod dns;
mod dup;
mod unseen;

use std::io::Write;

use super::{Arg, event::result_name, file, process, socket};
use crate::{
    event::{Args, Detail, Event, EventType, Exec, Fork, Layer, Open, Socket, flags},
    rule::{
        types::TypeSet,
        value::{Out, Slot, Value},
    },
};

/// One argument of an event type.
#[derive(Debug)]
pub(crate) struct Argument {
    pub(crate) name: &'static str,
    read: fn(&Event, &mut Out<'_>) -> bool,
}

impl PartialEq for Argument {
    /// The readers are declared once each: the same reader lies at the same place.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Argument {}

impl std::hash::Hash for Argument {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self).hash(state);
    }
}

const fn open(event: &Event) -> Option<&Open> {
    match &event.detail {
        Detail::Open(open) => Some(open),
        _ => None,
    }
}

const fn exec(event: &Event) -> Option<&Exec> {
    match &event.detail {
        Detail::Exec(exec) => Some(exec),
        _ => None,
    }
}

const fn fork(event: &Event) -> Option<&Fork> {
    match &event.detail {
        Detail::Fork(fork) => Some(fork),
        _ => None,
    }
}

const fn sock(event: &Event) -> Option<&Socket> {
    match &event.detail {
        Detail::Socket(socket) => Some(socket),
        _ => None,
    }
}

/// The arguments of an exec: of one that failed, those that were tried.
fn exec_args(event: &Event) -> &Args {
    match exec(event) {
        Some(exec) if !exec.attempted_args.is_empty() => &exec.attempted_args,
        _ => &event.process.args,
    }
}

/// What an `execve` says of its executable (`PPM_EXE_*`).
const EXE_FLAGS: &[flags::Flag] = &[
    flags::Flag { name: "EXE_WRITABLE", mask: 1, value: 1 },
    flags::Flag { name: "EXE_UPPER_LAYER", mask: 2, value: 2 },
    flags::Flag { name: "EXE_FROM_MEMFD", mask: 4, value: 4 },
    flags::Flag { name: "EXE_LOWER_LAYER", mask: 8, value: 8 },
];

fn exe_flags(event: &Event) -> u64 {
    let Some(exe) = event.process.exe_file else { return 0 };
    u64::from(process::exe_writable(event) == Some(true))
        | u64::from(exe.file.layer == Layer::Upper) << 1
        | u64::from(exe.memfd) << 2
        | u64::from(exe.file.layer == Layer::Lower) << 3
}

fn res(event: &Event, out: &mut Out<'_>) -> bool {
    if event.result > 0 {
        return out.number(event.result);
    }
    match result_name(event.result) {
        Some(name) => out.text(name.as_bytes()),
        None => out.number(event.result),
    }
}

fn fd(event: &Event, out: &mut Out<'_>) -> bool {
    match &event.detail {
        Detail::Open(_) => out.number(event.result),
        Detail::Socket(_) if event.event_type == EventType::Socket => out.number(event.result),
        Detail::Socket(socket) => out.number(socket.fd),
        _ => false,
    }
}

fn open_flags(event: &Event, out: &mut Out<'_>) -> bool {
    open(event).is_some_and(|open| out.flags(flags::OPEN, open.flags.into(), "|"))
}

fn open_name(event: &Event, out: &mut Out<'_>) -> bool {
    open(event).is_some_and(|open| out.known(open.name.as_ref().unwrap_or(&open.path).as_bytes()))
}

fn tuple(event: &Event, out: &mut Out<'_>) -> bool {
    socket::show_name(event, out)
}

/// The address that the call named.
fn addr(event: &Event, out: &mut Out<'_>) -> bool {
    let Some(socket) = sock(event) else { return false };
    let end = if event.event_type == EventType::Bind { &socket.local } else { &socket.remote };
    match end {
        crate::event::SocketAddr::Ip(peer) => out.rendered(|to| {
            // Writing to a vector cannot fail.
            let _ = write!(to, "{}:{}", peer.ip, peer.port);
        }),
        crate::event::SocketAddr::Unix(path) => out.known(path.as_bytes()),
        crate::event::SocketAddr::None => false,
    }
}

fn socket_arg(event: &Event, out: &mut Out<'_>) -> bool {
    sock(event).is_some_and(|socket| out.number(socket.arg))
}

/// The type of a new socket without the flags that stand above it.
fn socket_type(event: &Event, out: &mut Out<'_>) -> bool {
    sock(event).is_some_and(|socket| out.number(socket.socket_type))
}

fn domain(event: &Event, out: &mut Out<'_>) -> bool {
    sock(event).is_some_and(|socket| out.flags(flags::DOMAIN, socket.family.into(), "|"))
}

fn unknown(_: &Event, _: &mut Out<'_>) -> bool {
    false
}

macro_rules! argument_tables {
    ($($(#[$doc:meta])* $table:ident = [$($name:literal => $read:expr),* $(,)?];)*) => {
        $($(#[$doc])* static $table: &[$crate::rule::field::arg::Argument] = &[$($crate::rule::field::arg::Argument { name: $name, read: $read }),*];)*
    };
}

use argument_tables;

argument_tables! {
    OPEN = [
        "fd" => fd, "name" => open_name, "flags" => open_flags, "mode" => mode, "dev" => dev, "ino" => ino,
    ];
    OPENAT = [
        "fd" => fd, "dirfd" => dirfd, "name" => open_name, "flags" => open_flags, "mode" => mode, "dev" => dev,
        "ino" => ino,
    ];
    OPENAT2 = [
        "fd" => fd, "dirfd" => dirfd, "name" => open_name, "flags" => open_flags, "mode" => mode,
        "resolve" => |event, out| open(event).is_some_and(|open| out.wide(open.resolve)), "dev" => dev, "ino" => ino,
    ];
    CREAT = [
        "fd" => fd, "name" => open_name, "mode" => mode, "dev" => dev, "ino" => ino, "creat_flags" => unknown,
    ];
    OPEN_BY_HANDLE_AT = [
        "fd" => fd, "mountfd" => dirfd, "flags" => open_flags,
        "path" => |event, out| open(event).is_some_and(|open| out.known(open.path.as_bytes())),
        "dev" => dev, "ino" => ino,
    ];
    EXEC = [
        "res" => res,
        "exe" => |event, out| out.maybe(exec_args(event).iter().next()),
        "args" => |event, out| out.rendered(|to| process::write_args(exec_args(event), 1, to)),
        "tid" => |event, out| out.number(event.task.tid),
        "pid" => |event, out| out.number(event.task.pid),
        "ptid" => |event, out| out.number(event.task.ppid),
        "cwd" => |event, out| out.known(event.process.cwd.as_bytes()),
        "fdlimit" => unknown, "pgft_maj" => unknown, "pgft_min" => unknown, "vm_size" => unknown,
        "vm_rss" => unknown, "vm_swap" => unknown,
        "comm" => |event, out| out.text(event.task.comm.as_bytes()),
        "cgroups" => unknown,
        "env" => |event, out| {
            event.process.env.as_ref().is_some_and(|env| out.rendered(|to| process::write_args(env, 0, to)))
        },
        "tty" => |event, out| out.maybe_number(event.process.tty),
        "vpgid" => |event, out| out.maybe_number(event.process.vpgid),
        "loginuid" => |event, out| out.number(event.task.loginuid.map_or(-1, i64::from)),
        "flags" => |event, out| out.flags(EXE_FLAGS, exe_flags(event), "|"),
        "cap_inheritable" => |event, out| capabilities(event.process.cap_inheritable, out),
        "cap_permitted" => |event, out| capabilities(event.process.cap_permitted, out),
        "cap_effective" => |event, out| capabilities(event.task.cap_effective, out),
        "exe_ino" => |event, out| event.process.exe_file.is_some_and(|exe| out.wide(exe.file.ino)),
        "exe_ino_ctime" => |event, out| event.process.exe_file.is_some_and(|exe| out.wide(exe.ctime)),
        "exe_ino_mtime" => |event, out| event.process.exe_file.is_some_and(|exe| out.wide(exe.mtime)),
        "uid" => |event, out| out.number(event.task.euid),
        "trusted_exepath" => |event, out| out.known(event.process.exe.as_bytes()),
        "pgid" => |event, out| out.number(event.process.pgid),
        "gid" => |event, out| out.number(event.task.egid),
        "filename" => |event, out| exec(event).is_some_and(|exec| out.known(exec.filename.as_bytes())),
    ];
    CLONE = [
        "res" => |event, out| match fork(event) {
            Some(fork) if event.result >= 0 && fork.child.pid != 0 => out.number(fork.child.pid),
            _ => res(event, out),
        },
        "exe" => |event, out| out.maybe(event.process.args.iter().next()),
        "args" => |event, out| out.rendered(|to| process::write_args(&event.process.args, 1, to)),
        "tid" => |event, out| out.number(event.task.tid),
        "pid" => |event, out| out.number(event.task.pid),
        "ptid" => |event, out| out.number(event.task.ppid),
        "cwd" => |event, out| out.known(event.process.cwd.as_bytes()),
        "fdlimit" => unknown, "pgft_maj" => unknown, "pgft_min" => unknown, "vm_size" => unknown,
        "vm_rss" => unknown, "vm_swap" => unknown,
        "comm" => |event, out| out.text(event.task.comm.as_bytes()),
        "cgroups" => unknown,
        "flags" => |event, out| fork(event).is_some_and(|fork| out.flags(flags::CLONE, fork.flags, "|")),
        "uid" => |event, out| out.number(event.task.euid),
        "gid" => |event, out| out.number(event.task.egid),
        "vtid" => |event, out| out.maybe_number(event.task.vtid),
        "vpid" => |event, out| out.maybe_number(event.process.vpid),
    ];
    PROCEXIT = [
        "status" => |event, out| exit(event).is_some_and(|exit| out.number(exit.status)),
        "ret" => |event, out| out.maybe_number(exit(event).and_then(crate::event::Exit::code)),
        "sig" => |event, out| out.maybe_number(exit(event).map(|exit| exit.signal().unwrap_or(0))),
    ];
    CONNECT = ["res" => res, "tuple" => tuple, "fd" => fd, "addr" => addr];
    ACCEPT = [
        "fd" => fd, "tuple" => tuple, "queuepct" => unknown, "queuelen" => unknown, "queuemax" => unknown,
    ];
    ACCEPT4 = [
        "fd" => fd, "tuple" => tuple, "queuepct" => unknown, "queuelen" => unknown, "queuemax" => unknown,
        "flags" => socket_arg,
    ];
    BIND = ["res" => res, "addr" => addr, "fd" => fd];
    LISTEN = ["res" => res, "fd" => fd, "backlog" => socket_arg];
    SEND = ["res" => res, "data" => unknown, "fd" => fd, "size" => socket_arg, "tuple" => tuple];
    RECVFROM = ["res" => res, "data" => unknown, "tuple" => tuple, "fd" => fd, "size" => socket_arg];
    RECVMSG = [
        "res" => res, "size" => res, "data" => unknown, "tuple" => tuple, "msgcontrol" => unknown, "fd" => fd,
    ];
    SOCKET = [
        "fd" => fd, "domain" => domain, "type" => socket_type,
        "proto" => |event, out| sock(event).is_some_and(|socket| out.number(socket.protocol)),
        "flags" => |event, out| sock(event).is_some_and(|socket| out.flags(flags::SOCK, socket.arg.into(), "|")),
    ];
}

fn mode(event: &Event, out: &mut Out<'_>) -> bool {
    open(event).is_some_and(|open| out.flags(flags::MODE, open.mode.into(), "|"))
}

fn dev(event: &Event, out: &mut Out<'_>) -> bool {
    open(event).and_then(|open| open.file).is_some_and(|file| out.number(file.dev))
}

fn ino(event: &Event, out: &mut Out<'_>) -> bool {
    open(event).and_then(|open| open.file).is_some_and(|file| out.wide(file.ino))
}

fn dirfd(event: &Event, out: &mut Out<'_>) -> bool {
    open(event).is_some_and(|open| descriptor(open.dirfd, out))
}

/// A directory argument.
fn descriptor(fd: i32, out: &mut Out<'_>) -> bool {
    if fd == -100 { out.text(b"AT_FDCWD") } else { out.number(fd) }
}

fn capabilities(word: Option<u64>, out: &mut Out<'_>) -> bool {
    word.is_some_and(|word| out.flags(flags::CAPABILITIES, word, " "))
}

const fn exit(event: &Event) -> Option<&crate::event::Exit> {
    match &event.detail {
        Detail::Exit(exit) => Some(exit),
        _ => None,
    }
}

/// The arguments of an event type that the sensor sees.
const fn table(event_type: EventType) -> &'static [Argument] {
    match event_type {
        EventType::Open => OPEN,
        EventType::Openat => OPENAT,
        EventType::Openat2 => OPENAT2,
        EventType::Creat => CREAT,
        EventType::OpenByHandleAt => OPEN_BY_HANDLE_AT,
        EventType::Execve | EventType::Execveat => EXEC,
        EventType::Fork | EventType::Vfork | EventType::Clone | EventType::Clone3 => CLONE,
        EventType::Procexit => PROCEXIT,
        EventType::Connect => CONNECT,
        EventType::Accept => ACCEPT,
        EventType::Accept4 => ACCEPT4,
        EventType::Bind => BIND,
        EventType::Listen => LISTEN,
        EventType::Sendto | EventType::Sendmsg | EventType::Sendmmsg => SEND,
        EventType::Dns => dns::table(),
        EventType::Recvfrom => RECVFROM,
        EventType::Recvmsg | EventType::Recvmmsg => RECVMSG,
        EventType::Socket => SOCKET,
        EventType::Dup | EventType::Dup2 | EventType::Dup3 | EventType::Fcntl => dup::table(event_type),
        _ => match change::table(event_type) {
            [] => call::table(event_type),
            table => table,
        },
    }
}

/// The reader of this argument (a name, or a place from 0) for every event type, by the type's number.
pub(crate) fn arguments(arg: &str) -> Box<[Option<&'static Argument>]> {
    let place: Option<usize> = arg.parse().ok();
    EventType::ALL
        .iter()
        .map(|event_type| match place {
            Some(place) => table(*event_type).get(place),
            None => table(*event_type).iter().find(|argument| argument.name == arg),
        })
        .collect()
}

/// The event types that have the argument, those that are not seen included.
pub(super) fn types(arg: &str, readers: &[Option<&'static Argument>]) -> TypeSet {
    let place: Option<usize> = arg.parse().ok();
    TypeSet::filter(|event_type| {
        let names = unseen::unseen(event_type);
        readers.get(event_type as usize).copied().flatten().is_some()
            || place.map_or_else(|| names.contains(&arg), |place| place < names.len())
    })
}

/// Every name that an argument of any event has.
pub(crate) fn argument_names() -> impl Iterator<Item = &'static str> {
    EventType::ALL.iter().flat_map(|event_type| {
        table(*event_type)
            .iter()
            .map(|argument| argument.name)
            .chain(unseen::unseen(*event_type).iter().copied())
    })
}

pub(super) fn read(event: &Event, arg: &Arg, out: &mut Out<'_>) -> bool {
    let Arg::Event(readers) = arg else { return false };
    let reader = readers.get(event.event_type as usize).copied().flatten();
    reader.is_some_and(|argument| (argument.read)(event, out))
}

/// `name=value name=value …`; a descriptor with what it stands for.
pub(crate) fn write_all(event: &Event, to: &mut Vec<u8>) {
    let mut slot = Slot::default();
    for (generation, argument) in (1..).zip(table(event.event_type)) {
        let start = to.len();
        if start > 0 {
            to.push(b' ');
        }
        to.extend_from_slice(argument.name.as_bytes());
        to.push(b'=');
        let mut write = |value: Value<'_>| {
            value.write(to);
            true
        };
        if !(argument.read)(event, &mut Out::new(&mut slot, generation, &mut write)) {
            to.truncate(start);
            continue;
        }
        // A descriptor that is no longer (or not yet) one stands for nothing.
        if argument.name == "fd" && !event.failed() {
            // Writing to a vector cannot fail.
            let _ = write!(to, "(<{}>", file::kind(event).map_or("?", |(_, letter)| letter));
            let mut write = |value: Value<'_>| {
                value.write(to);
                true
            };
            file::show_name(event, &mut Out::new(&mut slot, u64::MAX - generation, &mut write));
            to.push(b')');
        }
    }
}
