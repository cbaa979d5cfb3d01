//! Isolation by the kernel half, in the hands of the responder: the configuration's words become those of the probe.

use std::io;

use crate::{
    config::RespondConfig,
    probe::isolate::{self, Isolation, IsolationError, IsolationOptions, Peer},
    respond::Network,
};

/// What cuts control groups off from the network: loaded at the first order, or before.
pub struct KernelNetwork {
    config: RespondConfig,
    loaded: Option<Isolation>,
    missing: Option<String>,
}

impl KernelNetwork {
    /// Goes on with what an earlier sensor kept isolated, where this one is to keep it, too; otherwise ends it. `now`: loads
    /// what isolates at once, which takes as long as the start of a sensor, and says what is missing for it.
    ///
    /// # Errors
    /// Where what is kept cannot be taken over; see [`Isolation::load`].
    pub fn new(config: &RespondConfig, now: bool) -> Result<Self, IsolationError> {
        let mut network = Self { config: config.clone(), loaded: None, missing: None };
        if config.keep_enforcing {
            network.loaded = Some(network.load()?);
        } else {
            isolate::end_kept(&config.pins)?;
        }
        if now {
            let rehearsed = network.with(Isolation::rehearse);
            network.missing = rehearsed.err().map(|error| error.to_string());
        }
        Ok(network)
    }

    fn load(&self) -> Result<Isolation, IsolationError> {
        let allow = self.config.isolate.allow.iter();
        let allow = allow.map(|peer| Peer { network: peer.network, port: peer.port }).collect();
        let keep = self.config.keep_enforcing;
        Isolation::load(&IsolationOptions { allow, keep, pins: self.config.pins.clone() })
    }

    fn with<T>(&mut self, order: impl FnOnce(&mut Isolation) -> Result<T, IsolationError>) -> io::Result<T> {
        let done = match &mut self.loaded {
            Some(loaded) => order(loaded),
            None => self.load().and_then(|loaded| order(self.loaded.insert(loaded))),
        };
        done.map_err(io::Error::other)
    }
}

impl Network for KernelNetwork {
    fn isolate(&mut self, groups: &[u64]) -> io::Result<()> {
        // The first is the container's own, and all others lie below it.
        let Some(group) = groups.first() else { return Err(io::ErrorKind::NotFound.into()) };
        self.with(|isolation| isolation.isolate(*group))
    }

    fn release(&mut self, groups: &[u64]) -> io::Result<()> {
        let Some(group) = groups.first() else { return Err(io::ErrorKind::NotFound.into()) };
        self.with(|isolation| isolation.release(*group))
    }

    fn isolated(&self) -> io::Result<Vec<u64>> {
        let Some(isolation) = &self.loaded else { return Ok(Vec::new()) };
        let isolated = isolation.isolated().map_err(io::Error::other)?;
        Ok(isolated.into_iter().map(|isolated| isolated.group).collect())
    }

    fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }
}
