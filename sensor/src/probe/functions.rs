//! Programs at the ends of the kernel's functions for system calls: the small program behind each of them, and the tables
//! from which that one takes the program that looks closer.
//!
//! A program is bound to its function when it is loaded, and the verifier takes its time with large ones: so the small one is
//! loaded once for each function, and a large one once for each prototype that its functions have.

use std::{
    fs,
    os::fd::{AsFd, AsRawFd},
};

use aya::{
    Ebpf,
    maps::{MapData, ProgramArray},
    programs::{FExit, Program, ProgramError, ProgramFd},
};
use sensor_common::{Kind, syscalls};

use super::{
    ProbeError, chain, compiled,
    hooks::DISPATCHERS,
    links::Links,
    load::take_table,
    machine::HERE,
    targets::{Target, Targets},
    usage::{self, ProgramRun},
};

/// A function with a program at its end.
struct Function {
    name: String,
    /// What it is there for, or the first of several things.
    kind: Kind,
    program: ProgramFd,
}

/// What functions with the same prototype share.
struct Group {
    /// None until the first of them.
    prototype: Option<u32>,
    dispatcher: &'static str,
    /// The kernel empties it when its last descriptor is closed.
    table: ProgramArray<MapData>,
}

/// All of them.
pub(super) struct Functions {
    groups: Vec<Group>,
    attached: Vec<Function>,
    /// Programs elsewhere that can be interrupted, too: at tracepoints, from Linux 7.0 on.
    others: Vec<(Kind, ProgramFd)>,
    /// By function.
    links: Links,
    /// Whether to attach one function only, and to load the programs of the others.
    rehearsal: bool,
}

impl Functions {
    /// With nothing attached.
    pub(super) fn new(ebpf: &mut Ebpf, rehearsal: bool) -> Result<Self, ProbeError> {
        let groups = DISPATCHERS.map(|(dispatcher, table)| {
            let table = take_table(ebpf, table)?;
            Ok(Group { prototype: None, dispatcher, table })
        });
        let groups = groups.into_iter().collect::<Result<_, ProbeError>>()?;
        Ok(Self { groups, attached: Vec::new(), others: Vec::new(), links: Links::new(), rehearsal })
    }

    /// Has `program` called when one of the calls ends: at all functions or at none. Returns the instructions that the
    /// verifier walked through.
    pub(super) fn attach(
        &mut self,
        (ebpf, btf): (&mut Ebpf, &aya::Btf),
        (program, kind): (&str, Kind),
        numbers: &[u32],
        targets: &Targets,
    ) -> Result<Option<u32>, String> {
        let before = self.attached.len();
        let done = self.attach_all((ebpf, btf), (program, kind), numbers, &targets.functions);
        if done.is_err() {
            if let Some(Program::FExit(program)) = ebpf.program_mut(program) {
                // Verified ahead in vain, or not at all.
                drop(program.unload());
            }
            for function in self.attached.drain(before..) {
                self.links.end(&function.name);
            }
            for index in numbers.iter().flat_map(|number| syscalls::indexes(HERE, *number)) {
                for group in &mut self.groups {
                    // One that is empty already is no error that matters.
                    drop(group.table.clear_index(&index));
                }
            }
        }
        done
    }

    fn attach_all(
        &mut self,
        (ebpf, btf): (&mut Ebpf, &aya::Btf),
        (program, kind): (&str, Kind),
        numbers: &[u32],
        targets: &[Target],
    ) -> Result<Option<u32>, String> {
        // The small programs first: where one is refused, the time for the large one is saved.
        let mut groups = Vec::new();
        for target in targets {
            let group = self.group(target.prototype)?;
            self.attach_function(ebpf, btf, target, group, kind)?;
            if !groups.iter().any(|(known, _)| *known == group) {
                groups.push((group, target));
            }
        }
        let mut instructions = None;
        for (group, target) in groups {
            let group = self.groups.get_mut(group).ok_or("no table")?;
            let program = loaded(ebpf, btf, program, target)?;
            let fd = program.fd().map_err(|error| chain(&error))?;
            for index in numbers.iter().flat_map(|number| syscalls::indexes(HERE, *number)) {
                group.table.set(index, fd, 0).map_err(|error| chain(&error))?;
            }
            instructions = program.info().ok().and_then(|info| info.verified_instruction_count());
            // The table keeps it.
            program.unload().map_err(|error| chain(&error))?;
        }
        Ok(instructions)
    }

    /// The place of the group with this prototype.
    fn group(&mut self, prototype: u32) -> Result<usize, String> {
        let known = |group: &Group| group.prototype.is_none_or(|known| known == prototype);
        let at =
            self.groups.iter().position(known).ok_or("functions of system calls have too many prototypes")?;
        if let Some(group) = self.groups.get_mut(at) {
            group.prototype = Some(prototype);
        }
        Ok(at)
    }

    fn attach_function(
        &mut self,
        ebpf: &mut Ebpf,
        btf: &aya::Btf,
        target: &Target,
        group: usize,
        kind: Kind,
    ) -> Result<(), String> {
        if self.attached.iter().any(|attached| attached.name == target.function) {
            return Ok(());
        }
        let dispatcher = self.groups.get(group).ok_or("no dispatcher")?.dispatcher;
        let program = loaded(ebpf, btf, dispatcher, target)?;
        let rehearsed = self.rehearsal && !self.attached.is_empty();
        let attached = (|| {
            let link = if rehearsed { None } else { Some(program.attach()?) };
            let link = link.map(|id| program.take_link(id)).transpose()?;
            Ok((program.fd()?.try_clone()?, link))
        })();
        // For the next function it is loaded again; the link keeps this one.
        let unloaded = program.unload();
        let failed = |why: String| format!("cannot attach to {}: {why}", target.function);
        let (program, link) = attached.map_err(|error: ProgramError| failed(chain(&error)))?;
        unloaded.map_err(|error| failed(chain(&error)))?;
        if let Some(link) = link {
            self.links.keep(&target.function, link.into()).map_err(failed)?;
        }
        self.attached.push(Function { name: target.function.clone(), kind, program });
        Ok(())
    }

    /// How often a program did not run because it was at work on that processor already: an event each.
    pub(super) fn missed(&self) -> impl Iterator<Item = (Kind, u64)> {
        let attached = self.attached.iter().map(|function| (function.kind, &function.program));
        let others = self.others.iter().map(|(kind, program)| (*kind, program));
        attached.chain(others).map(|(kind, program)| (kind, missed(program)))
    }

    /// What the programs took, by function.
    pub(super) fn runs(&self) -> impl Iterator<Item = ProgramRun> {
        self.attached.iter().filter_map(|function| usage::run(&function.name, &function.program))
    }

    /// Counts the misses of another program, too. One that is there for several things counts for the first of them, and what it
    /// missed may be a call that nobody asked for.
    pub(super) fn also(&mut self, kind: Kind, program: ProgramFd) {
        self.others.push((kind, program));
    }

    /// No program does anything from here on, and the functions are left.
    pub(super) fn detach(&mut self) {
        for group in &mut self.groups {
            for index in 0..syscalls::INDEXES {
                drop(group.table.clear_index(&index));
            }
        }
        self.links.end_all();
    }
}

fn loaded<'a>(
    ebpf: &'a mut Ebpf,
    btf: &aya::Btf,
    program: &str,
    target: &Target,
) -> Result<&'a mut FExit, String> {
    let program = ebpf.program_mut(program).ok_or("not in the kernel object")?;
    let program: &mut FExit = program.try_into().map_err(|error: ProgramError| chain(&error))?;
    // One that was verified ahead is loaded for the first function with this prototype.
    if program.fd().is_err() {
        let loaded = program.load(&target.function, btf);
        loaded.map_err(|error| format!("at {}: {}", target.function, chain(&error)))?;
    }
    compiled::check(program.info())?;
    Ok(program)
}

/// The kernel's own count, since 5.12; before, no program could be interrupted by another on its processor.
fn missed(program: &ProgramFd) -> u64 {
    let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_fd().as_raw_fd()));
    let count = about.ok().and_then(|about| {
        let line = about.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?;
        line.trim().parse().ok()
    });
    count.unwrap_or(0)
}
