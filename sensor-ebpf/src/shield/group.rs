//! The control groups in which the sensor is: no container opens a file there by which it could be frozen, killed or starved.
//! Who moves it by a file of another group is not seen here: no security module is told of whom a group gets.

use aya_ebpf::{
    macros::{lsm, map},
    maps::Array,
    programs::LsmContext,
};
use sensor_common::{CALLER_DIR, FileOpen, Kind};

use super::{Caller, REFUSED};
use crate::{
    filter::note_refusal,
    kernel::{File, GroupFile, Ptr, Task, append_path, knob, offset},
    record::emit,
    syscall::{opening, portable},
};

/// Of a file: it can be written to.
const FMODE_WRITE: u32 = 2;
const CGROUP_MAGIC: u64 = 0x0027_e0eb;
const CGROUP2_MAGIC: u64 = 0x6367_7270;

const fn word(name: &[u8; 8]) -> u64 {
    u64::from_ne_bytes(*name)
}

/// Where the sensor's first thread is: its groups are asked of the kernel each time, in hierarchies that are mounted nowhere
/// here, too. It is noted when the sensor opens something to write, which the daemon does on purpose.
#[map]
static SHIELD_TASK: Array<u64> = Array::with_max_entries(1, 0);

/// Since 5.7. Most opens end with the first question, as they are not for writing, and nearly all others with that for the
/// filesystem.
#[lsm(hook = "file_open")]
fn shield_group(ctx: LsmContext) -> i32 {
    let before: i32 = ctx.arg(1);
    if before != 0 {
        return before;
    }
    let file = Ptr(ctx.arg::<*const u8>(0));
    if file.probe::<u32>(offset!(file_mode)).unwrap_or(0) & FMODE_WRITE == 0 {
        return 0;
    }
    match SHIELD_TASK.get(0).copied().unwrap_or(0) {
        0 => learn(),
        sensor if guards(file, Ptr::from_u64(sensor)) && Caller::current() == Caller::Container => {
            return tell(file);
        }
        _ => {}
    }
    0
}

#[inline(always)]
fn learn() {
    let task = Task::current();
    if task.tgid() == Some(knob!(self_tgid))
        && let Some(leader) = task.leader()
    {
        let _ = SHIELD_TASK.set(0, leader.0.0 as u64, 0);
    }
}

/// Whether it is a file of a group in which the sensor is, by which something could be done to it.
#[inline(always)]
fn guards(file: Ptr, sensor: Ptr) -> bool {
    let Some(inode) = file.probe_ptr(offset!(file_inode)) else { return false };
    let magic = inode.probe_ptr(offset!(inode_sb)).and_then(|sb| sb.probe::<u64>(offset!(sb_magic)));
    if !matches!(magic, Some(CGROUP_MAGIC | CGROUP2_MAGIC)) {
        return false;
    }
    let Some(file) = GroupFile::of(inode) else { return false };
    !is_harmless(file.name().unwrap_or(0)) && file.is_of(sensor)
}

/// What runtimes and agents in containers write for good reasons, also above their own group, and nobody suffers from: which
/// controllers the groups below may have, whom to wake under pressure, and of which events to tell.
#[inline(always)]
fn is_harmless(name: u64) -> bool {
    const SUBTREE_CONTROL: u64 = word(b"cgroup.s");
    const EVENT_CONTROL: u64 = word(b"cgroup.e");
    const CPU_PRESSURE: u64 = word(b"cpu.pres");
    const IO_PRESSURE: u64 = word(b"io.press");
    const IRQ_PRESSURE: u64 = word(b"irq.pres");
    // Shared with `memory.peak`, which is no less harmless.
    const MEMORY_PRESSURE: u64 = word(b"memory.p");
    matches!(
        name,
        SUBTREE_CONTROL | EVENT_CONTROL | CPU_PRESSURE | IO_PRESSURE | IRQ_PRESSURE | MEMORY_PRESSURE
    )
}

/// The record of the open that would have been.
#[inline(always)]
fn tell(at: Ptr) -> i32 {
    note_refusal();
    let (task, asked) = (Task::current(), at.probe(offset!(file_flags)).unwrap_or(0));
    emit::<FileOpen>(Kind::FileOpen, |record| {
        let file = File::read(at)?;
        let path = append_path(record, task, file.path)?;
        let body = record.body::<FileOpen>();
        body.path = path;
        body.open_flags = portable(asked);
        body.dirfd = CALLER_DIR;
        body.f_mode = file.f_mode;
        let valid = file.identify(&mut body.file)?;
        super::refused(record, u32::from(opening(task)));
        record.header().valid |= valid;
        Some(())
    });
    REFUSED
}
