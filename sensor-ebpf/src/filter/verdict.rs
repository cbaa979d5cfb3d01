//! Decides whether something is refused, or its process killed: the tables of [`sensor_common::verdict`]. Where it cannot
//! tell something that a term asks for, that term does not hold: what is in doubt is left to the daemon.

mod noted;

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    helpers::generated::bpf_send_signal,
    macros::map,
    maps::{Array, HashMap},
};
use sensor_common::{
    Header, Text,
    filter::{BANKS, ROWS},
    text,
    verdict::{Group, GroupKey, ROOM, Verdict, slot},
};

pub(crate) use self::noted::{forget_refusal, note_refusal, was_refused};
use super::{
    FILTER_KINDS, comm_terms,
    file::{filter_path, verdict_file},
    socket::filter_address,
};
use crate::{
    kernel::{Path, Task, knob, offset},
    record::{Record, add, settings},
};

const SIGKILL: u32 = 9;

#[map]
static VERDICTS: Array<Verdict> = Array::with_max_entries(BANKS * ROWS, 0);
#[map]
static VERDICT_GROUPS: HashMap<GroupKey, Group> = HashMap::with_max_entries(16384, BPF_F_NO_PREALLOC);
/// What was refused, and what of it the daemon has told of: of what is pinned the next one tells the rest.
#[map]
static REFUSED: Array<u64> = Array::with_max_entries(2, 0);
/// The terms that can still hold of something that is about to happen, or just did.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// One set of tables from the first question to the last.
    slot: u32,
    terms: u64,
}

impl Case {
    /// What the current task leaves: nothing where it is in no container, is the runtime's, or where no rule decides this
    /// class here.
    #[inline(always)]
    pub(crate) fn of(class: u32) -> Self {
        let bank = settings(|settings| &settings.verdicts);
        if bank == 0 {
            return Self { slot: 0, terms: 0 };
        }
        Self { slot: slot(bank, class), terms: verdict_task(bank, class) }
    }

    /// Whether nothing is decided.
    #[inline(always)]
    pub(crate) fn is_none(self) -> bool {
        self.terms == 0
    }

    /// What a name of the thread leaves.
    #[inline(always)]
    pub(crate) fn of_comm(self, comm: Option<[u64; 2]>) -> Self {
        let [first, second] = comm.unwrap_or([0, 0]);
        Self { terms: verdict_comm(self.slot, self.terms, first, second), ..self }
    }

    /// What the facts, and the name of the file leave.
    #[inline(always)]
    pub(crate) fn of_file(self, facts: u32, path: Path) -> Self {
        Self { terms: verdict_file(self.slot, self.terms, facts, path.mnt, path.dentry), ..self }
    }

    /// What the path leaves, which is the first text behind a body of type `B`. A file that its process could not name is
    /// left to the daemon.
    #[inline(always)]
    pub(crate) fn of_path<B>(self, record: &mut Record, path: Text) -> Self {
        if path.len == 0 || path.flags & (text::TRUNCATED | text::DETACHED | text::FAULT) != 0 {
            return Self { terms: 0, ..self };
        }
        // The key begins with the last eight bytes of the body.
        let at = size_of::<Header>() + size_of::<B>() - 8;
        let terms = filter_path(self.slot, self.terms, record.slot(), at as u32, u32::from(path.len));
        Self { terms, ..self }
    }

    /// What the address leaves that a socket is to use, in network byte order and as one of version 6, and its port.
    #[inline(always)]
    pub(crate) fn of_address(self, facts: u32, addr: [u32; 4], port: u32) -> Self {
        let [a, b, c, d] = addr;
        let high = u64::from(a) | u64::from(b) << 32;
        let low = u64::from(c) | u64::from(d) << 32;
        Self { terms: filter_address(self.slot, self.terms, facts << 16 | port & 0xffff, high, low), ..self }
    }

    /// Whether it is refused. The call's own end then tells nothing.
    #[inline(always)]
    pub(crate) fn refuses(self) -> bool {
        let refused = self.refuses_unnoted();
        if refused {
            note_refusal();
        }
        refused
    }

    /// The same of something that the call's own end does not tell of.
    #[inline(always)]
    pub(crate) fn refuses_unnoted(self) -> bool {
        let refuse = VERDICTS.get(self.slot).map_or(0, |verdict| verdict.refuse);
        let refused = self.terms & refuse != 0;
        if refused && let Some(count) = REFUSED.get_ptr_mut(0) {
            // SAFETY: a value of the map, which the verifier knows.
            add(unsafe { &mut *count }, 1);
        }
        refused
    }

    /// Kills the process where that is the verdict, before it runs another instruction, and says so.
    #[inline(always)]
    pub(crate) fn kills(self) -> bool {
        let kill = VERDICTS.get(self.slot).map_or(0, |verdict| verdict.kill);
        // SAFETY: a number.
        self.terms & kill != 0 && unsafe { bpf_send_signal(SIGKILL) } == 0
    }
}

/// Terms by who the current task is and where.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn verdict_task(bank: u32, class: u32) -> u64 {
    let slot = slot(bank, class);
    let Some(verdict) = VERDICTS.get(slot) else { return 0 };
    let mut terms = verdict.refuse | verdict.kill;
    if terms == 0 {
        return 0;
    }
    let Some(kind) = FILTER_KINDS.get(slot) else { return 0 };
    let task = Task::current();
    let tgid = task.tgid().unwrap_or(1);
    if tgid == 1 || tgid == knob!(self_tgid) || task.is_kernel() {
        return 0;
    }
    let Some(group) = task.cgroup() else { return 0 };
    let key = GroupKey { bank: u64::from(bank), group };
    // SAFETY: a value that changes meanwhile is the old or the new one, word by word.
    let Some(group) = (unsafe { VERDICT_GROUPS.get(key) }) else { return 0 };
    // Whatever runs in the container has another mount namespace than who made it.
    let Some(mnt_ns) = task.namespace(offset!(nsproxy_mnt), offset!(mnt_ns_inum)) else { return 0 };
    let [maker, host] = group.outside;
    if mnt_ns == maker || mnt_ns == host {
        return 0;
    }
    terms &= group.terms.get(class as usize & (ROOM - 1)).copied().unwrap_or(0);
    if terms & !(kind.root & kind.user) != 0 {
        let euid: Option<u32> = task.field(offset!(task_cred)).and_then(|cred| cred.load(offset!(cred_euid)));
        terms &= match euid {
            Some(0) => kind.root,
            Some(_) => kind.user,
            None => kind.root & kind.user,
        };
    }
    terms
}

/// Terms by a name of the thread; none at all fits no word.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn verdict_comm(slot: u32, terms: u64, first: u64, second: u64) -> u64 {
    let Some(kind) = FILTER_KINDS.get(slot) else { return 0 };
    let asked = kind.comm.property.asked;
    if terms & asked == 0 {
        return terms;
    }
    if first == 0 { terms & !asked } else { terms & comm_terms(kind, slot, [first, second]) }
}
