//! Filters: what the loaded rules can want of a kind of records, as tables that the kernel programs ask.
//!
//! All that rules demand of a kind is written as at most [`TERMS`] terms, of which one must hold. A term is a bit: each table
//! says, for one property of an event (who, which path, …), with which terms it goes together, and an event whose answers
//! have no bit in common is wanted by nobody. (T. V. Lakshman, D. Stiliadis, "High-speed policy-based packet forwarding
//! using efficient multi-dimensional range matching", SIGCOMM 1998.) The tables exist twice, so that a new set can be
//! written beside the one at work.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{KINDS, verdict};

/// Terms of one kind.
pub const TERMS: u32 = 64;
/// Sets of tables; 0 is the empty one that filters nothing.
pub const BANKS: u32 = 3;
/// Rows of a set of tables: one for each kind of records, and those of [`crate::verdict`].
pub const ROWS: u32 = KINDS + verdict::CLASSES;
/// Numbers of (set of tables, row): see [`slot`].
pub const SLOTS: u32 = BANKS * ROWS;
/// Entries of the table by system call: set of tables, number, outcome.
pub const CALLS: u32 = BANKS * CALL_NUMBERS * OUTCOMES;
/// System call numbers that the table has room for, a power of two: higher ones share a place with lower ones, of which
/// no hook has both.
pub const CALL_NUMBERS: u32 = 512;
/// How a call can end: it went well, there was no such file, anything else went wrong.
pub const OUTCOMES: u32 = 4;
/// [`call_index`]: it went well.
pub const DONE: u32 = 0;
/// [`call_index`]: `ENOENT`. Programs look for files where there are none all day long.
pub const NOT_FOUND: u32 = 1;
/// [`call_index`]: any other error.
pub const FAILED: u32 = 2;
/// Room for a file name and a NUL behind it: of a longer name the end is looked up.
pub const NAME_LEN: usize = 32;
/// Bytes of a path that are looked up: a longer pattern is cut to a prefix of this length.
pub const PATH_LEN: usize = 120;
/// Bits of [`Words::marks`]: a hundred words leave nine of ten others unmarked.
pub const MARKS: u32 = 1024;
/// Combinations of the [`facts`] of an event.
pub const FACTS: usize = 16;

/// Bits of the number under which [`KindFilter::facts`] has an event's terms.
pub mod facts {
    /// A file was opened so that it can be read.
    pub const READ: u32 = 1;
    /// A file was opened so that it can be written.
    pub const WRITE: u32 = 1 << 1;
    /// A new file was made that may be executed.
    pub const EXECUTABLE: u32 = 1 << 2;
    /// A socket speaks TCP.
    pub const TCP: u32 = 1;
    /// A socket speaks UDP.
    pub const UDP: u32 = 1 << 1;
    /// The two bits that say what a socket speaks to: 0 stands for addresses of version 4.
    pub const FAMILY: u32 = 3 << 2;
    /// [`FAMILY`]: addresses of version 6.
    pub const V6: u32 = 1 << 2;
    /// [`FAMILY`]: unix sockets.
    pub const UNIX: u32 = 2 << 2;
    /// [`FAMILY`]: neither.
    pub const OTHER: u32 = 3 << 2;
}

/// Which end of a socket is looked up, by kind of records: bits, all of which unset stand for the other end.
pub mod ends {
    /// This end's port.
    pub const OWN_PORT: u32 = 1;
    /// This end's address.
    pub const OWN_NET: u32 = 1 << 1;
}

/// In place of [`facts`]: they are not known, or say nothing of such an event.
pub const NO_FACTS: u32 = u32::MAX;

/// The number of a kind in a set of tables.
#[must_use]
pub const fn slot(bank: u32, kind: u32) -> u32 {
    bank * ROWS + kind
}

/// The number of a system call that ended in one of [`OUTCOMES`] ways.
#[must_use]
pub const fn call_index(bank: u32, number: u32, outcome: u32) -> u32 {
    (bank * CALL_NUMBERS + (number & (CALL_NUMBERS - 1))) * OUTCOMES + outcome
}

/// A table of one property, as far as it stands for a whole kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Property {
    /// The terms that ask for it: without one of them a look is not worth it.
    pub asked: u64,
    /// The terms of every value that has no entry of its own.
    pub other: u64,
}

/// A table of words, as far as it stands for a whole kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Words {
    /// See [`Property`].
    pub property: Property,
    /// Bits of the words that have an entry, by [`mark`]. Most others are told from them by this alone, at a tenth of the
    /// cost of a look.
    pub marks: [u64; MARKS as usize / 64],
}

/// Takes the next eight bytes of a word into its hash, which begins with 0.
#[must_use]
pub const fn mix(hash: u64, bytes: u64) -> u64 {
    // The golden ratio in 64 bits, as Knuth's multiplicative hashing has it: the highest bits are the best.
    (hash ^ bytes).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The bit of a word, which its first eight bytes choose: they tell most words from all those asked for.
#[must_use]
pub const fn mark(first: u64) -> u32 {
    (mix(0, first) >> (64 - MARKS.trailing_zeros())) as u32
}

/// Places for control groups that are in no container, of which each has one and may find another group there.
pub const HOST_PLACE_COUNT: u32 = 1024;

/// The place of a control group, and what stands there for it: its complement, so that an empty place stands for none.
#[must_use]
pub const fn host_place(group: u64) -> (u32, u64) {
    ((mix(0, group) >> (64 - HOST_PLACE_COUNT.trailing_zeros())) as u32, !group)
}

/// What holds for a whole kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct KindFilter {
    /// Thread names.
    pub comm: Words,
    /// File names.
    pub name: Words,
    /// Paths.
    pub path: Property,
    /// Ports: of the other end, or as [`ends`] says.
    pub port: Property,
    /// Addresses, likewise.
    pub net: Property,
    /// The terms of an effective user that is root.
    pub root: u64,
    /// The terms of any other user.
    pub user: u64,
    /// The terms of a control group that is known to be in no container.
    pub host: u64,
    /// Terms by [`facts`].
    pub facts: [u64; FACTS],
    /// The terms of rules upon which the daemon acts: it is woken for such a record.
    pub urgent: u64,
}

/// Key of the table of thread names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CommKey {
    /// See [`slot`].
    pub slot: u64,
    /// NUL-padded.
    pub comm: [u64; 2],
}

/// Key of the table of file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NameKey {
    /// See [`slot`].
    pub slot: u64,
    /// NUL-padded.
    pub name: [u64; NAME_LEN / 8],
}

/// Key of the trie of paths, behind the length in bits. A pattern that is a whole path ends with a NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PathKey {
    /// See [`slot`].
    pub slot: u32,
    /// Its beginning.
    pub path: [u8; PATH_LEN],
}

/// Key of the trie of addresses, behind the length in bits. Those of version 4 stand as `::ffff:a.b.c.d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NetKey {
    /// See [`slot`].
    pub slot: u32,
    /// Network byte order.
    pub addr: [u8; 16],
}

/// Key of the table of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PortKey {
    /// See [`slot`].
    pub slot: u32,
    /// Host byte order.
    pub port: u32,
}
