//! Control groups → containers: which key belongs to which container, and what all sources together said of it. Keys are the
//! kernel's and never come back; ids and paths do, so a container is the group that was made, not its name.

use std::{collections::VecDeque, sync::Arc};

use hashbrown::HashMap;
use sensor_common::Header;

use super::{
    cgroup::{container_of, unit_of},
    runtime::{Ask, Found},
};
use crate::event::Container;

/// Groups known at most; beyond that new ones are looked up each time. A group costs about 300 bytes.
const LIMIT: usize = 65_536;

/// How long a group is remembered after its end, in nanoseconds: events of its last processes may still be on their way.
const LINGER: u64 = 5_000_000_000;

/// Ended groups that are remembered at most: where so many end within that time, nobody waits for the slowest.
const LINGERING: usize = 1024;

/// What a container may hold where all of them together hold too much.
const LITTLE: usize = 4096;

/// Memory for what sources say, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one container: labels and mounts beyond it are left out.
    pub container: usize,
    /// Of all: beyond it new ones keep only what identifies them.
    pub all: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { container: 64 << 10, all: 16 << 20 }
    }
}

/// What a control group is.
#[derive(Clone, Debug)]
pub enum Place {
    /// A container, or a group inside one.
    Container(Arc<Container>),
    /// Of the host, with its systemd unit.
    Host(Option<Arc<str>>),
}

/// Who made a group, and when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Made {
    /// Nanoseconds since boot; `None` for a group that was there before.
    pub at: Option<u64>,
    /// The mount namespace of who made it.
    pub by: Option<u32>,
}

#[derive(Debug)]
struct Instance {
    container: Arc<Container>,
    /// Its groups, those that linger included, and how many do not.
    keys: Vec<u64>,
    live: usize,
    /// Its own group in the unified hierarchy and in the v1 hierarchy that stands in for it.
    roots: [Option<u64>; 2],
    made: Made,
    /// The best source so far.
    best: u8,
    bytes: usize,
}

/// Every control group that is there, by key, and the containers among them.
#[derive(Debug, Default)]
pub struct Containers {
    groups: HashMap<u64, Place>,
    instances: HashMap<u64, Instance>,
    /// The latest with this path.
    by_path: HashMap<Box<str>, u64>,
    /// Groups of the host that came or went since somebody asked.
    hosts: Vec<(u64, bool)>,
    /// Groups of containers of which something changed since somebody asked, and whether they are there.
    placed: Vec<(u64, bool)>,
    /// Ended groups and the moments of their end.
    lingering: VecDeque<(u64, u64)>,
    last: u64,
    bytes: usize,
    limits: Limits,
}

impl Containers {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// A group was made or found. The question is what to ask about it, where it is a new container.
    pub fn insert(&mut self, key: u64, path: &str, made: Made) -> Option<Ask> {
        if self.groups.len() >= LIMIT || self.groups.contains_key(&key) {
            return None;
        }
        let Some(mut found) = container_of(path) else {
            self.groups.insert(key, Place::Host(unit_of(path).map(Into::into)));
            self.hosts.push((key, true));
            return None;
        };
        let own = path.trim_end_matches('/') == &*found.cgroup;
        let hierarchy = usize::from(key & Header::CGROUP_V1 != 0);
        let known = self.by_path.get(&found.cgroup).and_then(|number| self.instances.get_mut(number));
        // The same path again while nothing of the old one is left, or where it cannot be there twice.
        let again =
            |old: &Instance| own && (old.live == 0 || old.roots.get(hierarchy).is_some_and(Option::is_some));
        let instance = match known {
            Some(old) if !again(old) => old,
            _ => {
                self.last += 1;
                found.instance = self.last;
                found.started = made.at;
                self.by_path.insert(found.cgroup.clone(), self.last);
                let bytes = found.heap_bytes();
                self.bytes += bytes;
                let container = Arc::new(found);
                self.instances.entry(self.last).or_insert(Instance {
                    container,
                    keys: Vec::new(),
                    live: 0,
                    roots: [None; 2],
                    made,
                    best: 0,
                    bytes,
                })
            }
        };
        instance.live += 1;
        instance.keys.push(key);
        if own && let Some(root) = instance.roots.get_mut(hierarchy) {
            *root = Some(key);
        }
        let container = Arc::clone(&instance.container);
        let first = instance.keys.len() == 1;
        let ask = first.then(|| Ask::about(&container));
        self.placed.push((key, true));
        self.groups.insert(key, Place::Container(container));
        ask
    }

    /// A group is gone, `now` in nanoseconds since boot. It is remembered for a little while.
    pub fn remove(&mut self, key: u64, now: u64) {
        match self.groups.get(&key) {
            Some(Place::Container(container)) => {
                if let Some(instance) = self.instances.get_mut(&container.instance) {
                    instance.live = instance.live.saturating_sub(1);
                }
                self.placed.push((key, false));
            }
            Some(Place::Host(_)) => self.hosts.push((key, false)),
            None => return,
        }
        self.lingering.push_back((now, key));
    }

    /// Forgets groups that ended long enough ago, and tells the containers that are gone with them.
    pub fn release(&mut self, now: u64, mut gone: impl FnMut(u64)) {
        while let Some((ended, key)) = self.lingering.front().copied() {
            if ended.saturating_add(LINGER) > now && self.lingering.len() <= LINGERING {
                break;
            }
            self.lingering.pop_front();
            let Some(Place::Container(container)) = self.groups.remove(&key) else { continue };
            let Some(instance) = self.instances.get_mut(&container.instance) else { continue };
            instance.keys.retain(|known| *known != key);
            if instance.keys.is_empty() {
                self.bytes -= instance.bytes;
                self.instances.remove(&container.instance);
                if self.by_path.get(&container.cgroup) == Some(&container.instance) {
                    self.by_path.remove(&container.cgroup);
                }
                gone(container.instance);
            }
        }
    }

    /// The groups of the host that came (`true`) or went since the last time.
    pub fn hosts(&mut self) -> impl Iterator<Item = (u64, bool)> {
        self.hosts.drain(..)
    }

    /// The groups of containers of which something changed since the last time: what is known of the container now, or `None`
    /// where the group is gone.
    pub fn placed(&mut self) -> Vec<(u64, Option<Arc<Container>>)> {
        let mut placed = std::mem::take(&mut self.placed);
        // The last change of a group counts.
        placed.reverse();
        placed.sort_by_key(|(key, _)| *key);
        placed.dedup_by_key(|(key, _)| *key);
        let known = |(key, there): (u64, bool)| match self.groups.get(&key) {
            Some(Place::Container(container)) if there => (key, Some(Arc::clone(container))),
            _ => (key, None),
        };
        placed.into_iter().map(known).collect()
    }

    /// The groups of containers that there are.
    pub fn all(&self) -> impl Iterator<Item = (u64, &Arc<Container>)> {
        self.groups.iter().filter_map(|(key, place)| match place {
            Place::Container(container) => Some((*key, container)),
            Place::Host(_) => None,
        })
    }

    /// What a group is; `None` where it is unknown.
    #[must_use]
    pub fn get(&self, key: u64) -> Option<&Place> {
        self.groups.get(&key)
    }

    /// A container as it is known now.
    #[must_use]
    pub fn container(&self, instance: u64) -> Option<&Arc<Container>> {
        self.instances.get(&instance).map(|instance| &instance.container)
    }

    /// The latest container with this group path.
    #[must_use]
    pub fn at(&self, cgroup: &str) -> Option<u64> {
        self.by_path.get(cgroup).copied()
    }

    /// The containers that are there, each once.
    pub fn present(&self) -> impl Iterator<Item = &Arc<Container>> {
        let latest = self.by_path.values().filter_map(|number| self.instances.get(number));
        latest.filter(|instance| instance.live > 0).map(|instance| &instance.container)
    }

    /// Who made a container's group.
    #[must_use]
    pub fn made(&self, instance: u64) -> Option<Made> {
        self.instances.get(&instance).map(|instance| instance.made)
    }

    /// Takes in what a source says; gives the container as it is known now.
    pub fn learn(&mut self, found: Found) -> Option<&Arc<Container>> {
        let limits = self.limits;
        let used = self.bytes;
        self.change(found.instance, |container, best| {
            let rank = found.source.rank();
            container.facts.merge(found.facts, rank >= *best);
            *best = rank.max(*best);
            container.facts.trim(if used > limits.all { LITTLE } else { limits.container });
        })
    }

    /// Its events wait no longer for what is not known of it.
    pub fn settle(&mut self, instance: u64) {
        self.change(instance, |container, _| container.settled = true);
    }

    /// A process was there before, in the group `key`, and began at `start`.
    pub fn began(&mut self, key: u64, start: u64) {
        if let Some(Place::Container(container)) = self.groups.get(&key)
            && container.started.is_none()
        {
            let instance = container.instance;
            self.change(instance, |container, _| container.started = Some(start));
        }
    }

    fn change(
        &mut self,
        number: u64,
        change: impl FnOnce(&mut Container, &mut u8),
    ) -> Option<&Arc<Container>> {
        let instance = self.instances.get_mut(&number)?;
        let mut container = (*instance.container).clone();
        change(&mut container, &mut instance.best);
        container.look();
        self.bytes -= instance.bytes;
        instance.bytes = container.heap_bytes();
        self.bytes += instance.bytes;
        instance.container = Arc::new(container);
        for key in &instance.keys {
            self.groups.insert(*key, Place::Container(Arc::clone(&instance.container)));
            self.placed.push((*key, true));
        }
        Some(&instance.container)
    }

    /// Groups known.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Containers known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.instances.len()
    }

    /// Whether no container is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// Bytes of what is known of containers.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests;
