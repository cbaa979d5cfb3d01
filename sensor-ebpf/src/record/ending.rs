//! How something ended that a task asked of the kernel: what a record's header says of it, and who can want it.

use sensor_common::{Header, Kind};

use super::{COUNTERS, Record, filtered};
use crate::{filter::Wanted, kernel::Task};

/// How something ended that a task asked of the kernel: a system call, or the same by another way.
#[derive(Clone, Copy)]
pub(crate) struct Ending {
    /// Who asked. Asking for it again costs another helper call.
    pub(crate) task: Task,
    /// The call's number in the table of `x86_64`.
    pub(crate) number: u32,
    /// A negative errno where it failed.
    pub(crate) result: i64,
    /// Bits of the header.
    pub(crate) flags: u16,
    /// Whether the program cannot be interrupted by another one that counts the same: at a tracepoint of a task, but for kernels
    /// that preempt themselves there.
    pub(crate) alone: bool,
}

impl Ending {
    /// Writes what the header says of it.
    #[inline(always)]
    pub(crate) fn head(self, record: &mut Record) {
        let header: &mut Header = record.header();
        header.result = self.result;
        header.syscall = self.number as u16;
        header.flags |= self.flags;
    }

    /// What it and the task that asked leave of all that rules can want. `facts`: see [`Wanted::of_call`].
    #[inline(always)]
    pub(crate) fn wanted(self, kind: Kind, facts: u32) -> Wanted {
        Wanted::of_call(kind, self, facts).of_task(self.task)
    }

    /// [`filtered`].
    #[inline(always)]
    pub(crate) fn filtered(self, kind: Kind) {
        if !self.alone {
            filtered(kind);
        } else if let Some(counters) = COUNTERS.get_ptr_mut(u32::from(kind.number())) {
            // SAFETY: this CPU's own map value, which nobody else writes to meanwhile.
            unsafe { (*counters).passed_over += 1 };
        }
    }
}
