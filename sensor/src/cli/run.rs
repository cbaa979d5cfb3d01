//! `vedette run`: the daemon.

use std::{
    fs::File,
    io::{self, IsTerminal, Read, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

use super::{Common, signals, sources::RuleArgs};
use crate::{
    config::{Config, Format},
    pipeline::{Alerting, Live, PipelineError, Reload, wanted},
    probe::{Options, Report},
    sink::{Alert, Lines, Queue, Sink, Work},
};

/// Arguments of `vedette run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    common: Common,
}

/// Watches until a signal ends it.
pub(super) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let config = args.common.load()?;
    let rules = args.rules.compile(&config)?;
    let _lock = lock(&config.lock)?;
    let asked = signals::listen()?;
    let options = Options {
        ring_bytes: config.kernel.ring_bytes,
        wanted: wanted(&rules),
        disabled_hooks: config.kernel.disabled_hooks.clone(),
    };
    let live = Live::start(&options, config.processes.limit_bytes, asked.stop.clone())?;
    let preamble = live.preamble();
    let hostname = if config.hostname.is_empty() { &preamble.hostname } else { &config.hostname };
    tell(live.report());
    tracing::info!(rules = rules.rules().len(), hostname, kernel = preamble.kernel, "watching");
    let queue = stdout(&config, args.common.json)?;
    let (again, rule_args) = (config.clone(), args.rules.clone());
    let reload = Reload {
        asked: asked.reload.clone(),
        load: Box::new(move || {
            rule_args.compile(&again).inspect_err(|error| tracing::error!("{error:#}")).ok()
        }),
    };
    let mut alerting = Alerting::new(rules, queue, hostname, false)
        .with_state(config.rules.state_bytes)
        .with_reload(reload)
        .with_stats_file(&config.stats_file);
    let mut stats = live.run(&mut alerting).map_err(closed)?;
    alerting.finish(&mut stats).map_err(closed)?;
    stats.write(&config.stats_file)?;
    tracing::info!(
        events = stats.events,
        alerts = stats.queue.taken,
        lost = stats.lost,
        alerts_dropped = stats.queue.dropped,
        "ended"
    );
    Ok(ExitCode::SUCCESS)
}

/// The sink that there always is.
fn stdout(config: &Config, json: bool) -> io::Result<Queue<Alert>> {
    let json = json
        || match config.stdout.format {
            Format::Json => true,
            Format::Text => false,
            Format::Auto => !io::stdout().is_terminal(),
        };
    let mut lines = Lines::stdout(json);
    Queue::new("stdout", config.stdout.queue, move |work| match work {
        Work::Item(alert) => lines.deliver(&alert),
        Work::Idle => lines.flush(),
    })
}

/// Says what this kernel does not let us see.
fn tell(report: &Report) {
    for hook in report.hooks.iter().filter(|hook| hook.chosen.is_none() && !hook.refused.is_empty()) {
        tracing::debug!(hook = hook.hook, why = hook.refused.join("; "), "not attached");
    }
    for field in &report.missing_fields {
        tracing::warn!(field, "this kernel has no such field, its value is unknown");
    }
}

fn closed(error: PipelineError) -> anyhow::Error {
    if super::is_closed_output(&error) {
        return anyhow::Error::new(error).context("nobody reads the alerts any more");
    }
    error.into()
}

/// Another sensor is at work.
#[derive(Debug, Error)]
#[error(
    "another vedette is running here (pid {0}): stop it first, or give this one a lock of its own with --set lock=FILE"
)]
pub(super) struct Busy(String);

/// Holds the lock file for as long as the value lives.
///
/// # Errors
/// [`Busy`] where another process holds it.
fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = file.with_context(|| format!("cannot open the lock {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        file.read_to_string(&mut holder)?;
        return Err(Busy(holder.trim().to_owned()).into());
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}
