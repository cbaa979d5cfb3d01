//! The host's namespace of control groups: `/proc/PID/cgroup` tells paths as the reader's own namespace has them, and a container
//! usually has one of its own, in which no other container has a name that means anything.

use std::{fs, io, os::fd::AsFd, os::unix::fs::MetadataExt};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// That of the first process, which is the host's where the sensor shares the host's processes.
const HOST: &str = "/proc/1/ns/cgroup";

/// The number of the namespace that every kernel begins with (`PROC_CGROUP_INIT_INO`). The first process hides its own from those
/// who may do less than it, so this is asked first.
const FIRST: u64 = 0xEFFF_FFFB;

/// Moves this thread, and those that it will make, to the host's namespace. **Silent risk** without the warning: processes that
/// were there before the sensor would count as the host's.
pub(super) fn join_host() {
    if let Err(error) = join() {
        let hint = "processes that were there before count as the host's: control groups are named as this container sees them. \
                    Start it with the host's processes (`hostPID`), CAP_SYS_ADMIN and CAP_SYS_PTRACE";
        tracing::warn!(%error, "{hint}");
    }
}

/// Whether processes have the same numbers here as on the host.
pub(super) fn has_host_pids() -> bool {
    /// Of the namespace of processes that every kernel begins with (`PROC_PID_INIT_INO`).
    const FIRST: u64 = 0xEFFF_FFFC;
    fs::metadata("/proc/self/ns/pid").is_ok_and(|metadata| metadata.ino() == FIRST)
}

/// The host's mount namespace, where the first process shows its own.
pub(super) fn host_mounts() -> Option<u32> {
    let number = fs::metadata("/proc/1/ns/mnt").ok()?.ino();
    if has_host_pids() { u32::try_from(number).ok() } else { None }
}

fn join() -> io::Result<()> {
    let number = |path: &str| fs::metadata(path).map(|metadata| metadata.ino());
    let own = match number("/proc/self/ns/cgroup") {
        Ok(FIRST) => return Ok(()),
        Ok(own) => own,
        // A kernel without such namespaces.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if number(HOST).is_ok_and(|host| host == own) {
        return Ok(());
    }
    let host = fs::File::open(HOST)?;
    Ok(move_into_link_name_space(host.as_fd(), Some(LinkNameSpaceType::ControlGroup))?)
}
