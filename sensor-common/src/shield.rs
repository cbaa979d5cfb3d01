//! What of the sensor's own nobody else may touch, as the kernel half knows it: the daemon writes it down by number.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A map.
pub const MAP: u32 = 1;
/// A program.
pub const PROGRAM: u32 = 2;
/// What attaches a program.
pub const LINK: u32 = 3;
/// A directory of a BPF filesystem, in which the sensor pins.
pub const FOLDER: u32 = 4;

/// Objects for which there is room. Where every call that is watched has a program and a link, they are about 400.
pub const OBJECTS: u32 = 4096;

/// Key of the table of what is shielded.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Shielded {
    /// One of the constants above.
    pub kind: u32,
    /// Of a directory: the device, as the kernel numbers it.
    pub dev: u32,
    /// The kernel's number of the object; of a directory that of its inode.
    pub id: u64,
}
