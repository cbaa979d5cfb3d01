//! What the cluster stands on: mounts and a network of its own, control groups with a name of its own, and a way to clear all
//! of it away, also after a run that was killed.
//!
//! The kubelet writes to the machine it runs on. In a mount and a network namespace its folders, its mounts, its chains of
//! iptables and its bridge are nobody else's, and vanish with its last process. What has no namespace, control groups and six
//! settings of the kernel, is cleared and put back by whoever stays outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::mount::MountPropagationFlags;
use rustix::process::{Pid, Signal};

use crate::child;

/// The control group of everything here, in every hierarchy. The kubelet ends containers that it does not know below its own,
/// so it gets one that nobody else uses.
pub(super) const GROUP: &str = "vedette-e2e";

/// Where the programs of the node are, below that; containers are beside it.
const NODE: &str = "node";

/// The node's address.
pub(super) const ADDRESS: &str = "10.88.77.1";

/// Folders that are the node's own: what is in them on this machine is not to be seen, and not to be written.
const FOLDERS: [&str; 3] = ["run", "var/lib", "var/log"];

/// Settings that the kubelet makes to its liking.
const SETTINGS: [&str; 6] = [
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
];

/// Longest time for processes to die and for their groups to become empty.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often that is looked at.
const POLL: Duration = Duration::from_millis(50);

/// What is the machine's and has to be as it was afterwards; made by who stays outside.
pub(super) struct Ground {
    settings: Vec<(PathBuf, String)>,
}

impl Ground {
    /// Notes how things are, and clears what a run has left behind that was killed.
    pub(super) fn note() -> Result<Ground> {
        clear()?;
        let settings = SETTINGS.map(|name| Path::new("/proc/sys").join(name));
        // One that this kernel does not have the kubelet cannot change.
        let read = |path: PathBuf| fs::read_to_string(&path).ok().map(|value| (path, value));
        Ok(Ground { settings: settings.into_iter().filter_map(read).collect() })
    }

    /// Ends what is left of the cluster, removes its groups, and puts the settings back.
    pub(super) fn clear(&self) -> Result<()> {
        clear()?;
        for (path, value) in &self.settings {
            if fs::read_to_string(path).is_ok_and(|now| now != *value) {
                fs::write(path, value).with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// Called in new namespaces: makes this process, and all that it starts, the node's. `folder`: where its files are.
pub(super) fn enter(folder: &Path) -> Result<()> {
    // A pod that is handed later mounts of the node needs mounts that hand on; nothing reaches the machine's own.
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", shared).context("cannot share the mounts of the node")?;
    for name in FOLDERS {
        let own = folder.join("node").join(name);
        fs::create_dir_all(&own).with_context(|| format!("cannot create {}", own.display()))?;
        let place = Path::new("/").join(name);
        rustix::mount::mount_bind(&own, &place)
            .with_context(|| format!("cannot mount {}", place.display()))?;
        rustix::mount::mount_change(&place, shared).context("cannot share the mounts of the node")?;
    }
    let address = format!("{ADDRESS}/24");
    let network: [&[&str]; 5] = [
        &["link", "set", "lo", "up"],
        // A bridge without ports: the kubelet takes no address of the loopback for the node's.
        &["link", "add", "node0", "type", "bridge"],
        &["address", "add", &address, "dev", "node0"],
        &["link", "set", "node0", "up"],
        &["route", "add", "default", "dev", "node0"],
    ];
    for args in network {
        child::run(child::command("ip", folder).args(args), "making the node's network")?;
    }
    for top in hierarchies()? {
        let group = top.join(GROUP);
        create(&group)?;
        // A group of cgroup v1 without processors and memory takes no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(value) = fs::read_to_string(top.join(file)) {
                let _ = fs::write(group.join(file), value);
            }
        }
        if is_unified(&top) {
            create(&group.join(NODE))?;
            let procs = group.join(NODE).join("cgroup.procs");
            fs::write(&procs, std::process::id().to_string()).context("cannot enter the node's group")?;
        }
    }
    Ok(())
}

/// Every process of the cluster.
pub(super) fn processes() -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for top in hierarchies()? {
        for group in groups(&top.join(GROUP)) {
            let procs = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            found.extend(procs.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The program of a process.
pub(super) fn program(process: i32) -> String {
    let comm = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    comm.trim().to_owned()
}

fn clear() -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = processes()?;
        for process in &left {
            if let Some(pid) = Pid::from_raw(*process) {
                // It may be gone already, which is what is wanted.
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
        let mut groups: Vec<PathBuf> =
            hierarchies()?.iter().flat_map(|top| groups(&top.join(GROUP))).collect();
        // What is inside first.
        groups.reverse();
        groups.retain(|group| fs::remove_dir(group).is_err());
        if left.is_empty() && groups.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            let names: Vec<String> = left.iter().map(|process| program(*process)).collect();
            bail!("{} control groups and these processes do not go away: {}", groups.len(), names.join(", "));
        }
        std::thread::sleep(POLL);
    }
}

/// A group and those in it, each before what is inside.
fn groups(top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![top.to_owned()];
    while let Some(group) = left.pop() {
        let inside = fs::read_dir(&group).into_iter().flatten().flatten();
        left.extend(inside.map(|entry| entry.path()).filter(|path| path.is_dir()));
        if group.is_dir() {
            found.push(group);
        }
    }
    found
}

/// Where the hierarchies of control groups are mounted.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read the table of mounts")?;
    let found = table.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let is_group = kind.starts_with("cgroup ") || kind.starts_with("cgroup2 ");
        let place = mount.split(' ').nth(4)?;
        (is_group && place.starts_with("/sys/fs/cgroup")).then(|| PathBuf::from(place))
    });
    Ok(found.collect())
}

fn is_unified(top: &Path) -> bool {
    top.join("cgroup.controllers").is_file()
}

fn create(group: &Path) -> Result<()> {
    fs::create_dir(group).with_context(|| format!("cannot create {}", group.display()))
}
