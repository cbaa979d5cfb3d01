//! Body of the records of calls whose arguments are numbers.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{FileId, Text};

/// Body of the kinds from [`crate::Kind::CredChange`] on: the arguments as the caller passed them, and what the kernel says
/// of them.
///
/// Texts, in order: `text`, `path`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SysCall {
    /// Arguments, those of 32-bit callers extended by zeros. Where a call's own are fewer, the rest may hold what its
    /// pointers led to: `capset` has the sets of capabilities asked for (effective, permitted, inheritable) in 2 to 4,
    /// `pidfd_send_signal` has the process in 4 (its number in the first pid namespace, 0 where it is not known), `io_uring_setup` both sizes, the flags and the features in 2 to 5, `perf_event_open` type and configuration of the
    /// event in 5 (type << 32 | the low half of the configuration).
    pub args: [u64; 6],
    /// The file behind the descriptor that `finit_module` and `setns` were given, [`crate::valid::FILE`].
    pub file: FileId,
    /// Inheritable capabilities after the call, [`crate::valid::CAPS`].
    pub cap_inheritable: u64,
    /// Permitted capabilities after the call, [`crate::valid::CAPS`].
    pub cap_permitted: u64,
    /// Inode number of the network namespace after the call, [`crate::valid::NAMESPACES`].
    pub net_ns: u32,
    /// Inode number of the user namespace after the call, [`crate::valid::NAMESPACES`].
    pub user_ns: u32,
    /// The string that the call was given: a module's parameters or name, a `memfd`'s name, a thread's new name.
    pub text: Text,
    /// Path of `file`.
    pub path: Text,
}
