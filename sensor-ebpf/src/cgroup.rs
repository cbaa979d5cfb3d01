//! Control groups come and go. A container's group is made before its first process runs, so whoever reads these records
//! knows the group's path in time.

use aya_ebpf::programs::BtfTracePointContext;
use sensor_common::{CgroupDir, Kind};

use crate::{
    kernel::{Ptr, cgroup_key},
    record::{emit, filtered, twice},
};

/// Longest group path (`PATH_MAX`).
const PATH: u32 = 4096;

/// Since 4.18; runs when the directory is complete. It misses nothing.
#[inline(always)]
fn made(ctx: &BtfTracePointContext) {
    cgroup_dir(ctx, Kind::CgroupMkdir);
}

twice!(cgroup_mkdir, cgroup_mkdir_2, "cgroup_mkdir", Kind::CgroupMkdir, number, made);

/// Since 4.18; runs when the last process is gone.
#[inline(always)]
fn removed(ctx: &BtfTracePointContext) {
    cgroup_dir(ctx, Kind::CgroupRmdir);
}

twice!(cgroup_rmdir, cgroup_rmdir_2, "cgroup_rmdir", Kind::CgroupRmdir, number, removed);

/// Which group.
#[inline(always)]
fn number(ctx: &BtfTracePointContext) -> u32 {
    cgroup_key(Ptr(ctx.arg(0))).unwrap_or(0) as u32
}

#[inline(always)]
fn cgroup_dir(ctx: &BtfTracePointContext, kind: Kind) {
    let (cgroup, path) = (ctx.arg::<*const u8>(0), ctx.arg::<*const u8>(1));
    let Some(id) = cgroup_key(Ptr(cgroup)) else {
        filtered(kind);
        return;
    };
    emit::<CgroupDir>(kind, |record| {
        let text = record.append_kernel_str(Ptr(path), PATH);
        let body = record.body::<CgroupDir>();
        body.id = id;
        body.path = text;
        Some(())
    });
}
