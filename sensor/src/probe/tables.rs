//! The tables by which the dispatching programs find the ones that look closer.

use aya::{
    Ebpf,
    maps::{MapData, ProgramArray},
};

use super::{ProbeError, load::take_table};

/// Held for as long as the programs are attached: the kernel empties such a table when its last descriptor is closed.
pub(super) struct Tables {
    /// By system call, behind the tracepoint: see [`sensor_common::syscalls`].
    pub(super) calls: ProgramArray<MapData>,
    /// By operation of `io_uring`, where it is submitted.
    pub(super) submitted: ProgramArray<MapData>,
    /// By operation of `io_uring`, where it is completed.
    pub(super) completed: ProgramArray<MapData>,
}

impl Tables {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        Ok(Self {
            calls: take_table(ebpf, "SYSCALLS")?,
            submitted: take_table(ebpf, "SUBMITTED")?,
            completed: take_table(ebpf, "COMPLETED")?,
        })
    }
}
