//! Bodies of the file records.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Text;

/// [`FileId::layer`]: not on an overlay filesystem.
pub const LAYER_OTHER: u32 = 0;
/// [`FileId::layer`]: unchanged from the image below.
pub const LAYER_LOWER: u32 = 1;
/// [`FileId::layer`]: written since the container was made.
pub const LAYER_UPPER: u32 = 2;

/// A file as the kernel identifies it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FileId {
    /// Inode number.
    pub ino: u64,
    /// Device number in the kernel's encoding: major << 20 | minor.
    pub dev: u32,
    /// Type and permission bits.
    pub mode: u32,
    /// Links; 0 for a file that has no name any more (deleted, memfd).
    pub nlink: u32,
    /// [`LAYER_OTHER`], [`LAYER_LOWER`] or [`LAYER_UPPER`].
    pub layer: u32,
    /// Owner.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
}

/// A `dirfd` for names that start at the working directory (`AT_FDCWD`).
pub const CALLER_DIR: i32 = -100;

/// Body of [`crate::Kind::FileOpen`].
///
/// Texts, in order: `path`, `name`, `dir`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FileOpen {
    /// The opened file; all zero where the call failed, unless it was refused.
    pub file: FileId,
    /// Flags as the caller gave them (`O_*` of `x86_64`).
    pub open_flags: u32,
    /// `struct file`'s mode bits (`FMODE_*`); 0 as above.
    pub f_mode: u32,
    /// Mode argument.
    pub mode: u32,
    /// Directory argument, [`CALLER_DIR`] for the working directory.
    pub dirfd: i32,
    /// `openat2`'s resolve flags.
    pub resolve: u64,
    /// What was opened, as the kernel's dentries say; empty as above.
    pub path: Text,
    /// What the caller asked for; present where the call failed, or where it was asked for.
    pub name: Text,
    /// The directory at which a relative `name` starts; present with `name`.
    pub dir: Text,
    /// Zero.
    pub reserved: u32,
}

/// Body of the kinds that change names and files: [`crate::Kind::FileRemove`] to [`crate::Kind::FileOwner`],
/// [`crate::Kind::MountDetach`] and [`crate::Kind::MountRoot`].
///
/// No kernel object is at hand when such a call ends (what was removed has no path any more), so a name is the caller's
/// string, and with it comes the directory at which it starts, as the kernel's dentries say: joining the two is left to
/// whoever reads the record. A call on a descriptor (`fchmod`) has no name, and `dir` is the descriptor's own path.
///
/// Texts, in order: `name`, `dir`, `new_name`, `new_dir`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FileChange {
    /// The file behind the descriptor of `fchmod` and `fchown`, [`crate::valid::FILE`].
    pub file: FileId,
    /// Directory argument, [`CALLER_DIR`] for the working directory; `fchmod`, `fchown`: the descriptor.
    pub dirfd: i32,
    /// Directory argument of the new name.
    pub new_dirfd: i32,
    /// Flags as the caller gave them (`AT_*`, `RENAME_*`).
    pub flags: u32,
    /// `mkdir`, `mknod`, `chmod`: mode as the caller gave it.
    pub mode: u32,
    /// `chown`: owner, `u32::MAX` to leave it.
    pub uid: u32,
    /// `chown`: group, `u32::MAX` to leave it.
    pub gid: u32,
    /// `mknod`: device number as the caller gave it.
    pub dev: u32,
    /// What the caller named; `symlink`: the text that the link is to hold.
    pub name: Text,
    /// The directory at which `name` starts; absent where that is the root.
    pub dir: Text,
    /// `rename`, `link`, `symlink`: the name to be made.
    pub new_name: Text,
    /// The directory at which `new_name` starts; absent where that is the root.
    pub new_dir: Text,
    /// Zero.
    pub reserved: u32,
}

/// Body of [`crate::Kind::MountAttach`].
///
/// Texts, in order: those of `change`, `fs_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Mount {
    /// `name` is the source (a device, a path, or any word), `new_name` where it is mounted, `flags` those of the call.
    pub change: FileChange,
    /// Type of the filesystem, as the caller named it.
    pub fs_type: Text,
    /// Zero.
    pub reserved: u32,
}
