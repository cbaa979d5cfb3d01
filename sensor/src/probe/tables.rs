//! The tables by which the dispatching programs find the ones that look closer.

use aya::{
    Ebpf,
    maps::{Array, MapData, MapError, ProgramArray},
    programs::ProgramFd,
};
use sensor_common::syscalls;

use super::{ProbeError, load::take_table, machine::HERE};

/// A bit for each number of a call.
type Numbers = [u64; syscalls::RAW_WORDS as usize];

/// Held for as long as the programs are attached: the kernel empties such a table when its last descriptor is closed.
pub(super) struct Tables {
    /// By system call, behind the tracepoint: see [`sensor_common::syscalls`].
    calls: ProgramArray<MapData>,
    /// The numbers that have an entry there, one bit each; `None` where programs read by helper calls and do not look.
    watched: Option<Array<MapData, Numbers>>,
    /// By operation of `io_uring`, where it is submitted.
    pub(super) submitted: ProgramArray<MapData>,
    /// By operation of `io_uring`, where it is completed.
    pub(super) completed: ProgramArray<MapData>,
}

impl Tables {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        Ok(Self {
            calls: take_table(ebpf, "SYSCALLS")?,
            watched: ebpf
                .take_map(".data.watched")
                .map(|map| Array::try_from(map).map_err(|error| ProbeError::Load(error.to_string())))
                .transpose()?,
            submitted: take_table(ebpf, "SUBMITTED")?,
            completed: take_table(ebpf, "COMPLETED")?,
        })
    }

    /// Has a program run behind a system call, in all the forms that the call has.
    pub(super) fn watch(&mut self, number: u32, program: &ProgramFd) -> Result<(), MapError> {
        for index in syscalls::indexes(HERE, number) {
            self.calls.set(index, program, 0)?;
            let Some(watched) = &mut self.watched else { continue };
            let raw = syscalls::raw(index);
            let mut numbers: Numbers = watched.get(&0, 0)?;
            if let Some(word) = numbers.get_mut(raw as usize / 64) {
                *word |= 1 << (raw % 64);
            }
            watched.set(0, numbers, 0)?;
        }
        Ok(())
    }
}
