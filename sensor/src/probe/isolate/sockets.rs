//! A group's key → its directory → its processes → the numbers (cookies) of the sockets that they have open.

use std::{
    fs,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, fs::DirEntryExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, sockopt},
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};
use sensor_common::Header;

use super::super::legacy_controller;

/// Levels of control groups that are looked at.
const DEPTH: u32 = 32;

/// The directory of the group, in a hierarchy of the kind that its key names. `None`: there is no such group.
pub(super) fn directory(group: u64) -> Option<PathBuf> {
    let id = group & !Header::CGROUP_V1;
    let controller = if group == id { None } else { Some(legacy_controller()?) };
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        let fits = match &controller {
            None => kind == "cgroup2",
            Some(controller) => kind == "cgroup" && options.split(',').any(|option| option == controller),
        };
        if fits { find(Path::new(path), id, DEPTH) } else { None }
    })
}

/// Numbers of directories in these filesystems are the ids of groups.
fn find(dir: &Path, id: u64, depth: u32) -> Option<PathBuf> {
    let below = directories(dir);
    if let Some((_, path)) = below.iter().find(|(number, _)| *number == id) {
        return Some(path.clone());
    }
    let depth = depth.checked_sub(1)?;
    below.iter().find_map(|(_, path)| find(path, id, depth))
}

fn directories(dir: &Path) -> Vec<(u64, PathBuf)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let is_dir = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.flatten().filter(is_dir).map(|entry| (entry.ino(), entry.path())).collect()
}

/// The sockets that the processes of a group and of those below it have open. Processes that end meanwhile have none.
pub(super) fn of_group(dir: &Path) -> Vec<u64> {
    let mut cookies = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let members = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        for pid in members.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw) {
            cookies.extend(of_process(pid).unwrap_or_default());
        }
        dirs.extend(directories(&dir).into_iter().map(|(_, path)| path));
    }
    cookies.sort_unstable();
    cookies.dedup();
    cookies
}

fn of_process(pid: Pid) -> Option<Vec<u64>> {
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let descriptors = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).ok()?;
    let sockets = descriptors.flatten().filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        if !target.as_os_str().as_bytes().starts_with(b"socket:") {
            return None;
        }
        let number = entry.file_name().to_str()?.parse().ok()?;
        match pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) {
            Ok(socket) => cookie(&socket),
            Err(error) => {
                if error == Errno::PERM {
                    // Without CAP_SYS_PTRACE.
                    tracing::warn!(pid = pid.as_raw_nonzero(), %error, "a socket of an isolated group cannot be looked at");
                }
                None
            }
        }
    });
    Some(sockets.collect())
}

/// The number of a socket on whose packets programs are run.
fn cookie(socket: &OwnedFd) -> Option<u64> {
    let family = sockopt::socket_domain(socket).ok()?;
    let ours = [AddressFamily::INET, AddressFamily::INET6].contains(&family);
    ours.then(|| sockopt::socket_cookie(socket).ok())?
}
