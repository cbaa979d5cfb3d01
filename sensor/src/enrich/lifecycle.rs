//! Records that change the process table: snapshots, argument pieces, exec, fork, exit, credentials and namespaces.

use std::sync::Arc;

use sensor_common::{
    ARGS_MAX, Header, Kind, ProcArgs, ProcExec, ProcExit, ProcFork, STREAM_ARGS, SysCall, flags, valid,
};

use super::{ENDED, Enricher, Lookup, PENDING_ARGS, convert, process};
use crate::{
    decode::{ExecTexts, RawBody, RawEvent, RawText},
    event::{Args, Comm, Detail, Event, Exit, Fork, Namespaces, Process, ProcessKey},
};

impl<L: Lookup> Enricher<L> {
    /// Reads a process from `/proc` into the table.
    pub(super) fn heal(&mut self, pid: u32) -> bool {
        let Some(bytes) = self.lookup.process(pid) else { return false };
        let Ok(RawEvent { header, body: RawBody::Exec(body, texts) }) = crate::decode::decode(&bytes) else {
            return false;
        };
        self.take_snapshot(&header, &body, &texts);
        true
    }

    /// A process as `/proc` shows it: taken where the table has none or only a part of it, or an older image.
    pub(super) fn take_snapshot(&mut self, header: &Header, body: &ProcExec, texts: &ExecTexts<'_>) {
        let key = ProcessKey { pid: header.tgid, start: header.start };
        let parent = self.processes.by_pid(header.ppid).cloned();
        let image = Process { parent, ..convert::image(header, body, texts, Args::default(), None) };
        let image = Process { args: Args::from_raw(texts.args.bytes, body.args_len), ..image };
        self.was_there(header);
        let known = self
            .processes
            .by_pid(key.pid)
            .filter(|known| known.key.start / process::TICK == key.start / process::TICK);
        match known {
            Some(known) if !known.partial && known.exe == image.exe && known.args == image.args => {}
            // One that is ending has lost its image, and `/proc` shows an empty one: what is known is better.
            Some(known) if image.exe.is_empty() && !known.exe.is_empty() => {}
            Some(known) => {
                // The exact start time and the creator are kept: `/proc` knows neither.
                let (key, parent) = (known.key, known.parent.clone().or_else(|| image.parent.clone()));
                self.processes.insert(Process { key, parent, ..image }, false);
            }
            None => {
                self.processes.insert(image, true);
            }
        }
    }

    pub(super) fn take_piece(&mut self, header: &Header, body: ProcArgs, piece: RawText<'_>) {
        let key = ProcessKey { pid: header.tgid, start: header.start };
        if self.pending_args.len() >= PENDING_ARGS && !self.pending_args.contains_key(&key) {
            self.pending_args.clear();
        }
        let pieces = self.pending_args.entry(key).or_default();
        let list = if body.stream == STREAM_ARGS { &mut pieces.args } else { &mut pieces.env };
        if body.offset == 0 {
            list.clear();
        }
        // A piece behind a lost one would join what does not belong together.
        if list.len() == body.offset as usize && list.len() + piece.bytes.len() <= ARGS_MAX {
            list.extend_from_slice(piece.bytes);
        }
    }

    pub(super) fn exec(&mut self, header: &Header, body: ProcExec, texts: ExecTexts<'_>) -> Event {
        let key = ProcessKey { pid: header.tgid, start: header.start };
        let detail = convert::exec(header, &texts);
        if header.result < 0 {
            return self.event(header, Kind::ProcExec, detail);
        }
        let pieces = self.pending_args.remove(&key).unwrap_or_default();
        let args = if pieces.args.is_empty() { texts.args.bytes.to_vec() } else { pieces.args };
        if args.len() < (body.args_len as usize).min(ARGS_MAX) {
            self.counts.lost_args += 1;
        }
        let args = Args::from_raw(args, body.args_len);
        let env = (!pieces.env.is_empty()).then(|| Args::from_raw(pieces.env, body.env_len));
        let known = self.processes.get(key).cloned();
        let parent = match known {
            Some(known) => known.parent.clone(),
            // What fanotify refused comes on a way of its own: before the process was seen to begin, or after it ended.
            None if header.flags & flags::BY_FANOTIFY != 0 => self.processes.by_pid(header.ppid).cloned(),
            None => self.parent(header.ppid, body.parent_start),
        };
        let ppid = parent.as_ref().map_or(header.ppid, |parent| parent.key.pid);
        let image = convert::image(header, &body, &texts, args, env);
        let runtime_init = self.is_runtime_init(header, &image);
        let image = Process { parent, ppid, runtime_init, ..image };
        // What would have run is told of, and the process is what it was.
        let refused = header.flags & flags::REFUSED != 0;
        let process = if refused { Arc::new(image) } else { self.processes.insert(image, false) };
        self.event_of(header, Kind::ProcExec, process, detail)
    }

    /// The same, of a record that knows the start of its process only to the tick.
    pub(super) fn exact(&self, header: Header) -> Header {
        if header.flags & flags::BY_FANOTIFY == 0 {
            return header;
        }
        let known = self.processes.by_pid(header.tgid).map(|process| process.key.start);
        let start = known
            .filter(|start| start / process::TICK == header.start / process::TICK)
            .unwrap_or(header.start);
        Header { start, ..header }
    }

    fn parent(&mut self, pid: u32, start: u64) -> Option<Arc<Process>> {
        let key = ProcessKey { pid, start };
        if self.processes.get(key).is_none() {
            self.heal(pid);
        }
        self.processes.get(key).cloned()
    }

    pub(super) fn fork(&mut self, header: &Header, body: ProcFork) -> Event {
        let caller = self.process(header);
        let child = ProcessKey { pid: body.child_tgid, start: body.child_start };
        let parent_key = ProcessKey { pid: body.parent_tgid, start: body.parent_start };
        // With `CLONE_PARENT` the caller is a sibling: the image is its, the parent is not.
        let parent = if parent_key == caller.key {
            Some(Arc::clone(&caller))
        } else {
            self.parent(parent_key.pid, parent_key.start)
        };
        let vpid = (header.valid & valid::VPID != 0).then_some(body.child_vpid);
        // The first of a pid namespace sees nobody outside: neither its creator nor groups and sessions from there.
        let namespaces =
            caller.namespaces.map(|namespaces| Namespaces { pid: body.child_pid_ns, ..namespaces });
        let moved = vpid.is_some() && namespaces != caller.namespaces;
        let inside = |id: Option<u32>| if moved { Some(0) } else { vpid.and(id) };
        let creator = parent.as_ref().unwrap_or(&caller).vpid;
        let image = Process {
            key: child,
            parent,
            ppid: body.parent_tgid,
            vpid,
            vppid: inside(creator),
            vpgid: inside(caller.vpgid),
            vsid: inside(caller.vsid),
            namespaces: if moved { namespaces } else { caller.namespaces },
            comm: Comm::new(header.comm),
            uid: header.uid,
            loginuid: convert::loginuid(header),
            ..(*caller).clone()
        };
        self.processes.insert(image, false);
        let detail = Detail::Fork(Fork { child, child_vpid: vpid, flags: body.clone_flags });
        self.event_of(header, Kind::ProcFork, caller, detail)
    }

    pub(super) fn exit(&mut self, header: &Header, body: ProcExit) -> Option<Event> {
        let key = ProcessKey { pid: header.tgid, start: header.start };
        if self.ended.contains(&key) {
            self.counts.duplicate_exits += 1;
            return None;
        }
        let process = self.process(header);
        self.processes.remove(key);
        self.ended.push_back(key);
        if self.ended.len() > ENDED {
            self.ended.pop_front();
        }
        let detail = Detail::Exit(Exit { status: body.status, lifetime: body.lifetime });
        Some(self.event_of(header, Kind::ProcExit, process, detail))
    }

    /// Takes over what a process has after a call that changed it. Credentials and namespaces belong to threads; those of
    /// the first stand for the process.
    pub(super) fn privileges(&mut self, header: &Header, body: &SysCall) {
        if header.tid != header.tgid {
            return;
        }
        let process = self.process(header);
        let caps = header.valid & valid::CAPS != 0;
        let after = Process {
            cap_inheritable: if caps { Some(body.cap_inheritable) } else { process.cap_inheritable },
            cap_permitted: if caps { Some(body.cap_permitted) } else { process.cap_permitted },
            namespaces: match process.namespaces {
                Some(namespaces) if header.valid & valid::NAMESPACES != 0 => {
                    Some(Namespaces { net: body.net_ns, user: body.user_ns, ..namespaces })
                }
                before => before,
            },
            ..(*process).clone()
        };
        let same = |before: &Process| {
            (before.cap_inheritable, before.cap_permitted, before.namespaces)
                == (after.cap_inheritable, after.cap_permitted, after.namespaces)
        };
        if !same(&process) {
            self.processes.insert(after, false);
        }
    }
}
