//! The wire contract between the kernel programs and the daemon: record layouts, kind numbers, counters, the list of
//! kernel fields. It holds no logic and does no I/O, and knows neither aya nor the event model.
//!
//! Every record in the ring is a [`Header`], a fixed body that belongs to the header's kind, and the bytes of the
//! body's [`Text`]s in the order in which the body declares them, each padded to [`TEXT_ALIGN`].
#![no_std]

mod call;
pub mod constants;
mod counters;
mod dns;
mod file;
pub mod filter;
mod header;
pub mod isolate;
mod kind;
mod net;
pub mod offsets;
mod process;
mod settings;
pub mod shield;
pub mod syscalls;
pub mod uring;
pub mod verdict;

pub use call::SysCall;
pub use counters::{Counters, LimitKey, RingState, SLOTS};
pub use dns::Dns;
pub use file::{CALLER_DIR, FileChange, FileId, FileOpen, LAYER_LOWER, LAYER_OTHER, LAYER_UPPER, Mount};
pub use header::{Header, TEXT_ALIGN, Text, flags, text, valid};
pub use kind::{KINDS, Kind};
pub use net::{FdDup, Net, NetAddr};
pub use offsets::Offsets;
pub use process::{
    ARGS_CHUNK, ARGS_INLINE, ARGS_MAX, CgroupDir, ProcArgs, ProcExec, ProcExit, ProcFork, STREAM_ARGS,
    STREAM_ENV,
};
pub use settings::{Knobs, Settings};

/// Goes up with every change of a layout or of a kind's meaning; the loader refuses an object with another number.
pub const ABI_VERSION: u32 = 3;
