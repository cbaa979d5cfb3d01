//! The configuration's words for isolation → those of the probe.

use std::path::Path;

use crate::{
    config::RespondConfig,
    probe::isolate::{self, Isolation, IsolationError, IsolationOptions, Peer},
};

/// Loads what isolates groups. Takes as long as the start of a sensor.
///
/// # Errors
/// See [`Isolation::load`].
pub fn isolation(config: &RespondConfig) -> Result<Isolation, IsolationError> {
    let allow = config.isolate.allow.iter();
    let allow = allow.map(|peer| Peer { network: peer.network, port: peer.port }).collect();
    Isolation::load(&IsolationOptions { allow, keep: config.keep_enforcing, ..IsolationOptions::default() })
}

/// Goes on with what an earlier sensor kept isolated, where this one is to keep it, too; otherwise ends it.
///
/// # Errors
/// See [`Isolation::load`].
pub fn kept_isolation(config: &RespondConfig) -> Result<Option<Isolation>, IsolationError> {
    if config.keep_enforcing {
        return isolation(config).map(Some);
    }
    isolate::end_kept(Path::new(isolate::PINS)).map(|()| None)
}
