//! Where a task is: in which container or unit, by its control group, and what its users are called there.

use std::sync::Arc;

use bstr::ByteSlice;
use sensor_common::{Header, valid};

use super::{
    Containers, Enricher, Limits, Lookup, Made, Place,
    runtime::{Ask, Found},
};
use crate::event::{Container, Event, Process, User};

impl<L: Lookup> Enricher<L> {
    /// The same stage with other limits for what is known of containers.
    #[must_use]
    pub fn with_container_limits(mut self, limits: Limits) -> Self {
        self.containers = Containers::new(limits);
        self
    }

    /// The containers.
    #[must_use]
    pub const fn containers(&self) -> &Containers {
        &self.containers
    }

    /// Control groups in no container that came (`true`) or went since the last time. Only what is live needs them: asked for
    /// never, they cost a few bytes each.
    pub fn host_groups(&mut self) -> impl Iterator<Item = (u64, bool)> {
        self.containers.hosts()
    }

    /// Control groups of containers of which something changed since the last time. Only what is live needs them, too.
    pub fn placed_groups(&mut self) -> Vec<(u64, Option<Arc<Container>>)> {
        self.containers.placed()
    }

    /// The mount namespace of the host, where it is known.
    #[must_use]
    pub const fn host_mnt_ns(&self) -> Option<u32> {
        self.host_mnt_ns
    }

    /// What a control group is called: its container's id, or its systemd unit.
    #[must_use]
    pub fn called(&self, group: u64) -> Option<Arc<str>> {
        match self.containers.get(group)? {
            Place::Container(container) => Some(container.id.as_ref().into()),
            Place::Host(unit) => unit.clone(),
        }
    }

    /// Questions about containers that came up since the last time.
    pub fn asks(&mut self) -> impl Iterator<Item = Ask> {
        self.asks.drain(..)
    }

    /// Forgets containers that ended a while before `now` (nanoseconds since boot), and names them.
    pub fn release(&mut self, now: u64) -> impl Iterator<Item = u64> {
        self.containers.release(now, |instance| self.gone.push(instance));
        for instance in &self.gone {
            self.names.forget(*instance);
        }
        self.gone.drain(..)
    }

    /// Takes in what a source says of a container; tells whether all is known of it now.
    pub fn learn(&mut self, found: Found) -> bool {
        self.containers.learn(found).is_some_and(|container| container.lack.is_none())
    }

    /// The events of a container wait no longer for what is not known of it.
    pub fn settle(&mut self, instance: u64) {
        self.containers.settle(instance);
    }

    /// Puts to an event what was found out about its container since.
    pub fn name(&self, event: &mut Event) {
        let Some(container) = &event.container else { return };
        let Some(container) = self.containers.container(container.instance) else { return };
        let place = Place::Container(Arc::clone(container));
        (event.task.user, event.task.group) = self.names(event.task.euid, event.task.egid, Some(&place));
        event.container = Some(Arc::clone(container));
    }

    pub(super) fn group_made(&mut self, header: &Header, key: u64, path: &str) {
        let snapshot = header.flags & sensor_common::flags::SNAPSHOT != 0;
        let made = Made {
            at: (!snapshot).then_some(header.ts),
            by: (!snapshot && header.valid & valid::MNT_NS != 0).then_some(header.mnt_ns),
        };
        self.asks.extend(self.containers.insert(key, path, made));
    }

    /// What a process that was there before says of where it is.
    pub(super) fn was_there(&mut self, header: &Header) {
        if header.tgid == 1 && header.valid & valid::MNT_NS != 0 {
            self.host_mnt_ns = Some(header.mnt_ns);
        }
        if header.valid & valid::CGROUP == 0 {
            return;
        }
        self.containers.began(header.cgroup, header.start);
        if let Some(Place::Container(container)) = self.containers.get(header.cgroup)
            && let Some(ask) = self.asks.iter_mut().find(|ask| ask.instance == container.instance)
        {
            ask.pid.get_or_insert(header.tgid);
        }
    }

    pub(super) fn place(&mut self, header: &Header) -> Option<Place> {
        if header.valid & valid::CGROUP == 0 {
            return None;
        }
        if let Some(known) = self.containers.get(header.cgroup) {
            return Some(known.clone());
        }
        let Some(path) = self.lookup.cgroup(header.tgid, header.cgroup) else {
            self.counts.unknown_cgroups += 1;
            return None;
        };
        let ask = self.containers.insert(header.cgroup, &path, Made::default());
        self.asks.extend(ask.map(|ask| Ask { pid: Some(header.tgid), ..ask }));
        self.containers.get(header.cgroup).cloned()
    }

    /// A user and the name of a group: in a container its own, which on the host may be somebody else's.
    pub(super) fn names(
        &self,
        uid: u32,
        gid: u32,
        place: Option<&Place>,
    ) -> (Option<Arc<User>>, Option<Arc<str>>) {
        let Some(Place::Container(container)) = place else {
            return (self.users.user(uid), self.users.group(gid));
        };
        let names = container.facts.users.as_deref();
        // The kernel's root is root everywhere, also where nobody wrote it down.
        let (root, root_group) = &self.root;
        (
            names.and_then(|names| names.users.get(&uid)).or_else(|| (uid == 0).then_some(root)).cloned(),
            names
                .and_then(|names| names.groups.get(&gid))
                .or_else(|| (gid == 0).then_some(root_group))
                .cloned(),
        )
    }

    /// Whether a new image is a runtime's own first step inside a container. It still has the mount namespace in which the
    /// container was made; whatever runs in the container has another, so no workload can pass for it.
    pub(super) fn is_runtime_init(&self, header: &Header, image: &Process) -> bool {
        if header.valid & valid::CGROUP == 0 || header.valid & valid::MNT_NS == 0 {
            return false;
        }
        let Some(Place::Container(container)) = self.containers.get(header.cgroup) else { return false };
        let outside = |namespace: Option<u32>| namespace == Some(header.mnt_ns);
        let made = self.containers.made(container.instance).and_then(|made| made.by);
        (outside(made) || outside(self.host_mnt_ns)) && is_runtime(container, image)
    }
}

/// Whether an image is a container runtime, by its file and its arguments.
fn is_runtime(_: &Container, image: &Process) -> bool {
    const RUNTIMES: [&[u8]; 4] = [b"runc", b"crun", b"youki", b"runsc"];
    let exe = image.exe.as_bytes();
    let name = exe.rsplit_str("/").next().unwrap_or_default();
    let copied = image.exe_file.is_some_and(|file| file.memfd)
        && RUNTIMES.iter().any(|runtime| exe.contains_str(runtime));
    let init = image.args.iter().nth(1) == Some(b"init");
    copied || RUNTIMES.contains(&name) || init && (name.is_empty() || name == b"exe")
}
