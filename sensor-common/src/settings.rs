//! What the daemon tells the kernel programs: once at load ([`Knobs`]) and while they run ([`Settings`]).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Patched into the instructions before the load (see [`crate::constants`]), so that the verifier removes what this kernel cannot
/// do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Knobs {
    /// 1: `bpf_task_pt_regs` exists.
    pub task_pt_regs: u32,
    /// Process id of the daemon, whose own files and sockets are no events.
    pub self_tgid: u32,
    /// Offset in `css_set` of the v1 controller whose group identifies a task in the v2 root, or
    /// [`crate::offsets::MISSING`].
    pub cgroup1_css: u32,
    /// Bytes of the ring beyond which file and network records are refused.
    pub ring_headroom: u32,
    /// 1: `struct dentry` holds `d_name` right behind `d_parent`, one read fetches both; 2: and short names behind the pointer
    /// that follows.
    pub dentry_packed: u32,
    /// Quiet time in nanoseconds after which a record wakes the daemon by itself.
    pub wake_after: u32,
    /// Number of that controller's hierarchy; records of control groups in other v1 hierarchies are not sent.
    pub cgroup1_hierarchy: u32,
    /// The bit of a task's state (`task_ti_compat`) that marks a 32-bit caller.
    pub compat_bit: u32,
    /// 1: an `arm64` kernel, with other bits for four of `open`'s flags than `x86_64`.
    pub arm64: u32,
    /// Inode number of the host's mount namespace; 0 where it is not known.
    pub host_mnt_ns: u32,
    /// Number of the type `struct task_struct`.
    pub type_task: u32,
    /// Number of a type that begins with a plain number of 64 bits.
    pub type_word: u32,
    /// 1: programs at tracepoints can be interrupted, and have stand-ins.
    pub stand_ins: u32,
}

/// The one value of the settings map; may change at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Settings {
    /// Bits of the `WANT_*` constants.
    pub want: u32,
    /// Which set of tables filters records; 0 for none. See [`crate::filter`].
    pub filters: u32,
    /// Nanoseconds that a control group must let pass, on average and on one CPU, between two records that are not about
    /// processes; 0 for no limit.
    pub pace: u32,
    /// Which set of tables has the verdicts; 0 for none. See [`crate::verdict`].
    pub verdicts: u32,
    /// Nanoseconds that it may be ahead of that pace: a burst.
    pub ahead: u64,
    /// Kinds, one bit each, of which every record is urgent: the daemon is woken for it. Of the others those are that hold a
    /// term of [`crate::filter::KindFilter::urgent`].
    pub urgent: u64,
    /// 1: what refuses goes on when the daemon has ended.
    pub kept: u32,
    /// 1: the daemon has ended, and what is still attached is to do nothing. The kernel half writes it, too: kernels from 6.1 to
    /// 6.12 take off one program after the other, for seconds.
    pub ended: u32,
}

impl Settings {
    /// Before the daemon has said a word.
    pub const NONE: Self =
        Self { want: 0, filters: 0, pace: 0, verdicts: 0, ahead: 0, urgent: 0, kept: 0, ended: 0 };
    /// Environment of a new image.
    pub const WANT_ENV: u32 = 1;
    /// The name that a successful open was asked with.
    pub const WANT_OPEN_NAME: u32 = 1 << 1;
}
