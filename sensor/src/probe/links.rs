//! Links to the kernel's functions, LSM hooks among them: kept such that they end in the background. It does not know what is
//! linked.
//!
//! Kernels from 6.1 to 6.12 wait two tenths of a second whenever a function is left by its last program, one function after the
//! other. Links that end with their descriptors make whoever closes these wait, that is the process in its end; one such link
//! among a hundred that end otherwise still waits for all of those.

use std::fs;

use aya::programs::links::{FdLink, PinnedLink};

use super::{chain, mount::Detached};

/// The links of one user. They end when this is dropped, or with the process in whatever way that ends.
pub(super) struct Links {
    /// A BPF filesystem that is mounted nowhere: the only thing that keeps what is pinned there. Functions are then left by
    /// threads of the kernel.
    place: Option<Detached>,
    /// Where there is none.
    open: Vec<(String, FdLink)>,
}

impl Links {
    /// Without any.
    pub(super) fn new() -> Self {
        let place = Detached::mount("bpf");
        if let Err(error) = &place {
            tracing::debug!(%error, "no BPF filesystem of our own: functions are left one by one at the end");
        }
        Self { place: place.ok(), open: Vec::new() }
    }

    /// Keeps a link. `name`: of none that is kept already.
    ///
    /// # Errors
    /// Where it cannot be pinned; it has ended then.
    pub(super) fn keep(&mut self, name: &str, link: FdLink) -> Result<(), String> {
        match &self.place {
            Some(place) => {
                link.pin(place.path(name)).map(drop).map_err(|error| format!("not pinned: {}", chain(&error)))
            }
            None => {
                self.open.push((name.to_owned(), link));
                Ok(())
            }
        }
    }

    /// Gives a link back, to be kept by the caller.
    ///
    /// # Errors
    /// Where none is kept by that name.
    pub(super) fn take(&mut self, name: &str) -> Result<FdLink, String> {
        if let Some(place) = &self.place {
            let pinned = PinnedLink::from_pin(place.path(name)).map_err(|error| chain(&error))?;
            return pinned.unpin().map_err(|error| chain(&error));
        }
        let at = self.open.iter().position(|(open, _)| open == name);
        at.map(|at| self.open.swap_remove(at).1).ok_or_else(|| format!("no link {name}"))
    }

    /// Ends one, if it is kept.
    pub(super) fn end(&mut self, name: &str) {
        match &self.place {
            // One that could not be pinned is not there, and has ended.
            Some(place) => drop(fs::remove_file(place.path(name))),
            None => self.open.retain(|(open, _)| open != name),
        }
    }

    /// Ends all of them; none is kept from here on.
    pub(super) fn end_all(&mut self) {
        self.place = None;
        self.open.clear();
    }
}
