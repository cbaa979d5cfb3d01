//! [`RawEvent`] → [`Event`]: puts the process, its ancestry, its container and the names of its users to each record, and
//! keeps the tables from which they come. It knows neither where records come from nor what rules want.

mod cgroup;
mod container;
mod convert;
mod dns;
mod lifecycle;
mod names;
mod path;
mod place;
mod process;
mod resolve;
pub mod runtime;
pub mod scan;
mod users;

use std::{collections::VecDeque, sync::Arc};

use hashbrown::HashMap;
use sensor_common::{Header, Kind, flags, valid};
use serde::Serialize;

use self::runtime::Ask;
pub use self::{
    cgroup::{container_of, unit_of},
    container::{Containers, Limits, Made, Place},
    dns::Resolved,
    names::NameCounts,
    process::ProcessTable,
    resolve::Resolver,
    users::Users,
};
use crate::{
    decode::{RawBody, RawEvent},
    event::{Comm, Detail, Enforced, Event, EventType, Process, ProcessKey, Task, User},
};

/// Argument pieces of execs whose record has not come yet; more than this many processes at once are a lost record each.
const PENDING_ARGS: usize = 256;

/// Processes whose end is remembered: the two exit records that a race can make come right after each other.
const ENDED: usize = 32;

/// How the enricher gets at what no record said. Does I/O, so it is asked only where a table has no answer.
pub trait Lookup {
    /// A snapshot record of a process that is alive, in the form of [`RawEvent::encode`].
    fn process(&mut self, pid: u32) -> Option<Vec<u8>>;
    /// The path of the control group that a process is in, by the key that the kernel programs use for it.
    fn cgroup(&mut self, pid: u32, key: u64) -> Option<String>;
}

/// A replay has no `/proc` to ask.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLookup;

impl Lookup for NoLookup {
    fn process(&mut self, _pid: u32) -> Option<Vec<u8>> {
        None
    }

    fn cgroup(&mut self, _pid: u32, _key: u64) -> Option<String> {
        None
    }
}

/// What the stage did, for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EnrichCounts {
    /// Records that became no event of their own: argument pieces, control groups, snapshots.
    pub absorbed: u64,
    /// Second exit records of one process.
    pub duplicate_exits: u64,
    /// Events of processes that no record and no snapshot had announced.
    pub unknown_processes: u64,
    /// Of those, the ones that `/proc` could still describe.
    pub healed_processes: u64,
    /// Exec records some of whose argument pieces were lost.
    pub lost_args: u64,
    /// Events whose control group is not known.
    pub unknown_cgroups: u64,
    /// DNS messages that are none, or damaged ones.
    pub malformed_dns: u64,
    /// Names of addresses.
    pub names: NameCounts,
}

/// The stage.
#[derive(Debug)]
pub struct Enricher<L> {
    lookup: L,
    processes: ProcessTable,
    containers: Containers,
    /// Questions about containers that nobody has taken yet, and containers that are gone.
    asks: Vec<Ask>,
    gone: Vec<u64>,
    /// The mount namespace of the machine's first process.
    host_mnt_ns: Option<u32>,
    /// Root, as user and as group, where a container does not call it anything else.
    root: (Arc<User>, Arc<str>),
    users: Users,
    askers: dns::Askers,
    names: names::Names,
    resolved: Resolved,
    pending_args: HashMap<ProcessKey, Pieces>,
    ended: VecDeque<ProcessKey>,
    /// Nanoseconds between the start of 1970 and that of the boot clock.
    epoch: u64,
    number: u64,
    counts: EnrichCounts,
}

#[derive(Debug, Default)]
struct Pieces {
    args: Vec<u8>,
    env: Vec<u8>,
}

impl<L: Lookup> Enricher<L> {
    /// A stage with empty tables. `epoch`: nanoseconds between 1970 and boot; `process_bytes`: limit of the process table.
    pub fn new(lookup: L, users: Users, epoch: u64, process_bytes: usize) -> Self {
        Self {
            lookup,
            processes: ProcessTable::new(process_bytes),
            containers: Containers::default(),
            asks: Vec::new(),
            gone: Vec::new(),
            host_mnt_ns: None,
            root: (Arc::new(User::named("root")), "root".into()),
            users,
            askers: dns::Askers::default(),
            names: names::Names::default(),
            resolved: Resolved::default(),
            pending_args: HashMap::new(),
            ended: VecDeque::new(),
            epoch,
            number: 0,
            counts: EnrichCounts::default(),
        }
    }

    /// What the stage did so far.
    #[must_use]
    pub fn counts(&self) -> EnrichCounts {
        EnrichCounts { names: self.names.counts(), ..self.counts }
    }

    /// The process table.
    #[must_use]
    pub const fn processes(&self) -> &ProcessTable {
        &self.processes
    }

    /// Where the stage looks things up.
    pub const fn lookup(&mut self) -> &mut L {
        &mut self.lookup
    }

    /// Follows a clock that was set, and user files that changed.
    pub fn refresh(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.users.refresh();
    }

    /// Forgets processes that are not alive, after records were lost.
    pub fn retain_processes(&mut self, alive: impl FnMut(u32) -> bool) -> usize {
        self.processes.retain(alive)
    }

    /// An event of the sensor itself, in the name of the process `pid`.
    pub fn own_event(&mut self, pid: u32, boot_time: u64, event_type: EventType, detail: Detail) -> Event {
        let process = self.processes.by_pid(pid).map_or_else(Arc::default, Arc::clone);
        self.number += 1;
        Event {
            event_type,
            number: self.number,
            time: boot_time + self.epoch,
            boot_time,
            cpu: 0,
            result: 0,
            compat: false,
            io_uring: false,
            enforced: None,
            task: Task { pid, tid: pid, comm: process.comm, ..Task::default() },
            process,
            container: None,
            detail,
        }
    }

    /// Takes a record in. `None` where it only changes what is known, or says nothing new.
    pub fn enrich(&mut self, raw: RawEvent<'_>) -> Option<Event> {
        let RawEvent { header, body } = raw;
        match body {
            RawBody::Args(body, piece) => self.take_piece(&header, body, piece),
            RawBody::CgroupMkdir(body, path) => {
                self.group_made(&header, body.id, &String::from_utf8_lossy(path.bytes));
            }
            RawBody::CgroupRmdir(body, _) => {
                self.containers.remove(body.id, header.ts);
                self.containers.release(header.ts, |instance| self.gone.push(instance));
            }
            RawBody::Exec(body, texts) if header.flags & flags::SNAPSHOT != 0 => {
                self.take_snapshot(&header, &body, &texts);
            }
            RawBody::Exec(body, texts) => return Some(self.exec(&self.exact(header), body, texts)),
            RawBody::Fork(body) => return Some(self.fork(&header, body)),
            RawBody::Exit(body) => return self.exit(&header, body),
            RawBody::Open(body, texts) => {
                let header = self.exact(header);
                let detail = convert::open(&header, &body, &texts);
                return Some(self.event(&header, Kind::FileOpen, detail));
            }
            RawBody::Change(kind, body, texts) => {
                let detail = convert::change(kind, &header, &body, &texts);
                return Some(self.event(&header, kind, detail));
            }
            RawBody::Net(kind, body, texts) => {
                let socket = convert::socket(kind, &header, &body, &texts);
                let mut event = self.event(&header, kind, Detail::Socket(socket));
                self.name_event(&mut event);
                return Some(event);
            }
            RawBody::Dup(body, texts, path) => {
                let detail = convert::dup(&header, &body, &texts, &path);
                return Some(self.event(&header, Kind::FdDup, detail));
            }
            RawBody::Call(kind, body, texts) => {
                let detail = convert::call(kind, &header, &body, &texts);
                if kind.is_lifecycle() && header.result >= 0 {
                    self.privileges(&header, &body);
                }
                return Some(self.event(&header, kind, detail));
            }
            RawBody::Dns(body, message) => return Some(self.dns(&header, &body, message)),
        }
        self.counts.absorbed += 1;
        None
    }

    fn event(&mut self, header: &Header, kind: Kind, detail: Detail) -> Event {
        let process = self.process(header);
        self.event_of(header, kind, process, detail)
    }

    fn event_of(&mut self, header: &Header, kind: Kind, process: Arc<Process>, detail: Detail) -> Event {
        self.number += 1;
        let place = self.place(header);
        Event {
            event_type: EventType::of(kind, header.syscall),
            number: self.number,
            time: header.ts + self.epoch,
            boot_time: header.ts,
            cpu: header.cpu,
            result: header.result,
            compat: header.flags & flags::COMPAT != 0,
            io_uring: header.flags & flags::IO_URING != 0,
            enforced: enforced(header.flags),
            task: self.task(header, place.as_ref()),
            process,
            container: match place {
                Some(Place::Container(container)) => Some(container),
                _ => None,
            },
            detail,
        }
    }

    fn task(&self, header: &Header, place: Option<&Place>) -> Task {
        let loginuid = convert::loginuid(header);
        let (user, group) = self.names(header.euid, header.egid, place);
        Task {
            pid: header.tgid,
            tid: header.tid,
            vtid: (header.valid & valid::VTID != 0).then_some(header.vtid),
            threads: (header.valid & valid::THREADS != 0).then_some(header.threads),
            ppid: header.ppid,
            comm: Comm::new(header.comm),
            uid: header.uid,
            euid: header.euid,
            gid: header.gid,
            egid: header.egid,
            loginuid,
            cap_effective: (header.valid & valid::CAPS != 0).then_some(header.cap_effective),
            mnt_ns: (header.valid & valid::MNT_NS != 0).then_some(header.mnt_ns),
            cgroup: header.cgroup,
            unit: match place {
                Some(Place::Host(unit)) => unit.clone(),
                _ => None,
            },
            user,
            group,
            login_user: loginuid.and_then(|uid| self.users.user(uid)),
        }
    }

    /// The process that a record is about: from the table, else from `/proc`, else what the header says of it.
    fn process(&mut self, header: &Header) -> Arc<Process> {
        let key = ProcessKey { pid: header.tgid, start: header.start };
        if let Some(process) = self.processes.get(key) {
            return Arc::clone(process);
        }
        self.counts.unknown_processes += 1;
        if self.heal(header.tgid)
            && let Some(process) = self.processes.get(key).map(Arc::clone)
        {
            self.counts.healed_processes += 1;
            return process;
        }
        let process = Process {
            key,
            ppid: header.ppid,
            parent: self.processes.by_pid(header.ppid).cloned(),
            comm: Comm::new(header.comm),
            uid: header.uid,
            loginuid: convert::loginuid(header),
            partial: true,
            ..Process::default()
        };
        self.processes.insert(process, false)
    }
}

/// What the bits of a header say of it.
const fn enforced(bits: u16) -> Option<Enforced> {
    if bits & flags::REFUSED != 0 {
        let asked = bits & flags::BY_FANOTIFY != 0;
        Some(if asked { Enforced::RefusedByFanotify } else { Enforced::Refused })
    } else if bits & flags::KILLED != 0 {
        Some(Enforced::Killed)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
