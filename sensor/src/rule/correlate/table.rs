//! State by list and key, within a budget. A list is one of the three keys of one rule; its entries are in the order of
//! their last touch. Every operation takes constant time, on average.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::state::{State, allocated};

/// Entries that are allocated at once.
const CHUNK: usize = 128;
/// Entries that are evicted from one list before it is asked again which list holds the most.
const EVICTED_AT_ONCE: usize = 32;
const NONE: u32 = u32::MAX;

/// State of one key.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) list: u32,
    pub(super) key: Box<[u8]>,
    pub(super) state: State,
    /// Boot time from which it says nothing any more.
    pub(super) until: u64,
    hash: u64,
    heap: usize,
    older: u32,
    newer: u32,
}

#[derive(Debug)]
enum Place {
    /// With the number of the next free one.
    Free(u32),
    Used(Entry),
}

/// The entries of one of a rule's keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    oldest: u32,
    newest: u32,
    pub(super) keys: usize,
    bytes: usize,
    /// Keys that were forgotten for want of memory.
    pub(super) evicted: u64,
    /// Alerts that were suppressed under those keys, and that nobody heard of.
    pub(super) unsaid: u64,
}

impl List {
    const EMPTY: Self = Self { oldest: NONE, newest: NONE, keys: 0, bytes: 0, evicted: 0, unsaid: 0 };
}

/// All state of all rules.
#[derive(Debug)]
pub(super) struct Table {
    chunks: Vec<Box<[Place]>>,
    free: u32,
    used: usize,
    index: HashTable<u32>,
    lists: Vec<List>,
    /// Keyed anew by each process: who can choose keys must not be able to choose where they collide.
    hasher: RandomState,
    heap: usize,
    /// Bytes that count against the limit and lie elsewhere.
    elsewhere: usize,
    limit: usize,
    /// The list from which the next expiry goes on.
    cursor: usize,
}

impl Table {
    /// `limit`: bytes for all entries together. A little of it stays free: what grows is there twice for a moment, and
    /// places are allocated many at a time.
    pub(super) fn new(lists: usize, limit: usize) -> Self {
        Self::empty(lists, limit - limit / 32 - allocated(CHUNK * size_of::<Place>()))
    }

    fn empty(lists: usize, limit: usize) -> Self {
        Self {
            chunks: Vec::new(),
            free: NONE,
            used: 0,
            index: HashTable::new(),
            lists: vec![List::EMPTY; lists],
            hasher: RandomState::new(),
            heap: 0,
            elsewhere: 0,
            limit,
            cursor: 0,
        }
    }

    /// Number of entries.
    pub(super) const fn keys(&self) -> usize {
        self.used
    }

    /// Bytes in use, what the allocator and the index add included.
    pub(super) fn bytes(&self) -> usize {
        let places = self.chunks.len() * allocated(CHUNK * size_of::<Place>());
        places + self.index.allocation_size() + self.heap + self.elsewhere
    }

    /// Counts memory that somebody else holds against the limit.
    pub(super) const fn elsewhere(&mut self, bytes: usize) {
        self.elsewhere = bytes;
    }

    pub(super) fn lists(&self) -> &[List] {
        &self.lists
    }

    /// What a text is looked up as, and what stands for a value.
    pub(super) fn hash(&self, list: u32, bytes: &[u8]) -> u64 {
        self.hasher.hash_one((list, bytes))
    }

    pub(super) fn find(&self, hash: u64, list: u32, key: &[u8]) -> Option<u32> {
        let same = |id: &u32| self.entry(*id).is_some_and(|entry| entry.list == list && *entry.key == *key);
        self.index.find(hash, same).copied()
    }

    pub(super) fn state(&self, id: u32) -> Option<&State> {
        self.entry(id).map(|entry| &entry.state)
    }

    /// To be changed. [`Table::changed`] must follow.
    pub(super) fn state_mut(&mut self, id: u32) -> Option<&mut State> {
        self.entry_mut(id).map(|entry| &mut entry.state)
    }

    /// Adds an entry, as the newest of its list.
    pub(super) fn insert(&mut self, hash: u64, list: u32, key: &[u8], state: State, until: u64) -> u32 {
        let heap = allocated(key.len()) + state.heap();
        let key = key.into();
        self.put(Entry { list, key, state, until, hash, heap, older: NONE, newer: NONE })
    }

    /// Takes a change of an entry's state into account: an empty one goes. `touched`: it becomes the newest.
    pub(super) fn changed(&mut self, id: u32, until: u64, touched: bool) {
        let Some(entry) = self.entry_mut(id) else { return };
        if entry.state.is_empty() {
            self.remove(id);
            return;
        }
        let heap = allocated(entry.key.len()) + entry.state.heap();
        let before = std::mem::replace(&mut entry.heap, heap);
        entry.until = until;
        let list = entry.list;
        self.heap = self.heap + heap - before;
        if let Some(list) = self.list_mut(list) {
            list.bytes = list.bytes + heap - before;
        }
        if touched && self.lists.get(list as usize).is_some_and(|list| list.newest != id) {
            self.unlink(id);
            self.link(id);
        }
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<Entry> {
        let hash = self.entry(id)?.hash;
        self.unlink(id);
        if let Ok(found) = self.index.find_entry(hash, |known| *known == id) {
            found.remove();
        }
        let free = self.free;
        let Place::Used(entry) = std::mem::replace(self.place_mut(id)?, Place::Free(free)) else {
            return None;
        };
        self.free = id;
        self.used -= 1;
        self.heap -= entry.heap;
        if let Some(list) = self.list_mut(entry.list) {
            list.keys -= 1;
            list.bytes -= entry.heap + size_of::<Place>();
        }
        Some(entry)
    }

    /// Brings the table back below its limit: the list that holds the most loses its oldest entries, so that who floods
    /// one rule cannot make another forget. `now`: what ended before is no loss.
    pub(super) fn trim(&mut self, now: u64) {
        if self.bytes() <= self.limit {
            return;
        }
        // Some room, so that the next ones do not each pay for the search.
        let enough = self.limit - self.limit / 64;
        while self.bytes() > enough && self.used > 0 {
            let largest = (0..).zip(&self.lists).max_by_key(|(_, list)| list.bytes).map(|(list, _)| list);
            let Some(largest) = largest else { break };
            for _ in 0..EVICTED_AT_ONCE {
                let Some(entry) = self.oldest(largest).and_then(|id| self.remove(id)) else { break };
                let unsaid = entry.state.unsaid();
                if let Some(list) = self.list_mut(largest)
                    && (entry.until >= now || unsaid > 0)
                {
                    list.evicted += 1;
                    list.unsaid += unsaid;
                }
                if self.bytes() <= enough {
                    break;
                }
            }
            self.shrink();
        }
    }

    /// Takes out the oldest entries that ended before `now`, at most so many, and shows each.
    pub(super) fn expire(&mut self, now: u64, most: usize, mut ended: impl FnMut(Entry)) -> usize {
        let mut taken = 0;
        for _ in 0..self.lists.len() {
            while taken < most
                && let Some(id) = self.oldest(self.cursor as u32)
                && self.entry(id).is_some_and(|entry| entry.until < now)
            {
                self.remove(id).into_iter().for_each(&mut ended);
                taken += 1;
            }
            if taken == most {
                break;
            }
            self.cursor = (self.cursor + 1) % self.lists.len();
        }
        self.shrink();
        taken
    }

    /// Moves the entries of another table's list in, the oldest first.
    pub(super) fn adopt(&mut self, list: u32, from: &mut Self, old: u32) {
        while let Some(entry) = from.oldest(old).and_then(|id| from.remove(id)) {
            let hash = self.hash(list, &entry.key);
            self.put(Entry { list, hash, ..entry });
        }
        if let (Some(new), Some(old)) = (self.list_mut(list), from.list_mut(old)) {
            (new.evicted, new.unsaid) = (old.evicted, old.unsaid);
        }
    }

    fn put(&mut self, entry: Entry) -> u32 {
        let Entry { list, hash, heap, .. } = entry;
        let id = self.place();
        let Some(place) = self.place_mut(id) else { return NONE };
        *place = Place::Used(entry);
        self.used += 1;
        self.heap += heap;
        if let Some(list) = self.list_mut(list) {
            list.keys += 1;
            list.bytes += heap + size_of::<Place>();
        }
        let chunks = &self.chunks;
        self.index.insert_unique(hash, id, |id| at(chunks, *id).map_or(0, |entry| entry.hash));
        self.link(id);
        id
    }

    /// A free place.
    fn place(&mut self) -> u32 {
        if self.free == NONE {
            let first = (self.chunks.len() * CHUNK) as u32;
            let places = (1..=CHUNK as u32)
                .map(|next| Place::Free(if next == CHUNK as u32 { NONE } else { first + next }))
                .collect();
            self.chunks.push(places);
            self.free = first;
        }
        let id = self.free;
        if let Some(Place::Free(next)) = self.place_mut(id) {
            self.free = *next;
        }
        id
    }

    /// Gives memory back where most places are free.
    fn shrink(&mut self) {
        if self.chunks.len() < 4 || self.used * 4 > self.chunks.len() * CHUNK {
            return;
        }
        let mut small = Self::empty(self.lists.len(), self.limit);
        small.hasher.clone_from(&self.hasher);
        for list in 0..self.lists.len() as u32 {
            while let Some(entry) = self.oldest(list).and_then(|id| self.remove(id)) {
                small.put(entry);
            }
            if let (Some(new), Some(old)) = (small.list_mut(list), self.lists.get(list as usize)) {
                (new.evicted, new.unsaid) = (old.evicted, old.unsaid);
            }
        }
        (small.cursor, small.elsewhere) = (self.cursor, self.elsewhere);
        *self = small;
    }

    fn oldest(&self, list: u32) -> Option<u32> {
        self.lists.get(list as usize).map(|list| list.oldest).filter(|id| *id != NONE)
    }

    fn list_mut(&mut self, list: u32) -> Option<&mut List> {
        self.lists.get_mut(list as usize)
    }

    fn place_mut(&mut self, id: u32) -> Option<&mut Place> {
        self.chunks.get_mut(id as usize / CHUNK)?.get_mut(id as usize % CHUNK)
    }

    fn entry(&self, id: u32) -> Option<&Entry> {
        at(&self.chunks, id)
    }

    fn entry_mut(&mut self, id: u32) -> Option<&mut Entry> {
        match self.place_mut(id)? {
            Place::Used(entry) => Some(entry),
            Place::Free(_) => None,
        }
    }

    /// Puts an entry at the end of its list.
    fn link(&mut self, id: u32) {
        let Some(list) = self.entry(id).map(|entry| entry.list) else { return };
        let Some(ends) = self.list_mut(list) else { return };
        let before = std::mem::replace(&mut ends.newest, id);
        if before == NONE {
            ends.oldest = id;
        }
        if let Some(entry) = self.entry_mut(id) {
            (entry.older, entry.newer) = (before, NONE);
        }
        if let Some(before) = self.entry_mut(before) {
            before.newer = id;
        }
    }

    fn unlink(&mut self, id: u32) {
        let Some((list, older, newer)) = self.entry(id).map(|it| (it.list, it.older, it.newer)) else {
            return;
        };
        match self.entry_mut(older) {
            Some(before) => before.newer = newer,
            None => {
                if let Some(list) = self.list_mut(list) {
                    list.oldest = newer;
                }
            }
        }
        match self.entry_mut(newer) {
            Some(behind) => behind.older = older,
            None => {
                if let Some(list) = self.list_mut(list) {
                    list.newest = older;
                }
            }
        }
    }
}

fn at(chunks: &[Box<[Place]>], id: u32) -> Option<&Entry> {
    match chunks.get(id as usize / CHUNK)?.get(id as usize % CHUNK)? {
        Place::Used(entry) => Some(entry),
        Place::Free(_) => None,
    }
}
