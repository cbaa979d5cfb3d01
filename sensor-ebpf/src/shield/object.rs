//! The sensor's own maps, programs and links: nobody else writes into the first, takes off the last, and no container gets hold
//! of any. Reading them on the host is let alone.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::{lsm, map},
    maps::HashMap,
    programs::LsmContext,
};
use sensor_common::{
    Kind,
    offsets::MISSING,
    shield::{LINK, MAP, OBJECTS, PROGRAM, Shielded},
};

use super::{Caller, tell};
use crate::kernel::{Ptr, Task, fd_file, offset};

/// What is shielded; the daemon writes it down.
#[map]
pub(super) static SHIELDED: HashMap<Shielded, u32> = HashMap::with_max_entries(OBJECTS, BPF_F_NO_PREALLOC);

const PROG_GET_FD_BY_ID: u32 = 13;
const MAP_GET_FD_BY_ID: u32 = 14;
const LINK_UPDATE: u32 = 29;
const LINK_GET_FD_BY_ID: u32 = 30;
const LINK_DETACH: u32 = 34;
/// Of a map's descriptor: it can be written to.
const FMODE_WRITE: u32 = 2;

/// Asked when a descriptor of a map is made: by its number, or of one that is pinned.
#[lsm(hook = "bpf_map")]
fn shield_map(ctx: LsmContext) -> i32 {
    let before: i32 = ctx.arg(2);
    if before != 0 {
        return before;
    }
    let map = Ptr(ctx.arg::<*const u8>(0));
    let Some(id) = map.probe::<u32>(offset!(bpf_map_id)) else { return 0 };
    if !is_ours(MAP, id) {
        return 0;
    }
    match Caller::current() {
        Caller::Sensor => 0,
        Caller::Host if ctx.arg::<u32>(1) & FMODE_WRITE == 0 => 0,
        _ => refuse(u64::from(MAP_GET_FD_BY_ID)),
    }
}

/// Asked of every call of `bpf`, whose arguments the kernel has copied: the first is the number of the object, or a descriptor.
/// What security modules said before is not asked: where it comes in the arguments changed with 6.15, and who was refused by
/// another program is not asked here.
#[lsm(hook = "bpf")]
fn shield_bpf(ctx: LsmContext) -> i32 {
    let command = ctx.arg::<i32>(0) as u32;
    let kind = match command {
        PROG_GET_FD_BY_ID => PROGRAM,
        MAP_GET_FD_BY_ID => MAP,
        LINK_GET_FD_BY_ID | LINK_UPDATE | LINK_DETACH => LINK,
        _ => return 0,
    };
    let Some(first) = Ptr(ctx.arg::<*const u8>(1)).probe::<u32>(0) else { return 0 };
    let changes = command == LINK_UPDATE || command == LINK_DETACH;
    let id = if changes { link(first as i32) } else { Some(first) };
    let Some(id) = id else { return 0 };
    if !is_ours(kind, id) {
        return 0;
    }
    match Caller::current() {
        Caller::Sensor => 0,
        Caller::Host if !changes => 0,
        _ => refuse(u64::from(command)),
    }
}

/// The number of the link behind a descriptor. Of a descriptor of something else it is any number, but then the call fails anyway.
#[inline(always)]
fn link(fd: i32) -> Option<u32> {
    if offset!(bpf_link_id) == MISSING {
        return None;
    }
    fd_file(Task::current(), fd)?.owner().probe(offset!(bpf_link_id))
}

#[inline(always)]
fn is_ours(kind: u32, id: u32) -> bool {
    let key = Shielded { kind, dev: 0, id: u64::from(id) };
    // SAFETY: the value is not looked at.
    unsafe { SHIELDED.get(key) }.is_some()
}

#[inline(always)]
fn refuse(command: u64) -> i32 {
    tell(Kind::KernelBpf, [command, 0])
}
