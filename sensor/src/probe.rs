//! The kernel half at work: picks hooks for this kernel, loads and attaches them, hands out the ring and the counters.
//! It passes records on as bytes and does not look inside.

mod ahead;
mod attach;
pub mod btf;
mod cgroup;
mod compiled;
mod error;
pub mod fanotify;
mod filter;
mod functions;
mod hooks;
pub mod isolate;
mod limited;
mod links;
mod load;
mod machine;
mod mount;
mod namespace;
mod object;
mod offsets;
mod pod;
mod preemption;
mod ring;
mod shield;
mod tables;
mod targets;
mod types;
mod usage;
mod verdict;

use std::{collections::HashMap, os::fd::OwnedFd};

use aya::{
    Ebpf,
    maps::{MapError, PerCpuArray},
    programs::Program,
};
use sensor_common::{
    Kind, LimitKey, Settings,
    offsets::Field,
    verdict::{Group, slot},
};

pub use self::{
    cgroup::Way,
    error::ProbeError,
    filter::{KindTables, Row},
    hooks::{HOOKS, Hook, Mode, Share, Variant, Via},
    load::{Limit, Options, Wanted, load},
    machine::HERE,
    offsets::legacy_controller,
    ring::Ring,
    shield::{ShieldPart, can_shield},
    types::Types,
    usage::{Fill, ProgramRun, Usage},
    verdict::{ActTables, Refusals, can_refuse, end_kept_refusals, kept_refusals},
};
use self::{error::chain, functions::Functions};

/// What became of one hook on this kernel.
#[derive(Clone, Debug, serde::Serialize)]
pub struct HookReport {
    /// The hook's stem.
    pub hook: &'static str,
    /// The records it is there for.
    #[serde(skip)]
    pub kind: Option<Kind>,
    /// Which of them.
    #[serde(skip)]
    pub share: Share,
    /// Whether anybody wants its records.
    pub wanted: bool,
    /// The variant at work; `None`: blind, where anybody wants its records.
    pub chosen: Option<&'static str>,
    /// Its mode.
    pub mode: Option<Mode>,
    /// How it is attached.
    pub via: Option<String>,
    /// Instructions that the verifier walked through.
    pub instructions: Option<u32>,
    /// Why better variants (or all) were refused.
    pub refused: Vec<String>,
    /// Calls that this kernel does not have, which is no loss.
    pub absent: Vec<String>,
}

impl HookReport {
    fn blind(hook: &Hook) -> Self {
        Self {
            hook: hook.stem,
            kind: Some(hook.kind),
            share: hook.share,
            wanted: true,
            chosen: None,
            mode: None,
            via: None,
            instructions: None,
            refused: Vec::new(),
            absent: Vec::new(),
        }
    }

    fn not_wanted(hook: &Hook) -> Self {
        Self { wanted: false, refused: vec!["no rule needs it".to_owned()], ..Self::blind(hook) }
    }

    fn switched_off(hook: &Hook) -> Self {
        Self { refused: vec!["switched off (kernel.disabled_hooks)".to_owned()], ..Self::blind(hook) }
    }

    /// Whether somebody wants its records and they do not come.
    #[must_use]
    pub const fn is_blind(&self) -> bool {
        self.wanted && self.chosen.is_none()
    }
}

/// What this kernel offers.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Report {
    /// By hook.
    pub hooks: Vec<HookReport>,
    /// Fields whose values are unknown here, by path.
    pub missing_fields: Vec<&'static str>,
}

impl Report {
    fn field_missing(&mut self, field: &'static Field) {
        self.missing_fields.push(field.path);
    }
}

/// Totals over all CPUs of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Times that a program of this kind ran for something it is there for.
    pub seen: u64,
    /// Written to the ring.
    pub submitted: u64,
    /// Wanted by nobody.
    pub filtered: u64,
    /// Held back: too many from one control group.
    pub limited: u64,
    /// Refused by a full ring.
    pub ring_full: u64,
    /// Could not be put together, or found its program busy.
    pub failed: u64,
    /// Of those seen: found their program busy, and were seen to by its stand-in.
    pub stood_in: u64,
}

impl Counts {
    /// Records that should have come and did not.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.ring_full + self.failed
    }
}

/// What the programs of a kind were left out of.
#[derive(Debug, Default)]
struct Missed {
    /// How often, when that was last looked at.
    before: u64,
    /// How much of it nobody has seen.
    unseen: u64,
}

impl Missed {
    /// What nobody has seen, of which nothing is taken back. `missed`: how often the programs were left out; `stood_in`: how often a
    /// stand-in saw to that; `over`: whether that is all. What was missed since the last look waits for the next: its stand-in
    /// may be about to run.
    fn settle(&mut self, missed: u64, stood_in: u64, over: bool) -> u64 {
        let before = std::mem::replace(&mut self.before, missed);
        let settled = if over { missed } else { before };
        self.unseen = self.unseen.max(settled.saturating_sub(stood_in));
        self.unseen
    }
}

/// The programs while they are attached. Dropping it detaches them.
pub struct Probe {
    /// Keeps programs and links alive.
    ebpf: Ebpf,
    tables: tables::Tables,
    functions: Functions,
    counters: PerCpuArray<aya::maps::MapData, load::PodCounters>,
    report: Report,
    filters: filter::Filters,
    verdicts: verdict::Verdicts,
    limited: limited::Limited,
    refusals: Refusals,
    shield: shield::Shield,
    settings: Settings,
    fills: usage::Fills,
    /// While it is open, the kernel measures the run time of programs.
    measures: Option<OwnedFd>,
    /// By kind.
    missed: HashMap<Kind, Missed>,
}

impl Probe {
    /// What this kernel offers.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// Totals by kind since the load.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn counts(&mut self) -> Result<Vec<(Kind, Counts)>, ProbeError> {
        let missed: Vec<(Kind, u64)> = self.functions.missed().collect();
        Kind::ALL
            .into_iter()
            .map(|kind| {
                let values = self
                    .counters
                    .get(&u32::from(kind.number()), 0)
                    .map_err(|error| ProbeError::Load(error.to_string()))?;
                let mut counts = Counts::default();
                for value in values.iter() {
                    counts.seen += value.0.seen + value.0.passed_over;
                    counts.submitted += value.0.submitted;
                    counts.filtered += value.0.filtered + value.0.passed_over;
                    counts.limited += value.0.limited;
                    counts.ring_full += value.0.ring_full;
                    counts.failed += value.0.failed;
                    counts.stood_in += value.0.stood_in;
                }
                let missed = missed.iter().filter(|(missed, _)| *missed == kind).map(|(_, count)| count);
                let account = self.missed.entry(kind).or_default();
                let unseen = account.settle(missed.sum(), counts.stood_in, self.settings.ended != 0);
                counts.seen += unseen;
                counts.failed += unseen;
                Ok((kind, counts))
            })
            .collect()
    }

    /// Detaches every program. Counters and ring can still be read.
    pub fn detach(&mut self) {
        let verdicts = if self.settings.kept == 0 { 0 } else { self.settings.verdicts };
        if let Err(error) = self.set(Settings { ended: 1, verdicts, ..self.settings }) {
            tracing::warn!(%error, "programs may shield and refuse until the kernel has taken them off");
        }
        self.shield.detach();
        self.verdicts.detach();
        self.functions.detach();
        for (name, program) in self.ebpf.programs_mut() {
            let unloaded = match program {
                Program::BtfTracePoint(program) => program.unload(),
                Program::CgroupSkb(program) => program.unload(),
                other => verdict::detach(other).unwrap_or(Ok(())),
            };
            if let Err(error) = unloaded {
                // One that was never loaded.
                tracing::trace!(name, %error, "not unloaded");
            }
        }
    }

    /// Attaches the hooks that `options` want and that are not attached yet; a hook once attached stays. What is urgent is as
    /// they say from now on.
    ///
    /// # Errors
    /// Where the dispatcher of system calls cannot be attached. Another hook that cannot is reported as blind.
    pub fn attach_more(&mut self, options: &Options) -> Result<(), ProbeError> {
        self.set(Settings { urgent: options.urgent(), ..self.settings })?;
        load::attach_more(self, options)
    }

    /// From now on only what these tables let through becomes a record: of all kinds but those about processes and control
    /// groups, which always come; `None`: everything does. And what `acts` say is done about those, in the control groups
    /// that [`Probe::group`] names from now on. Where the kernel refuses the tables, everything becomes a record, and
    /// nothing is done; the log says so.
    ///
    /// # Errors
    /// Where the kernel refuses that, too.
    pub fn decide(&mut self, kinds: Option<&[KindTables]>, acts: &[ActTables]) -> Result<(), ProbeError> {
        let written = self.write(kinds.unwrap_or_default(), acts);
        let bank = written.unwrap_or_else(|error| {
            tracing::warn!(%error, "the kernel refuses the tables by which it is to decide: every record is read");
            0
        });
        let filters = if kinds.is_some() { bank } else { 0 };
        let verdicts = if acts.is_empty() { 0 } else { bank };
        self.set(Settings { filters, verdicts, ..self.settings })
    }

    fn write(&mut self, kinds: &[KindTables], acts: &[ActTables]) -> Result<u32, MapError> {
        let bank = self.filters.next()?;
        self.verdicts.clear(bank)?;
        let written = self.write_bank(bank, kinds, acts);
        // Also where it went wrong: what was written until then stays there.
        for (map, entries) in self.filters.entries().into_iter().chain([self.verdicts.entries()]) {
            self.fills.set(map, entries);
        }
        written.map(|()| bank)
    }

    fn write_bank(&mut self, bank: u32, kinds: &[KindTables], acts: &[ActTables]) -> Result<(), MapError> {
        for kind in kinds {
            self.filters.write(bank, kind)?;
        }
        for act in acts {
            self.filters.write_row(slot(bank, act.class), &act.row)?;
            self.verdicts.write(bank, act)?;
        }
        Ok(())
    }

    /// Says what holds in a control group for the acts that were last decided on, or that it is no more. One for which there
    /// is no room is left to the daemon.
    pub fn group(&mut self, group: u64, holds: Option<Group>) {
        if self.settings.verdicts == 0 {
            return;
        }
        if let Err(error) = self.verdicts.group(self.settings.verdicts, group, holds, &mut self.fills) {
            tracing::warn!(group, %error, "control group not told to the kernel half: nothing is refused there");
        }
    }

    /// Attaches the programs that refuse acts of a class.
    ///
    /// # Errors
    /// Why this kernel cannot.
    pub fn refuse(&mut self, class: u32) -> Result<(), String> {
        let types = Types::of_kernel().map_err(|error| error.to_string())?;
        self.verdicts.attach(&mut self.ebpf, class, &types.aya)
    }

    /// What was held back since the last time that this was asked, by control group and kind.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn limited(&mut self) -> Result<Vec<(LimitKey, u64)>, ProbeError> {
        let read = self.limited.read().map_err(|error| ProbeError::Load(error.to_string()));
        self.fills.set("LIMITED", self.limited.pairs());
        read
    }

    /// Says that a control group is in no container, or that it is no more.
    pub fn host_group(&mut self, key: u64, there: bool) {
        self.filters.host_group(key, there, &mut self.fills);
    }

    fn set(&mut self, settings: Settings) -> Result<(), ProbeError> {
        load::write_settings(&mut self.ebpf, settings)?;
        self.settings = settings;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Missed;

    #[test]
    fn what_is_missed_counts_once_no_stand_in_can_see_to_it() {
        let mut missed = Missed::default();
        assert_eq!(missed.settle(3, 0, false), 0, "the stand-ins may be about to run");
        assert_eq!(missed.settle(4, 2, false), 1, "two of the three did");
        assert_eq!(missed.settle(5, 5, false), 1, "what was told is not taken back");
        assert_eq!(missed.settle(9, 6, true), 3, "nothing runs any more");
    }
}
