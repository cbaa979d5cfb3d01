//! Verdicts: what the kernel half decides by itself, before any user code runs on. Rules whose conditions it can tell
//! exactly are terms as in [`crate::filter`], in rows of their own behind those of the kinds; what cannot be told here
//! holds in none of them.
//!
//! A verdict is about containers only, and about those that the daemon has named to the kernel: for every group it says
//! which terms can hold there.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{KINDS, filter::ROWS};

/// What can be decided.
pub const CLASSES: u32 = 8;
/// A new image.
pub const EXEC: u32 = 0;
/// A file that is opened.
pub const OPEN: u32 = 1;
/// A connection that is made.
pub const CONNECT: u32 = 2;
/// An address that a socket takes for its own.
pub const BIND: u32 = 3;
/// A datagram with a destination of its own.
pub const SEND: u32 = 4;
/// A name that is removed.
pub const REMOVE: u32 = 5;
/// A name that is moved, perhaps over another one.
pub const MOVE: u32 = 6;
/// A second name that is given to a file.
pub const LINK: u32 = 7;

/// Bits of the number under which [`crate::filter::KindFilter::facts`] has the terms of a class; those of
/// [`OPEN`], [`CONNECT`], [`BIND`] and [`SEND`] are [`crate::filter::facts`].
pub mod facts {
    /// [`super::EXEC`]: the file lies in the upper layer of an overlay.
    pub const UPPER: u32 = 1;
    /// [`super::EXEC`]: it lies in the lower layers.
    pub const LOWER: u32 = 1 << 1;
    /// [`super::OPEN`], beside [`crate::filter::facts`]: it is a directory.
    pub const DIRECTORY: u32 = 1 << 3;
    /// [`super::REMOVE`]: by `rmdir`, which rules name apart from the calls that remove whatever a name leads to.
    pub const RMDIR: u32 = 1;
    /// [`super::MOVE`], [`super::LINK`]: asked about the name that is to be, and not about the one that there is. Each is
    /// asked about by itself.
    pub const TARGET: u32 = 1;
}

/// The row of a class in a set of tables.
#[must_use]
pub const fn slot(bank: u32, class: u32) -> u32 {
    bank * ROWS + KINDS + class
}

/// What to do where terms of a class hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Verdict {
    /// The terms that refuse.
    pub refuse: u64,
    /// The terms that kill.
    pub kill: u64,
}

/// Key of a control group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GroupKey {
    /// Which set of tables.
    pub bank: u64,
    /// As in a record's header.
    pub group: u64,
}

/// Room for the terms of each class: a power of two, so that a number of a class is masked to be one.
pub const ROOM: usize = (CLASSES as usize).next_power_of_two();

/// What can hold in a control group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Group {
    /// Terms by class.
    pub terms: [u64; ROOM],
    /// Inode numbers of mount namespaces: of who made the group, and of the host. Whoever is still in one of them is the
    /// runtime, and no workload.
    pub outside: [u32; 2],
}
