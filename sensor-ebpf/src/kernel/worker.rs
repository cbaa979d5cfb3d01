//! Tasks that no program started: threads of the kernel, and those that it adds to a process to work for its `io_uring`.

use super::{Task, offset};

/// Of `task_struct.flags`, since 5.12; a thread of the process whose operations it does.
const PF_IO_WORKER: u32 = 0x10;
/// Of the same: no process at all.
const PF_KTHREAD: u32 = 0x0020_0000;

impl Task {
    /// Whether it is a thread of the kernel alone.
    #[inline(always)]
    pub(crate) fn is_kernel(self) -> bool {
        self.0.load::<u32>(offset!(task_flags)).unwrap_or(0) & PF_KTHREAD != 0
    }

    /// Its name; that of its process where the kernel made it to work for an `io_uring`, which calls it `iou-wrk-PID`.
    #[inline(always)]
    pub(crate) fn comm(self) -> Option<[u64; 2]> {
        let flags: u32 = self.0.load(offset!(task_flags))?;
        let named = if flags & PF_IO_WORKER != 0 { self.leader()? } else { self };
        Some([named.field_value(offset!(task_comm))?, named.field_value(offset!(task_comm) + 8)?])
    }
}
