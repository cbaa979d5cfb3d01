//! Asks whether some rule can want a record, as early as the answer is known: the tables of [`sensor_common::filter`], one
//! property after the other, the cheap ones first. It knows no rule, and where it cannot tell it lets the record pass.

mod file;

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, LpmTrie},
};
use sensor_common::{
    Header, KINDS, Kind, Settings, Text,
    filter::{
        CALLS, CommKey, DONE, FAILED, KindFilter, NOT_FOUND, NameKey, OUTCOMES, PathKey, SLOTS, call_index,
        slot,
    },
    text,
};

use self::file::{filter_file, filter_path, filter_request};
use crate::{
    kernel::{Path, Task, offset},
    record::{Record, settings},
};

const ENOENT: i64 = -2;
/// Every term: nothing is known against it.
const ALL: u64 = u64::MAX;

#[map]
static FILTER_CALLS: Array<u64> = Array::with_max_entries(CALLS, 0);
#[map]
static FILTER_KINDS: Array<KindFilter> = Array::with_max_entries(SLOTS, 0);
#[map]
static FILTER_COMMS: HashMap<CommKey, u64> = HashMap::with_max_entries(4096, 0);
#[map]
static FILTER_NAMES: HashMap<NameKey, u64> = HashMap::with_max_entries(8192, 0);
#[map]
static FILTER_PATHS: LpmTrie<PathKey, u64> = LpmTrie::with_max_entries(16384, BPF_F_NO_PREALLOC);
/// Control groups of which the daemon knows that they are in no container.
#[map]
static HOST_GROUPS: HashMap<u64, u32> = HashMap::with_max_entries(8192, 0);

/// The terms that can still hold of an event.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    /// One set of tables from the first question to the last, whatever the daemon switches meanwhile.
    slot: u32,
    terms: u64,
}

impl Wanted {
    /// What the call and who made it leave.
    #[inline(always)]
    pub(crate) fn of_call(kind: Kind, number: u32, result: i64) -> Self {
        let bank = settings(|settings: &Settings| settings.filters);
        if bank == 0 {
            return Self { slot: 0, terms: ALL };
        }
        let slot = slot(bank, u32::from(kind.number()));
        let outcome = match result {
            0.. => DONE,
            ENOENT => NOT_FOUND,
            _ => FAILED,
        };
        Self { slot, terms: filter_call(slot, number, outcome) }
    }

    /// Whether no rule can want it.
    #[inline(always)]
    pub(crate) fn is_none(self) -> bool {
        self.terms == 0
    }

    /// What [`sensor_common::filter::facts`] and the name of the file leave.
    #[inline(always)]
    pub(crate) fn of_file(self, facts: u32, path: Path) -> Self {
        if self.slot == 0 {
            return self;
        }
        Self { terms: filter_file(self.slot, self.terms, facts, path.mnt, path.dentry), ..self }
    }

    /// What the name leaves that a caller gave in vain, which is the first text behind a body of type `B`.
    #[inline(always)]
    pub(crate) fn of_request<B>(self, record: &mut Record, name: Text) -> Self {
        if self.slot == 0 || name.flags & (text::TRUNCATED | text::FAULT) != 0 {
            return self;
        }
        let at = size_of::<Header>() + size_of::<B>();
        let terms = filter_request(self.slot, self.terms, record.slot(), at as u32, u32::from(name.len));
        Self { terms, ..self }
    }

    /// What the path leaves, which is the first text behind a body of type `B`.
    #[inline(always)]
    pub(crate) fn of_path<B>(self, record: &mut Record, path: Text) -> Self {
        if self.slot == 0 || path.len == 0 || path.flags & text::TRUNCATED != 0 {
            return self;
        }
        // The key begins with the last eight bytes of the body.
        let at = size_of::<Header>() + size_of::<B>() - 8;
        let terms = filter_path(self.slot, self.terms, record.slot(), at as u32, u32::from(path.len));
        Self { terms, ..self }
    }
}

/// Terms by call, thread name, user and container. A function of its own, so that the verifier walks through it once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn filter_call(slot: u32, number: u32, outcome: u32) -> u64 {
    let call = call_index(slot / KINDS, number, outcome & (OUTCOMES - 1));
    let Some(terms) = FILTER_CALLS.get(call) else { return ALL };
    let mut terms = *terms;
    let Some(kind) = FILTER_KINDS.get(slot) else { return ALL };
    if terms == 0 {
        return 0;
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
    if terms & !kind.host != 0
        && let Some(cgroup) = task.cgroup()
        // SAFETY: the value is not looked at.
        && unsafe { HOST_GROUPS.get(cgroup) }.is_some()
    {
        terms &= kind.host;
    }
    if terms & kind.comm.asked != 0
        && let Some(comm) = task.comm()
    {
        let key = CommKey { slot: u64::from(slot), comm };
        // SAFETY: the daemon writes an entry once, before its set of tables is at work.
        terms &= unsafe { FILTER_COMMS.get(key) }.copied().unwrap_or(kind.comm.other);
    }
    terms
}
