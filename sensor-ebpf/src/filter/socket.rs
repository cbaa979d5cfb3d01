//! Terms of a verdict by the address that a socket is to use.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    helpers::generated::bpf_map_lookup_elem,
    macros::map,
    maps::{HashMap, LpmTrie, lpm_trie},
};
use sensor_common::verdict::{NetKey, PortKey};

use super::VERDICTS;
use crate::filter::{FILTER_KINDS, fact_terms};

#[map]
static VERDICT_NETS: LpmTrie<NetKey, u64> = LpmTrie::with_max_entries(8192, BPF_F_NO_PREALLOC);
#[map]
static VERDICT_PORTS: HashMap<PortKey, u64> = HashMap::with_max_entries(8192, BPF_F_NO_PREALLOC);

/// Terms by address: `what` is the facts and, in its lower half, the port.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn verdict_address(slot: u32, terms: u64, what: u32, high: u64, low: u64) -> u64 {
    let (Some(kind), Some(verdict)) = (FILTER_KINDS.get(slot), VERDICTS.get(slot)) else { return 0 };
    let mut terms = fact_terms(kind, terms, what >> 16);
    if terms & verdict.port.asked != 0 {
        let key = PortKey { slot, port: what & 0xffff };
        // SAFETY: the daemon writes an entry once, before its set of tables is at work.
        terms &= unsafe { VERDICT_PORTS.get(key) }.copied().unwrap_or(verdict.port.other);
    }
    if terms & verdict.net.asked != 0 {
        let mut key = MaybeUninit::<lpm_trie::Key<NetKey>>::uninit();
        let words = key.as_mut_ptr().cast::<u32>();
        // SAFETY: the key is six words, all of which are written.
        let entry = unsafe {
            words.write(8 * size_of::<NetKey>() as u32);
            words.add(1).write(slot);
            words.add(2).write(high as u32);
            words.add(3).write((high >> 32) as u32);
            words.add(4).write(low as u32);
            words.add(5).write((low >> 32) as u32);
            bpf_map_lookup_elem((&raw const VERDICT_NETS).cast_mut().cast(), key.as_ptr().cast())
        };
        terms &= if entry.is_null() {
            verdict.net.other
        } else {
            // SAFETY: a value of the map.
            unsafe { entry.cast::<u64>().read_volatile() }
        };
    }
    terms
}

const _: () = assert!(size_of::<lpm_trie::Key<NetKey>>() == 6 * 4);
