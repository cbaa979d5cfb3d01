//! Fields of the process, its ancestors, the thread and the user.

use super::{Arg, fields, not_carried};
use crate::{
    event::{Args, Detail, Event, Process, User, flags},
    rule::value::Out,
};

fn parent(event: &Event) -> Option<&Process> {
    event.process.parent.as_deref()
}

/// The program's own name: its first argument.
fn first_arg(process: &Process) -> Option<&[u8]> {
    process.args.iter().next()
}

/// Name and arguments, joined by blanks.
pub(super) fn write_cmdline(name: &[u8], args: &Args, to: &mut Vec<u8>) {
    to.extend_from_slice(name);
    for arg in args.iter().skip(1) {
        to.push(b' ');
        to.extend_from_slice(arg);
    }
}

/// The arguments without the program's own name, joined by blanks.
pub(super) fn write_args(args: &Args, skip: usize, to: &mut Vec<u8>) {
    for (at, arg) in args.iter().skip(skip).enumerate() {
        if at > 0 {
            to.push(b' ');
        }
        to.extend_from_slice(arg);
    }
}

/// The ancestor that the argument names (0 is the process itself), or each of them.
fn ancestors(event: &Event, arg: &Arg, out: &mut Out<'_>, show: fn(&Process, &mut Out<'_>) -> bool) -> bool {
    match arg {
        Arg::Index(0) => show(&event.process, out),
        Arg::Index(n) => {
            event.process.ancestors().nth(*n as usize - 1).is_some_and(|process| show(process, out))
        }
        _ => event.process.ancestors().any(|process| show(process, out)),
    }
}

/// The process of this id among the process and its ancestors.
fn leader(event: &Event, pid: u32) -> Option<&Process> {
    std::iter::once(&*event.process).chain(event.process.ancestors()).find(|process| process.key.pid == pid)
}

/// One variable of an environment.
fn variable<'e>(env: &'e Args, name: &str) -> Option<&'e [u8]> {
    env.iter().find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

fn show_env(process: &Process, arg: &Arg, out: &mut Out<'_>) -> bool {
    let Some(env) = &process.env else { return false };
    match arg {
        Arg::Key(name) => out.maybe(variable(env, name)),
        _ => out.rendered_each(|to| write_args(env, 0, to)),
    }
}

/// Whether the caller could change the file that it runs: it owns it, may override permissions, or may write.
pub(super) fn exe_writable(event: &Event) -> Option<bool> {
    let file = event.process.exe_file?.file;
    let task = &event.task;
    let bits = if task.egid == file.gid { 0o020 } else { 0o002 };
    Some(task.euid == 0 || task.euid == file.uid || file.mode & bits != 0)
}

/// The moment at which the image was started, nanoseconds since 1970.
fn wall_start(event: &Event) -> u64 {
    event
        .time
        .saturating_sub(event.boot_time.saturating_sub(event.process.exec_time.max(event.process.key.start)))
}

fn lifetime(event: &Event, process: &Process) -> u64 {
    event.boot_time.saturating_sub(process.key.start)
}

/// Something of the effective user, where it is known.
fn user(event: &Event, out: &mut Out<'_>, of: fn(&User) -> &str) -> bool {
    out.known(event.task.user.as_deref().map_or("", of).as_bytes())
}

fields! {
    FIELDS;
    /// Name of the thread, at most 15 characters.
    "proc.name" Text None CALLS => |event, _, out| out.text(event.task.comm.as_bytes());
    /// First argument: what the program was called as.
    "proc.exe" Text None CALLS => |event, _, out| out.maybe(first_arg(&event.process));
    /// Path of the executable, as the kernel resolved it.
    "proc.exepath" Text None CALLS => |event, _, out| out.known(event.process.exe.as_bytes());
    /// Name and arguments.
    "proc.cmdline" Text None CALLS => |event, _, out| {
        out.rendered(|to| write_cmdline(event.task.comm.as_bytes(), &event.process.args, to))
    };
    /// Program and arguments as they were passed.
    "proc.exeline" Text None CALLS => |event, _, out| out.rendered(|to| write_args(&event.process.args, 0, to));
    /// Arguments, without the program's own name.
    "proc.args" Text None CALLS => |event, _, out| out.rendered(|to| write_args(&event.process.args, 1, to));
    /// Number of arguments, without the program's own name.
    "proc.nargs" Number None CALLS => |event, _, out| {
        out.number(event.process.args.iter().count().saturating_sub(1) as u32)
    };
    /// Length of the command line.
    "proc.cmdlenargs" Number None CALLS => |event, _, out| {
        let args = event.process.args.iter().skip(1);
        out.number(args.map(<[u8]>::len).sum::<usize>() as u32)
    };
    /// Working directory, with a slash at the end.
    "proc.cwd" Text None CALLS => |event, _, out| {
        let cwd = event.process.cwd.as_bytes();
        if cwd.is_empty() || cwd.ends_with(b"/") {
            return out.known(cwd);
        }
        out.rendered(|to| {
            to.extend_from_slice(cwd);
            to.push(b'/');
        })
    };
    /// The environment, or one variable of it.
    "proc.env" Text Key CALLS => |event, arg, out| match (&event.process.env, arg) {
        (Some(env), Arg::Key(name)) => out.maybe(variable(env, name)),
        (Some(env), _) => out.rendered(|to| write_args(env, 0, to)),
        (None, _) => false,
    };
    /// Controlling terminal, 0 where there is none.
    "proc.tty" Number None CALLS => |event, _, out| out.maybe_number(event.process.tty);
    /// Process id.
    "proc.pid" Number None CALLS => |event, _, out| out.number(event.task.pid);
    /// Threads of the process, at the event.
    "proc.nthreads" Number None CALLS => |event, _, out| out.maybe_number(event.task.threads);
    /// Process id of the parent.
    "proc.ppid" Number None CALLS => |event, _, out| out.number(event.task.ppid);
    /// Process id in its own pid namespace.
    "proc.vpid" Number None CALLS => |event, _, out| out.maybe_number(event.process.vpid);
    /// Parent's process id in the process's pid namespace.
    "proc.pvpid" Number None CALLS => |event, _, out| out.maybe_number(event.process.vppid);
    /// Parent's process id in the process's pid namespace.
    "proc.vppid" Number None CALLS => |event, _, out| out.maybe_number(event.process.vppid);
    /// Session.
    "proc.sid" Number None CALLS => |event, _, out| out.number(event.process.sid);
    /// Name of the session's leader.
    "proc.sname" Text None CALLS => |event, _, out| {
        leader(event, event.process.sid).is_some_and(|leader| out.text(leader.comm.as_bytes()))
    };
    /// First argument of the session's leader.
    "proc.sid.exe" Text None CALLS => |event, _, out| {
        leader(event, event.process.sid).is_some_and(|leader| out.maybe(first_arg(leader)))
    };
    /// Executable of the session's leader.
    "proc.sid.exepath" Text None CALLS => |event, _, out| {
        leader(event, event.process.sid).is_some_and(|leader| out.known(leader.exe.as_bytes()))
    };
    /// Process group.
    "proc.pgid" Number None CALLS => |event, _, out| out.number(event.process.pgid);
    /// Process group in its own pid namespace.
    "proc.vpgid" Number None CALLS => |event, _, out| out.maybe_number(event.process.vpgid);
    /// Name of the process group's leader.
    "proc.vpgid.name" Text None CALLS => |event, _, out| {
        leader(event, event.process.pgid).is_some_and(|leader| out.text(leader.comm.as_bytes()))
    };
    /// First argument of the process group's leader.
    "proc.vpgid.exe" Text None CALLS => |event, _, out| {
        leader(event, event.process.pgid).is_some_and(|leader| out.maybe(first_arg(leader)))
    };
    /// Executable of the process group's leader.
    "proc.vpgid.exepath" Text None CALLS => |event, _, out| {
        leader(event, event.process.pgid).is_some_and(|leader| out.known(leader.exe.as_bytes()))
    };
    /// Whether the process leads its group.
    "proc.is_vpgid_leader" Bool None CALLS => |event, _, out| out.bool(event.process.pgid == event.task.pid);
    /// Whether the process leads its group.
    "proc.is_pgid_leader" Bool None CALLS => |event, _, out| out.bool(event.process.pgid == event.task.pid);
    /// Whether the process leads its session.
    "proc.is_sid_leader" Bool None CALLS => |event, _, out| out.bool(event.process.sid == event.task.pid);
    /// Parent's name.
    "proc.pname" Text None CALLS => |event, _, out| parent(event).is_some_and(|p| out.text(p.comm.as_bytes()));
    /// Parent's first argument.
    "proc.pexe" Text None CALLS => |event, _, out| parent(event).is_some_and(|p| out.maybe(first_arg(p)));
    /// Parent's executable.
    "proc.pexepath" Text None CALLS => |event, _, out| parent(event).is_some_and(|p| out.known(p.exe.as_bytes()));
    /// Parent's name and arguments.
    "proc.pcmdline" Text None CALLS => |event, _, out| parent(event).is_some_and(|parent| {
        out.rendered(|to| write_cmdline(parent.comm.as_bytes(), &parent.args, to))
    });
    /// Name of an ancestor: of the nth (1 is the parent), or of any.
    "proc.aname" Text Index CALLS => |event, arg, out| match arg {
        Arg::Index(0) => out.text(event.task.comm.as_bytes()),
        _ => ancestors(event, arg, out, |process, out| out.text(process.comm.as_bytes())),
    };
    /// First argument of an ancestor.
    "proc.aexe" Text Index CALLS => |event, arg, out| {
        ancestors(event, arg, out, |process, out| out.maybe(first_arg(process)))
    };
    /// Executable of an ancestor.
    "proc.aexepath" Text Index CALLS => |event, arg, out| {
        ancestors(event, arg, out, |process, out| out.known(process.exe.as_bytes()))
    };
    /// Process id of an ancestor.
    "proc.apid" Number Index CALLS => |event, arg, out| {
        ancestors(event, arg, out, |process, out| out.number(process.key.pid))
    };
    /// Name and arguments of an ancestor.
    "proc.acmdline" Text Index CALLS => |event, arg, out| ancestors(event, arg, out, |process, out| {
        out.rendered_each(|to| write_cmdline(process.comm.as_bytes(), &process.args, to))
    });
    /// Arguments of an ancestor.
    "proc.aargs" Text Index CALLS => |event, arg, out| ancestors(event, arg, out, |process, out| {
        out.rendered_each(|to| write_args(&process.args, 1, to))
    });
    /// Environment of any ancestor, or one variable of it.
    "proc.aenv" Text Key CALLS => |event, arg, out| match arg {
        Arg::Key(key) if key.bytes().all(|byte| byte.is_ascii_digit()) => {
            let nth = Arg::Index(key.parse().unwrap_or(u32::MAX));
            ancestors(event, &nth, out, |process, out| show_env(process, &Arg::None, out))
        }
        _ => event.process.ancestors().any(|process| show_env(process, arg, out)),
    };
    /// Nanoseconds since the process was created.
    "proc.duration" Number None CALLS => |event, _, out| match &event.detail {
        Detail::Exit(exit) => out.wide(exit.lifetime),
        _ => out.wide(lifetime(event, &event.process)),
    };
    /// Nanoseconds since the parent was created.
    "proc.ppid.duration" Number None CALLS => |event, _, out| {
        parent(event).is_some_and(|parent| out.wide(lifetime(event, parent)))
    };
    /// Start of the process, nanoseconds since 1970.
    "proc.pid.ts" Number None CALLS => |event, _, out| out.wide(wall_start(event));
    /// Whether the user could change the executable.
    "proc.is_exe_writable" Bool None CALLS => |event, _, out| {
        exe_writable(event).is_some_and(|writable| out.bool(writable))
    };
    /// Whether the executable was written or changed since the container was made.
    "proc.is_exe_upper_layer" Bool None CALLS => |event, _, out| {
        event.process.exe_file.is_some_and(|exe| out.bool(exe.file.layer == crate::event::Layer::Upper))
    };
    /// Whether the executable is as the image brought it.
    "proc.is_exe_lower_layer" Bool None CALLS => |event, _, out| {
        event.process.exe_file.is_some_and(|exe| out.bool(exe.file.layer == crate::event::Layer::Lower))
    };
    /// Whether the executable lives in memory only.
    "proc.is_exe_from_memfd" Bool None CALLS => |event, _, out| {
        event.process.exe_file.is_some_and(|exe| out.bool(exe.memfd))
    };
    /// Inode number of the executable.
    "proc.exe_ino" Number None CALLS => |event, _, out| {
        event.process.exe_file.is_some_and(|exe| out.wide(exe.file.ino))
    };
    /// Change time of the executable, nanoseconds since 1970.
    "proc.exe_ino.ctime" Number None CALLS => |event, _, out| {
        event.process.exe_file.is_some_and(|exe| exe.ctime != 0 && out.wide(exe.ctime))
    };
    /// Modification time of the executable, nanoseconds since 1970.
    "proc.exe_ino.mtime" Number None CALLS => |event, _, out| {
        event.process.exe_file.is_some_and(|exe| exe.mtime != 0 && out.wide(exe.mtime))
    };
    /// Nanoseconds from the executable's last change to the start of the image.
    "proc.exe_ino.ctime_duration_proc_start" Number None CALLS => |event, _, out| {
        event.process.exe_file.is_some_and(|exe| {
            exe.ctime != 0 && out.number(wall_start(event).cast_signed() - exe.ctime.cast_signed())
        })
    };
    /// Thread id.
    "thread.tid" Number None CALLS => |event, _, out| out.number(event.task.tid);
    /// Whether the thread is the process's first.
    "thread.ismain" Bool None CALLS => |event, _, out| out.bool(event.task.tid == event.task.pid);
    /// Effective capabilities.
    "thread.cap_effective" Flags None CALLS => |event, _, out| {
        event.task.cap_effective.is_some_and(|word| out.flags(flags::CAPABILITIES, word, " "))
    };
    /// Id of the thread in its own pid namespace.
    "thread.vtid" Number None CALLS => |event, _, out| out.maybe_number(event.task.vtid);
    /// Permitted capabilities.
    "thread.cap_permitted" Flags None CALLS => |event, _, out| {
        event.process.cap_permitted.is_some_and(|word| out.flags(flags::CAPABILITIES, word, " "))
    };
    /// Inheritable capabilities.
    "thread.cap_inheritable" Flags None CALLS => |event, _, out| {
        event.process.cap_inheritable.is_some_and(|word| out.flags(flags::CAPABILITIES, word, " "))
    };
    /// Id of the effective user.
    "user.uid" Number None CALLS => |event, _, out| out.number(event.task.euid);
    /// Name of the effective user.
    "user.name" Text None CALLS => |event, _, out| user(event, out, |user| &user.name);
    /// Home directory of the effective user, in a container as its own `passwd` has it.
    "user.homedir" Text None CALLS => |event, _, out| user(event, out, |user| &user.home);
    /// Shell of the effective user, in a container as its own `passwd` has it.
    "user.shell" Text None CALLS => |event, _, out| user(event, out, |user| &user.shell);
    /// Id of the user who logged in; -1 where nobody did.
    "user.loginuid" Number None CALLS => |event, _, out| {
        out.number(event.task.loginuid.map_or(-1, i64::from))
    };
    /// Name of the user who logged in.
    "user.loginname" Text None CALLS => |event, _, out| {
        out.maybe(event.task.login_user.as_deref().map(|user| user.name.as_bytes()))
    };
    /// Id of the effective group.
    "group.gid" Number None CALLS => |event, _, out| out.number(event.task.egid);
    /// Name of the effective group.
    "group.name" Text None CALLS => |event, _, out| out.maybe(event.task.group.as_deref().map(str::as_bytes));
}

not_carried! {
    NOT_CARRIED;
    /// Nanoseconds from the executable's last change to the start of its pid namespace.
    "proc.exe_ino.ctime_duration_pidns_start" Number None;
}
