//! Terms by a task: its user, its name, and whether it is in a container.

use sensor_common::filter::{CommKey, KindFilter, mix};

use super::{ALL, FILTER_COMMS, FILTER_KINDS, is_host, is_marked};
use crate::kernel::{Task, offset};

/// Terms by user, thread name and container. A function that the verifier walks through once, and not for each way that leads to
/// it, so it gets no task.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn filter_task(slot: u32, terms: u64) -> u64 {
    let Some(kind) = FILTER_KINDS.get(slot) else { return terms };
    let mut terms = terms;
    // Whether anything is asked of the task: that takes a helper call.
    if terms & (!(kind.root & kind.user & kind.host) | kind.comm.property.asked) == 0 {
        return terms;
    }
    let task = Task::current();
    if terms & !(kind.root & kind.user) != 0 {
        let euid: Option<u32> = task.field(offset!(task_cred)).and_then(|cred| cred.load(offset!(cred_euid)));
        // A credential that cannot be read is nobody's, and decides nothing.
        terms &= match euid {
            Some(0) => kind.root,
            Some(_) => kind.user,
            None => ALL,
        };
    }
    if terms & kind.comm.property.asked != 0 {
        let [first, second] = task.comm().unwrap_or([0, 0]);
        // No name at all decides nothing.
        if first != 0 {
            terms &= comm_terms(kind, slot, [first, second]);
        }
    }
    // The group takes a look into a hash table, so it is asked last.
    if terms & !kind.host != 0 && task.cgroup().is_some_and(is_host) {
        terms &= kind.host;
    }
    terms
}

/// Terms by a thread name.
#[inline(always)]
pub(super) fn comm_terms(kind: &KindFilter, slot: u32, comm: [u64; 2]) -> u64 {
    let [first, second] = comm;
    if !is_marked(&kind.comm, mix(mix(0, first), second)) {
        return kind.comm.property.other;
    }
    let key = CommKey { slot: u64::from(slot), comm };
    // SAFETY: the daemon writes an entry once, before its set of tables is at work.
    unsafe { FILTER_COMMS.get(key) }.copied().unwrap_or(kind.comm.property.other)
}
