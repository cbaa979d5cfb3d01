//! A call that just ended: who made it, its number and arguments whatever the caller's width, and its result.

use core::arch::asm;

use aya_ebpf::EbpfContext;
use sensor_common::{SysCall, flags, syscalls};

use super::{index, regs, word};
use crate::{
    kernel::{CASTS, Ptr, Task, call_at, call_index, forgotten, knob, offset, read_user},
    record::{Ending, Record},
};

/// The call that just ended.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    /// Who called. Asking for it again costs another helper call.
    pub(crate) task: Task,
    regs: Ptr,
    result: i64,
    number: u32,
    compat: bool,
    short_ids: bool,
    /// `socketcall`: where its arguments lie in user memory.
    arguments: u64,
    /// See [`Ending`].
    alone: bool,
}

impl Call {
    #[inline(always)]
    pub(crate) fn new(ctx: &impl EbpfContext, traced: bool) -> Self {
        let alone = CASTS && traced && knob!(stand_ins) == 0;
        let task = Task::current();
        let regs = regs(ctx, task);
        let result = word(ctx, 1).cast_signed();
        let compat = task.is_compat();
        let index = index(regs, compat).unwrap_or(0);
        let number = call_at(index);
        if !compat {
            return Self { task, regs, result, number, compat, short_ids: false, arguments: 0, alone };
        }
        let short_ids = syscalls::has_short_ids(index.wrapping_sub(syscalls::FIRST_COMPAT));
        let result = i64::from(result as i32);
        Self { task, regs, result, number, compat, short_ids, arguments: 0, alone }
    }

    /// Of sockets: its arguments wherever they are. To ask that of all calls would make the verifier look at all of them once more.
    #[inline(always)]
    pub(crate) fn of_socket(self) -> Self {
        if !apart(self.compat) || index(self.regs, true).unwrap_or(0) < syscalls::FIRST_SOCKETCALL {
            return self;
        }
        Self { arguments: self.arg(1), ..self }
    }

    /// The call that the current task is in, as far as it is known before its end.
    #[inline(always)]
    pub(crate) fn current() -> Option<Self> {
        let task = Task::current();
        let regs = task.regs()?;
        let compat = task.is_compat();
        let index = call_index(regs.probe(offset!(regs_syscall))?, compat)?;
        let number = call_at(index);
        Some(Self { task, regs, result: 0, number, compat, short_ids: false, arguments: 0, alone: false })
    }

    /// A negative errno where it failed.
    #[inline(always)]
    pub(crate) fn result(self) -> i64 {
        self.result
    }

    /// Its number in the table of `x86_64`.
    #[inline(always)]
    pub(crate) fn number(self) -> u32 {
        self.number
    }

    /// [`Call::number`] once more, of which the verifier knows nothing from the first time. Where each read is a helper call it had
    /// better know: it follows more of them than it spares.
    #[inline(always)]
    pub(crate) fn number_again(self) -> u32 {
        if !CASTS {
            return self.number;
        }
        forgotten(u64::from(self.number), self.result.cast_unsigned()) as u32
    }

    /// Whether pointers and registers have 32 bits.
    #[inline(always)]
    pub(crate) fn is_compat(self) -> bool {
        apart(self.compat)
    }

    /// Argument `n`, from 0 to 5.
    #[inline(always)]
    pub(crate) fn arg(self, n: u32) -> u64 {
        if !apart(self.compat) {
            let register = match n {
                0 => offset!(regs_0),
                1 => offset!(regs_1),
                2 => offset!(regs_2),
                3 => offset!(regs_3),
                4 => offset!(regs_4),
                _ => offset!(regs_5),
            };
            return self.regs.load(register).unwrap_or(0);
        }
        if self.arguments != 0 {
            return u64::from(read_user::<u32>(self.arguments + u64::from(n) * 4).unwrap_or(0));
        }
        let register = match n {
            0 => offset!(regs_compat_0),
            1 => offset!(regs_compat_1),
            2 => offset!(regs_compat_2),
            3 => offset!(regs_compat_3),
            4 => offset!(regs_compat_4),
            _ => offset!(regs_compat_5),
        };
        u64::from(self.regs.load::<u64>(register).unwrap_or(0) as u32)
    }

    /// Argument `n` where it is a user or a group: old 32-bit calls have ids of 16 bits, of which all set is "none" too.
    #[inline(always)]
    pub(crate) fn id(self, n: u32) -> u32 {
        let id = self.arg(n) as u32;
        if !self.short_ids {
            return id;
        }
        let id = id & 0xffff;
        if id == 0xffff { u32::MAX } else { id }
    }

    /// Writes what the header says of a system call.
    #[inline(always)]
    pub(crate) fn head(self, record: &mut Record) {
        Ending::from(self).head(record);
    }

    /// Writes all arguments, into a record with the body of such calls.
    #[inline(always)]
    pub(crate) fn write_args(self, record: &mut Record) {
        let [a, b, c, d, e, f] = &mut record.body::<SysCall>().args;
        *a = self.arg(0);
        *b = self.arg(1);
        *c = self.arg(2);
        *d = self.arg(3);
        *e = self.arg(4);
        *f = self.arg(5);
    }
}

/// The same as something that the compiler knows nothing of. Each argument is asked for either width of the caller, and where
/// LLVM sees that it is the same question all along it makes two programs out of one, of which the verifier walks through both.
#[inline(always)]
fn apart(value: bool) -> bool {
    let mut value = u64::from(value);
    // SAFETY: changes nothing. Not without an instruction: its source line would be that of the next ("Invalid line_info").
    unsafe { asm!("{value} += 0", value = inout(reg) value, options(nomem, nostack, preserves_flags)) };
    value != 0
}

impl From<Call> for Ending {
    #[inline(always)]
    fn from(call: Call) -> Self {
        let Call { task, number, result, compat, alone, .. } = call;
        Self { task, number, result, flags: if compat { flags::COMPAT } else { 0 }, alone }
    }
}
