//! Filesystems that are mounted nowhere: only who holds the descriptor can look into them, and with it they end. It knows
//! nothing of what they are for.

use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
};

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// An instance of a filesystem. It ends when this is dropped, or with the process in whatever way that ends: the descriptor
/// is not inherited.
pub(super) struct Detached(OwnedFd);

impl Detached {
    /// Mounts a filesystem that has no device, such as `bpf`.
    ///
    /// # Errors
    /// Where the kernel has none of this name, or the privileges at hand do not allow it.
    pub(super) fn mount(filesystem: &str) -> io::Result<Self> {
        let context = fsopen(filesystem, FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NOEXEC
            | MountAttrFlags::MOUNT_ATTR_NODEV;
        Ok(Self(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?))
    }

    /// Its root.
    pub(super) fn root(self) -> OwnedFd {
        self.0
    }

    /// The path under which this process finds a name in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()))
    }

    /// The text of a file in it.
    ///
    /// # Errors
    /// Where there is none that can be read.
    pub(super) fn read(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(self.path(name))
    }
}
