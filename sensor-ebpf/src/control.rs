//! Calls whose arguments are numbers, and say it all: what reaches into other processes, and ways into the kernel.
//!
//! Since 5.5 as BTF programs, when the call ends. Registers cannot be changed by another thread; the few strings and structs
//! that are read as well can. Process ids are those of the caller's own pid namespace.

use sensor_common::{Kind, SysCall, syscalls};

use crate::{
    filter::was_refused,
    kernel::{File, append_path, fd_file, read_user},
    record::{Record, emit_call, filtered},
    syscall::{Call, PATH, on_end},
};

const PR_SET_NAME: u64 = 15;
/// Longest name of a task, of a module (`MODULE_NAME_LEN`) and of a `memfd` (`NAME_MAX`), each with its end.
const NAME: u32 = 256;

#[inline(always)]
fn proc_trace(call: Call) {
    numbers(call, Kind::ProcTrace);
}

on_end!(sx_proc_trace, fx_proc_trace, proc_trace);

/// A descriptor is resolved here: nobody else can tell afterwards which process it was of.
#[inline(always)]
fn proc_signal(call: Call) {
    if was_refused(call.result()) {
        return filtered(Kind::ProcSignal);
    }
    send(call, Kind::ProcSignal, |record| {
        if call.number() == syscalls::PIDFD_SEND_SIGNAL {
            let file = fd_file(call.task, call.arg(0) as i32);
            let [.., process, _] = &mut record.body::<SysCall>().args;
            *process = u64::from(file.and_then(File::process).unwrap_or(0));
        }
        Some(())
    });
}

on_end!(sx_proc_signal, fx_proc_signal, proc_signal);

#[inline(always)]
fn kernel_bpf(call: Call) {
    numbers(call, Kind::KernelBpf);
}

on_end!(sx_kernel_bpf, fx_kernel_bpf, kernel_bpf);

#[inline(always)]
fn kernel_keys(call: Call) {
    numbers(call, Kind::KernelKeys);
}

on_end!(sx_kernel_keys, fx_kernel_keys, kernel_keys);

#[inline(always)]
fn mem_fault(call: Call) {
    numbers(call, Kind::MemFault);
}

on_end!(sx_mem_fault, fx_mem_fault, mem_fault);

/// Every program that is started does it a few times: for rules that ask for it alone.
#[inline(always)]
fn mem_protect(call: Call) {
    numbers(call, Kind::MemProtect);
}

on_end!(sx_mem_protect, fx_mem_protect, mem_protect);

#[inline(always)]
fn mem_create(call: Call) {
    send(call, Kind::MemCreate, |record| text(record, call.arg(0), NAME));
}

on_end!(sx_mem_create, fx_mem_create, mem_create);

/// Of the options only `PR_SET_NAME` has a string.
#[inline(always)]
fn proc_control(call: Call) {
    send(call, Kind::ProcControl, |record| {
        if call.arg(0) == PR_SET_NAME { text(record, call.arg(1), NAME) } else { Some(()) }
    });
}

on_end!(sx_proc_control, fx_proc_control, proc_control);

/// What is loaded is known by its file where there is one: `init_module` has the module in memory.
#[inline(always)]
fn kernel_mod(call: Call) {
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
}

on_end!(sx_kernel_mod, fx_kernel_mod, kernel_mod);

/// The kind of event and its configuration begin `struct perf_event_attr`.
#[inline(always)]
fn kernel_perf(call: Call) {
    send(call, Kind::KernelPerf, |record| {
        let attr = call.arg(0);
        let kind = u64::from(read_user::<u32>(attr).unwrap_or(0));
        let config = u64::from(read_user::<u32>(attr + 8).unwrap_or(0));
        let [.., last] = &mut record.body::<SysCall>().args;
        *last = kind << 32 | config;
        Some(())
    });
}

on_end!(sx_kernel_perf, fx_kernel_perf, kernel_perf);

/// The kernel has written into `struct io_uring_params` what it made.
#[inline(always)]
fn kernel_uring(call: Call) {
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
}

on_end!(sx_kernel_uring, fx_kernel_uring, kernel_uring);

#[inline(always)]
fn numbers(call: Call, kind: Kind) {
    if was_refused(call.result()) {
        return filtered(kind);
    }
    send(call, kind, |_| Some(()));
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
