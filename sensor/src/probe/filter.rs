//! The tables by which the kernel programs tell what no rule can want: written beside those at work, then switched to at
//! once. What they mean is said in [`sensor_common::filter`]; who makes them is not known here.

use aya::{
    Ebpf,
    maps::{Array, HashMap, LpmTrie, MapData, MapError, lpm_trie::Key},
};
use sensor_common::{
    Kind,
    filter::{
        BANKS, CommKey, KindFilter, NAME_LEN, NameKey, NetKey, OUTCOMES, PATH_LEN, PathKey, PortKey, ROWS,
        call_index, host_place, slot,
    },
};

use super::{
    ProbeError,
    pod::pod,
    usage::{Fills, NEW, stands_already},
};

/// Bits of a trie's key before what is looked up: the row.
const BEFORE: u32 = u32::BITS;

/// A row of a set of tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What holds for all of it.
    pub whole: KindFilter,
    /// By thread name.
    pub comms: Vec<([u64; 2], u64)>,
    /// By file name, of which the last bytes count.
    pub names: Vec<([u64; NAME_LEN / 8], u64)>,
    /// By beginning of the path; a whole path ends with a NUL.
    pub paths: Vec<(Vec<u8>, u64)>,
    /// By port.
    pub ports: Vec<(u16, u64)>,
    /// By first address of a network, and the bits that count.
    pub nets: Vec<([u8; 16], u8, u64)>,
}

/// The tables of one kind. A kind that has none is wanted by nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindTables {
    /// Of these records.
    pub kind: Kind,
    /// What they are asked.
    pub row: Row,
    /// By number of the system call: the terms of its outcomes.
    pub calls: Vec<(u32, [u64; OUTCOMES as usize])>,
}

pod! {
    PodKind(KindFilter);
    PodComm(CommKey);
    PodName(NameKey);
    PodPath(PathKey);
    PodPort(PortKey);
    PodNet(NetKey);
}

/// The maps, and which of the sets of tables is at work.
pub(super) struct Filters {
    calls: Array<MapData, u64>,
    kinds: Array<MapData, PodKind>,
    comms: HashMap<MapData, PodComm, u64>,
    names: HashMap<MapData, PodName, u64>,
    paths: LpmTrie<MapData, PodPath, u64>,
    ports: HashMap<MapData, PodPort, u64>,
    nets: LpmTrie<MapData, PodNet, u64>,
    hosts: HashMap<MapData, u64, u32>,
    host_places: Array<MapData, u64>,
    bank: u32,
    /// The entries of `calls` that are not 0, by set: nearly all are, and each takes a system call of its own.
    written: [Vec<u32>; BANKS as usize],
}

impl Filters {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        Ok(Self {
            calls: take(ebpf, "FILTER_CALLS")?,
            kinds: take(ebpf, "FILTER_KINDS")?,
            comms: take(ebpf, "FILTER_COMMS")?,
            names: take(ebpf, "FILTER_NAMES")?,
            paths: take(ebpf, "FILTER_PATHS")?,
            ports: take(ebpf, "FILTER_PORTS")?,
            nets: take(ebpf, "FILTER_NETS")?,
            hosts: take(ebpf, "HOST_GROUPS")?,
            host_places: take(ebpf, "HOST_PLACES")?,
            bank: 0,
            written: Default::default(),
        })
    }

    /// Empties a set of tables where none is at work, and gives its number.
    pub(super) fn next(&mut self) -> Result<u32, MapError> {
        self.bank = self.bank % (BANKS - 1) + 1;
        self.clear(self.bank)?;
        Ok(self.bank)
    }

    /// Writes the tables of a kind of records.
    pub(super) fn write(&mut self, bank: u32, table: &KindTables) -> Result<(), MapError> {
        for (number, terms) in &table.calls {
            for (outcome, terms) in (0..).zip(terms) {
                let index = call_index(bank, *number, outcome);
                self.calls.set(index, terms, 0)?;
                if let Some(written) = self.written.get_mut(bank as usize).filter(|_| *terms != 0) {
                    written.push(index);
                }
            }
        }
        self.write_row(slot(bank, u32::from(table.kind.number())), &table.row)
    }

    fn clear(&mut self, bank: u32) -> Result<(), MapError> {
        let written = self.written.get_mut(bank as usize);
        // One by one: where the kernel refuses, the others are still to be emptied.
        if let Some(written) = written {
            while let Some(index) = written.last() {
                self.calls.set(*index, 0, 0)?;
                written.pop();
            }
        }
        for kind in 0..ROWS {
            self.kinds.set(slot(bank, kind), PodKind(KindFilter::default()), 0)?;
        }
        let ours = |slot: u64| slot / u64::from(ROWS) == u64::from(bank);
        for key in self.comms.keys().collect::<Result<Vec<_>, _>>()? {
            if ours(key.0.slot) {
                self.comms.remove(&key)?;
            }
        }
        for key in self.names.keys().collect::<Result<Vec<_>, _>>()? {
            if ours(key.0.slot) {
                self.names.remove(&key)?;
            }
        }
        for key in self.paths.keys().collect::<Result<Vec<_>, _>>()? {
            if ours(u64::from(key.data().0.slot)) {
                self.paths.remove(&key)?;
            }
        }
        for key in self.ports.keys().collect::<Result<Vec<_>, _>>()? {
            if ours(u64::from(key.0.slot)) {
                self.ports.remove(&key)?;
            }
        }
        for key in self.nets.keys().collect::<Result<Vec<_>, _>>()? {
            if ours(u64::from(key.data().0.slot)) {
                self.nets.remove(&key)?;
            }
        }
        Ok(())
    }

    /// Writes a row.
    pub(super) fn write_row(&mut self, slot: u32, row: &Row) -> Result<(), MapError> {
        for (comm, terms) in &row.comms {
            let key = CommKey { slot: slot.into(), comm: *comm };
            self.comms.insert(PodComm(key), terms, 0)?;
        }
        for (name, terms) in &row.names {
            self.names.insert(PodName(NameKey { slot: slot.into(), name: *name }), terms, 0)?;
        }
        for (path, terms) in &row.paths {
            let mut key = PathKey { slot, path: [0; PATH_LEN] };
            for (to, from) in key.path.iter_mut().zip(path) {
                *to = *from;
            }
            let bits = BEFORE + 8 * path.len().min(PATH_LEN) as u32;
            self.paths.insert(&Key::new(bits, PodPath(key)), terms, 0)?;
        }
        for (port, terms) in &row.ports {
            self.ports.insert(PodPort(PortKey { slot, port: (*port).into() }), terms, 0)?;
        }
        for (addr, bits, terms) in &row.nets {
            let key = NetKey { slot, addr: *addr };
            self.nets.insert(&Key::new(BEFORE + u32::from(*bits), PodNet(key)), terms, 0)?;
        }
        self.kinds.set(slot, PodKind(row.whole), 0)
    }

    /// Entries of the maps that are written with a set of tables.
    pub(super) fn entries(&self) -> [(&'static str, usize); 5] {
        [
            ("FILTER_COMMS", self.comms.keys().count()),
            ("FILTER_NAMES", self.names.keys().count()),
            ("FILTER_NETS", self.nets.keys().count()),
            ("FILTER_PATHS", self.paths.keys().count()),
            ("FILTER_PORTS", self.ports.keys().count()),
        ]
    }

    /// Says that a control group is in no container, or that it is no more. One for which there is no room stays unknown, and
    /// its records are looked at by the daemon.
    pub(super) fn host_group(&mut self, key: u64, there: bool, fills: &mut Fills) {
        const MAP: &str = "HOST_GROUPS";
        let (place, mark) = host_place(key);
        let placed = if there {
            self.host_places.set(place, mark, 0)
        } else {
            self.host_places.get(&place, 0).and_then(|found| match found == mark {
                true => self.host_places.set(place, 0, 0),
                false => Ok(()),
            })
        };
        let result = if there { self.hosts.insert(key, 1, NEW) } else { self.hosts.remove(&key) };
        if there {
            fills.inserted(MAP, &result);
        } else {
            fills.removed(MAP, &result);
        }
        if let Err(error) = placed.and(result)
            && !stands_already(&error)
        {
            tracing::trace!(key, %error, "control group not told to the kernel half");
        }
    }
}

pub(super) fn take<M: TryFrom<aya::maps::Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &str,
) -> Result<M, ProbeError> {
    super::load::take_map(ebpf, name)?
        .try_into()
        .map_err(|error: MapError| ProbeError::Load(error.to_string()))
}
