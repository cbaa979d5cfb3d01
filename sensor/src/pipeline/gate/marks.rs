//! Of which filesystems the kernel asks: those that containers see, as they come and go. A thread of its own, since a container's
//! are there a moment after its control group.

use std::{
    collections::BTreeSet,
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
    sync::{
        Weak,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use procfs::process::{MountInfo, Process};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags, open, openat2, statx};

use super::Watched;
use crate::probe::fanotify::Answering;

/// How often a container is looked at whose first process is not there yet.
const SOON: Duration = Duration::from_millis(5);
/// How often the others are, for mounts that came later.
const LATER: Duration = Duration::from_secs(1);
/// Control groups inside a container that are looked through for a process.
const MOST_GROUPS: usize = 64;

/// Filesystems from which nothing runs, or of which the kernel does not ask.
const NOT_ASKED: [&str; 14] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "mqueue",
    "nsfs",
    "proc",
    "securityfs",
    "sysfs",
    "tracefs",
];

/// The thread, which ends with this.
#[derive(Debug)]
pub(super) struct Marks(Sender<Order>);

#[derive(Debug)]
enum Order {
    Watch(Target),
    Forget(u64),
}

#[derive(Debug)]
struct Target {
    cgroup: Box<str>,
    outside: [u32; 2],
    /// The keys of its groups.
    keys: BTreeSet<u64>,
    /// The mounts that were there the last time: numbers and places.
    seen: BTreeSet<(i32, PathBuf)>,
}

impl Marks {
    pub(super) fn start(answering: Weak<Answering>) -> io::Result<Self> {
        let (sender, orders) = channel();
        let marker = Marker { answering, targets: Vec::new(), hierarchies: hierarchies() };
        thread::Builder::new().name("marks".to_owned()).spawn(move || marker.serve(&orders))?;
        Ok(Self(sender))
    }

    pub(super) fn watch(&self, key: u64, watched: &Watched) {
        let target = Target {
            cgroup: watched.container.cgroup.clone(),
            outside: watched.outside,
            keys: [key].into(),
            seen: BTreeSet::new(),
        };
        let _ = self.0.send(Order::Watch(target));
    }

    pub(super) fn forget(&self, key: u64) {
        let _ = self.0.send(Order::Forget(key));
    }
}

struct Marker {
    answering: Weak<Answering>,
    targets: Vec<Target>,
    hierarchies: Vec<PathBuf>,
}

impl Marker {
    fn serve(mut self, orders: &Receiver<Order>) {
        loop {
            let waits = self.targets.iter().any(|target| target.seen.is_empty());
            match orders.recv_timeout(if waits { SOON } else { LATER }) {
                Ok(order) => self.take(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while let Ok(order) = orders.try_recv() {
                self.take(order);
            }
            let Some(answering) = self.answering.upgrade() else { return };
            let host = host_devices();
            for target in &mut self.targets {
                look(target, &self.hierarchies, &answering, &host);
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Watch(target) => match self.targets.iter_mut().find(|known| known.cgroup == target.cgroup)
            {
                Some(known) => {
                    known.outside = target.outside;
                    known.keys.extend(target.keys);
                }
                None => self.targets.push(target),
            },
            // One in each hierarchy is the same container.
            Order::Forget(key) => self.targets.retain_mut(|target| {
                target.keys.remove(&key);
                !target.keys.is_empty()
            }),
        }
    }
}

/// Has the kernel ask of what is new of a container's mounts.
fn look(target: &mut Target, hierarchies: &[PathBuf], answering: &Answering, host: &BTreeSet<String>) {
    let Some(gate) = answering.gate() else { return };
    let Some((pid, mounts)) = first(target, hierarchies) else { return };
    let Ok(root) = open(format!("/proc/{pid}/root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else {
        return;
    };
    let now: BTreeSet<_> = mounts.iter().map(|mount| (mount.mnt_id, mount.mount_point.clone())).collect();
    if now == target.seen {
        return;
    }
    let new = target.seen.is_empty();
    let mut asked = 0;
    for mount in mounts.iter().filter(|mount| !NOT_ASKED.contains(&mount.fs_type.as_str())) {
        if target.seen.contains(&(mount.mnt_id, mount.mount_point.clone())) {
            continue;
        }
        // Nothing else on this machine lies on it: then of all of it, whoever mounts it once more.
        let whole = mount.fs_type == "overlay" || !host.contains(&mount.majmin);
        let done = at(&root, mount).and_then(|at| gate.ask_before_execs(at.as_fd(), whole));
        match done {
            Ok(()) => asked += 1,
            // What the container cannot reach itself, and what is gone again.
            Err(error) => {
                let place = mount.mount_point.display();
                tracing::debug!(%place, kind = mount.fs_type, %error, "fanotify does not ask of a mount");
            }
        }
    }
    target.seen = now;
    if new {
        tracing::info!(cgroup = &*target.cgroup, mounts = asked, "fanotify asks before programs run");
    }
}

/// A process of the container's own, and its mounts: not the runtime's, which still stands on the host's root.
fn first(target: &Target, hierarchies: &[PathBuf]) -> Option<(i32, Vec<MountInfo>)> {
    let own = |pid: &i32| {
        let namespace = fs::metadata(format!("/proc/{pid}/ns/mnt")).map(|metadata| metadata.ino());
        namespace.is_ok_and(|inode| !target.outside.iter().any(|outside| u64::from(*outside) == inode))
    };
    let pids = hierarchies.iter().flat_map(|top| members(&top.join(target.cgroup.trim_start_matches('/'))));
    pids.into_iter().filter(own).find_map(|pid| {
        let mounts = Process::new(pid).ok()?.mountinfo().ok()?;
        let root = mounts.iter().find(|mount| mount.mount_point == Path::new("/"))?;
        let hosts = host_root()?.dev();
        let hosts = format!("{}:{}", rustix::fs::major(hosts), rustix::fs::minor(hosts));
        (root.majmin != hosts || root.root != "/").then(|| (pid, mounts.into_iter().collect()))
    })
}

/// The processes of a group and of those inside it.
fn members(dir: &Path) -> Vec<i32> {
    let mut left = vec![dir.to_owned()];
    let mut pids = Vec::new();
    for _ in 0..MOST_GROUPS {
        let Some(dir) = left.pop() else { break };
        let list = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        pids.extend(list.lines().filter_map(|line| line.parse::<i32>().ok()));
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
        left.extend(
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|it| it.path()),
        );
    }
    pids
}

/// Where a mount begins, named without leaving the container's root, whatever stands there meanwhile.
fn at(root: &OwnedFd, mount: &MountInfo) -> io::Result<OwnedFd> {
    let path = mount.mount_point.as_os_str().as_bytes();
    let path = if path == b"/" { &b"."[..] } else { path };
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let found =
        openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)?;
    let of = statx(&found, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
    if u64::try_from(mount.mnt_id) != Ok(of.stx_mnt_id) {
        return Err(io::Error::new(io::ErrorKind::NotFound, "something else is there now"));
    }
    Ok(found)
}

/// The host's root. The first process hides its own from some; then ours stands for it.
fn host_root() -> Option<fs::Metadata> {
    fs::metadata("/proc/1/root/").or_else(|_| fs::metadata("/")).ok()
}

/// The devices of the host's mounts, and of ours.
fn host_devices() -> BTreeSet<String> {
    let of = |process: procfs::ProcResult<Process>| process.and_then(|process| process.mountinfo());
    let mounts = [of(Process::new(1)), of(Process::myself())];
    mounts.into_iter().flatten().flatten().map(|mount| mount.majmin).collect()
}

/// Where the hierarchies of control groups are mounted.
fn hierarchies() -> Vec<PathBuf> {
    let mounts = Process::myself().and_then(|me| me.mountinfo());
    let is = |mount: &MountInfo| matches!(mount.fs_type.as_str(), "cgroup" | "cgroup2");
    mounts.into_iter().flatten().filter(is).map(|mount| mount.mount_point).collect()
}
