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

/// [`FileOpen::dirfd`] for names that start at the working directory (`AT_FDCWD`).
pub const CALLER_DIR: i32 = -100;

/// Body of [`crate::Kind::FileOpen`].
///
/// Texts, in order: `path`, `name`, `dir`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FileOpen {
    /// The opened file; all zero where the call failed.
    pub file: FileId,
    /// Flags as the caller gave them (`O_*` of `x86_64`).
    pub open_flags: u32,
    /// `struct file`'s mode bits (`FMODE_*`), 0 where the call failed.
    pub f_mode: u32,
    /// Mode argument.
    pub mode: u32,
    /// Directory argument, [`CALLER_DIR`] for the working directory.
    pub dirfd: i32,
    /// `openat2`'s resolve flags.
    pub resolve: u64,
    /// What was opened, as the kernel's dentries say; empty where the call failed.
    pub path: Text,
    /// What the caller asked for; present where the call failed, or where it was asked for.
    pub name: Text,
    /// The directory at which a relative `name` starts; present with `name`.
    pub dir: Text,
    /// Zero.
    pub reserved: u32,
}
