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

/// What signals asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// To end.
    pub(super) stop: Arc<AtomicBool>,
    /// To load the rules again.
    pub(super) reload: Arc<AtomicBool>,
}

/// Listens for signals from here on.
///
/// # Errors
/// Where the system does not let it.
pub(super) fn listen() -> io::Result<Asked> {
    let asked = Asked::default();
    let flags = asked.clone();
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if signal == SIGHUP {
                flags.reload.store(true, Ordering::Relaxed);
            } else if flags.stop.swap(true, Ordering::Relaxed) {
                std::process::exit(128 + signal);
            }
        }
    })?;
    Ok(asked)
}
