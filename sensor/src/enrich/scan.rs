//! What was there before the sensor: `/proc` and the cgroup filesystems → records like those of the kernel, marked as
//! snapshots. Whatever vanishes while it is read is left out.

use std::{
    collections::HashMap,
    fs::{self, Metadata},
    io,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use procfs::process::{Process as ProcProcess, all_processes};
use sensor_common::{CALLER_DIR, CgroupDir, FileId, FileOpen, Header, ProcExec, flags, valid};

use super::{Lookup, process::TICK};
use crate::{
    clock::{self, nanoseconds},
    decode::{ExecTexts, OpenTexts, RawBody, RawEvent, RawText},
    event::Layer,
};

/// Reads the machine that the sensor runs on.
#[derive(Debug)]
pub struct Scanner {
    /// Mount points: of the unified hierarchy, and of the v1 controller that stands in for it.
    unified: Option<PathBuf>,
    legacy: Option<(String, PathBuf)>,
    /// Keys of groups, by the path below their hierarchy; filled by [`Scanner::cgroups`].
    keys: HashMap<String, u64>,
}

impl Scanner {
    /// Finds the cgroup filesystems. `legacy_controller` is the one that the kernel programs read on hybrid hosts.
    #[must_use]
    pub fn new(legacy_controller: Option<&str>) -> Self {
        let mut scanner = Self { unified: None, legacy: None, keys: HashMap::new() };
        let Ok(mounts) = ProcProcess::myself().and_then(|me| me.mountinfo()) else { return scanner };
        for mount in mounts {
            match (mount.fs_type.as_str(), legacy_controller) {
                ("cgroup2", _) if scanner.unified.is_none() => scanner.unified = Some(mount.mount_point),
                ("cgroup", Some(name)) if mount.super_options.contains_key(name) => {
                    scanner.legacy = Some((name.to_owned(), mount.mount_point));
                }
                _ => {}
            }
        }
        scanner
    }

    /// A record for every control group.
    pub fn cgroups(&mut self) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        self.keys.clear();
        let roots = self.unified.iter().map(|root| (root, 0));
        let legacy = self.legacy.iter().map(|(_, root)| (root, Header::CGROUP_V1));
        for (root, bit) in roots.chain(legacy) {
            let mut left = vec![root.clone()];
            while let Some(dir) = left.pop() {
                let Ok(metadata) = fs::metadata(&dir) else { continue };
                let path = below(root, &dir);
                let id = metadata.ino() | bit;
                self.keys.insert(path.clone(), id);
                let header = Header { flags: flags::SNAPSHOT, ..Header::default() };
                let text = RawText { bytes: path.as_bytes(), flags: 0 };
                let body = RawBody::CgroupMkdir(CgroupDir { id, ..CgroupDir::default() }, text);
                records.push(RawEvent { header, body }.encode());
                let Ok(entries) = fs::read_dir(&dir) else { continue };
                let dirs =
                    entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
                left.extend(dirs.map(|entry| entry.path()));
            }
        }
        records
    }

    /// A record for every process, creators before those they created.
    ///
    /// # Errors
    /// Where `/proc` cannot be read at all.
    pub fn processes(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        for process in all_processes().map_err(io::Error::other)?.flatten() {
            if let Some((start, record)) = self.record(&process) {
                found.push((start, process.pid, record));
            }
        }
        found.sort_by_key(|(start, pid, _)| (*start, *pid));
        Ok(found.into_iter().map(|(.., record)| record).collect())
    }

    fn record(&self, process: &ProcProcess) -> Option<(u64, Vec<u8>)> {
        let Snapshot { header, body, exe, cwd, args } = Snapshot::of(process, self.cgroup_of(process))?;
        let texts = ExecTexts {
            exe: text(exe.strip_suffix(b" (deleted)").unwrap_or(&exe)),
            cwd: text(&cwd),
            args: text(args.get(..sensor_common::ARGS_MAX).unwrap_or(&args)),
            ..ExecTexts::default()
        };
        Some((header.start, RawEvent { header, body: RawBody::Exec(body, texts) }.encode()))
    }

    /// The key of a process's group: that of the unified hierarchy, unless it is in its root.
    fn cgroup_of(&self, process: &ProcProcess) -> Option<u64> {
        let groups = process.cgroups().ok()?;
        let unified = groups.0.iter().find(|group| group.hierarchy == 0).map(|group| group.pathname.as_str());
        let legacy = self.legacy.as_ref().and_then(|(name, _)| {
            let group = groups.0.iter().find(|group| group.controllers.contains(name))?;
            Some(group.pathname.as_str())
        });
        match (unified, legacy) {
            (None | Some("/"), Some(path)) if path != "/" => self.keys.get(path).copied(),
            (Some(path), _) => self.keys.get(path).copied(),
            _ => None,
        }
    }
}

/// What `/proc` says of a process.
struct Snapshot {
    header: Header,
    body: ProcExec,
    exe: Vec<u8>,
    cwd: Vec<u8>,
    args: Vec<u8>,
}

impl Snapshot {
    /// `cgroup`: the key of its group.
    fn of(process: &ProcProcess, cgroup: Option<u64>) -> Option<Self> {
        let stat = process.stat().ok()?;
        let status = process.status().ok()?;
        let exe = process.exe().unwrap_or_default().into_os_string().into_vec();
        let cwd = process.cwd().unwrap_or_default().into_os_string().into_vec();
        let args = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
        let namespace = |name: &str| {
            fs::metadata(format!("/proc/{}/ns/{name}", process.pid))
                .map_or(0, |metadata| metadata.ino() as u32)
        };
        let start = stat.starttime * TICK;
        let inner =
            |ids: Option<&Vec<i32>>| ids.and_then(|ids| ids.last()).map_or(0, |id| id.cast_unsigned());
        let (file, ctime, mtime) = executable(process.pid);
        let comm = comm(stat.comm.as_bytes());
        let header = Header {
            flags: flags::SNAPSHOT,
            ts: start,
            start,
            cgroup: cgroup.unwrap_or(0),
            cap_effective: status.capeff,
            tgid: process.pid.cast_unsigned(),
            tid: process.pid.cast_unsigned(),
            ppid: stat.ppid.cast_unsigned(),
            uid: status.ruid,
            euid: status.euid,
            gid: status.rgid,
            egid: status.egid,
            loginuid: process.loginuid().unwrap_or(u32::MAX),
            mnt_ns: namespace("mnt"),
            vtid: inner(status.nspid.as_ref()),
            threads: u32::try_from(stat.num_threads).unwrap_or(0),
            comm,
            valid: valid::LOGINUID
                | valid::VTID
                | valid::THREADS
                | valid::MNT_NS
                | valid::TTY
                | valid::NAMESPACES
                | valid::VPID
                | valid::CAPS
                | if cgroup.is_some() { valid::CGROUP } else { 0 }
                | if file.is_some() { valid::FILE | valid::TIMES } else { 0 },
            ..Header::default()
        };
        let body = ProcExec {
            file: file.unwrap_or_default(),
            ctime,
            mtime,
            cap_inheritable: status.capinh,
            cap_permitted: status.capprm,
            args_len: args.len() as u32,
            vpid: inner(status.nspid.as_ref()),
            vppid: parent_inside(stat.ppid, namespace("pid")),
            pgid: stat.pgrp.cast_unsigned(),
            sid: stat.session.cast_unsigned(),
            vpgid: inner(status.nspgid.as_ref()),
            vsid: inner(status.nssid.as_ref()),
            tty: stat.tty_nr.cast_unsigned(),
            pid_ns: namespace("pid"),
            net_ns: namespace("net"),
            user_ns: namespace("user"),
            ..ProcExec::default()
        };
        Some(Self { header, body, exe, cwd, args })
    }
}

const fn text(bytes: &[u8]) -> RawText<'_> {
    RawText { bytes, flags: 0 }
}

/// A file that was not run, or not opened.
#[derive(Clone, Copy, Debug)]
pub struct RefusedFile<'a> {
    /// Its path, as the caller sees it.
    pub path: &'a [u8],
    /// What it is.
    pub metadata: &'a Metadata,
    /// In which layer of an overlay it lies, where that is known.
    pub layer: Option<Layer>,
}

/// The record of an exec that was refused while the caller waits for it: the caller's process, with the program that would
/// have run. `cgroup`: the key of its group. What it would have been called with is not known.
#[must_use]
pub fn refused_exec(tgid: u32, tid: u32, cgroup: u64, program: &RefusedFile<'_>) -> Option<Vec<u8>> {
    let process = ProcProcess::new(i32::try_from(tgid).ok()?).ok()?;
    let Snapshot { header, body, cwd, .. } = Snapshot::of(&process, Some(cgroup))?;
    let (file, ctime, mtime, known) = program.identity();
    let name = program.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let header = Header {
        flags: flags::REFUSED | flags::BY_FANOTIFY,
        ts: clock::boot(),
        tid,
        syscall: sensor_common::syscalls::EXECVE as u16,
        comm: comm(name),
        valid: header.valid & !vtid_of_another(tgid, tid) | valid::TIMES | known,
        ..header
    };
    let body = ProcExec { file, ctime, mtime, args_len: 0, ..body };
    let texts = ExecTexts { exe: text(program.path), cwd: text(&cwd), ..ExecTexts::default() };
    Some(RawEvent { header, body: RawBody::Exec(body, texts) }.encode())
}

/// The record of an open that was refused while the caller waits for it. `how`: the call by its number in the table of `x86_64`,
/// flags and mode, where that is known.
#[must_use]
pub fn refused_open(
    tgid: u32,
    tid: u32,
    cgroup: u64,
    opened: &RefusedFile<'_>,
    how: Option<(u32, u32, u32)>,
) -> Option<Vec<u8>> {
    let process = ProcProcess::new(i32::try_from(tgid).ok()?).ok()?;
    let Snapshot { header, .. } = Snapshot::of(&process, Some(cgroup))?;
    let name = fs::read(format!("/proc/{tid}/comm")).ok()?;
    let (file, _, _, known) = opened.identity();
    let (number, open_flags, mode) = how.unwrap_or((sensor_common::syscalls::OPENAT, 0, 0));
    // The others tell of a program.
    let of_caller =
        valid::LOGINUID | valid::MNT_NS | valid::CGROUP | valid::CAPS | valid::VTID | valid::THREADS;
    let header = Header {
        flags: flags::REFUSED | flags::BY_FANOTIFY,
        ts: clock::boot(),
        tid,
        syscall: number as u16,
        comm: comm(name.strip_suffix(b"\n").unwrap_or(&name)),
        valid: header.valid & of_caller & !vtid_of_another(tgid, tid) | known,
        ..header
    };
    let body = FileOpen { file, open_flags, mode, dirfd: CALLER_DIR, ..FileOpen::default() };
    let texts = OpenTexts { path: text(opened.path), ..OpenTexts::default() };
    Some(RawEvent { header, body: RawBody::Open(body, texts) }.encode())
}

/// What is only known of a process's first thread.
const fn vtid_of_another(tgid: u32, tid: u32) -> u32 {
    if tid == tgid { 0 } else { valid::VTID }
}

impl RefusedFile<'_> {
    /// Its identity, change and modification times, and which of that is known.
    fn identity(&self) -> (FileId, u64, u64, u32) {
        let (file, ctime, mtime) = identity(self.metadata);
        let (layer, known) = match self.layer {
            Some(Layer::Lower) => (sensor_common::LAYER_LOWER, valid::LAYER),
            Some(Layer::Upper) => (sensor_common::LAYER_UPPER, valid::LAYER),
            Some(Layer::Other) => (sensor_common::LAYER_OTHER, valid::LAYER),
            None => (sensor_common::LAYER_OTHER, 0),
        };
        (FileId { layer, ..file }, ctime, mtime, valid::FILE | known)
    }
}

/// A thread's name as records have it.
fn comm(name: &[u8]) -> [u8; 16] {
    let mut comm = [0; 16];
    for (to, from) in comm.iter_mut().take(15).zip(name) {
        *to = *from;
    }
    comm
}

impl Lookup for Scanner {
    fn process(&mut self, pid: u32) -> Option<Vec<u8>> {
        let process = ProcProcess::new(i32::try_from(pid).ok()?).ok()?;
        self.record(&process).map(|(_, record)| record)
    }

    fn cgroup(&mut self, pid: u32, key: u64) -> Option<String> {
        let process = ProcProcess::new(i32::try_from(pid).ok()?).ok()?;
        let groups = process.cgroups().ok()?;
        let legacy = key & Header::CGROUP_V1 != 0;
        let group = groups.0.into_iter().find(|group| match &self.legacy {
            Some((name, _)) if legacy => group.controllers.contains(name),
            _ => group.hierarchy == 0,
        })?;
        // The process may have moved since.
        let root = if legacy { &self.legacy.as_ref()?.1 } else { self.unified.as_ref()? };
        let found = fs::metadata(root.join(group.pathname.trim_start_matches('/'))).ok()?.ino();
        (found == key & !Header::CGROUP_V1).then_some(group.pathname)
    }
}

fn below(root: &Path, dir: &Path) -> String {
    let path = dir.strip_prefix(root).unwrap_or(dir);
    format!("/{}", path.to_string_lossy())
}

/// The number that a process has in the pid namespace `pid_ns`, where that is its own; 0 where it is outside.
fn parent_inside(parent: i32, pid_ns: u32) -> u32 {
    let inside = || {
        let own = fs::metadata(format!("/proc/{parent}/ns/pid")).ok()?.ino() as u32;
        let status = ProcProcess::new(parent).ok()?.status().ok()?;
        let number = status.nspid?.last().copied()?;
        (own == pid_ns).then_some(number.cast_unsigned())
    };
    inside().unwrap_or(0)
}

/// Identity of a process's executable, and its change and modification times in nanoseconds since 1970.
fn executable(pid: i32) -> (Option<FileId>, u64, u64) {
    let Ok(metadata) = fs::metadata(format!("/proc/{pid}/exe")) else { return (None, 0, 0) };
    let (id, ctime, mtime) = identity(&metadata);
    (Some(id), ctime, mtime)
}

/// The same of a file.
fn identity(metadata: &Metadata) -> (FileId, u64, u64) {
    let dev = metadata.dev();
    let id = FileId {
        ino: metadata.ino(),
        dev: rustix::fs::major(dev) << 20 | rustix::fs::minor(dev),
        mode: metadata.mode(),
        nlink: metadata.nlink() as u32,
        uid: metadata.uid(),
        gid: metadata.gid(),
        ..FileId::default()
    };
    let ctime = nanoseconds(metadata.ctime(), metadata.ctime_nsec());
    (id, ctime, nanoseconds(metadata.mtime(), metadata.mtime_nsec()))
}
