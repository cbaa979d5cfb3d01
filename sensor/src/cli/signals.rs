//! Signals → flags. SIGTERM and SIGINT end the run in good order, a second one at once; SIGHUP reloads.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{capability, pipeline::reload::Waker};

/// What signals asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// To end.
    pub(super) stop: Arc<AtomicBool>,
}

/// Listens for signals from here on. `reload`: whom SIGHUP wakes; without rules it does nothing.
///
/// # Errors
/// Where the system does not let it.
pub(super) fn listen(reload: Option<Waker>) -> io::Result<Asked> {
    let asked = Asked::default();
    let flags = asked.clone();
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        // It is older than the moment at which the others lose what only starting takes, and needs nothing.
        if let Err(error) = capability::give_up_all() {
            tracing::debug!(%error, "the thread for signals keeps its capabilities");
        }
        for signal in signals.forever() {
            if signal == SIGHUP {
                reload.iter().for_each(Waker::ask);
            } else if flags.stop.swap(true, Ordering::Relaxed) {
                std::process::exit(128 + signal);
            }
        }
    })?;
    Ok(asked)
}
