//! Terms by a task: its user, its name, and whether it is in a container.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap},
};
use sensor_common::filter::{CommKey, HOST_PLACE_COUNT, KindFilter, host_place};

use super::{ALL, FILTER_COMMS, FILTER_KINDS, is_marked};
use crate::kernel::{Task, offset, opaque};

/// Control groups of which the daemon knows that they are in no container.
#[map]
static HOST_GROUPS: HashMap<u64, u32> = HashMap::with_max_entries(8192, 0);
/// Most of them once more, where a look takes a tenth of the time: see [`host_place`].
#[map]
static HOST_PLACES: Array<u64> = Array::with_max_entries(HOST_PLACE_COUNT, 0);

/// Terms by user, thread name and container. A function that the verifier walks through once, and not for each way that leads to
/// it, so it gets no task but its [`Task::address`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn filter_task(slot: u32, terms: u64, task: u64) -> u64 {
    let Some(kind) = FILTER_KINDS.get(slot) else { return terms };
    task_terms(kind, slot, terms, || Task::current_at(opaque(task)))
}

/// The same where it is called, of a task that is asked for if it matters.
#[inline(always)]
pub(super) fn task_terms(kind: &KindFilter, slot: u32, terms: u64, task: impl FnOnce() -> Task) -> u64 {
    let mut terms = terms;
    // Whether anything is asked of the task: that can take a helper call.
    if terms & (!(kind.root & kind.user & kind.host) | kind.comm.property.asked) == 0 {
        return terms;
    }
    let task = task();
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
    // The group takes more reads than the others, so it is asked last.
    if terms & !kind.host != 0 && task.cgroup().is_some_and(is_host) {
        terms &= kind.host;
    }
    terms
}

/// Terms by a thread name.
#[inline(always)]
pub(super) fn comm_terms(kind: &KindFilter, slot: u32, comm: [u64; 2]) -> u64 {
    let [first, _] = comm;
    if !is_marked(&kind.comm, first) {
        return kind.comm.property.other;
    }
    let key = CommKey { slot: u64::from(slot), comm };
    // SAFETY: the daemon writes an entry once, before its set of tables is at work.
    unsafe { FILTER_COMMS.get(key) }.copied().unwrap_or(kind.comm.property.other)
}

/// Whether a control group is known to be in no container.
#[inline(always)]
pub(crate) fn is_host(cgroup: u64) -> bool {
    let (place, mark) = host_place(cgroup);
    if HOST_PLACES.get(place).is_some_and(|there| *there == mark) {
        return true;
    }
    // SAFETY: the value is not looked at.
    unsafe { HOST_GROUPS.get(cgroup) }.is_some()
}
