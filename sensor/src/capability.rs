//! What the kernel lets this process do: which capabilities the sensor uses and for what, which of them are missing, and giving up
//! those that only its start takes. It knows nothing of how the rest of the sensor uses them.
//!
//! Capabilities belong to threads; a new one has those of the thread that made it. So the first ones are given up before there
//! is a second thread, and the rest before the threads that live as long as the sensor.

use rustix::{
    io,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set, set_capabilities,
        set_no_new_privs,
    },
};
use serde::Serialize;

/// A capability that the sensor uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// As `capabilities(7)` calls it.
    pub name: &'static str,
    /// What does not work without it, as a sentence's end: `without it …`.
    pub without: &'static str,
    /// Whether the sensor cannot watch without it.
    pub essential: bool,
    /// Whether it is given up once the sensor watches.
    pub start_only: bool,
    bit: CapabilitySet,
}

/// All of them. `docs/privileges.md` says how they were found.
pub const NEEDS: [Need; 8] = [
    Need {
        name: "CAP_BPF",
        without: "no kernel program can be loaded",
        essential: true,
        start_only: false,
        bit: CapabilitySet::BPF,
    },
    Need {
        name: "CAP_PERFMON",
        without: "kernel programs cannot read kernel memory, so none is loaded",
        essential: true,
        start_only: false,
        bit: CapabilitySet::PERFMON,
    },
    Need {
        name: "CAP_NET_ADMIN",
        without: "containers are not isolated; where CAP_SYS_ADMIN is missing as well, DNS is not seen and connections are not \
                  refused in the kernel",
        essential: false,
        start_only: false,
        bit: CapabilitySet::NET_ADMIN,
    },
    Need {
        name: "CAP_SYS_PTRACE",
        without: "programs and namespaces of processes that were there before the sensor, and users of containers, are not \
                  known",
        essential: false,
        start_only: false,
        bit: CapabilitySet::SYS_PTRACE,
    },
    Need {
        name: "CAP_DAC_READ_SEARCH",
        without: "files of containers that do not belong to root, such as their passwd and their bundles, are not read",
        essential: false,
        start_only: false,
        bit: CapabilitySet::DAC_READ_SEARCH,
    },
    Need {
        name: "CAP_KILL",
        without: "responses cannot end processes of other users than root",
        essential: false,
        start_only: false,
        bit: CapabilitySet::KILL,
    },
    Need {
        name: "CAP_SYS_RESOURCE",
        without: "kernels before 5.11 count the tables of kernel programs against a limit that cannot be raised",
        essential: false,
        start_only: true,
        bit: CapabilitySet::SYS_RESOURCE,
    },
    Need {
        name: "CAP_SYS_ADMIN",
        without: "a sensor in a container does not see the host's control groups, the kernel does not say whether it \
                  preempts itself, and leaving a kernel takes seconds",
        essential: false,
        start_only: true,
        bit: CapabilitySet::SYS_ADMIN,
    },
];

/// How a capability stands.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Standing {
    /// Its name.
    pub capability: &'static str,
    /// Whether this process has it.
    pub held: bool,
    /// What does not work without it.
    pub without: &'static str,
}

/// All that the sensor uses.
#[must_use]
pub fn standings() -> Vec<Standing> {
    let held = effective();
    NEEDS
        .into_iter()
        .map(|need| Standing { capability: need.name, held: need.is_met(held), without: need.without })
        .collect()
}

/// Those that this process does not have.
#[must_use]
pub fn missing() -> Vec<Need> {
    let held = effective();
    NEEDS.into_iter().filter(|need| !need.is_met(held)).collect()
}

/// Gives up, for this thread and those that it will make, whatever the sensor never uses, and with it the right to get anything
/// back by a program. `hands_over`: it gives a file to a group, which takes one more.
///
/// # Errors
/// Where the kernel refuses.
pub fn give_up_unused(hands_over: bool) -> io::Result<()> {
    set_no_new_privs(true)?;
    let also = if hands_over { CapabilitySet::CHOWN } else { CapabilitySet::empty() };
    keep(NEEDS.into_iter().map(|need| need.bit).collect::<CapabilitySet>() | also)
}

/// The same for what only starting takes, but for those of these names: a feature that is switched on goes on to use them.
///
/// # Errors
/// Where the kernel refuses.
pub fn give_up_start(used: &[&str]) -> io::Result<()> {
    // Where the old capability stands for the new ones it is used to the end.
    let stands = !effective().contains(CapabilitySet::BPF | CapabilitySet::PERFMON);
    let is_used = |need: &Need| used.contains(&need.name) || stands && need.bit == CapabilitySet::SYS_ADMIN;
    let start: CapabilitySet =
        NEEDS.into_iter().filter(|need| need.start_only && !is_used(need)).map(|need| need.bit).collect();
    keep(CapabilitySet::all() - start)
}

/// The same for everything: of a thread that uses none.
///
/// # Errors
/// Where the kernel refuses.
pub fn give_up_all() -> io::Result<()> {
    keep(CapabilitySet::empty())
}

impl Need {
    /// Before Linux 5.8 `CAP_SYS_ADMIN` stood for the two that BPF has now, and it still does.
    fn is_met(self, held: CapabilitySet) -> bool {
        let either = if self.essential { self.bit | CapabilitySet::SYS_ADMIN } else { self.bit };
        held.intersects(either)
    }
}

fn effective() -> CapabilitySet {
    // The call fails for a process that does not exist only.
    capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective)
}

fn keep(kept: CapabilitySet) -> io::Result<()> {
    let now = capabilities(None)?;
    // What programs could get that this process starts; it starts none. It takes a capability that is about to go.
    if now.effective.contains(CapabilitySet::SETPCAP) {
        for gone in (CapabilitySet::all() - kept).iter() {
            // One that this kernel does not know.
            match remove_capability_from_bounding_set(gone) {
                Ok(()) | Err(io::Errno::INVAL) => {}
                Err(error) => return Err(error),
            }
        }
    }
    let rest = CapabilitySets {
        effective: now.effective & kept,
        permitted: now.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, rest)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// In a thread of its own: the others of this test keep theirs.
    fn after(give_up: fn() -> io::Result<()>) -> CapabilitySets {
        let made = thread::spawn(move || {
            give_up().unwrap();
            thread::spawn(|| capabilities(None).unwrap()).join().unwrap()
        });
        made.join().unwrap()
    }

    #[test]
    fn what_is_given_up_is_gone_in_later_threads_and_the_rest_is_not() {
        let before = capabilities(None).unwrap();
        let all: CapabilitySet = NEEDS.into_iter().map(|need| need.bit).collect();
        let unused = after(|| give_up_unused(false));
        assert_eq!((unused.permitted, unused.effective), (before.permitted & all, before.effective & all));
        let started = after(|| give_up_start(&[]));
        let start = CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_RESOURCE;
        assert_eq!(started.permitted, before.permitted - start);
        let used = after(|| give_up_start(&["CAP_SYS_ADMIN"]));
        assert_eq!(used.permitted, before.permitted - CapabilitySet::SYS_RESOURCE);
        assert_eq!(after(give_up_all).permitted, CapabilitySet::empty());
        assert_eq!(capabilities(None).unwrap(), before);
    }

    #[test]
    fn the_old_capability_stands_for_those_that_came_out_of_it() {
        let met = |held| {
            NEEDS.into_iter().filter(|need| need.is_met(held)).map(|need| need.name).collect::<Vec<_>>()
        };
        assert_eq!(met(CapabilitySet::SYS_ADMIN), ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_ADMIN"]);
        assert_eq!(met(CapabilitySet::BPF | CapabilitySet::KILL), ["CAP_BPF", "CAP_KILL"]);
    }
}
