//! Open files and their inodes.

use sensor_common::{FileId, LAYER_LOWER, LAYER_OTHER, LAYER_UPPER, valid};

use super::{Head, Path, Ptr, Task, offset, pid::pid_number};
use sensor_common::offsets::MISSING;

const OVERLAYFS_MAGIC: u64 = 0x794c_7630;
const PID_FS_MAGIC: u64 = 0x5049_4446;
/// What the kernel calls a descriptor of a process, with the end of the text.
const PIDFD: u64 = u64::from_ne_bytes(*b"[pidfd]\0");
/// Bits that a number below 1 000 000 000 needs.
const NANOSECONDS: u32 = 0x3fff_ffff;
const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFSOCK: u32 = 0o140_000;

/// What the sensor wants of a `struct file`.
#[derive(Clone, Copy)]
pub(crate) struct File {
    pub(crate) path: Path,
    /// `FMODE_*`.
    pub(crate) f_mode: u32,
    inode: Ptr,
    private: u64,
}

/// The file behind a descriptor of the task.
#[inline(always)]
pub(crate) fn fd_file(task: Task, fd: i32) -> Option<File> {
    let table = task.field(offset!(task_files))?.follow(offset!(files_fdt))?;
    if fd < 0 || fd as u32 >= table.load::<u32>(offset!(fdt_max_fds))? {
        return None;
    }
    slot_file(table, fd)
}

/// The file behind a descriptor that the task was just given, for which there is room in its table.
#[inline(always)]
pub(crate) fn new_file(task: Task, fd: i32) -> Option<File> {
    slot_file(task.field(offset!(task_files))?.follow(offset!(files_fdt))?, fd)
}

#[inline(always)]
fn slot_file(table: Ptr, fd: i32) -> Option<File> {
    // A pointer to pointers is a plain number for the verifier.
    let slots = Ptr::from_u64(table.load(offset!(fdt_fd))?);
    File::read(slots.probe_ptr(fd as u32 * 8)?)
}

/// The file in a slot of an `io_uring`'s own table: an array of nodes since 6.13, of tagged pointers before.
#[inline(always)]
pub(crate) fn ring_file(ring: Ptr, slot: u32) -> Option<File> {
    let slots = ring.probe_ptr(offset!(ring_files))?;
    // A table has at most 32768 slots.
    let at = (slot & 0x7fff) * 8;
    let tagged: u64 = if offset!(node_file) == MISSING {
        slots.probe(at)?
    } else {
        slots.probe_ptr(at)?.probe(offset!(node_file))?
    };
    let file = tagged & !7;
    if file == 0 {
        return None;
    }
    File::read(Ptr::from_u64(file))
}

impl File {
    #[inline(always)]
    pub(crate) fn read(file: Ptr) -> Option<Self> {
        let mut head = Head::<14>::new(file);
        head.fetch()?;
        Some(Self {
            path: Path { mnt: head.get(offset!(file_path))?, dentry: head.get(offset!(file_path) + 8)? },
            f_mode: head.get(offset!(file_mode))?,
            inode: Ptr::from_u64(head.get(offset!(file_inode))?),
            private: head.get(offset!(file_private))?,
        })
    }

    /// What its owner knows it by: of a descriptor of a socket the socket, of one of a link the link.
    #[inline(always)]
    pub(crate) fn owner(self) -> Ptr {
        Ptr::from_u64(self.private)
    }

    /// The process of which it is a descriptor (`pidfd_open`), by its number in the first pid namespace. Since 6.9 such have a
    /// filesystem of their own; before, a name that nobody else can give.
    #[inline(always)]
    pub(crate) fn process(self) -> Option<u32> {
        let sb = self.inode.probe_ptr(offset!(inode_sb))?;
        let pid = if sb.probe::<u64>(offset!(sb_magic))? == PID_FS_MAGIC {
            self.inode.probe_ptr(offset!(inode_private))?
        } else {
            let name = Ptr::from_u64(self.path.dentry).probe_ptr(offset!(dentry_name) + 8)?;
            if name.probe::<u64>(0)? != PIDFD {
                return None;
            }
            self.owner()
        };
        Some(pid_number(pid, 0)?.0)
    }

    /// The socket behind it, where it is one, and its inode number.
    #[inline(always)]
    pub(crate) fn socket(self) -> Option<(Ptr, u64)> {
        let mut head = Head::<10>::new(self.inode);
        head.fetch()?;
        if u32::from(head.get::<u16>(offset!(inode_mode))?) & S_IFMT != S_IFSOCK {
            return None;
        }
        Some((Ptr::from_u64(self.private), head.get(offset!(inode_ino))?))
    }

    /// Writes the identity of the file, and returns the `valid` bits that hold for it.
    #[inline(always)]
    pub(crate) fn identify(self, id: &mut FileId) -> Option<u32> {
        // One after the other: they share their place on the stack.
        let sb = {
            let mut head = Head::<10>::new(self.inode);
            head.fetch()?;
            id.ino = head.get(offset!(inode_ino))?;
            id.mode = u32::from(head.get::<u16>(offset!(inode_mode))?);
            id.nlink = head.get(offset!(inode_nlink))?;
            id.uid = head.get(offset!(inode_uid))?;
            id.gid = head.get(offset!(inode_gid))?;
            Ptr::from_u64(head.get(offset!(inode_sb))?)
        };
        let mut sb = Head::<14>::new(sb);
        sb.fetch()?;
        id.dev = sb.get(offset!(sb_dev))?;
        id.layer = LAYER_OTHER;
        match layer(self.inode, sb.get(offset!(sb_magic))) {
            Some(layer) => {
                id.layer = layer;
                Some(valid::FILE | valid::LAYER)
            }
            None => Some(valid::FILE),
        }
    }

    /// Whether it is a directory.
    #[inline(always)]
    pub(crate) fn is_directory(self) -> bool {
        let mode: u16 = self.inode.probe(offset!(inode_mode)).unwrap_or(0);
        u32::from(mode) & S_IFMT == S_IFDIR
    }

    /// Which layer of an overlay holds it.
    #[inline(always)]
    pub(crate) fn layer(self) -> Option<u32> {
        let sb: u64 = self.inode.probe(offset!(inode_sb))?;
        layer(self.inode, Ptr::from_u64(sb).probe(offset!(sb_magic)))
    }

    /// Change and modification time, nanoseconds since 1970.
    #[inline(always)]
    pub(crate) fn times(self) -> Option<(u64, u64)> {
        let inode = self.inode;
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
fn layer(inode: Ptr, magic: Option<u64>) -> Option<u32> {
    if offset!(inode_size) == MISSING {
        return None;
    }
    if magic? != OVERLAYFS_MAGIC {
        return Some(LAYER_OTHER);
    }
    let upper: u64 = inode.probe(offset!(inode_size))?;
    Some(if upper == 0 { LAYER_LOWER } else { LAYER_UPPER })
}
