//! Calls whose arguments are numbers, and say it all: what reaches into other processes, and ways into the kernel.
//!
//! Since 5.5 as BTF programs, when the call ends. Registers cannot be changed by another thread; the few strings and structs
//! that are read as well can. Process ids are those of the caller's own pid namespace.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use sensor_common::{Kind, SysCall, syscalls};

use crate::{
    kernel::{append_path, fd_file, read_user},
    record::{Record, emit_call},
    syscall::{Call, PATH},
};

const PR_SET_NAME: u64 = 15;
/// Longest name of a task, of a module (`MODULE_NAME_LEN`) and of a `memfd` (`NAME_MAX`), each with its end.
const NAME: u32 = 256;

#[btf_tracepoint(function = "sys_exit")]
fn sx_proc_trace(ctx: BtfTracePointContext) -> i32 {
    numbers(Call::new(&ctx), Kind::ProcTrace)
}

#[btf_tracepoint(function = "sys_exit")]
fn sx_proc_signal(ctx: BtfTracePointContext) -> i32 {
    numbers(Call::new(&ctx), Kind::ProcSignal)
}

#[btf_tracepoint(function = "sys_exit")]
fn sx_kernel_bpf(ctx: BtfTracePointContext) -> i32 {
    numbers(Call::new(&ctx), Kind::KernelBpf)
}

#[btf_tracepoint(function = "sys_exit")]
fn sx_kernel_keys(ctx: BtfTracePointContext) -> i32 {
    numbers(Call::new(&ctx), Kind::KernelKeys)
}

#[btf_tracepoint(function = "sys_exit")]
fn sx_mem_fault(ctx: BtfTracePointContext) -> i32 {
    numbers(Call::new(&ctx), Kind::MemFault)
}

/// Every program that is started does it a few times: for rules that ask for it alone.
#[btf_tracepoint(function = "sys_exit")]
fn sx_mem_protect(ctx: BtfTracePointContext) -> i32 {
    numbers(Call::new(&ctx), Kind::MemProtect)
}

#[btf_tracepoint(function = "sys_exit")]
fn sx_mem_create(ctx: BtfTracePointContext) -> i32 {
    let call = Call::new(&ctx);
    send(call, Kind::MemCreate, |record| text(record, call.arg(0), NAME));
    0
}

/// Of the options only `PR_SET_NAME` has a string.
#[btf_tracepoint(function = "sys_exit")]
fn sx_proc_control(ctx: BtfTracePointContext) -> i32 {
    let call = Call::new(&ctx);
    send(call, Kind::ProcControl, |record| {
        if call.arg(0) == PR_SET_NAME { text(record, call.arg(1), NAME) } else { Some(()) }
    });
    0
}

/// What is loaded is known by its file where there is one: `init_module` has the module in memory.
#[btf_tracepoint(function = "sys_exit")]
fn sx_kernel_mod(ctx: BtfTracePointContext) -> i32 {
    let call = Call::new(&ctx);
    send(call, Kind::KernelMod, |record| match call.number() {
        syscalls::DELETE_MODULE => text(record, call.arg(0), NAME),
        syscalls::FINIT_MODULE => {
            text(record, call.arg(1), PATH)?;
            let Some(file) = fd_file(call.task, call.arg(0) as i32) else { return Some(()) };
            let valid = file.identify(&mut record.body::<SysCall>().file)?;
            record.header().valid |= valid;
            let path = append_path(record, call.task, file.path)?;
            record.body::<SysCall>().path = path;
            Some(())
        }
        _ => text(record, call.arg(2), PATH),
    });
    0
}

/// The kind of event and its configuration begin `struct perf_event_attr`.
#[btf_tracepoint(function = "sys_exit")]
fn sx_kernel_perf(ctx: BtfTracePointContext) -> i32 {
    let call = Call::new(&ctx);
    send(call, Kind::KernelPerf, |record| {
        let attr = call.arg(0);
        let kind = u64::from(read_user::<u32>(attr).unwrap_or(0));
        let config = u64::from(read_user::<u32>(attr + 8).unwrap_or(0));
        let [.., last] = &mut record.body::<SysCall>().args;
        *last = kind << 32 | config;
        Some(())
    });
    0
}

/// The kernel has written into `struct io_uring_params` what it made.
#[btf_tracepoint(function = "sys_exit")]
fn sx_kernel_uring(ctx: BtfTracePointContext) -> i32 {
    let call = Call::new(&ctx);
    send(call, Kind::KernelUring, |record| {
        let params = call.arg(1);
        let member = |at: u64| u64::from(read_user::<u32>(params + at).unwrap_or(0));
        let [_, _, submissions, completions, flags, features] = &mut record.body::<SysCall>().args;
        *submissions = member(0);
        *completions = member(4);
        *flags = member(8);
        *features = member(20);
        Some(())
    });
    0
}

#[inline(always)]
fn numbers(call: Call, kind: Kind) -> i32 {
    send(call, kind, |_| Some(()));
    0
}

/// Sends the record of a call: its arguments, then what `more` adds.
#[inline(always)]
fn send(call: Call, kind: Kind, more: impl FnOnce(&mut Record) -> Option<()>) {
    emit_call::<SysCall>(kind, call, |record| {
        call.write_args(record);
        more(record)
    });
}

/// The string that a call was given; a null pointer is an empty one.
#[inline(always)]
fn text(record: &mut Record, from: u64, max: u32) -> Option<()> {
    if from != 0 {
        let text = record.append_user_str(from, max);
        record.body::<SysCall>().text = text;
    }
    Some(())
}
