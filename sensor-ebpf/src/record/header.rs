//! The header of a record: who, when, with which credentials. Read from the current task, never from a cache.

use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns};
use sensor_common::{Header, valid};

use super::SCRATCH;
use crate::kernel::{Task, offset};

/// Writes what the task says into a header that says nothing else yet but perhaps what it is valid for. `None` where the task
/// cannot be read.
#[inline(always)]
pub(super) fn write_header(header: &mut Header, task: Task) -> Option<()> {
    // SAFETY: no arguments.
    let (ts, cpu) = unsafe { (bpf_ktime_get_boot_ns(), bpf_get_smp_processor_id()) };
    let cred = task.field(offset!(task_cred))?;
    header.ts = ts;
    header.start = task.start()?;
    header.cpu = cpu as u16;
    header.tgid = task.tgid()?;
    header.tid = task.tid()?;
    header.ppid = task.parent()?.tgid()?;
    header.uid = cred.load(offset!(cred_uid))?;
    header.euid = cred.load(offset!(cred_euid))?;
    header.gid = cred.load(offset!(cred_gid))?;
    header.egid = cred.load(offset!(cred_egid))?;
    let comm = task.comm()?;
    // SAFETY: the name lies 8-aligned in the scratch memory; two words instead of a loop over bytes.
    unsafe {
        let to = (&raw mut header.comm).cast::<u64>();
        to.write(comm[0]);
        to.add(1).write(comm[1]);
    }
    if let Some(loginuid) = task.field_value(offset!(task_loginuid)) {
        header.loginuid = loginuid;
        header.valid |= valid::LOGINUID;
    }
    if let Some(mnt_ns) = task.namespace(offset!(nsproxy_mnt), offset!(mnt_ns_inum)) {
        header.mnt_ns = mnt_ns;
        header.valid |= valid::MNT_NS;
    }
    if let Some(vtid) = task.vtid() {
        header.vtid = vtid;
        header.valid |= valid::VTID;
    }
    if let Some(threads) = task.threads() {
        header.threads = threads;
        header.valid |= valid::THREADS;
    }
    if let Some(caps) = cred.load(offset!(cred_cap_effective)) {
        header.cap_effective = caps;
        header.valid |= valid::CAPS;
    }
    if let Some(cgroup) = task.cgroup() {
        header.cgroup = cgroup;
        header.valid |= valid::CGROUP;
    }
    Some(())
}

/// [`write_header`] of a slot. Not zero where the task cannot be read.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn record_head(slot: u32) -> i32 {
    let Some(base) = SCRATCH.get_ptr_mut(slot) else { return -1 };
    // SAFETY: the scratch memory is aligned and larger than a header.
    let header = unsafe { &mut *base.cast::<Header>() };
    if write_header(header, Task::current()).is_some() { 0 } else { -1 }
}
