//! Groups that are cut off from the network: loads and attaches the programs of `isolate`, which refuse what their sockets
//! send and receive, and notes for whom. Who is to be isolated, and why, it does not know.
//!
//! Isolated is a group with all below it, over every interface, loopback included: in a pod other containers listen there,
//! proxies that would pass everything on among them, and a container's resolver (docker's at 127.0.0.11) answers there for
//! the whole world. Who wants it lists `127.0.0.0/8` and `::1`.

mod attach;
pub(super) mod pins;
mod sockets;

use std::{
    io,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    maps::{HashMap, LpmTrie, MapData, MapError, lpm_trie::Key},
};
use ipnet::IpNet;
use sensor_common::isolate::{IsolatedGroup, PEER_PREFIX, PeerKey};
use thiserror::Error;

use self::attach::Attached;
pub use self::pins::{Kept, kept};
use super::{ProbeError, load::take_map, pod::pod};
use crate::clock;

/// Maps, which are pinned under these names.
const MAPS: [&str; 3] = ["ISOLATED", "ISOLATED_SOCKS", "ISOLATED_PEERS"];

/// How often a group's processes are looked at for sockets, while each look finds new ones. A group that makes some all the
/// time must not keep its isolation from ending.
const LOOKS: u32 = 4;

/// Ends what an earlier sensor kept isolated, if anything; `load` without `keep` does so, too.
///
/// # Errors
/// Where it cannot be removed.
pub fn end_kept(pins: &Path) -> Result<(), IsolationError> {
    pins::clear(pins)
}

/// Why a group cannot be isolated or released.
#[derive(Debug, Error)]
pub enum IsolationError {
    /// The programs cannot be loaded.
    #[error("programs for isolation cannot be loaded: {0}")]
    Load(#[from] ProbeError),
    /// One of them is refused.
    #[error("program {program} for isolation is refused: {why}")]
    Program {
        /// Its name.
        program: &'static str,
        /// The kernel's words.
        why: String,
    },
    /// They have nowhere to hang.
    #[error("programs for isolation cannot be attached: {0}")]
    Root(String),
    /// A map of theirs.
    #[error("the kernel refuses to note what is isolated: {0}")]
    Map(#[from] MapError),
    /// There is no such group.
    #[error("no control group has the id {0:#x}")]
    NoGroup(u64),
    /// Nowhere to pin.
    #[error(
        "isolation cannot outlive the sensor: {0} is no BPF filesystem (`mount -t bpf bpf /sys/fs/bpf`; a sensor in a container needs the host's)"
    )]
    NoPins(PathBuf),
    /// What is pinned cannot be changed.
    #[error("cannot change what is pinned at {path}: {error}")]
    Pins {
        /// Where.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// What is pinned cannot be pinned.
    #[error("cannot pin {path}: {why}")]
    Pin {
        /// Where.
        path: PathBuf,
        /// The kernel's words.
        why: String,
    },
}

/// A network that isolated groups may talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Addresses.
    pub network: IpNet,
    /// The peer's port; `None`: any, and protocols that have none.
    pub port: Option<u16>,
}

/// What to load.
#[derive(Clone, Debug)]
pub struct IsolationOptions {
    /// Whom isolated groups may talk to.
    pub allow: Vec<Peer>,
    /// Whether isolation outlives this process.
    pub keep: bool,
    /// Where what outlives it is pinned: a directory of a BPF filesystem. It is made; the one above it must be there.
    pub pins: PathBuf,
}

impl Default for IsolationOptions {
    fn default() -> Self {
        Self { allow: Vec::new(), keep: false, pins: "/sys/fs/bpf/vedette".into() }
    }
}

/// An isolated group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isolated {
    /// Its key, as in `Header::cgroup`.
    pub group: u64,
    /// Nanoseconds of `CLOCK_BOOTTIME` at which it began.
    pub since: u64,
    /// Packets, connects, sends and new sockets that were refused, whatever is sent again included.
    pub refused: u64,
}

pod! {
    PodGroup(IsolatedGroup);
    PodPeer(PeerKey);
}

/// The programs, loaded; attached while a group is isolated. Dropping it ends isolation, unless it is kept.
pub struct Isolation {
    ebpf: Ebpf,
    groups: HashMap<MapData, u64, PodGroup>,
    sockets: HashMap<MapData, u64, u64>,
    attached: Option<Attached>,
    /// Where links and maps are pinned.
    pins: Option<PathBuf>,
}

impl Isolation {
    /// Loads the programs, which takes as long as the start of a sensor, and attaches none. What an earlier sensor left
    /// isolated goes on where `keep` is set (groups that are no more are forgotten), and ends otherwise.
    ///
    /// # Errors
    /// Where the kernel refuses, or there is nowhere to pin.
    pub fn load(options: &IsolationOptions) -> Result<Self, IsolationError> {
        let pins = if options.keep {
            Some(pins::open(&options.pins)?)
        } else {
            pins::clear(&options.pins)?;
            None
        };
        let mut ebpf = attach::load(pins.as_deref())?;
        let peers = LpmTrie::try_from(take_map(&mut ebpf, "ISOLATED_PEERS")?)?;
        allow(peers, &options.allow)?;
        let groups = HashMap::try_from(take_map(&mut ebpf, "ISOLATED")?)?;
        let sockets = HashMap::try_from(take_map(&mut ebpf, "ISOLATED_SOCKS")?)?;
        // All others belong to programs that are not loaded.
        let others: Vec<String> = ebpf.maps().map(|(name, _)| name.to_owned()).collect();
        others.iter().for_each(|name| drop(ebpf.take_map(name)));
        let mut isolation = Self { ebpf, groups, sockets, attached: None, pins };
        isolation.adopt()?;
        Ok(isolation)
    }

    /// Attaches the programs and detaches them, where they are not attached: a machine that refuses them says so now and not
    /// in an emergency, and the first isolation finds the kernel prepared for it.
    ///
    /// # Errors
    /// Where they cannot be attached.
    pub fn rehearse(&mut self) -> Result<(), IsolationError> {
        if self.attached.is_none() {
            drop(Attached::new(&mut self.ebpf, None)?);
        }
        Ok(())
    }

    /// Cuts a group and all below it off from the network, at once, connections it has included. One that is isolated
    /// already stays so.
    ///
    /// # Errors
    /// Where there is no such group, or the kernel refuses; then nothing has changed.
    pub fn isolate(&mut self, group: u64) -> Result<(), IsolationError> {
        let dir = sockets::directory(group).ok_or(IsolationError::NoGroup(group))?;
        if self.is_isolated(group)? {
            return Ok(());
        }
        let since = clock::boot();
        self.groups.insert(group, PodGroup(IsolatedGroup { since, refused: 0 }), 0)?;
        if self.attached.is_none() {
            match Attached::new(&mut self.ebpf, self.pins.as_deref()) {
                Ok(attached) => self.attached = Some(attached),
                Err(error) => {
                    self.groups.remove(&group)?;
                    return Err(error);
                }
            }
        }
        self.note_sockets(group, &dir);
        Ok(())
    }

    /// Gives a group its network back; what was not isolated stays as it is.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn release(&mut self, group: u64) -> Result<(), IsolationError> {
        if !self.is_isolated(group)? {
            return Ok(());
        }
        self.groups.remove(&group)?;
        let left = self.isolated()?;
        if left.is_empty() {
            self.attached.take().map_or(Ok(()), Attached::detach)?;
        }
        let noted = self.sockets.iter().collect::<Result<Vec<_>, _>>()?;
        for (cookie, _) in noted.into_iter().filter(|(_, of)| *of == group) {
            self.sockets.remove(&cookie)?;
        }
        // A group can be inside another, whose sockets may have been noted for the one that is released.
        for other in left {
            if let Some(dir) = sockets::directory(other.group) {
                self.note_sockets(other.group, &dir);
            }
        }
        Ok(())
    }

    /// What is isolated now.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn isolated(&self) -> Result<Vec<Isolated>, IsolationError> {
        let groups = self.groups.iter().map(|entry| {
            let (group, PodGroup(IsolatedGroup { since, refused })) = entry?;
            Ok(Isolated { group, since, refused })
        });
        groups.collect()
    }

    fn is_isolated(&self, group: u64) -> Result<bool, IsolationError> {
        match self.groups.get(&group, 0) {
            Ok(_) => Ok(true),
            Err(MapError::KeyNotFound) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Goes on with what a sensor before this one left: its programs are replaced by ours, without a gap.
    fn adopt(&mut self) -> Result<(), IsolationError> {
        let found = self.isolated()?;
        let (alive, gone): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|found| sockets::directory(found.group).is_some());
        if !alive.is_empty() {
            self.attached = Some(Attached::new(&mut self.ebpf, self.pins.as_deref())?);
            tracing::info!(groups = alive.len(), "isolation of an earlier sensor goes on");
        } else if let Some(pins) = &self.pins {
            pins::detach(pins)?;
        }
        gone.iter().try_for_each(|gone| self.release(gone.group))
    }

    /// Notes the sockets that processes of the group have open. What they make meanwhile the programs see; one that is handed
    /// from a process that is still to be looked at to another is found by the second look.
    fn note_sockets(&mut self, group: u64, dir: &Path) {
        for _ in 0..LOOKS {
            let open = sockets::of_group(dir);
            let new: Vec<u64> =
                open.into_iter().filter(|cookie| self.sockets.get(cookie, 0).is_err()).collect();
            for (at, cookie) in new.iter().enumerate() {
                if let Err(error) = self.sockets.insert(cookie, group, 0) {
                    let left_out = new.len() - at;
                    tracing::warn!(group, left_out, %error, "sockets of an isolated group are not noted: they are isolated only if cgroup v2 has the group and they were made there");
                    return;
                }
            }
            if new.is_empty() {
                return;
            }
        }
    }
}

impl Drop for Isolation {
    fn drop(&mut self) {
        if let (Some(pins), None) = (&self.pins, &self.attached)
            && let Err(error) = pins::remove(pins)
        {
            tracing::warn!(%error, "maps of isolation stay pinned");
        }
    }
}

/// Writes down whom isolated groups may talk to, and nobody else.
fn allow(mut map: LpmTrie<MapData, PodPeer, u32>, peers: &[Peer]) -> Result<(), MapError> {
    let keys: Vec<(u32, PeerKey)> = peers.iter().map(key).collect();
    let old = map.iter().map(|entry| entry.map(|(key, _)| key)).collect::<Result<Vec<_>, _>>()?;
    for key in old.into_iter().filter(|old| !keys.contains(&(old.prefix_len(), old.data().0))) {
        map.remove(&key)?;
    }
    keys.into_iter().try_for_each(|(bits, key)| map.insert(&Key::new(bits, PodPeer(key)), 1, 0))
}

fn key(peer: &Peer) -> (u32, PeerKey) {
    let port = peer.port.unwrap_or(0).to_be();
    let bits = PEER_PREFIX + u32::from(peer.network.prefix_len());
    let key = match peer.network.network() {
        std::net::IpAddr::V4(addr) => {
            PeerKey { family: 2, port, addr: [u32::from_ne_bytes(addr.octets()), 0, 0, 0] }
        }
        std::net::IpAddr::V6(addr) => {
            let octets = u128::from_ne_bytes(addr.octets());
            let word = |at: u32| (octets >> (32 * at)) as u32;
            PeerKey { family: 10, port, addr: [word(0), word(1), word(2), word(3)] }
        }
    };
    (bits, key)
}
