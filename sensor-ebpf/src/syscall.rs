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
//! Why no kprobe between the two: fexit works wherever kprobes do (on `arm64` since 6.4), and a kprobe costs more.

mod address;
mod call;
mod name;
mod open;

use aya_ebpf::{
    EbpfContext,
    macros::{btf_tracepoint, fexit, map},
    maps::ProgramArray,
    programs::{BtfTracePointContext, FExitContext},
};
use sensor_common::syscalls;

pub(crate) use self::{
    address::UserAddr,
    call::Call,
    name::{Name, PATH, write_removed, write_renamed},
    open::{is_open, opening, portable},
};
use crate::kernel::{PROBES, Ptr, Task, call_index, knob, offset};

/// From [`syscalls::index`] to the program behind the tracepoint. The daemon fills it, and may change it at any time.
#[map]
static SYSCALLS: ProgramArray = ProgramArray::with_max_entries(syscalls::INDEXES, 0);

/// The numbers that have an entry there, whatever the width of the caller: for all others the hook is over before it asks who
/// calls. No map but a variable, which the daemon writes: every call of every task looks here, and a key costs it 7 ns.
#[unsafe(link_section = ".data.watched")]
static mut WATCHED: [u64; syscalls::RAW_WORDS as usize] = [0; syscalls::RAW_WORDS as usize];

/// The same for programs behind functions. A table takes programs of one kind only, that is with one prototype, and of those
/// there are two: calls that a kernel can be built without have a weak one beside their own (`COND_SYSCALL`).
#[map]
static FUNCTIONS: ProgramArray = ProgramArray::with_max_entries(syscalls::INDEXES, 0);
#[map]
static FUNCTIONS_2: ProgramArray = ProgramArray::with_max_entries(syscalls::INDEXES, 0);

/// Since 5.5 as a BTF program; runs after every system call of every task, 32-bit ones included.
#[btf_tracepoint(function = "sys_exit")]
fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    // A BTF pointer where the kernel has those; elsewhere the registers are found by the task.
    if !PROBES {
        let regs = Ptr::from_u64(word(&ctx, 0));
        let number = regs.load::<u32>(offset!(regs_syscall)).unwrap_or(0);
        if !is_watched(number & (syscalls::FIRST_COMPAT - 1)) {
            return 0;
        }
        // The call that most programs make most often, and for which it is not asked who calls: its program knows. An index
        // that the kernel knows beforehand becomes a plain jump, any other one that no processor can guess, which takes 18 ns.
        if knob!(arm64) == 0 && number & !syscalls::X32 == syscalls::OPENAT {
            // SAFETY: as in `jump`.
            unsafe { SYSCALLS.tail_call(&ctx, syscalls::OPENAT) };
            // A 32-bit caller's call of that number, where nobody watches `openat`.
            return dispatched(&ctx).map_or(0, |index| jump(&ctx, &SYSCALLS, index));
        }
    }
    dispatched(&ctx).map_or(0, |index| jump(&ctx, &SYSCALLS, index))
}

/// Whether some call of this number is watched.
#[inline(always)]
fn is_watched(number: u32) -> bool {
    let word = (number / 64) as usize & (syscalls::RAW_WORDS as usize - 1);
    // SAFETY: inside the variable, of which the daemon writes whole words.
    let bits = unsafe { (&raw const WATCHED).cast::<u64>().add(word).read_volatile() };
    bits & 1 << (number % 64) != 0
}

/// Since 5.5; the daemon loads it once for each function of a call that somebody watches, such as
/// `__x64_sys_openat` or `__arm64_sys_openat`.
#[fexit]
fn sys_return(ctx: FExitContext) -> i32 {
    dispatched(&ctx).map_or(0, |index| jump(&ctx, &FUNCTIONS, index))
}

#[fexit]
fn sys_return_2(ctx: FExitContext) -> i32 {
    dispatched(&ctx).map_or(0, |index| jump(&ctx, &FUNCTIONS_2, index))
}

/// The place in the tables of the call that just ended.
#[inline(always)]
fn dispatched(ctx: &impl EbpfContext) -> Option<u32> {
    let task = Task::current();
    let regs = regs(ctx, task);
    let index = index(regs, task.is_compat())?;
    if knob!(arm64) != 0 && was_exec(ctx, regs, index) { None } else { Some(index) }
}

#[inline(always)]
fn jump(ctx: &impl EbpfContext, programs: &ProgramArray, index: u32) -> i32 {
    // SAFETY: the map holds programs of this type only; a missing entry returns.
    unsafe { programs.tail_call(ctx, index) };
    0
}

/// The place of a call in the tables.
#[inline(always)]
fn index(regs: Ptr, compat: bool) -> Option<u32> {
    let number: u32 = regs.load(offset!(regs_syscall))?;
    if compat && number == syscalls::SOCKETCALL {
        let call: u64 = regs.load(offset!(regs_compat_0))?;
        return Some(syscalls::FIRST_SOCKETCALL + (call as u32 & 31));
    }
    call_index(number, compat)
}

/// A 64-bit program that becomes a 32-bit one of `arm` ends its call with the old number in the new table (`fcntl64`, `socket`), and
/// with nothing in the registers. Neither of these calls can succeed with that.
#[inline(always)]
fn was_exec(ctx: &impl EbpfContext, regs: Ptr, index: u32) -> bool {
    const EXECVE: u32 = syscalls::FIRST_COMPAT + 221;
    const EXECVEAT: u32 = syscalls::FIRST_COMPAT + 281;
    let empty = |register| regs.load::<u64>(register) == Some(0);
    (index == EXECVE || index == EXECVEAT)
        && word(ctx, 1) == 0
        && empty(offset!(regs_compat_0))
        && empty(offset!(regs_compat_1))
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
    if !PROBES {
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
            $body($crate::syscall::Call::new(&ctx, true));
            0
        }

        #[aya_ebpf::macros::fexit]
        fn $function(ctx: aya_ebpf::programs::FExitContext) -> i32 {
            $body($crate::syscall::Call::new(&ctx, false));
            0
        }
    };
}

pub(crate) use on_end;
