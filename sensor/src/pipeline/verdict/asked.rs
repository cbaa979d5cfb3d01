//! What fanotify is to refuse, and of what it has to be asked for that.

use std::sync::Arc;

use super::TERMS;
use crate::{
    probe::fanotify::Questions,
    rule::{Act, Alternative, Order, Path},
};

/// What the kernel does not ask of: the filesystem of processes, and devices.
const NOT_ASKED: [&[u8]; 2] = [b"/proc", b"/dev"];
/// Files all the same.
const BUT: &[u8] = b"/dev/shm/";

/// The terms of what fanotify refuses, as bits of [`AskedIn`].
#[derive(Clone, Debug, Default)]
pub struct Asked {
    execs: Vec<Arc<Alternative>>,
    opens: Vec<Arc<Alternative>>,
}

/// Those that hold in a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedIn {
    pub(super) execs: u64,
    pub(super) opens: u64,
}

impl Asked {
    /// Whether nothing is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.execs.is_empty() && self.opens.is_empty()
    }

    /// Those of one act.
    #[must_use]
    pub fn of(&self, act: Act) -> &[Arc<Alternative>] {
        match act {
            Act::Exec => &self.execs,
            Act::Open => &self.opens,
            Act::Connect | Act::Bind | Act::Send | Act::Remove | Act::Move | Act::Link => &[],
        }
    }

    /// Takes an order in; false where there is no room for it.
    pub(super) fn take(&mut self, order: &Order) -> bool {
        let terms = if order.act == Act::Exec { &mut self.execs } else { &mut self.opens };
        if terms.len() + order.any.len() > TERMS {
            return false;
        }
        terms.extend(order.any.iter().cloned().map(Arc::new));
        true
    }

    /// What has to be asked in a container where these hold: nothing that no term is about.
    #[must_use]
    pub fn questions(&self, held: AskedIn) -> Questions {
        let is_held = |bit: usize| held.opens & 1 << bit != 0;
        let mut opens = self.opens.iter().enumerate().filter(|(bit, _)| is_held(*bit));
        Questions {
            execs: held.execs != 0,
            opens: held.opens != 0,
            directories: opens.any(|(_, term)| is_of_directories(term)),
        }
    }
}

impl AskedIn {
    /// The bits of one act.
    #[must_use]
    pub const fn of(self, act: Act) -> u64 {
        match act {
            Act::Exec => self.execs,
            Act::Open => self.opens,
            Act::Connect | Act::Bind | Act::Send | Act::Remove | Act::Move | Act::Link => 0,
        }
    }
}

/// Whether a directory can be meant.
fn is_of_directories(term: &Alternative) -> bool {
    use sensor_common::{filter::FACTS, verdict::facts::DIRECTORY};
    (0..FACTS as u32).any(|bits| bits & DIRECTORY != 0 && term.not_facts & 1 << bits == 0)
}

/// Whether fanotify tells all that an order asks.
pub(super) fn answerable(order: &Order) -> Result<(), String> {
    match order.act {
        Act::Exec if order.any.iter().any(|term| !term.comm.is_any()) => {
            Err("fanotify does not tell the name that a program would get".to_owned())
        }
        Act::Open if order.any.iter().any(is_beyond) => {
            Err("fanotify asks neither of /proc nor of devices".to_owned())
        }
        Act::Exec | Act::Open => Ok(()),
        Act::Connect | Act::Bind | Act::Send | Act::Remove | Act::Move | Act::Link => {
            Err(format!("fanotify does not ask before {}", order.act.name()))
        }
    }
}

/// Whether a path is named of which nobody is asked.
fn is_beyond(term: &Alternative) -> bool {
    term.path.only.iter().flatten().any(|path| {
        let (Path::Exact(path) | Path::Prefix(path)) = path;
        let is_in = |dir: &&[u8]| {
            path.strip_prefix(*dir).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        NOT_ASKED.iter().any(is_in) && !path.starts_with(BUT)
    })
}
