//! System calls, when they end: a table from their number to the program that looks closer.
//!
//! Why the end: the registers still hold the number and all arguments, the result is known, and what the call returned is
//! a kernel object that no other thread can swap (of 100 000 opens with a racing path buffer the descriptor was never
//! wrong, the string 1.9 % of the time).
//!
//! There are two places from which the table is asked. The end of the kernel's own function for a call (fexit): a call that
//! nobody watches then costs nothing. Where that is refused, the tracepoint behind all of them: a call that nobody watches has
//! an empty slot and costs the hook alone. Both hand over the same two words, registers and result, so each program has one
//! body and two entries ([`on_end`]). What the first misses: calls that never reach their function because seccomp or a
//! tracer refused them.
//!
//! Why no kprobe between the two: on `x86_64` fexit works wherever kprobes do, and a kprobe costs more.

mod address;
mod name;

use aya_ebpf::{
    EbpfContext,
    macros::{btf_tracepoint, fexit, map},
    maps::ProgramArray,
    programs::{BtfTracePointContext, FExitContext},
};
use sensor_common::{SysCall, flags, syscalls};

pub(crate) use self::{
    address::UserAddr,
    name::{Name, PATH},
};
use crate::{
    kernel::{Ptr, Task, knob, offset, read_user, syscall_from_compat},
    record::{Ending, Record},
};

/// From [`syscalls::index`] to the program behind the tracepoint. The daemon fills it, and may change it at any time.
#[map]
static SYSCALLS: ProgramArray = ProgramArray::with_max_entries(syscalls::INDEXES, 0);

/// The same for programs behind functions. A table takes programs of one kind only, that is with one prototype, and of those
/// there are two: calls that a kernel can be built without have a weak one beside their own (`COND_SYSCALL`).
#[map]
static FUNCTIONS: ProgramArray = ProgramArray::with_max_entries(syscalls::INDEXES, 0);
#[map]
static FUNCTIONS_2: ProgramArray = ProgramArray::with_max_entries(syscalls::INDEXES, 0);

/// Since 5.5 as a BTF program; runs after every system call of every task, 32-bit ones included.
#[btf_tracepoint(function = "sys_exit")]
fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    dispatch(&ctx, &SYSCALLS)
}

/// Since 5.5; the daemon loads it once for each function of a call that somebody watches, such as `__x64_sys_openat`.
#[fexit]
fn sys_return(ctx: FExitContext) -> i32 {
    dispatch(&ctx, &FUNCTIONS)
}

#[fexit]
fn sys_return_2(ctx: FExitContext) -> i32 {
    dispatch(&ctx, &FUNCTIONS_2)
}

#[inline(always)]
fn dispatch(ctx: &impl EbpfContext, programs: &ProgramArray) -> i32 {
    let task = Task::current();
    let regs = regs(ctx, task);
    let Some(number) = regs.load::<u64>(offset!(regs_syscall)) else { return 0 };
    let number = number as u32;
    let index = if task.is_compat() {
        if number == syscalls::SOCKETCALL {
            let call: u64 = regs.load(offset!(regs_compat_0)).unwrap_or(0);
            syscalls::FIRST_SOCKETCALL + (call as u32 & 31)
        } else {
            syscalls::FIRST_COMPAT + (number & 511)
        }
    } else {
        // x32 callers use the same numbers with a bit of their own.
        let number = number & !syscalls::X32;
        if number >= syscalls::FIRST_COMPAT {
            return 0;
        }
        number
    };
    // SAFETY: the map holds programs of this type only; a missing entry returns.
    unsafe { programs.tail_call(ctx, index) };
    0
}

/// One of the two words that every program here is called with: the registers, and the result.
#[inline(always)]
fn word(ctx: &impl EbpfContext, n: usize) -> u64 {
    // SAFETY: the verifier knows what lies there: a pointer to `struct pt_regs`, then a number.
    unsafe { ctx.as_ptr().cast::<u64>().add(n).read() }
}

/// The registers of the caller. On 5.10 many functions have no type for their argument ("func '__x64_sys_connect' arg0 type FWD
/// is not a struct"), but there they are read by probes anyway, wherever they are found.
#[inline(always)]
fn regs(ctx: &impl EbpfContext, task: Task) -> Ptr {
    if knob!(task_btf) != 0 {
        return Ptr::from_u64(word(ctx, 0));
    }
    task.regs().unwrap_or(Ptr::from_u64(0))
}

/// Makes the two entries of a program that runs when a call ends: `on_end!(sx_name, fx_name, body)`, where `body` takes a
/// [`Call`]. The first is behind the tracepoint, the second behind functions.
macro_rules! on_end {
    ($tracepoint:ident, $function:ident, $body:path) => {
        #[aya_ebpf::macros::btf_tracepoint(function = "sys_exit")]
        fn $tracepoint(ctx: aya_ebpf::programs::BtfTracePointContext) -> i32 {
            $body($crate::syscall::Call::new(&ctx));
            0
        }

        #[aya_ebpf::macros::fexit]
        fn $function(ctx: aya_ebpf::programs::FExitContext) -> i32 {
            $body($crate::syscall::Call::new(&ctx));
            0
        }
    };
}

pub(crate) use on_end;

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
}

impl Call {
    #[inline(always)]
    pub(crate) fn new(ctx: &impl EbpfContext) -> Self {
        let task = Task::current();
        let regs = regs(ctx, task);
        let result = word(ctx, 1).cast_signed();
        let raw = regs.load::<u64>(offset!(regs_syscall)).unwrap_or(0) as u32;
        if !task.is_compat() {
            let number = raw & !syscalls::X32;
            return Self { task, regs, result, number, compat: false, short_ids: false, arguments: 0 };
        }
        let mut call = Self {
            task,
            regs,
            result: i64::from(result as i32),
            number: 0,
            compat: true,
            short_ids: syscalls::has_short_ids(raw),
            arguments: 0,
        };
        if raw == syscalls::SOCKETCALL {
            call.number = syscalls::from_socketcall(call.arg(0) as u32);
            call.arguments = call.arg(1);
        } else {
            call.number = syscall_from_compat(raw);
        }
        call
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

    /// Whether pointers and registers have 32 bits.
    #[inline(always)]
    pub(crate) fn is_compat(self) -> bool {
        self.compat
    }

    /// Argument `n`, from 0 to 5.
    #[inline(always)]
    pub(crate) fn arg(self, n: u32) -> u64 {
        if !self.compat {
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
            2 => offset!(regs_2),
            3 => offset!(regs_1),
            4 => offset!(regs_0),
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

impl From<Call> for Ending {
    #[inline(always)]
    fn from(call: Call) -> Self {
        let Call { task, number, result, compat, .. } = call;
        Self { task, number, result, flags: if compat { flags::COMPAT } else { 0 } }
    }
}
