//! The sensor itself: what turns against it is refused (`-EPERM`), where the kernel was started with BPF among its security
//! modules, and told of as the call by which it was tried.
//!
//! Since 5.7. Whoever is root on the host has other ways (a module, the freezer, another kernel); what is refused here is what
//! a container could do that was given too much, and what ends the sensor without its having a say.

mod folder;
mod group;
mod object;

use aya_ebpf::{macros::lsm, programs::LsmContext};
use sensor_common::{Kind, SysCall, flags, syscalls};

use crate::{
    filter::{is_host, note_refusal},
    kernel::{Task, knob},
    record::{Record, emit, settings},
    syscall::Call,
};

/// `-EPERM`.
const REFUSED: i32 = -1;
/// The first pid namespace (`PROC_PID_INIT_INO`).
const FIRST_PID_NS: u32 = 0xefff_fffc;
/// Of an access to another task: more than reading what `/proc` shows.
const PTRACE_MODE_ATTACH: u32 = 2;
const PTRACE_ATTACH: u64 = 16;

const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// `SIGCHLD`, `SIGCONT`, `SIGURG`, `SIGWINCH`: they end and stop nothing.
const HARMLESS: u64 = bit(17) | bit(18) | bit(23) | bit(28);
/// `SIGHUP`, `SIGINT`, `SIGTERM`: what an administrator orders, and the sensor does by itself.
const ORDERS: u64 = bit(1) | bit(2) | bit(15);

/// Who does something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// The sensor; or anybody, once it has ended.
    Sensor,
    /// Somebody on the host.
    Host,
    /// Somebody in a container: of other namespaces than the host's, and not in a control group that is known to be the host's.
    Container,
}

impl Caller {
    #[inline(always)]
    fn current() -> Self {
        let task = Task::current();
        let ended = settings(|settings| &settings.ended) != 0;
        if ended || task.tgid() == Some(knob!(self_tgid)) || task.is_kernel() {
            return Self::Sensor;
        }
        let first = task.vpid().is_none_or(|(_, namespace)| namespace == FIRST_PID_NS);
        let host = knob!(host_mnt_ns);
        let inside = host != 0 && task.mnt_ns().is_some_and(|namespace| namespace != host);
        if first && !inside || task.cgroup().is_none_or(is_host) { Self::Host } else { Self::Container }
    }
}

/// Asked for each process that a signal is for, before it is sent; signals of the kernel's own pass by.
///
/// Process 1 and whoever started the sensor (a supervisor, a shim) may send any. Where the sensor is in a container itself,
/// so may everybody on the host: a runtime must be able to end it.
#[lsm(hook = "task_kill")]
fn shield_signal(ctx: LsmContext) -> i32 {
    let before: i32 = ctx.arg(4);
    if before != 0 {
        return before;
    }
    let target = Task::at(ctx.arg(0));
    let signal = ctx.arg::<i32>(2) as u32;
    if target.tgid() != Some(knob!(self_tgid)) || signal == 0 || may_signal(target, bit(signal & 63)) {
        return 0;
    }
    tell(Kind::ProcSignal, [u64::from(knob!(self_tgid)), u64::from(signal)])
}

#[inline(always)]
fn may_signal(target: Task, signal: u64) -> bool {
    if signal & HARMLESS != 0 {
        return true;
    }
    let caller = Task::current().tgid().unwrap_or(1);
    if caller == 1 || target.parent().and_then(Task::tgid) == Some(caller) {
        return true;
    }
    match Caller::current() {
        Caller::Sensor => true,
        Caller::Container => false,
        Caller::Host => signal & ORDERS != 0 || !target.cgroup().is_some_and(is_host),
    }
}

/// Debuggers, and every other way to another process's memory and descriptors. To look at what `/proc` shows is let alone.
#[lsm(hook = "ptrace_access_check")]
fn shield_trace(ctx: LsmContext) -> i32 {
    let before: i32 = ctx.arg(2);
    if before != 0 {
        return before;
    }
    let target = Task::at(ctx.arg(0));
    let attaches = ctx.arg::<u32>(1) & PTRACE_MODE_ATTACH != 0;
    if !attaches || target.tgid() != Some(knob!(self_tgid)) || Caller::current() == Caller::Sensor {
        return 0;
    }
    tell(Kind::ProcTrace, [PTRACE_ATTACH, u64::from(knob!(self_tgid))])
}

/// Tells of a refusal as of the call by which it was tried; else as of the usual one, with `args`: there are other ways to do the
/// same (`rt_sigqueueinfo`, `/proc/PID/mem`).
#[inline(always)]
fn tell(kind: Kind, [first, second]: [u64; 2]) -> i32 {
    let Some(call) = Call::current().filter(|call| is_of(kind, call.number())) else {
        emit::<SysCall>(kind, |record| {
            refused(record, usual(kind));
            let [a, b, ..] = &mut record.body::<SysCall>().args;
            *a = first;
            *b = second;
            Some(())
        });
        return REFUSED;
    };
    // A signal for many may still reach the others: how that ended is told of as well.
    if call.number() != syscalls::KILL || (call.arg(0) as i32) > 0 {
        note_refusal();
    }
    emit::<SysCall>(kind, |record| {
        refused(record, call.number());
        call.write_args(record);
        if call.number() == syscalls::PIDFD_SEND_SIGNAL {
            let [.., process, _] = &mut record.body::<SysCall>().args;
            *process = u64::from(knob!(self_tgid));
        }
        Some(())
    });
    REFUSED
}

/// Whether a call is one of those of which these records tell.
#[inline(always)]
fn is_of(kind: Kind, number: u32) -> bool {
    match kind {
        Kind::ProcSignal => matches!(
            number,
            syscalls::KILL | syscalls::TKILL | syscalls::TGKILL | syscalls::PIDFD_SEND_SIGNAL
        ),
        Kind::ProcTrace => matches!(
            number,
            syscalls::PTRACE
                | syscalls::PROCESS_VM_READV
                | syscalls::PROCESS_VM_WRITEV
                | syscalls::PIDFD_GETFD
        ),
        Kind::KernelBpf => number == syscalls::BPF,
        Kind::FileRemove => matches!(number, syscalls::UNLINK | syscalls::UNLINKAT | syscalls::RMDIR),
        _ => matches!(number, syscalls::RENAME | syscalls::RENAMEAT | syscalls::RENAMEAT2),
    }
}

/// The number of the call by which it is mostly tried.
#[inline(always)]
fn usual(kind: Kind) -> u32 {
    match kind {
        Kind::ProcSignal => syscalls::KILL,
        Kind::ProcTrace => syscalls::PTRACE,
        Kind::KernelBpf => syscalls::BPF,
        Kind::FileRemove => syscalls::UNLINKAT,
        _ => syscalls::RENAMEAT2,
    }
}

/// What the header of a refused call says.
#[inline(always)]
fn refused(record: &mut Record, number: u32) {
    let header = record.header();
    header.syscall = number as u16;
    header.result = i64::from(REFUSED);
    header.flags |= flags::REFUSED;
}
