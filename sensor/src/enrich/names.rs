//! Addresses → the names under which a workload got them. Each container has names of its own: what one was told says
//! nothing about another, and none can push out what others know. It knows neither messages nor events.

use std::{collections::VecDeque, net::IpAddr, sync::Arc};

use hashbrown::HashMap;
use serde::Serialize;

use crate::event::HostNames;

/// The scope of everything outside containers. What is not known to a container is looked up here: answers of which the
/// kernel could not say whose they are belong to it.
pub(super) const HOST: u64 = 0;

/// Bytes of all names, and of those of one scope: some ten thousand addresses, and a few thousand.
const LIMIT: usize = 4 << 20;
const SCOPE_LIMIT: usize = 1 << 20;

/// Names of one address: behind one address of a large provider there are more, of which the latest count.
const NAMES: usize = 8;

/// How long a name holds, in nanoseconds, whatever its time to live says: a program connects a while after it asked, and
/// libraries keep what they were told; longer than a day is nobody's wish.
const SHORTEST: u64 = 60_000_000_000;
const LONGEST: u64 = 86_400_000_000_000;

/// What an address costs besides its names.
const ENTRY: usize = 160;

/// What the table did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NameCounts {
    /// Addresses known now.
    pub addresses: usize,
    /// Bytes of their names.
    pub bytes: usize,
    /// Addresses forgotten before their time for want of room.
    pub evicted: u64,
}

#[derive(Debug)]
struct Known {
    /// The latest first, each with the end of its time.
    named: Vec<(Arc<str>, u64)>,
    /// The same names, to be handed out.
    list: HostNames,
    /// When the first of them ends.
    until: u64,
}

#[derive(Debug, Default)]
struct Scope {
    addresses: HashMap<IpAddr, Known>,
    /// In the order in which they were first known.
    order: VecDeque<IpAddr>,
    bytes: usize,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Names {
    scopes: HashMap<u64, Scope>,
    bytes: usize,
    evicted: u64,
}

impl Known {
    fn bytes(&self) -> usize {
        ENTRY + self.named.iter().map(|(name, _)| name.len() + size_of::<(Arc<str>, u64)>()).sum::<usize>()
    }

    /// Forgets names whose time is over.
    fn refresh(&mut self, now: u64) {
        self.named.retain(|(_, until)| *until > now);
        self.until = self.named.iter().map(|(_, until)| *until).min().unwrap_or(u64::MAX);
        self.list = self.named.iter().map(|(name, _)| Arc::clone(name)).collect();
    }
}

impl Names {
    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }

    /// In a scope these addresses have these names, the one that was asked for first, for `ttl` seconds from `now` on
    /// (nanoseconds since boot).
    pub(super) fn learn(&mut self, scope: u64, addresses: &[IpAddr], names: &[Arc<str>], ttl: u32, now: u64) {
        if names.is_empty() || addresses.is_empty() {
            return;
        }
        let until = now + (u64::from(ttl) * 1_000_000_000).clamp(SHORTEST, LONGEST);
        let Scope { addresses: table, order, bytes } = self.scopes.entry(scope).or_default();
        for address in addresses {
            let known = table.entry(*address).or_insert_with(|| {
                order.push_back(*address);
                Known { named: Vec::new(), list: HostNames::default(), until: 0 }
            });
            let before = if known.named.is_empty() { 0 } else { known.bytes() };
            known.named.retain(|(name, _)| !names.contains(name));
            known.named.splice(0..0, names.iter().map(|name| (Arc::clone(name), until)));
            known.named.truncate(NAMES);
            known.refresh(now);
            let after = known.bytes();
            *bytes = *bytes + after - before;
            self.bytes = self.bytes + after - before;
        }
        while self.scopes.get(&scope).is_some_and(|scope| scope.bytes > SCOPE_LIMIT) {
            self.evict(scope);
        }
        while self.bytes > LIMIT {
            let Some(largest) = self.scopes.iter().max_by_key(|(_, scope)| scope.bytes).map(|(key, _)| *key)
            else {
                break;
            };
            self.evict(largest);
        }
    }

    /// The names that an address has in a scope, or else on the host.
    pub(super) fn of(&mut self, scope: u64, address: IpAddr, now: u64) -> HostNames {
        let own = self.in_scope(scope, address, now);
        if own.is_empty() && scope != HOST { self.in_scope(HOST, address, now) } else { own }
    }

    fn in_scope(&mut self, scope: u64, address: IpAddr, now: u64) -> HostNames {
        let Some(table) = self.scopes.get_mut(&scope) else { return HostNames::default() };
        let Some(known) = table.addresses.get_mut(&address) else { return HostNames::default() };
        if now >= known.until {
            let before = known.bytes();
            known.refresh(now);
            let freed = before - known.bytes();
            table.bytes -= freed;
            self.bytes -= freed;
        }
        known.list.clone()
    }

    /// Forgets the oldest address of a scope.
    fn evict(&mut self, key: u64) {
        let Some(scope) = self.scopes.get_mut(&key) else { return };
        if let Some(known) = scope.order.pop_front().and_then(|address| scope.addresses.remove(&address)) {
            let bytes = known.bytes();
            scope.bytes -= bytes;
            self.bytes -= bytes;
            self.evicted += 1;
        } else {
            self.forget(key);
        }
    }

    /// Forgets a scope: its container is gone.
    pub(super) fn forget(&mut self, scope: u64) {
        if let Some(scope) = self.scopes.remove(&scope) {
            self.bytes -= scope.bytes;
        }
    }

    pub(super) fn counts(&self) -> NameCounts {
        let addresses = self.scopes.values().map(|scope| scope.addresses.len()).sum();
        NameCounts { addresses, bytes: self.bytes, evicted: self.evicted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn ip(last: u32) -> IpAddr {
        IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 + last))
    }

    fn names(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|name| (*name).into()).collect()
    }

    fn known(table: &mut Names, scope: u64, address: IpAddr, now: u64) -> Vec<String> {
        table.of(scope, address, now).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_holds_for_a_minute_at_least_and_the_latest_is_first() {
        let mut table = Names::default();
        table.learn(HOST, &[ip(1)], &names(&["a.example", "cdn.example"]), 0, 0);
        table.learn(HOST, &[ip(1)], &names(&["b.example"]), 300, 10 * SECOND);
        assert_eq!(known(&mut table, HOST, ip(1), 59 * SECOND), ["b.example", "a.example", "cdn.example"]);
        assert_eq!(known(&mut table, HOST, ip(1), 60 * SECOND), ["b.example"]);
        assert_eq!(known(&mut table, HOST, ip(1), 310 * SECOND), [""; 0]);
        assert_eq!(known(&mut table, HOST, ip(2), 0), [""; 0]);
    }

    #[test]
    fn a_container_believes_its_own_answers_and_the_hosts_but_no_other_containers() {
        let mut table = Names::default();
        table.learn(1, &[ip(1)], &names(&["one"]), 0, 0);
        table.learn(HOST, &[ip(1), ip(2)], &names(&["host"]), 0, 0);
        assert_eq!(known(&mut table, 1, ip(1), 0), ["one"]);
        assert_eq!(known(&mut table, 1, ip(2), 0), ["host"]);
        assert_eq!(known(&mut table, 2, ip(1), 0), ["host"]);
        assert_eq!(known(&mut table, HOST, ip(1), 0), ["host"]);
        table.forget(1);
        assert_eq!(known(&mut table, 1, ip(1), 0), ["host"]);
    }

    #[test]
    fn a_flood_pushes_out_its_own_names_only_and_is_counted() {
        let mut table = Names::default();
        table.learn(1, &[ip(1)], &names(&["quiet.example"]), 0, 0);
        let long = "x".repeat(250);
        for number in 0..20_000 {
            table.learn(2, &[ip(number)], &names(&[&format!("{long}{number}")]), 0, 0);
        }
        let counts = table.counts();
        assert!(counts.bytes <= SCOPE_LIMIT + ENTRY + 64, "{counts:?}");
        assert_eq!(counts.addresses as u64 + counts.evicted, 20_001);
        assert_eq!(known(&mut table, 1, ip(1), 0), ["quiet.example"]);
        assert_eq!(known(&mut table, 2, ip(19_999), 0).len(), 1);
        for scope in 3..20 {
            for number in 0..4000 {
                table.learn(scope, &[ip(number)], &names(&[&format!("{long}{number}")]), 0, 0);
            }
        }
        assert!(table.counts().bytes <= LIMIT, "{:?}", table.counts());
        assert_eq!(known(&mut table, 1, ip(1), 0), ["quiet.example"]);
        for scope in 0..20 {
            table.forget(scope);
        }
        assert_eq!(table.counts().bytes, 0);
        assert!(table.is_empty());
    }
}
