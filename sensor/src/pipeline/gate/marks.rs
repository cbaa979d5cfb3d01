//! Of which filesystems the kernel asks: those that containers see, as they come and go. A thread of its own, since a container's
//! are there a moment after its control group.

use std::{
    collections::{BTreeMap, BTreeSet},
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
use crate::probe::fanotify::{Answering, Questions};

/// How often a container is looked at whose first process is not there yet.
const SOON: Duration = Duration::from_millis(5);
/// How often the others are, for mounts that came later.
const LATER: Duration = Duration::from_secs(1);
/// Control groups inside a container that are looked through for a process.
const MOST_GROUPS: usize = 64;

/// Filesystems of which the kernel does not ask, or whose files it does not.
const NOT_ASKED: [&str; 6] = ["autofs", "bpf", "devpts", "mqueue", "nsfs", "proc"];
/// Filesystems from which nothing runs.
const NOTHING_RUNS: [&str; 8] =
    ["binfmt_misc", "cgroup", "cgroup2", "configfs", "debugfs", "securityfs", "sysfs", "tracefs"];

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
    /// What is to be asked there.
    asks: Questions,
    /// What was asked the last time, of the mounts that were there: numbers and places, and their devices.
    asked: Questions,
    seen: BTreeMap<Place, String>,
}

/// A mount's number and where it is.
type Place = (i32, PathBuf);

fn place(mount: &MountInfo) -> Place {
    (mount.mnt_id, mount.mount_point.clone())
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
            asks: watched.questions,
            asked: Questions::default(),
            seen: BTreeMap::new(),
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
            let waits = self.targets.iter().any(|target| !target.asks.is_none() && target.seen.is_empty());
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
            self.ask_no_more(&answering);
            for target in &mut self.targets {
                look(target, &self.hierarchies, &answering, &host);
            }
        }
    }

    /// Takes back what is not to be asked any more, where nobody else wants it asked.
    fn ask_no_more(&mut self, answering: &Answering) {
        let Some(gate) = answering.gate() else { return };
        for at in 0..self.targets.len() {
            let Some(target) = self.targets.get(at) else { return };
            let lost = target.asked.without(target.asks);
            if lost.is_none() {
                continue;
            }
            let others = self.targets.iter().enumerate().filter(|(other, _)| *other != at);
            let others: Vec<&Target> =
                others.map(|(_, other)| other).filter(|other| lost.without(other.asks) != lost).collect();
            let is_wanted =
                |device: &String| others.iter().any(|other| other.seen.values().any(|seen| seen == device));
            let found = first(target, &self.hierarchies);
            let root = found.as_ref().and_then(|(pid, _)| root(*pid));
            if let (Some((_, mounts)), Some(root)) = (&found, &root) {
                let seen = mounts.iter().filter(|mount| target.seen.contains_key(&place(mount)));
                for mount in seen.filter(|mount| !is_wanted(&mount.majmin)) {
                    // What is gone, or was never asked of, is as it should be.
                    let _ = self::at(root, mount).and_then(|at| gate.ask_no_more(lost, at.as_fd()));
                }
                tracing::info!(cgroup = &*target.cgroup, "{} no more", words(lost));
            }
            if let Some(target) = self.targets.get_mut(at) {
                target.asked = target.asks;
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Watch(target) => match self.targets.iter_mut().find(|known| known.cgroup == target.cgroup)
            {
                Some(known) => {
                    known.outside = target.outside;
                    known.asks = target.asks;
                    // Perhaps it was started anew. Numbers of mounts are given again.
                    if !target.keys.is_subset(&known.keys) {
                        known.seen.clear();
                        known.asked = Questions::default();
                    }
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

/// Has the kernel ask of what is new of a container's mounts, or newly asked of all of them.
fn look(target: &mut Target, hierarchies: &[PathBuf], answering: &Answering, host: &BTreeSet<String>) {
    let Some(gate) = answering.gate().filter(|_| !target.asks.is_none()) else { return };
    let Some((pid, mounts)) = first(target, hierarchies) else { return };
    let Some(root) = root(pid) else { return };
    let all = target.asks != target.asked;
    let now: BTreeMap<_, _> = mounts.iter().map(|mount| (place(mount), mount.majmin.clone())).collect();
    if !all && now == target.seen {
        return;
    }
    let mut asked = 0;
    for mount in mounts.iter().filter(|mount| all || !target.seen.contains_key(&place(mount))) {
        let questions = questions(target.asks, mount);
        if questions.is_none() {
            continue;
        }
        // Nothing else on this machine lies on it: then of all of it, whoever mounts it once more.
        let whole = mount.fs_type == "overlay" || !host.contains(&mount.majmin);
        let done = at(&root, mount).and_then(|at| gate.ask(questions, at.as_fd(), whole));
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
    target.asked = target.asks;
    if all {
        tracing::info!(cgroup = &*target.cgroup, mounts = asked, "{}", words(target.asks));
    }
}

/// What is asked of a mount. One of FUSE would have us wait for whoever serves it, with everybody who asks behind that; as the
/// container's own root it is the runtime's.
fn questions(asks: Questions, mount: &MountInfo) -> Questions {
    let kind = mount.fs_type.as_str();
    let is_fuse = kind == "fuse" || kind.starts_with("fuse.") || kind == "fuseblk";
    if NOT_ASKED.contains(&kind) || is_fuse && mount.mount_point != Path::new("/") {
        return Questions::default();
    }
    Questions { execs: asks.execs && !NOTHING_RUNS.contains(&kind), ..asks }
}

const fn words(questions: Questions) -> &'static str {
    match (questions.execs, questions.opens) {
        (true, false) => "fanotify asks before programs run",
        (false, _) => "fanotify asks before files are opened",
        (true, true) => "fanotify asks before programs run, and before files are opened",
    }
}

fn root(pid: i32) -> Option<OwnedFd> {
    open(format!("/proc/{pid}/root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
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
