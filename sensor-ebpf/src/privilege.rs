//! What a task may do and what it sees: credentials and namespaces that change.
//!
//! Since 5.5 as BTF programs, when the call ends. The header has the credentials and the mount namespace after the call.
//! Credentials belong to a thread: a library makes the same call in each of them. Missed: an exec that changes them, of which
//! the exec's own record says so.

use sensor_common::{Kind, SysCall, syscalls, valid};

use crate::{
    kernel::{Ptr, fd_file, offset, read_user},
    record::{Record, emit_call},
    syscall::{Call, on_end},
};

/// `capset`'s first version, with sets of 32 bits.
const CAPABILITY_VERSION_1: u32 = 0x1998_0330;

/// The `setuid` and `setgid` families: arguments are ids, all bits set leaves one as it is.
#[inline(always)]
fn cred_change(call: Call) {
    emit_call::<SysCall>(Kind::CredChange, call, |record| {
        let [first, second, third, ..] = &mut record.body::<SysCall>().args;
        *first = u64::from(call.id(0));
        *second = u64::from(call.id(1));
        *third = u64::from(call.id(2));
        after(record, call)
    });
}

on_end!(sx_cred_change, fx_cred_change, cred_change);

/// `capset`: the sets that were asked for are the caller's copy, those that came of it the kernel's.
#[inline(always)]
fn cred_caps(call: Call) {
    emit_call::<SysCall>(Kind::CredCaps, call, |record| {
        let long = read_user::<u32>(call.arg(0)).unwrap_or(0) != CAPABILITY_VERSION_1;
        let sets = call.arg(1);
        let set = |at: u64| {
            let low = u64::from(read_user::<u32>(sets + at).unwrap_or(0));
            let high = if long { read_user::<u32>(sets + 12 + at).unwrap_or(0) } else { 0 };
            low | u64::from(high) << 32
        };
        let [_, _, effective, permitted, inheritable, _] = &mut record.body::<SysCall>().args;
        *effective = set(0);
        *permitted = set(4);
        *inheritable = set(8);
        after(record, call)
    });
}

on_end!(sx_cred_caps, fx_cred_caps, cred_caps);

/// `setns` and `unshare`. What `setns` was given has the namespace's number as its inode number, unless it was a process.
#[inline(always)]
fn ns_change(call: Call) {
    emit_call::<SysCall>(Kind::NsChange, call, |record| {
        call.write_args(record);
        if call.number() == syscalls::SETNS
            && let Some(file) = fd_file(call.task, call.arg(0) as i32)
        {
            let valid = file.identify(&mut record.body::<SysCall>().file)?;
            record.header().valid |= valid;
        }
        after(record, call)
    });
}

on_end!(sx_ns_change, fx_ns_change, ns_change);

/// What the task has after the call, beyond what the header says.
#[inline(always)]
fn after(record: &mut Record, call: Call) -> Option<()> {
    let cred = call.task.field(offset!(task_cred))?;
    let user_ns =
        cred.follow(offset!(cred_user_ns)).and_then(|user_ns: Ptr| user_ns.load(offset!(user_ns_inum)));
    let net_ns = call.task.namespace(offset!(nsproxy_net), offset!(net_ns_inum));
    let body = record.body::<SysCall>();
    body.cap_inheritable = cred.load(offset!(cred_cap_inheritable)).unwrap_or(0);
    body.cap_permitted = cred.load(offset!(cred_cap_permitted)).unwrap_or(0);
    if let (Some(user_ns), Some(net_ns)) = (user_ns, net_ns) {
        body.user_ns = user_ns;
        body.net_ns = net_ns;
        record.header().valid |= valid::NAMESPACES;
    }
    Some(())
}
