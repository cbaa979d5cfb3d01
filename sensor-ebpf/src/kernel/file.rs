//! Open files and their inodes.

use sensor_common::{FileId, LAYER_LOWER, LAYER_OTHER, LAYER_UPPER, valid};

use super::{Ptr, Task, offset};
use sensor_common::offsets::MISSING;

const OVERLAYFS_MAGIC: u64 = 0x794c_7630;
/// Bits that a number below 1 000 000 000 needs.
const NANOSECONDS: u32 = 0x3fff_ffff;
const S_IFMT: u32 = 0o170_000;
const S_IFSOCK: u32 = 0o140_000;

/// `struct file`.
#[derive(Clone, Copy)]
pub(crate) struct File(pub(crate) Ptr);

/// The file behind a descriptor of the task.
#[inline(always)]
pub(crate) fn fd_file(task: Task, fd: i32) -> Option<File> {
    let table = task.field(offset!(task_files))?.probe_ptr(offset!(files_fdt))?;
    if fd < 0 || fd as u32 >= table.probe::<u32>(offset!(fdt_max_fds))? {
        return None;
    }
    let slots = table.probe_ptr(offset!(fdt_fd))?;
    slots.probe_ptr(fd as u32 * 8).map(File)
}

impl File {
    /// Where its `struct path` lies.
    #[inline(always)]
    pub(crate) fn path(self) -> Ptr {
        Ptr(self.0.0.wrapping_add(offset!(file_path) as usize))
    }

    /// `FMODE_*`.
    #[inline(always)]
    pub(crate) fn f_mode(self) -> u32 {
        self.0.probe(offset!(file_mode)).unwrap_or(0)
    }

    #[inline(always)]
    pub(crate) fn inode(self) -> Option<Ptr> {
        self.0.probe_ptr(offset!(file_inode))
    }

    /// The socket behind it, where it is one.
    #[inline(always)]
    pub(crate) fn socket(self) -> Option<(Ptr, u64)> {
        let inode = self.inode()?;
        let mode: u16 = inode.probe(offset!(inode_mode))?;
        if u32::from(mode) & S_IFMT != S_IFSOCK {
            return None;
        }
        Some((self.0.probe_ptr(offset!(file_private))?, inode.probe(offset!(inode_ino))?))
    }

    /// Identity of the file; the second value are the `valid` bits that hold for it.
    #[inline(always)]
    pub(crate) fn id(self) -> Option<(FileId, u32)> {
        let inode = self.inode()?;
        let sb = inode.probe_ptr(offset!(inode_sb))?;
        let mode: u16 = inode.probe(offset!(inode_mode))?;
        let mut bits = valid::FILE;
        let layer = match layer(inode, sb) {
            Some(layer) => {
                bits |= valid::LAYER;
                layer
            }
            None => LAYER_OTHER,
        };
        let id = FileId {
            ino: inode.probe(offset!(inode_ino))?,
            dev: sb.probe(offset!(sb_dev))?,
            mode: u32::from(mode),
            nlink: inode.probe(offset!(inode_nlink))?,
            layer,
            uid: inode.probe(offset!(inode_uid))?,
            gid: inode.probe(offset!(inode_gid))?,
        };
        Some((id, bits))
    }

    /// Change and modification time, nanoseconds since 1970.
    #[inline(always)]
    pub(crate) fn times(self) -> Option<(u64, u64)> {
        let inode = self.inode()?;
        let time = |seconds: u32, nanoseconds: u32| -> Option<u64> {
            // Since 6.13 the topmost bit says that somebody asked for the time (`I_CTIME_QUERIED`).
            let nanoseconds = inode.probe::<u32>(nanoseconds)? & NANOSECONDS;
            Some(
                inode.probe::<u64>(seconds)?.wrapping_mul(1_000_000_000).wrapping_add(u64::from(nanoseconds)),
            )
        };
        Some((
            time(offset!(inode_ctime), offset!(inode_ctime_nsec))?,
            time(offset!(inode_mtime), offset!(inode_mtime_nsec))?,
        ))
    }
}

/// Which layer of an overlay holds the file.
///
/// `struct ovl_inode` is not in the BTF of kernels that build overlayfs as a module, but since 4.19 its
/// `__upperdentry` follows the embedded `vfs_inode`, so the size of `struct inode` is all that has to be known.
#[inline(always)]
fn layer(inode: Ptr, sb: Ptr) -> Option<u32> {
    if offset!(inode_size) == MISSING {
        return None;
    }
    if sb.probe::<u64>(offset!(sb_magic))? != OVERLAYFS_MAGIC {
        return Some(LAYER_OTHER);
    }
    let upper: u64 = inode.probe(offset!(inode_size))?;
    Some(if upper == 0 { LAYER_LOWER } else { LAYER_UPPER })
}
