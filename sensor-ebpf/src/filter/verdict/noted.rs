//! Which threads are in a call that is refused, so that its end does not tell of a failure once more.

use aya_ebpf::{helpers::generated::bpf_get_current_pid_tgid, macros::map, maps::LruHashMap};

/// What a refused caller gets.
pub(crate) const EPERM: i64 = -1;

/// Threads whose call was refused and has not ended yet. One that is pushed out has its call told of once more, as failed.
#[map]
static REFUSALS: LruHashMap<u64, u32> = LruHashMap::with_max_entries(1024, 0);

/// The call that the current thread is in is refused, which is told of by itself.
#[inline(always)]
pub(crate) fn note_refusal() {
    // SAFETY: no arguments.
    let _ = REFUSALS.insert(unsafe { bpf_get_current_pid_tgid() }, 1, 0);
}

/// Whether a call that just ended was refused here: its refusal was told of already.
#[inline(always)]
pub(crate) fn was_refused(result: i64) -> bool {
    if result != EPERM {
        return false;
    }
    forget_refusal()
}

/// Takes back what [`note_refusal`] said, and tells whether it did: of a call that can end well although a part of it was refused.
#[inline(always)]
pub(crate) fn forget_refusal() -> bool {
    // SAFETY: no arguments.
    REFUSALS.remove(unsafe { bpf_get_current_pid_tgid() }).is_ok()
}
