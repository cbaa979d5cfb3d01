//! Numbers of processes: in the initial pid namespace and in their own.

use super::{Ptr, Task, offset};

impl Task {
    /// One of `signal->pids[]` as (id in the initial namespace, id in the task's own).
    #[inline(always)]
    pub(crate) fn pid_of_type(self, kind: u32) -> Option<(u32, u32)> {
        let pid = self.0.probe_ptr(offset!(task_signal))?.probe_ptr(kind)?;
        Some((pid_number(pid, 0)?.0, pid_number(pid, self.pid_level()?)?.0))
    }

    /// Depth of the task's own pid namespace.
    #[inline(always)]
    fn pid_level(self) -> Option<u32> {
        self.0.probe_ptr(offset!(task_thread_pid))?.probe(offset!(pid_level))
    }

    /// The thread's id in its own pid namespace.
    #[inline(always)]
    pub(crate) fn vtid(self) -> Option<u32> {
        let pid = self.0.follow(offset!(task_thread_pid))?;
        let level: u32 = pid.load(offset!(pid_level))?;
        if level == 0 {
            return self.tid();
        }
        // Namespaces nest at most 32 deep (MAX_PID_NS_LEVEL).
        pid.probe(offset!(pid_numbers) + offset!(upid_size) * (level & 31) + offset!(upid_nr))
    }

    /// The process's id in its own pid namespace, and that namespace's inode number.
    #[inline(always)]
    pub(crate) fn vpid(self) -> Option<(u32, u32)> {
        let pid = self.0.probe_ptr(offset!(task_signal))?.probe_ptr(offset!(signal_tgid))?;
        pid_number(pid, pid.probe(offset!(pid_level))?)
    }

    /// The id of process `other` as this task's pid namespace sees it; 0 where it does not.
    #[inline(always)]
    pub(crate) fn vpid_of(self, other: Self) -> Option<u32> {
        let (_, own) = self.vpid()?;
        let pid = other.0.probe_ptr(offset!(task_signal))?.probe_ptr(offset!(signal_tgid))?;
        match pid_number(pid, self.pid_level()?) {
            Some((number, namespace)) if namespace == own => Some(number),
            _ => Some(0),
        }
    }

    /// Inode number of its mount namespace.
    #[inline(always)]
    pub(crate) fn mnt_ns(self) -> Option<u32> {
        self.namespace(offset!(nsproxy_mnt), offset!(mnt_ns_inum))
    }
}

/// A `struct pid`'s number at a namespace level, and that namespace's inode number.
#[inline(always)]
pub(super) fn pid_number(pid: Ptr, level: u32) -> Option<(u32, u32)> {
    // Namespaces nest at most 32 deep (MAX_PID_NS_LEVEL).
    let upid = offset!(pid_numbers).checked_add(offset!(upid_size) * (level & 31))?;
    let namespace = pid.probe_ptr(upid + offset!(upid_ns))?;
    Some((pid.probe(upid + offset!(upid_nr))?, namespace.probe(offset!(pid_ns_inum))?))
}
