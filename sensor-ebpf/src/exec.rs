//! New process images, and attempts at them that failed.

mod refuse;

use aya_ebpf::programs::BtfTracePointContext;
use sensor_common::{
    ARGS_CHUNK, ARGS_INLINE, ARGS_MAX, Kind, LAYER_LOWER, LAYER_UPPER, ProcArgs, ProcExec, STREAM_ARGS,
    STREAM_ENV, Settings, Text, flags,
    offsets::MISSING,
    syscalls, valid,
    verdict::{EXEC, facts},
};

use crate::{
    filter::{Case, was_refused},
    kernel::{File, Ptr, Task, append_cwd, append_path, offset},
    record::{Record, current, emit, filtered, twice, wanted},
    syscall::{Call, on_end},
};

const PATH: u32 = 4096;
const CHUNK: u32 = ARGS_CHUNK as u32;

/// Since 5.5 as a BTF program; runs when the new image is in place and before its first instruction, so arguments and
/// credentials are the new ones and nobody can have changed them yet.
#[inline(always)]
fn exec(ctx: &BtfTracePointContext) {
    let task = Task::current();
    let Some(mm) = task.field(offset!(task_mm)) else { return };
    let args = span(mm, offset!(mm_arg_start), offset!(mm_arg_end));
    let env = span(mm, offset!(mm_env_start), offset!(mm_env_end));
    let ahead = if args.1 > ARGS_INLINE as u32 { send_ahead(STREAM_ARGS, args) } else { 0 };
    if wanted(Settings::WANT_ENV) {
        send_ahead(STREAM_ENV, env);
    }
    let bprm = Ptr(ctx.arg::<*const u8>(2));
    emit::<ProcExec>(Kind::ProcExec, |record| {
        let body = record.body::<ProcExec>();
        body.args_len = args.1;
        body.env_len = env.1;
        let file = File::read(bprm.probe_ptr(offset!(bprm_file))?)?;
        identify(record, task, file);
        let exe = append_path(record, task, file.path)?;
        let filename = record.append_kernel_str(bprm.probe_ptr(offset!(bprm_filename))?, PATH);
        let interpreter = match bprm.probe_ptr(offset!(bprm_interp)) {
            Some(name) => record.append_kernel_str(name, 256),
            None => Text { len: 0, flags: 0 },
        };
        let cwd = append_cwd(record, task)?;
        let rest = if ahead == 0 { args.1 } else { 0 };
        let inline = record.append_user(args.0, rest, ARGS_INLINE as u32, 0);
        let body = record.body::<ProcExec>();
        body.exe = exe;
        body.filename = filename;
        body.interpreter = interpreter;
        body.cwd = cwd;
        body.args = inline;
        record.header().syscall = exec_call(bprm) as u16;
        let case = Case::of(EXEC);
        if !case.is_none() {
            let case = case.of_comm(task.comm()).of_file(facts(file), file.path);
            if case.of_path::<ProcExec>(record, exe).kills() {
                record.header().flags |= flags::KILLED;
            }
        }
        Some(())
    });
}

twice!(proc_exec, proc_exec_2, "sched_process_exec", Kind::ProcExec, current, exec);

/// What a verdict can ask of a program's file.
#[inline(always)]
fn facts(file: File) -> u32 {
    match file.layer() {
        Some(LAYER_UPPER) => facts::UPPER,
        Some(LAYER_LOWER) => facts::LOWER,
        _ => 0,
    }
}

/// Which call it was. The saved register does not tell: the kernel writes `execve` into it when the new image is in place.
/// It makes up a path for a descriptor (`/dev/fd/3/name`), so an `execveat` that needed none passes for an `execve`.
#[inline(always)]
fn exec_call(bprm: Ptr) -> u32 {
    if offset!(bprm_fdpath) != MISSING && bprm.probe_ptr(offset!(bprm_fdpath)).is_some() {
        syscalls::EXECVEAT
    } else {
        syscalls::EXECVE
    }
}

/// A failed `execve` or `execveat`: what was asked for, in the words of the caller.
#[inline(always)]
fn exec_failed(call: Call) {
    if call.result() >= 0 {
        // The record of a successful one is `proc_exec`'s.
        return;
    }
    if was_refused(call.result()) {
        filtered(Kind::ProcExec);
        return;
    }
    emit::<ProcExec>(Kind::ProcExec, |record| {
        call.head(record);
        let at = u32::from(call.number() == syscalls::EXECVEAT);
        let filename = record.append_user_str(if at == 0 { call.arg(0) } else { call.arg(1) }, PATH);
        let cwd = append_cwd(record, call.task)?;
        let args = record.append_user_list(if at == 0 { call.arg(1) } else { call.arg(2) }, call.is_compat());
        let body = record.body::<ProcExec>();
        body.filename = filename;
        body.cwd = cwd;
        body.args = args;
        body.args_len = u32::from(args.len);
        Some(())
    });
}

on_end!(sx_proc_exec, fx_proc_exec, exec_failed);

/// Start and length of a part of the process's stack.
#[inline(always)]
fn span(mm: Ptr, start: u32, end: u32) -> (u64, u32) {
    let start: u64 = mm.load(start).unwrap_or(0);
    let end: u64 = mm.load(end).unwrap_or(0);
    (start, end.saturating_sub(start) as u32)
}

/// Sends a long list in pieces ahead of its exec record, and says how much it sent.
#[inline(always)]
fn send_ahead(stream: u32, (start, len): (u64, u32)) -> u32 {
    let mut offset = 0;
    for _ in 0..ARGS_MAX / ARGS_CHUNK {
        if offset >= len {
            break;
        }
        emit::<ProcArgs>(Kind::ProcArgs, |record| {
            let bytes = record.append_user(start + u64::from(offset), len - offset, CHUNK, 0);
            let body = record.body::<ProcArgs>();
            body.stream = stream;
            body.offset = offset;
            body.bytes = bytes;
            Some(())
        });
        offset += CHUNK;
    }
    if offset < len { offset } else { len }
}

/// Who the new image is: the file, and the process's ids, namespaces, terminal and capabilities.
#[inline(always)]
fn identify(record: &mut Record, task: Task, file: File) {
    let mut bits = 0;
    let body = record.body::<ProcExec>();
    if let Some(valid) = file.identify(&mut body.file) {
        bits |= valid;
    }
    if let Some((ctime, mtime)) = file.times() {
        body.ctime = ctime;
        body.mtime = mtime;
        bits |= valid::TIMES;
    }
    if let Some(parent) = task.parent() {
        body.parent_start = parent.start().unwrap_or(0);
        body.vppid = task.vpid_of(parent).unwrap_or(0);
    }
    if let Some((vpid, pid_ns)) = task.vpid() {
        body.vpid = vpid;
        body.pid_ns = pid_ns;
        bits |= valid::VPID;
    }
    if let Some((pgid, vpgid)) = task.pid_of_type(offset!(signal_pgid)) {
        body.pgid = pgid;
        body.vpgid = vpgid;
    }
    if let Some((sid, vsid)) = task.pid_of_type(offset!(signal_sid)) {
        body.sid = sid;
        body.vsid = vsid;
    }
    if let Some(tty) = task.tty() {
        body.tty = tty;
        bits |= valid::TTY;
    }
    if let Some(net_ns) = task.namespace(offset!(nsproxy_net), offset!(net_ns_inum)) {
        body.net_ns = net_ns;
        bits |= valid::NAMESPACES;
    }
    if let Some(cred) = task.field(offset!(task_cred)) {
        body.cap_inheritable = cred.load(offset!(cred_cap_inheritable)).unwrap_or(0);
        body.cap_permitted = cred.load(offset!(cred_cap_permitted)).unwrap_or(0);
        body.user_ns = cred
            .follow(offset!(cred_user_ns))
            .and_then(|user_ns| user_ns.load(offset!(user_ns_inum)))
            .unwrap_or(0);
    }
    record.header().valid |= bits;
}
