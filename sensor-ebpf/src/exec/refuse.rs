//! Programs that must not run: refused before the old image is gone.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use sensor_common::{Kind, ProcExec, Text, flags, syscalls, text, verdict::EXEC};

use super::{PATH, exec_call, facts, identify};
use crate::{
    filter::Case,
    kernel::{File, Ptr, Task, append_cwd, append_path, offset, path_comm},
    record::{Record, emit, peek},
};

/// `#!`: the kernel comes again with the interpreter, which is what will run.
const SCRIPT: u16 = u16::from_le_bytes(*b"#!");
/// `-EPERM`.
const REFUSED: i32 = -1;

/// Since 5.7, where the kernel was started with BPF among its security modules. The new program's file is known, and
/// nothing of the old image is lost yet: the caller gets its error.
///
/// The credentials are the old ones still, so users are not asked here.
#[lsm(hook = "bprm_check_security")]
fn lsm_proc_exec(ctx: LsmContext) -> i32 {
    let before: i32 = ctx.arg(1);
    if before != 0 {
        return before;
    }
    if refuse(Ptr(ctx.arg::<*const u8>(0))) { REFUSED } else { 0 }
}

#[inline(always)]
fn refuse(bprm: Ptr) -> bool {
    let case = Case::of(EXEC);
    if case.is_none() || bprm.probe::<u16>(offset!(bprm_buf)) == Some(SCRIPT) {
        return false;
    }
    let task = Task::current();
    let Some(file) = bprm.probe_ptr(offset!(bprm_file)).and_then(File::read) else { return false };
    let Some(filename) = bprm.probe_ptr(offset!(bprm_filename)) else { return false };
    let case = case.of_file(facts(file), file.path);
    if case.is_none() {
        return false;
    }
    let refused = peek::<u64>(|record| {
        let Some(path) = append_path(record, task, file.path) else { return false };
        let case = case.of_path::<u64>(record, path);
        if case.is_none() {
            return false;
        }
        case.of_comm(new_comm(record, filename)).refuses()
    });
    if refused {
        tell(task, bprm, file, filename);
    }
    refused
}

/// The name that the thread would get: the last component of what was asked for.
#[inline(always)]
fn new_comm(record: &mut Record, filename: Ptr) -> Option<[u64; 2]> {
    let at = record.len();
    let name = record.append_kernel_str(filename, PATH);
    if name.flags & (text::TRUNCATED | text::FAULT) != 0 {
        return None;
    }
    path_comm(record.slot(), at, u32::from(name.len))
}

/// The record of the program that would have run.
#[inline(always)]
fn tell(task: Task, bprm: Ptr, file: File, filename: Ptr) {
    emit::<ProcExec>(Kind::ProcExec, |record| {
        identify(record, task, file);
        let exe = append_path(record, task, file.path)?;
        let at = record.len();
        let name = record.append_kernel_str(filename, PATH);
        let comm = path_comm(record.slot(), at, u32::from(name.len));
        let cwd = append_cwd(record, task)?;
        let call = exec_call(bprm);
        // The caller's copy: the kernel's lies in memory that is no process's yet.
        let args = match task.regs() {
            Some(regs) if !task.is_compat() => {
                let second = if call == syscalls::EXECVEAT { offset!(regs_2) } else { offset!(regs_1) };
                record.append_user_list(regs.probe(second).unwrap_or(0), false)
            }
            _ => Text { len: 0, flags: 0 },
        };
        let body = record.body::<ProcExec>();
        body.exe = exe;
        body.filename = name;
        body.cwd = cwd;
        body.args = args;
        body.args_len = u32::from(args.len);
        let header = record.header();
        header.syscall = call as u16;
        header.flags |= flags::REFUSED;
        if let Some([first, second]) = comm {
            // SAFETY: the name lies 8-aligned in the scratch memory; two words instead of a loop over bytes.
            unsafe {
                let to = (&raw mut header.comm).cast::<u64>();
                to.write(first);
                to.add(1).write(second);
            }
        }
        Some(())
    });
}
