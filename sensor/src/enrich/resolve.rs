//! Host names → addresses, in a thread of its own: what rules compare with is looked up beforehand and again and again, and
//! no event ever waits for it. It knows no rule.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    net::{IpAddr, ToSocketAddrs},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::Resolved;
use crate::event::HostNames;

/// How often each name is looked up. The system's resolver does not say how long an answer holds.
const REFRESH: Duration = Duration::from_secs(60);

/// How long an address counts after its name last had it: servers with many addresses name others every time, and
/// connections are made to those before.
const KEEP: Duration = Duration::from_secs(600);

/// The thread, seen from outside. It ends when this is dropped.
#[derive(Debug)]
pub struct Resolver {
    names: Sender<BTreeSet<String>>,
    found: Receiver<Resolved>,
}

impl Resolver {
    /// Starts the thread, with no names to look up.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start() -> io::Result<Self> {
        Self::with(|name| (name, 0).to_socket_addrs().map(|found| found.map(|end| end.ip()).collect()))
    }

    fn with(look_up: impl FnMut(&str) -> io::Result<Vec<IpAddr>> + Send + 'static) -> io::Result<Self> {
        let (names, wanted) = channel();
        let (results, found) = channel();
        let mut table = Table { known: HashMap::new(), look_up };
        thread::Builder::new().name("resolver".to_owned()).spawn(move || table.run(&wanted, &results))?;
        Ok(Self { names, found })
    }

    /// Looks these names up from now on, and no others.
    pub fn want(&self, names: BTreeSet<String>) {
        // A thread that is gone answers no more; the names then are what they were.
        let _ = self.names.send(names);
    }

    /// What was found since the last time, all of it.
    #[must_use]
    pub fn found(&self) -> Option<Resolved> {
        self.found.try_iter().last()
    }
}

struct Table<L> {
    /// When each address was last said to belong to the name.
    known: HashMap<Arc<str>, HashMap<IpAddr, Instant>>,
    look_up: L,
}

impl<L: FnMut(&str) -> io::Result<Vec<IpAddr>>> Table<L> {
    fn run(&mut self, wanted: &Receiver<BTreeSet<String>>, results: &Sender<Resolved>) {
        let mut wait = REFRESH;
        loop {
            match wanted.recv_timeout(wait) {
                Ok(names) => {
                    let before = self.known.len();
                    self.known.retain(|name, _| names.contains(&**name));
                    if self.known.len() < before && results.send(self.resolved()).is_err() {
                        return;
                    }
                    for name in names {
                        self.known.entry(name.into()).or_default();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let began = Instant::now();
            let names: Vec<Arc<str>> = self.known.keys().cloned().collect();
            for name in names {
                // What is known of the first is of use before the last has timed out.
                if self.refresh(&name) && results.send(self.resolved()).is_err() {
                    return;
                }
            }
            wait = REFRESH.saturating_sub(began.elapsed()).max(Duration::from_secs(1));
        }
    }

    /// Looks a name up; tells whether its addresses changed. A lookup that fails changes nothing.
    fn refresh(&mut self, name: &Arc<str>) -> bool {
        let found = match (self.look_up)(name) {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%name, %error, "cannot resolve a name that rules compare with");
                return false;
            }
        };
        let now = Instant::now();
        let addresses = self.known.entry(Arc::clone(name)).or_default();
        let mut changed = false;
        for address in found {
            changed |= addresses.insert(address, now).is_none();
        }
        let before = addresses.len();
        addresses.retain(|_, seen| now.duration_since(*seen) < KEEP);
        changed || addresses.len() != before
    }

    fn resolved(&self) -> Resolved {
        let mut names: HashMap<IpAddr, Vec<Arc<str>>> = HashMap::new();
        for (name, addresses) in &self.known {
            for address in addresses.keys() {
                names.entry(address.to_canonical()).or_default().push(Arc::clone(name));
            }
        }
        names.into_iter().map(|(address, names)| (address, HostNames::from_iter(names))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn names_are_looked_up_and_a_failure_leaves_the_others() {
        let address = IpAddr::from([192, 0, 2, 1]);
        let resolver = Resolver::with(move |name| match name {
            "gone.example" => Err(io::Error::other("no such name")),
            _ => Ok(vec![address]),
        })
        .unwrap();
        resolver.want(wanted(&["a.example", "b.example", "gone.example"]));
        let names = |found: &Resolved| -> BTreeSet<String> {
            found.get(&address).into_iter().flat_map(HostNames::iter).map(ToString::to_string).collect()
        };
        let mut found = Resolved::new();
        while names(&found) != wanted(&["a.example", "b.example"]) {
            found = resolver.found.recv_timeout(Duration::from_secs(30)).unwrap();
        }
        // A name that nobody wants any more is no name of the address.
        resolver.want(wanted(&["a.example"]));
        assert_eq!(
            names(&resolver.found.recv_timeout(Duration::from_secs(30)).unwrap()),
            wanted(&["a.example"])
        );
    }
}
