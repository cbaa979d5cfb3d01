//! The tables by which the dispatching programs find the ones that look closer.

use aya::{
    Ebpf,
    maps::{Array, MapData, MapError, ProgramArray},
    programs::ProgramFd,
};
use sensor_common::syscalls;

use super::{
    ProbeError,
    load::{take_map, take_table},
    machine::HERE,
};

/// Held for as long as the programs are attached: the kernel empties such a table when its last descriptor is closed.
pub(super) struct Tables {
    /// By system call, behind the tracepoint: see [`sensor_common::syscalls`].
    calls: ProgramArray<MapData>,
    /// The numbers that have an entry there.
    watched: Array<MapData, u64>,
    /// By operation of `io_uring`, where it is submitted.
    pub(super) submitted: ProgramArray<MapData>,
    /// By operation of `io_uring`, where it is completed.
    pub(super) completed: ProgramArray<MapData>,
}

impl Tables {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        Ok(Self {
            calls: take_table(ebpf, "SYSCALLS")?,
            watched: Array::try_from(take_map(ebpf, "WATCHED")?)
                .map_err(|error| ProbeError::Load(error.to_string()))?,
            submitted: take_table(ebpf, "SUBMITTED")?,
            completed: take_table(ebpf, "COMPLETED")?,
        })
    }

    /// Has a program run behind a system call, in all the forms that the call has.
    pub(super) fn watch(&mut self, number: u32, program: &ProgramFd) -> Result<(), MapError> {
        for index in syscalls::indexes(HERE, number) {
            self.calls.set(index, program, 0)?;
            let raw = syscalls::raw(index);
            let bits = self.watched.get(&(raw / 64), 0)?;
            self.watched.set(raw / 64, bits | 1 << (raw % 64), 0)?;
        }
        Ok(())
    }
}
