//! Asks whether some rule can want a record, as early as the answer is known: the tables of [`sensor_common::filter`], one
//! property after the other, the cheap ones first. It knows no rule, and where it cannot tell it lets the record pass.

use core::{hint::black_box, mem::MaybeUninit};

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    helpers::generated::{bpf_map_lookup_elem, bpf_probe_read_kernel},
    macros::map,
    maps::{Array, HashMap, LpmTrie, lpm_trie::Key},
};
use sensor_common::{
    Header, KINDS, Kind, Settings, Text,
    filter::{
        CALLS, CommKey, DONE, FACTS, FAILED, KindFilter, NAME_LEN, NOT_FOUND, NameKey, OUTCOMES, PATH_LEN,
        PathKey, SLOTS, call_index, slot,
    },
    text,
};

use crate::{
    kernel::{Task, dentry_name, offset},
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
    pub(crate) fn of_file(self, facts: u32, dentry: u64) -> Self {
        if self.slot == 0 {
            return self;
        }
        Self { terms: filter_file(self.slot, self.terms, facts, dentry), ..self }
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

/// Terms by what was done to a file, and by its name.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn filter_file(slot: u32, terms: u64, facts: u32, dentry: u64) -> u64 {
    let Some(kind) = FILTER_KINDS.get(slot) else { return terms };
    let Some(by_facts) = kind.facts.get(facts as usize & (FACTS - 1)) else { return terms };
    let terms = terms & by_facts;
    if terms & kind.name.asked == 0 {
        return terms;
    }
    // A file of no directory has a name of its own kind.
    let Some((name, len)) = dentry_name(dentry) else { return terms };
    let cut = len.saturating_sub(NAME_LEN as u32 - 1);
    let name = name + u64::from(cut);
    name_terms(slot, terms, name as *const u8, len - cut)
}

/// Terms by the name of `len` bytes, fewer than [`NAME_LEN`], at an address in the kernel.
#[inline(always)]
fn name_terms(slot: u32, terms: u64, name: *const u8, len: u32) -> u64 {
    let Some(kind) = FILTER_KINDS.get(slot) else { return terms };
    // Word by word: an array of zeros would be a loop over bytes.
    let mut key = MaybeUninit::<NameKey>::uninit();
    let words = key.as_mut_ptr().cast::<u64>();
    // SAFETY: the key is this many words.
    unsafe {
        words.write(u64::from(slot));
        words.add(1).write_volatile(0);
        words.add(2).write_volatile(0);
        words.add(3).write_volatile(0);
        words.add(4).write_volatile(0);
    }
    // SAFETY: every word is written.
    let key = unsafe { key.assume_init_mut() };
    let len = black_box(len) & (NAME_LEN as u32 - 1);
    // SAFETY: the destination has room for any length below NAME_LEN; the helper checks the source.
    let failed = unsafe { bpf_probe_read_kernel(key.name.as_mut_ptr().cast(), len, name.cast()) };
    let [first, second, third, ..] = key.name;
    // What is no name (`x/`, `.`, `..`) decides nothing.
    if failed != 0 || first == 0 || first == b'.' && (second == 0 || second == b'.' && third == 0) {
        return terms;
    }
    // SAFETY: the daemon writes an entry once, before its set of tables is at work.
    terms & unsafe { FILTER_NAMES.get(&*key) }.copied().unwrap_or(kind.name.other)
}

/// Terms by the last component of the `len` bytes that lie at `at` in the scratch memory.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn filter_request(slot: u32, terms: u64, scratch: u32, at: u32, len: u32) -> u64 {
    let Some(kind) = FILTER_KINDS.get(slot) else { return terms };
    if terms & kind.name.asked == 0 {
        return terms;
    }
    let Some(base) = crate::record::scratch(scratch) else { return terms };
    let (text, len) = (at as usize & 0xff8, len as usize & 0xfff);
    let mut took = 0;
    for step in 1..NAME_LEN {
        if step > len {
            break;
        }
        // Where LLVM sees the loop through it walks a pointer down instead ("R1 min value is outside of the allowed memory
        // range").
        let at = black_box(len - step) & 0xfff;
        // SAFETY: the scratch memory is many times larger than both numbers together.
        let byte = unsafe { base.add(text + at).read_volatile() };
        if byte == b'/' {
            break;
        }
        took = step;
    }
    // SAFETY: as above.
    let name = unsafe { base.add(text + (black_box(len - took) & 0xfff)) };
    name_terms(slot, terms, name, took as u32)
}

/// Terms by the path of `len` bytes that lies at `at` in the scratch memory. What precedes it there is a part of the body:
/// for the time of the look it is the head of the key.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn filter_path(slot: u32, terms: u64, scratch: u32, at: u32, len: u32) -> u64 {
    let Some(kind) = FILTER_KINDS.get(slot) else { return terms };
    if terms & kind.path.asked == 0 {
        return terms;
    }
    let Some(base) = crate::record::scratch(scratch) else { return terms };
    let (at, len) = (at as usize & 0xff8, len as usize & 0xfff);
    // One byte more than the path has: the NUL behind it.
    let bytes = if len + 1 > PATH_LEN { PATH_LEN } else { len + 1 };
    // SAFETY: the scratch memory is many times larger than both numbers together, and no text follows yet.
    unsafe {
        let text = base.add(at + 8);
        let head = base.add(at).cast::<u32>();
        let saved = (head.read_volatile(), head.add(1).read_volatile());
        text.add(len).write_volatile(0);
        head.write_volatile((size_of::<u32>() + bytes) as u32 * 8);
        head.add(1).write_volatile(slot);
        let entry = bpf_map_lookup_elem((&raw const FILTER_PATHS).cast_mut().cast(), head.cast());
        head.write_volatile(saved.0);
        head.add(1).write_volatile(saved.1);
        if entry.is_null() { terms & kind.path.other } else { terms & entry.cast::<u64>().read_volatile() }
    }
}

const _: () = assert!(size_of::<NameKey>() == 8 + NAME_LEN && NAME_LEN == 4 * 8);
const _: () = assert!(size_of::<Key<PathKey>>() == 8 + PATH_LEN);
