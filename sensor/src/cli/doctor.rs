//! `vedette doctor`: whether the rules on disk can be loaded, whether a running sensor has loaded them, and what this kernel
//! and these privileges allow, hook by hook.

mod rules;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;

use self::rules::Findings;
use super::{Common, sources::RuleArgs};
use crate::{
    capability::{self, Standing},
    enrich::runtime::{RuntimePlace, places},
    pipeline,
    probe::{
        self, Options, ProbeError, Report,
        isolate::{self, Kept},
    },
    rule::Act,
};

/// Arguments of `vedette doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    common: Common,
}

/// Loads everything for a moment, and says what came of it.
pub(super) fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let config = args.common.load()?;
    let findings = Findings::of(&args.rules, &config);
    let runtimes = places(&pipeline::sources(&config));
    let options = Options { rehearsal: true, ..super::options(&config.kernel, Options::default().wanted) };
    let system = rustix::system::uname();
    let kernel = system.release().to_string_lossy().into_owned();
    let capabilities = capability::standings();
    let loaded = probe::load(&options).map(|(probe, _)| probe.report().clone());
    let kept = isolate::kept(&config.respond.pins);
    let refusing = probe::kept_refusals(&config.respond.pins);
    let refusals = refusals();
    let mut out = io::stdout().lock();
    if args.common.json {
        let problem = loaded.as_ref().err().map(ToString::to_string);
        let report = loaded.as_ref().ok();
        let value = serde_json::json!({
            "kernel": kernel, "report": report, "runtimes": runtimes, "problem": problem, "rules": findings,
            "kept": kept, "refusing": refusing, "refusals": refusals, "capabilities": capabilities
        });
        writeln!(out, "{value}")?;
    } else {
        writeln!(out, "vedette {} on Linux {kernel}", env!("CARGO_PKG_VERSION"))?;
        findings.print(&mut out)?;
        print_kept(&mut out, &kept)?;
        if refusing > 0 {
            let path = config.respond.pins.display();
            writeln!(
                out,
                "\nrefusals are pinned in {path} ({refusing} programs attached): `vedette run --keep-enforcing` goes on with them, `vedette run` without that ends them"
            )?;
        }
        print_capabilities(&mut out, &capabilities)?;
        match &loaded {
            Ok(report) => {
                print(&mut out, report, &findings)?;
                print_refusals(&mut out, &refusals)?;
                print_runtimes(&mut out, &runtimes)?;
            }
            Err(error) => writeln!(out, "cannot run here: {error}")?,
        }
    }
    match loaded {
        Ok(_) if findings.well() => Ok(ExitCode::SUCCESS),
        Ok(_) => Ok(ExitCode::from(super::EXIT_FAILED)),
        Err(ProbeError::Abi { .. } | ProbeError::Object(_)) => Ok(ExitCode::FAILURE),
        Err(_) => Ok(ExitCode::from(super::EXIT_UNSUPPORTED)),
    }
}

fn print(out: &mut impl Write, report: &Report, findings: &Findings) -> io::Result<()> {
    writeln!(out, "\n{:<18} {:<10} {:<32} {:>12}", "hook", "mode", "attached to", "verified")?;
    for hook in &report.hooks {
        let mode = hook.mode.map_or_else(|| "blind".to_owned(), |mode| mode.to_string());
        let instructions = hook.instructions.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let via = hook.via.as_deref().unwrap_or("-");
        writeln!(out, "{:<18} {mode:<10} {via:<32} {instructions:>12}", hook.hook)?;
        for refused in &hook.refused {
            writeln!(out, "{:<18} why: {refused}", "")?;
        }
        let missing = findings.missing(hook);
        if !missing.is_empty() {
            writeln!(out, "{:<18} rules that miss it: {}", "", missing.join(", "))?;
        }
        if !hook.absent.is_empty() {
            writeln!(out, "{:<18} not on this kernel: {}", "", hook.absent.join(", "))?;
        }
    }
    if report.missing_fields.is_empty() {
        return writeln!(out, "\nevery kernel field is known");
    }
    writeln!(out, "\nfields that this kernel does not have, and whose values are therefore not known:")?;
    report.missing_fields.iter().try_for_each(|field| writeln!(out, "  {field}"))
}

/// How something can be refused before it happens.
#[derive(serde::Serialize)]
struct Refusal {
    what: &'static str,
    /// Why not; `None`: it can.
    missing: Option<String>,
}

fn refusals() -> Vec<Refusal> {
    let by_kernel = |act: Act| Refusal { what: act.name(), missing: probe::can_refuse(act as u32).err() };
    let asked = Refusal {
        what: "an exec or an open, by fanotify (`respond.fanotify`)",
        missing: probe::fanotify::can_ask().err(),
    };
    let itself = Refusal {
        what: "what turns against the sensor itself (`respond.protect.sensor`)",
        missing: probe::can_shield().err(),
    };
    Act::ALL.map(by_kernel).into_iter().chain([asked, itself]).collect()
}

fn print_refusals(out: &mut impl Write, refusals: &[Refusal]) -> io::Result<()> {
    writeln!(
        out,
        "\nwhat can be refused: in containers by rules (`response: block`), and on behalf of the sensor"
    )?;
    refusals.iter().try_for_each(|Refusal { what, missing }| match missing {
        None => writeln!(out, "  {what}: yes"),
        Some(why) => writeln!(out, "  {what}: no, {why}"),
    })
}

/// What outlives a sensor, or has outlived one.
fn print_kept(out: &mut impl Write, kept: &[Kept]) -> io::Result<()> {
    kept.iter().try_for_each(|kept| {
        let what = match (kept.programs, kept.usable) {
            (0, _) => "nothing is isolated by it",
            (_, true) => "`vedette run --keep-enforcing` goes on with it, `vedette run` without that ends it",
            (_, false) => "by a sensor of another version: the next `vedette run` ends it",
        };
        let path = kept.path.display();
        writeln!(out, "\nisolation is pinned in {path} ({} programs attached): {what}", kept.programs)
    })
}

/// What this process lacks.
fn print_capabilities(out: &mut impl Write, capabilities: &[Standing]) -> io::Result<()> {
    let mut missing = capabilities.iter().filter(|standing| !standing.held).peekable();
    if missing.peek().is_none() {
        return writeln!(out, "\nevery capability that the sensor uses is held");
    }
    writeln!(out, "\ncapabilities that are not held:")?;
    missing
        .try_for_each(|standing| writeln!(out, "{:<20} without it {}", standing.capability, standing.without))
}

/// Who can tell of containers.
fn print_runtimes(out: &mut impl Write, places: &[RuntimePlace]) -> io::Result<()> {
    let found: Vec<_> = places.iter().filter(|place| place.state != "absent").collect();
    if found.is_empty() {
        return writeln!(
            out,
            "\nno container runtime is found; containers are known by their control group only"
        );
    }
    writeln!(out, "\n{:<12} {:<14} where", "runtime", "")?;
    found.iter().try_for_each(|place| writeln!(out, "{:<12} {:<14} {}", place.what, place.state, place.path))
}
