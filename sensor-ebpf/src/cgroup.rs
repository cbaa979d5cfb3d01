//! Control groups come and go. A container's group is made before its first process runs, so whoever reads these records
//! knows the group's path in time.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use sensor_common::{CgroupDir, Kind};

use crate::{
    kernel::{Ptr, cgroup_key},
    record::{emit, filtered},
};

/// Longest group path (`PATH_MAX`).
const PATH: u32 = 4096;

/// Since 4.18; runs when the directory is complete. It misses nothing.
#[btf_tracepoint(function = "cgroup_mkdir")]
fn cgroup_mkdir(ctx: BtfTracePointContext) -> i32 {
    cgroup_dir(&ctx, Kind::CgroupMkdir);
    0
}

/// Since 4.18; runs when the last process is gone.
#[btf_tracepoint(function = "cgroup_rmdir")]
fn cgroup_rmdir(ctx: BtfTracePointContext) -> i32 {
    cgroup_dir(&ctx, Kind::CgroupRmdir);
    0
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
