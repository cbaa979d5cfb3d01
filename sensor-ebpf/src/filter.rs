//! Asks whether some rule can want a record, as early as the answer is known: the tables of [`sensor_common::filter`], one
//! property after the other, the cheap ones first. It knows no rule, and where it cannot tell it lets the record pass.

mod call;
mod file;
mod socket;
mod speech;
mod task;
mod verdict;

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, LpmTrie},
};
use sensor_common::{
    Header, Kind, Text,
    filter::{
        CALLS, CommKey, DONE, FAILED, KindFilter, NOT_FOUND, NameKey, PathKey, SLOTS, Words, call_index,
        mark, slot,
    },
    text,
};

use self::{
    call::{call_terms, fact_terms, filter_call},
    file::{file_terms, filter_file, filter_path, filter_request},
    socket::{filter_socket, peer_terms},
    task::{comm_terms, filter_task, task_terms},
};
pub(crate) use self::{
    socket::MAPPED,
    speech::{made, spoken},
    task::is_host,
    verdict::{Case, forget_refusal, note_refusal, was_refused},
};
use crate::{
    kernel::{CASTS, Path, Sock, Task},
    record::{Ending, Record, settings},
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

/// The terms that can still hold of an event.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    /// One set of tables from the first question to the last, whatever the daemon switches meanwhile.
    slot: u32,
    terms: u64,
    /// What holds for the whole kind, where it was looked up already.
    kind: Option<&'static KindFilter>,
}

impl Wanted {
    /// Nothing is asked.
    pub(crate) const ALL: Self = Self { slot: 0, terms: ALL, kind: None };

    /// What a call leaves, whoever made it. `facts`: [`sensor_common::filter::facts`], or [`NO_FACTS`].
    #[inline(always)]
    pub(crate) fn of_call(kind: Kind, call: Ending, facts: u32) -> Self {
        let bank = settings(|settings| &settings.filters);
        if bank == 0 {
            return Self::ALL;
        }
        let slot = slot(bank, u32::from(kind.number()));
        let outcome = match call.result {
            0.. => DONE,
            ENOENT => NOT_FOUND,
            _ => FAILED,
        };
        let call = call_index(bank, call.number, outcome);
        if !CASTS {
            return Self { slot, terms: filter_call(slot, call, facts), kind: None };
        }
        let kind = FILTER_KINDS.get(slot);
        Self { slot, terms: call_terms(kind, call, facts), kind }
    }

    /// Whether each rule that can want it asks something of the task.
    #[inline(always)]
    pub(crate) fn is_of_task(self) -> bool {
        let others = |kind: &KindFilter| kind.root & kind.user & kind.host & !kind.comm.property.asked;
        let kind = if CASTS { self.kind } else { FILTER_KINDS.get(self.slot) };
        self.slot != 0 && kind.is_some_and(|kind| self.terms & others(kind) == 0)
    }

    /// What the current task leaves.
    #[inline(always)]
    pub(crate) fn of_task(self, task: Task) -> Self {
        if self.slot == 0 || CASTS && self.terms == 0 {
            return self;
        }
        Self { terms: filter_task(self.slot, self.terms, task.address()), ..self }
    }

    /// Whether no rule can want it.
    #[inline(always)]
    pub(crate) fn is_none(self) -> bool {
        self.terms == 0
    }

    /// Whether the daemon acts upon some rule that can still want it.
    #[inline(always)]
    pub(crate) fn is_urgent(self) -> bool {
        self.slot != 0 && self.terms & FILTER_KINDS.get(self.slot).map_or(0, |kind| kind.urgent) != 0
    }

    /// What [`sensor_common::filter::facts`] and the name of the file leave, and then the current task.
    #[inline(always)]
    pub(crate) fn of_file(self, facts: u32, path: Path, task: Task) -> Self {
        if self.slot == 0 {
            return self;
        }
        if !CASTS {
            let terms = filter_file(self.slot, self.terms, facts, path.mnt, path.dentry);
            return Self { terms, ..self }.of_task(task);
        }
        // No functions: to return from one takes a third of the time of all this. Reads by helpers leave them no room on the stack.
        let Some(kind) = self.kind else { return self };
        let terms = file_terms(kind, self.slot, self.terms, facts, path);
        Self { terms: task_terms(kind, self.slot, terms, || task), ..self }
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

    /// What the other end leaves of a socket, as far as the kernel knows it before there is a record.
    #[inline(always)]
    pub(crate) fn of_peer(self, sock: Sock) -> Self {
        match self.kind {
            Some(kind) => Self { terms: peer_terms(kind, self.slot, self.terms, sock), ..self },
            None => self,
        }
    }

    /// What the socket leaves that a record tells of. `looked`: bits of [`sensor_common::filter::ends`].
    #[inline(always)]
    pub(crate) fn of_socket(self, record: &mut Record, looked: u32) -> Self {
        if self.slot == 0 {
            return self;
        }
        Self { terms: filter_socket(self.slot, self.terms, record.slot(), looked), ..self }
    }
}

/// Whether a word that begins so can have an entry.
#[inline(always)]
fn is_marked(words: &Words, first: u64) -> bool {
    let mark = mark(first);
    match words.marks.get((mark / 64) as usize & (words.marks.len() - 1)) {
        Some(bits) => bits & 1 << (mark % 64) != 0,
        None => true,
    }
}
