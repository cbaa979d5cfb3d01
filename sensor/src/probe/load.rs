//! Loads the object and attaches, for each hook, the best variant that this kernel takes.

use std::{collections::HashMap, num::NonZeroU32, path::PathBuf};

use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{Array, MapData, PerCpuArray, ProgramArray, RingBuf},
};
use sensor_common::{Counters, Kind, Settings, syscalls};
use zerocopy::IntoBytes;

use super::{
    HOOKS, Hook, HookReport, Mode, Probe, ProbeError, Report, Ring, Share, Via,
    attach::Loader,
    chain,
    filter::{Filters, KindTables},
    functions::Functions,
    limited::Limited,
    machine::HERE,
    namespace, object, offsets, preemption,
    shield::Shield,
    tables::Tables,
    types::Types,
    usage::Fills,
    verdict::{Refusals, Verdicts},
};
use crate::capability;

/// The records that anybody wants: hooks that write no other are not attached. Those that make and end processes always
/// are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// These kinds.
    pub kinds: Vec<Kind>,
    /// Of these kinds also what was tried and failed, where that takes a hook of its own.
    pub failures: Vec<Kind>,
    /// Whether also what came back, where that takes a hook of its own.
    pub answers: bool,
}

impl Wanted {
    /// These kinds, all of them.
    #[must_use]
    pub fn of(kinds: Vec<Kind>) -> Self {
        Self { failures: kinds.clone(), kinds, answers: true }
    }

    /// And the names of addresses, which come from what DNS said before.
    pub fn add_names(&mut self) {
        self.answers = true;
        if !self.kinds.contains(&Kind::NetDns) {
            self.kinds.push(Kind::NetDns);
        }
    }

    fn contains(&self, kind: Kind, share: Share) -> bool {
        match share {
            Share::Whole => self.kinds.contains(&kind),
            Share::Failures => self.failures.contains(&kind),
            Share::Answers => self.answers && self.kinds.contains(&kind),
        }
    }
}

/// What to load.
#[derive(Clone, Debug)]
pub struct Options {
    /// Size of the ring in bytes, a power of two and at least a page.
    pub ring_bytes: u32,
    /// Which records anybody wants. Those about processes and control groups always come.
    pub wanted: Wanted,
    /// Stems of hooks to leave out.
    pub disabled_hooks: Vec<String>,
    /// Extras to send: bits of the `WANT_*` constants of [`Settings`].
    pub extras: u32,
    /// What becomes a record, of all kinds but those about processes and control groups; `None`: everything.
    pub tables: Option<Vec<KindTables>>,
    /// Kinds upon whose records the daemon may act, which should not wait.
    pub urgent: Vec<Kind>,
    /// How many records one control group may send; `None`: as many as it likes.
    pub limit: Option<Limit>,
    /// The only mode to use where a hook has several; `None`: for each hook the best that this kernel takes
    /// without missing calls.
    pub mode: Option<Mode>,
    /// Whether this is only to find out what would work: of the functions of system calls one is attached to, and for the
    /// others programs are loaded. To leave many takes some kernels ten seconds.
    pub rehearsal: bool,
}

/// Records that are not about processes which one control group may send on one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// In a second, on average.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: u32,
}

impl Options {
    fn wants(&self, hook: &Hook) -> bool {
        // Which container an event belongs to is everybody's question.
        hook.essential || hook.kind.is_cgroup() || self.wanted.contains(hook.kind, hook.share)
    }

    fn disables(&self, hook: &Hook) -> bool {
        self.disabled_hooks.iter().any(|stem| stem == hook.stem)
    }

    fn settings(&self) -> Settings {
        let pace = self.limit.map_or(0, |limit| 1_000_000_000 / limit.per_second);
        let burst = self.limit.map_or(0, |limit| limit.burst);
        let ahead = u64::from(pace) * u64::from(burst);
        Settings { want: self.extras, pace, ahead, urgent: self.urgent(), ..Settings::default() }
    }

    /// The kinds of which the filters cannot tell what is urgent, one bit each.
    pub(super) fn urgent(&self) -> u64 {
        let tables = self.tables.as_deref().unwrap_or_default();
        let whole = |kind: &&Kind| **kind == Kind::NetDns || !tables.iter().any(|table| table.kind == **kind);
        self.urgent.iter().filter(whole).fold(0, |bits, kind| bits | 1 << kind.number())
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ring_bytes: 8 << 20,
            wanted: Wanted::of(Kind::ALL.to_vec()),
            disabled_hooks: Vec::new(),
            extras: 0,
            tables: None,
            urgent: Vec::new(),
            limit: None,
            mode: None,
            rehearsal: false,
        }
    }
}

/// [`Counters`] as aya reads them from a map.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(super) struct PodCounters(pub(super) Counters);

// SAFETY: integers only, no padding (`IntoBytes` proves it).
#[allow(unsafe_code, reason = "aya's marker for plain data has no safe constructor")]
unsafe impl Pod for PodCounters {}

#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
struct PodSettings(Settings);

// SAFETY: as above.
#[allow(unsafe_code, reason = "aya's marker for plain data has no safe constructor")]
unsafe impl Pod for PodSettings {}

/// Loads and attaches. Records flow from here on; the ring holds them until it is read.
///
/// # Errors
/// Where this kernel, or the privileges at hand, do not allow it; see [`ProbeError`].
pub fn load(options: &Options) -> Result<(Probe, Ring), ProbeError> {
    privileged()?;
    namespace::join_host();
    let types = Types::of_kernel()?;
    let mut report = Report::default();
    let mut ebpf = object(&types, options.ring_bytes, &[], &mut report)?;
    let fills = Fills::of(&ebpf);
    let ring = take_map(&mut ebpf, "EVENTS")?;
    let ring = RingBuf::try_from(ring).map_err(|error| ProbeError::Load(error.to_string()))?;
    let ring = Ring::new(ring, options.ring_bytes)?;
    let counters = PerCpuArray::try_from(take_map(&mut ebpf, "COUNTERS")?)
        .map_err(|error| ProbeError::Load(error.to_string()))?;
    let filters = Filters::take(&mut ebpf)?;
    let limited = Limited::take(&mut ebpf)?;
    let verdicts = Verdicts::take(&mut ebpf)?;
    let refusals = Refusals::take(&mut ebpf)?;
    let shield = Shield::take(&mut ebpf)?;
    let tables = Tables::take(&mut ebpf)?;
    let functions = Functions::new(&mut ebpf, options.rehearsal)?;
    let settings = options.settings();
    let mut probe = Probe {
        ebpf,
        tables,
        functions,
        counters,
        report,
        filters,
        verdicts,
        limited,
        refusals,
        shield,
        settings,
        fills,
        measures: None,
        missed: HashMap::new(),
    };
    // All this before the first program runs.
    probe.set(settings)?;
    if let Some(tables) = &options.tables {
        probe.decide(Some(tables), &[])?;
    }
    let Probe { ebpf, tables, functions, report, .. } = &mut probe;
    let (Types { own: own_btf, aya: btf }, mode) = (&*types, options.mode);
    let preempts = if mode.is_none() { preemption::why() } else { None };
    let stand_ins = preemption::reaches_tracepoints();
    let mut loader =
        Loader { ebpf, btf, own_btf, tables, functions, mode, preempts, stand_ins, dispatches: None };
    loader.verify_ahead(HOOKS.iter().filter(|hook| options.wants(hook) && !options.disables(hook)));
    for hook in HOOKS {
        report.hooks.push(match (options.wants(hook), options.disables(hook)) {
            (false, _) => HookReport::not_wanted(hook),
            (true, true) => HookReport::switched_off(hook),
            (true, false) => loader.attach(hook)?,
        });
    }
    if let Some(kind) = loader.dispatches {
        loader.attach_dispatcher(kind)?;
    }
    Ok((probe, ring))
}

/// Makes the maps, of programs that know what this kernel has. `pins`: maps that are
/// used again where they are pinned, and pinned there otherwise.
pub(super) fn object(
    types: &Types,
    ring_bytes: u32,
    pins: &[(&str, PathBuf)],
    report: &mut Report,
) -> Result<Ebpf, ProbeError> {
    let Types { own, aya } = types;
    let mut values = offsets::offsets(own, report)?;
    let knobs = offsets::knobs(own, ring_bytes);
    let words = knobs.as_bytes().chunks_exact(4).filter_map(|word| word.try_into().ok());
    values.extend(words.map(u32::from_ne_bytes));
    let numbers = syscalls::numbers(HERE);
    let mut loader = EbpfLoader::new();
    for (map, path) in pins {
        loader.map_pin_path(map, path);
    }
    loader
        .override_global("NUMBERS", numbers.as_slice(), true)
        .map_max_entries("EVENTS", ring_bytes)
        .btf(Some(aya))
        .load(&object::object(offsets::reads(own), &values)?)
        .map_err(|error| refused(&chain(&error)))
}

/// Attaches the hooks that `options` want and that are not attached yet. None is detached.
pub(super) fn attach_more(probe: &mut Probe, options: &Options) -> Result<(), ProbeError> {
    let missing = |report: &HookReport| report.chosen.is_none();
    let wanted =
        HOOKS.iter().zip(&probe.report.hooks).any(|(hook, report)| options.wants(hook) && missing(report));
    if !wanted {
        return Ok(());
    }
    let types = Types::of_kernel()?;
    let dispatched = |(hook, report): (&Hook, &HookReport)| {
        let via = hook.variants.iter().find(|variant| Some(variant.program) == report.chosen);
        via.is_some_and(|variant| matches!(variant.via, Via::Syscalls(_)))
    };
    let attached = HOOKS.iter().zip(&probe.report.hooks).any(dispatched);
    let Probe { ebpf, tables, functions, report, .. } = probe;
    let (Types { own: own_btf, aya: btf }, mode) = (&*types, options.mode);
    let preempts = if mode.is_none() { preemption::why() } else { None };
    let stand_ins = preemption::reaches_tracepoints();
    let mut loader =
        Loader { ebpf, btf, own_btf, tables, functions, mode, preempts, stand_ins, dispatches: None };
    let more = HOOKS
        .iter()
        .zip(&report.hooks)
        .filter(|(hook, report)| options.wants(hook) && !options.disables(hook) && missing(report));
    loader.verify_ahead(more.map(|(hook, _)| hook));
    for (hook, report) in HOOKS.iter().zip(&mut report.hooks) {
        if options.wants(hook) && missing(report) {
            *report =
                if options.disables(hook) { HookReport::switched_off(hook) } else { loader.attach(hook)? };
        }
    }
    match loader.dispatches {
        Some(kind) if !attached => loader.attach_dispatcher(kind),
        _ => Ok(()),
    }
}

/// The variable of the programs that holds them.
const SETTINGS: &str = ".data.settings";

/// Changes what the programs add to their records.
pub(super) fn write_settings(ebpf: &mut Ebpf, settings: Settings) -> Result<(), ProbeError> {
    let error = |error: aya::maps::MapError| ProbeError::Load(error.to_string());
    let map = ebpf.map_mut(SETTINGS).ok_or_else(|| ProbeError::Object(format!("no map {SETTINGS}")))?;
    Array::<_, PodSettings>::try_from(map).map_err(error)?.set(0, PodSettings(settings), 0).map_err(error)
}

pub(super) fn take_table(ebpf: &mut Ebpf, name: &str) -> Result<ProgramArray<MapData>, ProbeError> {
    ProgramArray::try_from(take_map(ebpf, name)?).map_err(|error| ProbeError::Load(error.to_string()))
}

pub(super) fn take_map(ebpf: &mut Ebpf, name: &str) -> Result<aya::maps::Map, ProbeError> {
    ebpf.take_map(name).ok_or_else(|| ProbeError::Object(format!("no map {name}")))
}

/// Said before the kernel says it: its words are those of the first hook that fails.
fn privileged() -> Result<(), ProbeError> {
    let missing = capability::missing().into_iter().filter(|need| need.essential);
    let missing: Vec<_> = missing.map(|need| need.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if rustix::process::geteuid().is_root() {
        return Err(ProbeError::Capabilities(missing.join(" and ")));
    }
    Err(ProbeError::Privileges)
}

fn refused(why: &str) -> ProbeError {
    if rustix::process::geteuid().is_root() {
        return ProbeError::Load(why.to_owned());
    }
    ProbeError::Privileges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(wanted: Wanted) -> Vec<&'static str> {
        let options = Options { wanted, ..Options::default() };
        let always = |hook: &Hook| hook.essential || hook.kind.is_cgroup();
        HOOKS.iter().filter(|hook| options.wants(hook) && !always(hook)).map(|hook| hook.stem).collect()
    }

    #[test]
    fn failed_execs_have_a_hook_of_their_own() {
        assert_eq!(hooks(Wanted::of(vec![Kind::ProcExec])), ["proc_exec_failed"]);
        let without = |kind: Kind| Wanted { kinds: vec![kind], failures: vec![], answers: false };
        assert_eq!(hooks(without(Kind::ProcExec)), [""; 0]);
        // One hook sees both.
        assert_eq!(hooks(without(Kind::FileOpen)), ["file_open", "uring_file_open"]);
    }

    #[test]
    fn answers_have_a_hook_of_their_own() {
        let mut wanted = Wanted { kinds: vec![Kind::NetDns], failures: vec![], answers: false };
        assert_eq!(hooks(wanted.clone()), ["net_dns_query"]);
        wanted.add_names();
        assert_eq!(hooks(wanted), ["net_dns_query", "net_dns_answer"]);
        let mut names = Wanted { kinds: vec![], failures: vec![], answers: false };
        names.add_names();
        // Whose answer it is, the query says.
        assert_eq!(hooks(names), ["net_dns_query", "net_dns_answer"]);
    }
}
