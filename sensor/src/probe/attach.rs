//! Attaches, for each hook, the best variant that this kernel takes, and reports why better ones were refused.

use aya::{
    Ebpf,
    maps::{MapData, ProgramArray},
    programs::{BtfTracePoint, ProgramError},
};
use sensor_common::syscalls;

use super::{
    Hook, HookReport, Mode, ProbeError, Variant, Via, btf::Btf, cgroup, chain, functions::Functions,
    hooks::DISPATCHER, targets::Targets,
};

/// What attaching takes.
pub(super) struct Loader<'a> {
    pub(super) ebpf: &'a mut Ebpf,
    pub(super) btf: &'a aya::Btf,
    pub(super) own_btf: &'a Btf,
    /// The dispatch table behind the tracepoint.
    pub(super) calls: &'a mut ProgramArray<MapData>,
    pub(super) functions: &'a mut Functions,
    /// The only mode that hooks may use that have a choice.
    pub(super) mode: Option<Mode>,
    /// Whether something was put into the dispatch table.
    pub(super) dispatches: bool,
}

impl Loader<'_> {
    /// Attaches the first variant that works, and reports why the ones before it did not.
    ///
    /// # Errors
    /// Where none works of a hook that must, or of a mode that must.
    pub(super) fn attach(&mut self, hook: &Hook) -> Result<HookReport, ProbeError> {
        let mut report = HookReport::blind(hook);
        let forced = self.mode.filter(|mode| hook.variants.iter().any(|variant| variant.mode == *mode));
        for variant in hook.variants {
            if let Some(mode) = forced.filter(|mode| *mode != variant.mode) {
                report.refused.push(format!("{}: kernel.mode is {mode}", variant.program));
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

    fn attach_variant(
        &mut self,
        hook: &Hook,
        variant: &Variant,
        report: &mut HookReport,
    ) -> Result<Option<u32>, String> {
        match variant.via {
            Via::Tracepoint(tracepoint) => {
                let program = self.load_program(variant.program, tracepoint)?;
                program.attach().map_err(|error| chain(&error))?;
                Ok(instructions(program))
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
                let instructions = instructions(program);
                let fd = program.fd().and_then(|fd| Ok(fd.try_clone()?)).map_err(|error| chain(&error))?;
                for index in numbers.iter().flat_map(|number| syscalls::indexes(*number)) {
                    self.calls.set(index, &fd, 0).map_err(|error| chain(&error))?;
                }
                self.dispatches = true;
                Ok(instructions)
            }
            Via::Packets(way) => {
                let program = self.ebpf.program_mut(variant.program).ok_or("not in the kernel object")?;
                cgroup::attach(program, way, chain)
            }
        }
    }

    fn load_program(&mut self, name: &str, tracepoint: &str) -> Result<&mut BtfTracePoint, String> {
        if !self.own_btf.has_tracepoint(tracepoint) {
            return Err(format!("this kernel has no tracepoint {tracepoint}"));
        }
        let program = self.ebpf.program_mut(name).ok_or("not in the kernel object")?;
        let program: &mut BtfTracePoint = program.try_into().map_err(|error: ProgramError| chain(&error))?;
        program.load(tracepoint, self.btf).map_err(|error| chain(&error))?;
        Ok(program)
    }

    /// Only where a hook needs it: it costs every system call of the machine something.
    pub(super) fn attach_dispatcher(&mut self) -> Result<(), ProbeError> {
        let attached = self
            .load_program(DISPATCHER, DISPATCHER)
            .and_then(|program| program.attach().map_err(|error| chain(&error)));
        attached.map(drop).map_err(|why| ProbeError::Hook { hook: DISPATCHER, why })
    }
}

fn instructions(program: &BtfTracePoint) -> Option<u32> {
    program.info().ok()?.verified_instruction_count()
}
