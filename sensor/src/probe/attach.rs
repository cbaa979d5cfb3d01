//! Attaches, for each hook, the best variant that this kernel takes, and reports why better ones were refused.

use std::collections::HashMap;

use aya::{
    Ebpf,
    programs::{BtfTracePoint, ProgramError, ProgramFd},
};

use sensor_common::Kind;

use super::{
    Hook, HookReport, Mode, ProbeError, Variant, Via,
    ahead::{self, Place},
    btf::Btf,
    cgroup, chain, compiled,
    functions::Functions,
    hooks::{COMPLETION, DISPATCHER, SUBMISSION},
    tables::Tables,
    targets::Targets,
};

/// A member of the kernel's requests by which those kernels are known whose tracepoints pass them, since 6.0.
const RING_REQUEST: &str = "io_kiocb.cmd";

/// What attaching takes.
pub(super) struct Loader<'a> {
    pub(super) ebpf: &'a mut Ebpf,
    pub(super) btf: &'a aya::Btf,
    pub(super) own_btf: &'a Btf,
    pub(super) tables: &'a mut Tables,
    pub(super) functions: &'a mut Functions,
    /// The only mode that hooks may use that have a choice.
    pub(super) mode: Option<Mode>,
    /// Why no hook takes the full mode by itself; `None`: each that can does.
    pub(super) preempts: Option<String>,
    /// Whether programs at tracepoints get stand-ins.
    pub(super) stand_ins: bool,
    /// The first thing that was put into the dispatch table.
    pub(super) dispatches: Option<Kind>,
}

impl Loader<'_> {
    /// Attaches the first variant that works, and reports why the ones before it did not.
    ///
    /// # Errors
    /// Where none works of a hook that must, or of a mode that must.
    pub(super) fn attach(&mut self, hook: &Hook) -> Result<HookReport, ProbeError> {
        let mut report = HookReport::blind(hook);
        let forced = self.forced(hook);
        for variant in hook.variants {
            if let Err(why) = self.allows(hook, variant) {
                report.refused.push(format!("{}: {why}", variant.program));
                continue;
            }
            match self.attach_variant(hook, variant, &mut report) {
                Ok(instructions) => {
                    report.chosen = Some(variant.program);
                    report.mode = Some(variant.mode);
                    report.via = Some(variant.via.to_string());
                    report.instructions = instructions;
                    return Ok(report);
                }
                Err(why) => match self.mode {
                    Some(mode) if forced.is_some() => {
                        return Err(ProbeError::Mode { mode, hook: hook.stem, why });
                    }
                    _ => report.refused.push(format!("{}: {why}", variant.program)),
                },
            }
        }
        if hook.essential {
            return Err(ProbeError::Hook { hook: hook.stem, why: report.refused.join("; ") });
        }
        Ok(report)
    }

    /// Whether a variant may be tried; the error says why not.
    fn allows(&self, hook: &Hook, variant: &Variant) -> Result<(), String> {
        match (self.forced(hook), &self.preempts) {
            (Some(mode), _) if mode != variant.mode => Err(format!("kernel.mode is {mode}")),
            (None, Some(why)) if variant.mode == Mode::Full => Err(why.clone()),
            _ => Ok(()),
        }
    }

    /// The mode that this hook has to be attached in: one that it has, of several.
    fn forced(&self, hook: &Hook) -> Option<Mode> {
        let has = |mode: Mode| hook.variants.iter().any(|variant| variant.mode == mode);
        let has_other = |mode: Mode| hook.variants.iter().any(|variant| variant.mode != mode);
        self.mode.filter(|mode| has(*mode) && has_other(*mode))
    }

    /// Has the programs of these hooks verified that are likely to be chosen, several at a time.
    pub(super) fn verify_ahead<'h>(&mut self, hooks: impl Iterator<Item = &'h Hook>) {
        let mut places = HashMap::new();
        for hook in hooks {
            let allowed = |variant: &&Variant| self.allows(hook, variant).is_ok();
            let Some(variant) = hook.variants.iter().find(allowed) else { continue };
            let place = match variant.via {
                Via::Tracepoint { name, stand_in } => {
                    if self.stand_ins {
                        places.insert(stand_in, Place::Tracepoint(name));
                    }
                    Some(Place::Tracepoint(name))
                }
                Via::Syscalls(_) => Some(Place::Tracepoint(DISPATCHER)),
                Via::Functions(numbers) => {
                    let targets = Targets::of(numbers, self.own_btf).ok();
                    let first = targets.and_then(|targets| targets.functions.into_iter().next());
                    first.map(|target| Place::Function(target.function))
                }
                Via::Operations { submitted, .. } => {
                    let submission = self.submission().ok();
                    if let (Some(submitted), Some(submission)) = (submitted, submission) {
                        places.insert(submitted, Place::Tracepoint(submission));
                    }
                    submission.map(|_| Place::Tracepoint(COMPLETION))
                }
                Via::Packets(_) => None,
            };
            if let Some(place) = place {
                places.insert(variant.program, place);
            }
        }
        ahead::verify(self.ebpf, self.btf, &places);
    }

    fn attach_variant(
        &mut self,
        hook: &Hook,
        variant: &Variant,
        report: &mut HookReport,
    ) -> Result<Option<u32>, String> {
        match variant.via {
            Via::Tracepoint { name, stand_in } => {
                let program = self.load_program(variant.program, name)?;
                program.attach().map_err(|error| chain(&error))?;
                let (fd, instructions) = (handle(program)?, instructions(program));
                self.functions.also(hook.kind, fd);
                // It comes behind the other. What both miss is what the first missed less what the second saw to.
                if self.stand_ins
                    && let Err(why) = self.attach_stand_in(stand_in, name)
                {
                    report.refused.push(format!("{stand_in}: {why}"));
                }
                Ok(instructions)
            }
            Via::Functions(numbers) => {
                let targets = Targets::of(numbers, self.own_btf)?;
                let program = (variant.program, hook.kind);
                let done = self.functions.attach((self.ebpf, self.btf), program, numbers, &targets)?;
                report.absent = targets.absent;
                Ok(done)
            }
            Via::Syscalls(numbers) => {
                let program = self.load_program(variant.program, DISPATCHER)?;
                let (fd, instructions) = (handle(program)?, instructions(program));
                for number in numbers {
                    self.tables.watch(*number, &fd).map_err(|error| chain(&error))?;
                }
                self.dispatches.get_or_insert(hook.kind);
                Ok(instructions)
            }
            Via::Operations { numbers, submitted } => {
                let submission = self.attach_rings(hook.kind)?;
                if let Some(submitted) = submitted {
                    let fd = handle(self.load_program(submitted, submission)?)?;
                    for number in numbers {
                        self.tables.submitted.set(*number, &fd, 0).map_err(|error| chain(&error))?;
                    }
                }
                let program = self.load_program(variant.program, COMPLETION)?;
                let (fd, instructions) = (handle(program)?, instructions(program));
                for number in numbers {
                    self.tables.completed.set(*number, &fd, 0).map_err(|error| chain(&error))?;
                }
                Ok(instructions)
            }
            Via::Packets(way) => {
                let program = self.ebpf.program_mut(variant.program).ok_or("not in the kernel object")?;
                cgroup::attach(program, way, chain)
            }
        }
    }

    /// The hook works without it, and counts what it misses.
    fn attach_stand_in(&mut self, program: &str, tracepoint: &str) -> Result<(), String> {
        self.load_program(program, tracepoint)?.attach().map(drop).map_err(|error| chain(&error))
    }

    /// Attaches what dispatches the operations of `io_uring`, once, and gives the tracepoint of their submission.
    fn attach_rings(&mut self, kind: Kind) -> Result<&'static str, String> {
        let submission = self.submission()?;
        for (name, tracepoint) in [("uring_submit", submission), ("uring_complete", COMPLETION)] {
            let loaded = self.ebpf.program(name).is_some_and(|program| program.fd().is_ok());
            if !loaded {
                let program = self.load_program(name, tracepoint)?;
                program.attach().map_err(|error| chain(&error))?;
                let fd = handle(program)?;
                self.functions.also(kind, fd);
            }
        }
        Ok(submission)
    }

    /// The tracepoint of the submission of operations.
    fn submission(&self) -> Result<&'static str, String> {
        if self.own_btf.resolve(RING_REQUEST).is_none() {
            return Err("operations through io_uring are not told apart before Linux 6.0".to_owned());
        }
        let submission = SUBMISSION.into_iter().find(|name| self.own_btf.has_tracepoint(name));
        submission.ok_or_else(|| "this kernel has no tracepoint io_uring_submit_req".to_owned())
    }

    fn load_program(&mut self, name: &str, tracepoint: &str) -> Result<&mut BtfTracePoint, String> {
        if !self.own_btf.has_tracepoint(tracepoint) {
            return Err(format!("this kernel has no tracepoint {tracepoint}"));
        }
        let program = self.ebpf.program_mut(name).ok_or("not in the kernel object")?;
        let program: &mut BtfTracePoint = program.try_into().map_err(|error: ProgramError| chain(&error))?;
        if program.fd().is_err() {
            program.load(tracepoint, self.btf).map_err(|error| chain(&error))?;
        }
        compiled::check(program.info())?;
        Ok(program)
    }

    /// Only where a hook needs it: it costs every system call of the machine something.
    pub(super) fn attach_dispatcher(&mut self, kind: Kind) -> Result<(), ProbeError> {
        let attached = self.load_program(DISPATCHER, DISPATCHER).and_then(|program| {
            program.attach().map_err(|error| chain(&error))?;
            handle(program)
        });
        let program = attached.map_err(|why| ProbeError::Hook { hook: DISPATCHER, why })?;
        self.functions.also(kind, program);
        Ok(())
    }
}

fn handle(program: &BtfTracePoint) -> Result<ProgramFd, String> {
    program.fd().and_then(|fd| Ok(fd.try_clone()?)).map_err(|error| chain(&error))
}

fn instructions(program: &BtfTracePoint) -> Option<u32> {
    program.info().ok()?.verified_instruction_count()
}
