//! Processes begin and end.

use aya_ebpf::programs::BtfTracePointContext;
use sensor_common::{Kind, ProcExit, ProcFork, flags, valid};

use crate::{
    kernel::{Task, knob, offset},
    record::{current, emit, end, filtered, twice},
};

const CLONE_VM: u64 = 0x100;
const CLONE_FS: u64 = 0x200;
const CLONE_FILES: u64 = 0x400;

/// Since 5.5 as a BTF program; runs in the parent before the child is woken, so no event of the child can precede it.
/// Threads are not processes and pass unseen.
#[inline(always)]
fn fork(ctx: &BtfTracePointContext) {
    let child = Task::at(ctx.arg(1));
    // Numbers, not options: those are compared with what lies in an empty one ("R1 !read_ok" on 5.10).
    if child.tid().unwrap_or(0) != child.tgid().unwrap_or(0) {
        filtered(Kind::ProcFork);
        return;
    }
    let task = Task::current();
    emit::<ProcFork>(Kind::ProcFork, |record| {
        let parent = child.parent()?;
        let vpid = child.vpid();
        let body = record.body::<ProcFork>();
        body.child_start = child.start()?;
        body.parent_start = parent.start()?;
        body.child_cgroup = child.cgroup().unwrap_or(0);
        body.child_tgid = child.tgid()?;
        body.parent_tgid = parent.tgid()?;
        body.clone_flags = shared(task, child, offset!(task_mm), CLONE_VM)
            | shared(task, child, offset!(task_fs), CLONE_FS)
            | shared(task, child, offset!(task_files), CLONE_FILES);
        if let Some((number, namespace)) = vpid {
            body.child_vpid = number;
            body.child_pid_ns = namespace;
            record.header().valid |= valid::VPID;
        }
        if let Some(number) = task.syscall() {
            record.header().syscall = number as u16;
        }
        if task.is_compat() {
            record.header().flags |= flags::COMPAT;
        }
        Some(())
    });
}

/// The child.
#[inline(always)]
fn forked(ctx: &BtfTracePointContext) -> u32 {
    Task::at(ctx.arg(1)).tid().unwrap_or(0)
}

twice!(proc_fork, proc_fork_2, "sched_process_fork", Kind::ProcFork, forked, fork);

/// `flag` where both tasks have the same of something.
#[inline(always)]
fn shared(task: Task, child: Task, member: u32, flag: u64) -> u64 {
    let (ours, theirs): (u64, u64) =
        (task.field_value(member).unwrap_or(0), child.field_value(member).unwrap_or(0));
    if ours == theirs { flag } else { 0 }
}

/// Since 5.5 as a BTF program; runs for every thread, with `signal->live` already lowered, so the one that finds it zero
/// is the last. Two threads that exit at the same instant can both find that: the daemon drops the second record.
#[inline(always)]
fn exit(_: &BtfTracePointContext) {
    let task = Task::current();
    let signal = task.field(offset!(task_signal));
    let live: u32 = signal.and_then(|signal| signal.load(offset!(signal_live))).unwrap_or(1);
    if live != 0 {
        filtered(Kind::ProcExit);
        return;
    }
    if task.tgid() == Some(knob!(self_tgid)) {
        end();
    }
    emit::<ProcExit>(Kind::ProcExit, |record| {
        let group: u32 = signal?.load(offset!(signal_exit_code))?;
        let own: u32 = task.field_value(offset!(task_exit_code))?;
        let header = record.header();
        let lifetime = header.ts.saturating_sub(header.start);
        let body = record.body::<ProcExit>();
        body.lifetime = lifetime;
        body.status = if group != 0 { group } else { own };
        Some(())
    });
}

twice!(proc_exit, proc_exit_2, "sched_process_exit", Kind::ProcExit, current, exit);
