//! `vedette run`: the daemon.

use std::{
    io::{self, IsTerminal},
    num::NonZeroU32,
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use clap::Args;

use super::{
    Common, Usage, lock,
    notify::Notify,
    signals,
    sources::{self, RuleArgs, Rules},
};
use crate::{
    capability::{self, Need},
    config::{Config, ConfigError, Format},
    control::{self, Known},
    event::EventType,
    metrics::{self, Bounds},
    pipeline::{
        Alerting, Can, How, KernelNetwork, Live, Origin, PipelineError, Plan, Published, Told, blind_rules,
        needs,
        reload::{self, Planner, Waker},
        tables,
    },
    probe::{self, Limit, Options, ProbeError, Report, ShieldPart, can_refuse, fanotify},
    respond::{self, Action, Network, Policy, Responder, Runtimes},
    rule::{Act, Reaction, Response, RuleSet, TypeSet},
    sink::{self, Alert, Lines, Outputs, Queue, Redactor, Sink, Work, signing_key},
};

/// Arguments of `vedette run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    rules: RuleArgs,
    /// Decide and record what rules ask for, and touch nothing
    #[arg(long)]
    dry_run: bool,
    /// Let isolation and refusals go on when the daemon ends, and with what an earlier one left (the same as `--set
    /// respond.keep_enforcing=true`)
    #[arg(long)]
    keep_enforcing: bool,
    #[command(flatten)]
    common: Common,
}

/// Watches until a signal ends it.
pub(super) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let mut config = args.common.load()?;
    // What flags set here is no change of the configuration.
    let written = config.clone();
    config.respond.dry_run |= args.dry_run;
    config.respond.keep_enforcing |= args.keep_enforcing;
    let notify = Notify::of_environment().context("NOTIFY_SOCKET")?;
    let missing = capability::missing();
    give_up(&config);
    let rules = args.rules.open()?.of_this_sensor();
    let content = rules.content(&config)?;
    let set = sources::compile(&content)?;
    let _lock = lock::hold(&config.lock)?;
    let published = Published::default();
    // Before the programs are loaded, which takes a while: it says so meanwhile.
    let listening = metrics::start(&config.metrics, Bounds::of(&config), published.clone()).context(Usage)?;
    // Asked for in several places from here on.
    let types = probe::Types::of_kernel();
    let isolates = set.rules().iter().any(|rule| rule.reaction.asks(Response::Isolate));
    if !config.respond.keep_enforcing {
        let ended = probe::end_kept_refusals(&config.respond.pins);
        let ended = ended
            .with_context(|| format!("cannot end what is pinned in {}", config.respond.pins.display()))?;
        if ended > 0 {
            tracing::warn!(
                programs = ended,
                "what an earlier sensor kept refusing has ended: respond.keep_enforcing is off"
            );
        }
    }
    let network = KernelNetwork::new(&config.respond, isolates)?;
    let waker = Waker::new()?;
    let asked = signals::listen(Some(waker.clone()))?;
    let redactor = redactor(&config).context(Usage)?;
    let streamed = streamed(&config).context(Usage)?;
    let needs = needs(&set, streamed);
    let options = Options {
        tables: config.kernel.filters.then(|| tables(&needs.prefilter)),
        limit: NonZeroU32::new(config.kernel.records_per_second)
            .map(|per_second| Limit { per_second, burst: config.kernel.burst }),
        urgent: needs.urgent,
        ..super::options(&config.kernel, needs.wanted)
    };
    let set = Arc::new(set);
    let can = Can {
        refuse: Act::ALL.map(|act| can_refuse(act as u32)),
        fanotify: config.respond.fanotify.then(fanotify::can_ask),
    };
    let policy = Arc::new(Policy::new(&config.respond, std::process::id()));
    let plan = Plan::under(Arc::clone(&set), &can, Some(Arc::clone(&policy)));
    if let Some(error) = plan.impossible().next() {
        return Err(ProbeError::Refuse(error).into());
    }
    let mut live = Live::start(&options, &config, asked.stop.clone())?;
    tell_missing(&missing);
    say(&plan);
    live.enforce(plan)?;
    if config.respond.protect.sensor && !config.respond.dry_run {
        live.shield(&config.respond.pins).iter().for_each(say_shield);
    }
    drop(types);
    let preamble = live.preamble();
    let hostname = if config.hostname.is_empty() { &preamble.hostname } else { &config.hostname };
    tell(live.report(), &set);
    if let Err(error) = lock::make_directory(&config.stats_file) {
        tracing::warn!(file = %config.stats_file.display(), "no directory for the accounts: {error:#}");
    }
    let loaded = set.rules().len();
    let outputs = outputs(&config, stdout(&config, args.common.json)?, hostname)?;
    let origin = Origin::of(&content);
    let plan = rules.plan(&config, vec![args.common.file()]);
    let reloads = reload::start(planner(args.common.clone(), rules, written), plan, content, waker.clone())?;
    let alerting = Alerting::new(set, outputs, hostname, false)
        .with_redactor(redactor)
        .with_state(config.rules.state_bytes)
        .with_enforcement(can, policy)
        .with_reloads(reloads, origin)
        .with_stats_file(&config.stats_file)
        .with_published(published)
        .with_responder(responses(&config, Box::new(network)))
        .context("cannot start the responder")?;
    tell_responses(&config, &alerting);
    let notify = Arc::new(notify);
    let pulse = Arc::clone(&notify);
    let mut alerting = take_orders(&config, alerting, waker).with_pulse(Box::new(move || pulse.alive()));
    // Said last: who waits for it can rely on everything above.
    let metrics = listening.map(tracing::field::display);
    tracing::info!(rules = loaded, hostname, kernel = preamble.kernel, metrics, "watching");
    notify.ready();
    let mut stats = live.run(&mut alerting).map_err(closed)?;
    notify.stopping();
    alerting.finish(&mut stats).map_err(closed)?;
    if let Err(error) = stats.write(&config.stats_file) {
        // The accounts are optional, also at the end.
        tracing::warn!(file = %config.stats_file.display(), %error, "cannot write the accounts");
    }
    tracing::info!(
        events = stats.events,
        alerts = stats.queue.taken,
        lost = stats.lost,
        alerts_dropped = stats.queue.dropped,
        "ended"
    );
    Ok(ExitCode::SUCCESS)
}

/// Gives up what the daemon never uses. Before there is a second thread.
fn give_up(config: &Config) {
    if let Err(error) = capability::give_up_unused(!config.control.group.is_empty()) {
        tracing::warn!(%error, "capabilities that are never used are kept");
    }
}

/// Says what of the capabilities is not held by a daemon that works all the same.
fn tell_missing(missing: &[Need]) {
    for need in missing {
        tracing::warn!(capability = need.name, "not held: without it {}", need.without);
    }
}

/// What the responder needs.
fn responses(config: &Config, network: Box<dyn Network + Send>) -> respond::Options {
    respond::Options {
        config: config.respond.clone(),
        controller: probe::legacy_controller(),
        runtimes: Runtimes { containerd: config.containerd.sockets(), docker: config.docker.sockets() },
        network,
    }
}

/// Opens the operator's socket. A sensor without one still watches and responds.
fn take_orders(config: &Config, alerting: Alerting, waker: Waker) -> Alerting {
    let socket = &config.control.socket;
    let Some(orders) = alerting.responder().and_then(Responder::orders) else { return alerting };
    if socket.as_os_str().is_empty() {
        return alerting;
    }
    let known = Known::default();
    let reload = Box::new(move || waker.ask());
    let options = control::Options { config: config.control.clone(), orders, known: known.clone(), reload };
    let opened = lock::make_directory(socket).and_then(|()| Ok(control::start(options)?));
    if let Err(error) = opened {
        let error = format!("{error:#}");
        tracing::warn!(socket = %socket.display(), error, "no operator's socket: `vedette status` and its like do not work");
        return alerting;
    }
    alerting.with_known(known)
}

/// Says what of the rules' responses is not done here, and why.
fn tell_responses(config: &Config, alerting: &Alerting) {
    let asked = alerting.rules().iter().filter(|rule| rule.reaction != Reaction::default());
    let asked: Vec<_> = asked.map(|rule| (rule.name.as_str(), rule.reaction)).collect();
    if !asked.is_empty() && !config.respond.enabled {
        tracing::warn!(rules = asked.len(), "responses are switched off: these rules only alert");
    } else if !asked.is_empty() && config.respond.dry_run {
        tracing::warn!(
            rules = asked.len(),
            "a rehearsal: responses are decided and recorded, and nothing is touched"
        );
    }
    for (action, why) in alerting.responder().map(Responder::missing).into_iter().flatten() {
        let of = |reaction: Reaction| [Some(reaction.response), reaction.or].into_iter().flatten();
        let rules =
            asked.iter().filter(|(_, reaction)| of(*reaction).any(|it| Action::of(it) == Some(*action)));
        let rules: Vec<_> = rules.map(|(name, _)| *name).collect();
        if !rules.is_empty() {
            let rules = rules.join(", ");
            tracing::warn!(action = action.name(), why, rules, "cannot be done here: these rules only alert");
        }
    }
}

/// What to load as the configuration says it now. Keys that a running sensor does not take over are said, once.
fn planner(common: Common, rules: Rules, running: Config) -> Planner {
    let mut said = Vec::new();
    Box::new(move || {
        let config = common.load_again().map_err(|error| error.to_string())?;
        let changed = running.needs_restart(&config);
        if changed != said && !changed.is_empty() {
            tracing::warn!(keys = changed.join(", "), "changed in the configuration: needs a restart");
        }
        said = changed;
        Ok(rules.plan(&config, vec![common.file()]))
    })
}

/// What is hidden in what leaves the sensor.
pub(super) fn redactor(config: &Config) -> Result<Redactor, ConfigError> {
    Redactor::new(&config.redact).map_err(|error| ConfigError::Value {
        origin: "redact.patterns".to_owned(),
        message: error.to_string(),
    })
}

/// The types of events that sinks take beside alerts.
pub(super) fn streamed(config: &Config) -> Result<TypeSet, ConfigError> {
    let mut types = Vec::new();
    for (name, sink) in &config.sinks {
        for event in &sink.events.types {
            types.push(EventType::from_name(event).ok_or_else(|| ConfigError::Value {
                origin: format!("sinks.{name}.events.types"),
                message: format!("no such type of events: `{event}` (deploy/reference/events.md has them)"),
            })?);
        }
    }
    Ok(types.into_iter().collect())
}

/// All sinks, at work. `first`: standard output.
fn outputs(config: &Config, first: Queue<Arc<Alert>>, hostname: &str) -> anyhow::Result<Outputs> {
    let signs = config.sinks.values().any(|sink| sink.checkpoint.every_s > 0);
    let key = signs.then(|| signing_key(&config.signing_key)).transpose();
    let key = key.with_context(|| format!("cannot use the signing key {}", config.signing_key.display()))?;
    let shared = sink::Shared { hostname: hostname.into(), key: key.map(Arc::new) };
    let opened = config.sinks.iter().map(|(name, config)| {
        sink::open(name, config, &shared).with_context(|| format!("cannot start the sink {name}"))
    });
    Ok(Outputs::new(first).with(opened.collect::<anyhow::Result<_>>()?))
}

/// The sink that there always is.
fn stdout(config: &Config, json: bool) -> io::Result<Queue<Arc<Alert>>> {
    let json = json
        || match config.stdout.format {
            Format::Json => true,
            Format::Text => false,
            Format::Auto => !io::stdout().is_terminal(),
        };
    let mut lines = Lines::stdout(json);
    Queue::new("stdout", config.stdout.queue, move |work: Work<Arc<Alert>>| match work {
        Work::Item(alert) => lines.deliver(&alert),
        Work::Idle | Work::End => lines.flush(),
    })
}

/// Says how each response will be given.
fn say(plan: &Plan) {
    for Told { rule, act, how } in &plan.told {
        let act = act.map_or("anything else", Act::name);
        match how {
            How::RefusedInKernel => tracing::info!(rule, act, "refused in the kernel, in containers"),
            How::RefusedByFanotify => tracing::info!(rule, act, "refused by fanotify, in containers"),
            How::KilledInKernel => tracing::info!(rule, act, "killed in the kernel, in containers"),
            How::Daemon(why) => tracing::info!(rule, act, why, "left to the daemon"),
            How::Impossible(why) => tracing::warn!(rule, act, why, "cannot be blocked"),
        }
    }
}

/// Says what of what turns against the sensor is refused.
fn say_shield(part: &ShieldPart) {
    match &part.missing {
        None => tracing::info!(what = part.what, "refused in the kernel, against the sensor itself"),
        Some(why) => tracing::info!(what = part.what, why, "not refused against the sensor itself"),
    }
}

/// Says what this kernel does not let us see, and which rules miss something.
fn tell(report: &Report, set: &RuleSet) {
    for hook in report.hooks.iter().filter(|hook| hook.is_blind()) {
        let kinds = hook.kind.map(|kind| (kind, hook.share)).into_iter();
        let blind = blind_rules(set, kinds).join(", ");
        tracing::warn!(hook = hook.hook, why = hook.refused.join("; "), blind, "blind: not attached");
    }
    for hook in report.hooks.iter().filter(|hook| hook.chosen.is_some() && !hook.refused.is_empty()) {
        tracing::debug!(hook = hook.hook, mode = ?hook.mode, why = hook.refused.join("; "), "not in a better mode");
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
