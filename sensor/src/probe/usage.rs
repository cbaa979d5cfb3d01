//! How full the kernel half is and what it costs: entries of its maps, run time of its programs. What they are about it does
//! not know.

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use aya::{
    Ebpf,
    maps::{Map, MapError},
    programs::ProgramFd,
    sys::Stats,
};
use serde::Serialize;

use super::Probe;

/// Flag of an insertion that is to fail where there is an entry already (`BPF_NOEXIST`).
pub(super) const NEW: u64 = 1;
/// Flag of one that is to fail where there is none (`BPF_EXIST`).
pub(super) const OLD: u64 = 2;

/// Maps that can run full. Those that are not here are of fixed content, or forget the oldest entries by themselves.
const MAPS: [&str; 8] = [
    "FILTER_COMMS",
    "FILTER_NAMES",
    "FILTER_NETS",
    "FILTER_PATHS",
    "FILTER_PORTS",
    "HOST_GROUPS",
    "LIMITED",
    "VERDICT_GROUPS",
];

/// Those of them that get an entry now and then, and not all of them with a set of rules.
const ONE_BY_ONE: [&str; 2] = ["HOST_GROUPS", "VERDICT_GROUPS"];

/// How full a map is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fill {
    /// Entries in it.
    pub entries: u64,
    /// Entries for which there is room.
    pub capacity: u64,
    /// Entries for which there was none; `None` where that shows otherwise: of filters everything becomes a record then.
    pub refused: Option<u64>,
}

/// What a program took since its time is measured. Those that it hands over to by a tail call count for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramRun {
    /// Its name; of those at the ends of the kernel's functions the function's.
    pub program: String,
    /// How long it ran.
    pub nanoseconds: u64,
    /// How often.
    pub runs: u64,
}

/// How full the kernel half is, and what it costs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Size of the ring in bytes; 0 where there is none.
    pub ring_bytes: u64,
    /// The most bytes that waited in the ring when it was looked at, since the accounts before.
    pub ring_waiting_bytes: u64,
    /// By map.
    pub maps: BTreeMap<&'static str, Fill>,
    /// By program; empty where their time is not measured.
    pub programs: Vec<ProgramRun>,
}

/// The accounts of maps, kept beside them: the kernel does not say how many entries a map has.
#[derive(Debug, Default)]
pub(super) struct Fills(BTreeMap<&'static str, Fill>);

impl Fills {
    /// For the maps of an object, before they are taken out of it.
    pub(super) fn of(ebpf: &Ebpf) -> Self {
        let fill = |name| {
            let capacity = capacity(ebpf.map(name)?)?;
            let refused = ONE_BY_ONE.contains(&name).then_some(0);
            Some((name, Fill { capacity, refused, ..Fill::default() }))
        };
        Self(MAPS.into_iter().filter_map(fill).collect())
    }

    pub(super) fn all(&self) -> BTreeMap<&'static str, Fill> {
        self.0.clone()
    }

    /// A map was counted.
    pub(super) fn set(&mut self, map: &str, entries: usize) {
        if let Some(fill) = self.0.get_mut(map) {
            fill.entries = entries as u64;
        }
    }

    /// What came of an insertion with [`NEW`].
    pub(super) fn inserted(&mut self, map: &str, done: &Result<(), MapError>) {
        let Some(fill) = self.0.get_mut(map) else { return };
        match done {
            Ok(()) => fill.entries += 1,
            Err(error) if stands_already(error) => {}
            Err(_) => fill.refused = fill.refused.map(|count| count + 1),
        }
    }

    /// What came of a removal.
    pub(super) fn removed(&mut self, map: &str, done: &Result<(), MapError>) {
        if let (Some(fill), Ok(())) = (self.0.get_mut(map), done) {
            fill.entries = fill.entries.saturating_sub(1);
        }
    }
}

impl Probe {
    /// Has the run time of programs measured from here on: of all programs of the machine, which costs each of them two looks
    /// at the clock.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn measure(&mut self) -> io::Result<()> {
        self.measures = Some(measure()?);
        Ok(())
    }

    /// How full the maps are, and what programs took where that is measured.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let mut usage = Usage { maps: self.fills.all(), ..Usage::default() };
        if self.measures.is_some() {
            let own = self.ebpf.programs();
            let own = own.filter_map(|(name, program)| run(name, program.fd().ok()?));
            // One that is only handed over to has no runs of its own.
            usage.programs = own.chain(self.functions.runs()).filter(|run| run.runs > 0).collect();
            usage.programs.sort_unstable_by(|one, other| one.program.cmp(&other.program));
        }
        usage
    }
}

fn capacity(map: &Map) -> Option<u64> {
    let (Map::HashMap(data) | Map::PerCpuHashMap(data) | Map::LpmTrie(data)) = map else { return None };
    Some(data.info().ok()?.max_entries().into())
}

/// Whether an insertion with [`NEW`] failed since there is an entry.
pub(super) fn stands_already(error: &MapError) -> bool {
    matches!(error, MapError::SyscallError(error) if error.io_error.kind() == io::ErrorKind::AlreadyExists)
}

/// Has the kernel measure the run time of all programs of the machine, until the descriptor is closed.
pub(super) fn measure() -> io::Result<OwnedFd> {
    aya::sys::enable_stats(Stats::RunTime).map_err(|error| error.io_error)
}

/// What the kernel says of a program's run time.
pub(super) fn run(name: &str, program: &ProgramFd) -> Option<ProgramRun> {
    let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_fd().as_raw_fd())).ok()?;
    let number = |key| about.lines().find_map(|line| line.strip_prefix(key))?.trim().parse().ok();
    let (nanoseconds, runs) = (number("run_time_ns:")?, number("run_cnt:")?);
    Some(ProgramRun { program: name.to_owned(), nanoseconds, runs })
}
