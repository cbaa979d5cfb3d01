//! Which kernel has what: BTF → the offsets and knobs that are patched into the programs.

use std::fs;

use sensor_common::{
    Knobs,
    offsets::{FIELDS, MISSING, Need},
    syscalls::Machine,
};

use super::{
    ProbeError, Report,
    btf::Btf,
    machine::{self, HERE},
    namespace,
    object::Reads,
    preemption,
};

/// Offsets in the order of [`FIELDS`], which is the order of `Offsets`.
///
/// # Errors
/// [`ProbeError::Field`] where one is missing that the sensor cannot do without.
pub(super) fn offsets(btf: &Btf, report: &mut Report) -> Result<Vec<u32>, ProbeError> {
    FIELDS
        .iter()
        .map(|field| match (btf.resolve(field.path), field.need) {
            (Some(offset), _) => Ok(offset),
            (None, Need::Always) => Err(ProbeError::Field(field.path)),
            (None, Need::Optional) => {
                report.field_missing(field);
                Ok(MISSING)
            }
        })
        .collect()
}

/// How the programs read here: with pointers made out of addresses (since 6.2, by a call that takes the compiler of the kernel),
/// else with those that lead from what `bpf_get_current_task_btf` returns (since 5.11).
pub(super) fn reads(btf: &Btf) -> Reads {
    let compiles = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").is_ok_and(|set| set.trim() != "0");
    match btf.cast() {
        Some(cast) if compiles && cast_types(btf).is_some() => Reads::Casts(cast),
        _ if btf.enumerator("BPF_FUNC_get_current_task_btf").is_some() => Reads::Direct,
        _ => Reads::Probes,
    }
}

/// The types that addresses are made pointers to: a task, and 64 bits.
fn cast_types(btf: &Btf) -> Option<[u32; 2]> {
    Some([btf.composite_id("task_struct")?, btf.composite_id("timespec64")?])
}

/// What the programs should do here. `ring_bytes` is the size of the ring.
pub(super) fn knobs(btf: &Btf, ring_bytes: u32) -> Knobs {
    let has = |helper: &str| u32::from(btf.enumerator(helper).is_some());
    let packed = match (btf.resolve("dentry.d_parent"), btf.resolve("dentry.d_name|dentry.__d_name")) {
        (Some(parent), Some(name)) if name == parent + 8 => {
            let short = btf.resolve("dentry.d_iname|dentry.d_shortname") == Some(parent + 32);
            1 + u32::from(short)
        }
        _ => 0,
    };
    let [type_task, type_word] = cast_types(btf).unwrap_or_default();
    let (cgroup1_css, cgroup1_hierarchy) = cgroup1(btf).unwrap_or((MISSING, MISSING));
    Knobs {
        task_pt_regs: has("BPF_FUNC_task_pt_regs"),
        self_tgid: std::process::id(),
        cgroup1_css,
        cgroup1_hierarchy,
        // Lifecycle records own the last quarter.
        ring_headroom: ring_bytes / 4 * 3,
        dentry_packed: packed,
        // See `Ring::wait`: twice this long without a record, and the next one is sure to wake.
        wake_after: 1_000_000,
        compat_bit: machine::compat_bit(HERE),
        arm64: u32::from(HERE == Machine::Arm64),
        host_mnt_ns: namespace::host_mounts().unwrap_or(0),
        type_task,
        type_word,
        stand_ins: u32::from(preemption::reaches_tracepoints()),
    }
}

/// The v1 controller that tells containers apart where the unified hierarchy does not: its slot in `css_set` and the number
/// of its hierarchy.
fn cgroup1(btf: &Btf) -> Option<(u32, u32)> {
    let (controller, hierarchy) = legacy_hierarchy()?;
    let index = btf.enumerator(&format!("{controller}_cgrp_id"))?;
    Some((btf.resolve("css_set.subsys")? + index * 8, hierarchy))
}

/// Name of that controller; `None` on hosts with the unified hierarchy alone.
#[must_use]
pub fn legacy_controller() -> Option<String> {
    legacy_hierarchy().map(|(controller, _)| controller.to_owned())
}

/// Every runtime uses the memory controller, or at least that for pids.
fn legacy_hierarchy() -> Option<(&'static str, u32)> {
    let table = fs::read_to_string("/proc/cgroups").ok()?;
    ["memory", "pids"].into_iter().find_map(|controller| {
        let mut columns = table.lines().find_map(|line| {
            let mut columns = line.split_whitespace();
            (columns.next()? == controller).then_some(columns)
        })?;
        let hierarchy: u32 = columns.next()?.parse().ok()?;
        (hierarchy != 0).then_some((controller, hierarchy))
    })
}
