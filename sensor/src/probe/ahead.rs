//! Has the kernel verify programs side by side before they are attached one by one: it takes its time with each of them, and
//! on as many processors as ask. It decides nothing: what is refused here is tried again where it is attached, which says why.

use std::{collections::HashMap, num::NonZero, sync::Mutex, thread};

use aya::{
    Ebpf,
    programs::{Program, ProgramError},
};

/// Not more: a machine that starts has other things to do.
const THREADS: usize = 4;

/// Where a program will run.
pub(super) enum Place {
    Tracepoint(&'static str),
    /// At the end of it.
    Function(String),
}

/// Loads these programs, by their names in the object.
pub(super) fn verify(ebpf: &mut Ebpf, btf: &aya::Btf, places: &HashMap<&str, Place>) {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS);
    if threads == 1 {
        return;
    }
    let programs: Vec<_> =
        ebpf.programs_mut().filter_map(|(name, program)| Some((program, places.get(name)?))).collect();
    let left = Mutex::new(programs.into_iter());
    let next = || left.lock().ok()?.next();
    let work = || {
        while let Some((program, place)) = next() {
            if let Err(error) = load(program, place, btf) {
                tracing::debug!(%error, "not verified ahead");
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
}

fn load(program: &mut Program, place: &Place, btf: &aya::Btf) -> Result<(), ProgramError> {
    match (program, place) {
        (Program::BtfTracePoint(program), Place::Tracepoint(name)) if program.fd().is_err() => {
            program.load(name, btf)
        }
        (Program::FExit(program), Place::Function(name)) if program.fd().is_err() => program.load(name, btf),
        _ => Ok(()),
    }
}
