//! Records from the running kernel.

mod enforcement;

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sensor_common::{ABI_VERSION, Kind};

use self::enforcement::Keeping;
use super::{
    Consumer, Needs, PipelineError, Plan, Stage, Stats, gate::Gate, hold::HoldLimits, identity,
    lifecycle_lost, tables,
};
use crate::{
    capability, clock,
    config::Config,
    enrich::{Enricher, Resolver, Users, runtime::Sources, scan::Scanner},
    event::{Detail, EventType, Loss},
    probe::{self, Counts, Options, Probe, Ring, Usage},
    recording::{Note, Preamble},
};

/// Records taken before anything else gets a turn.
const BATCH: usize = 4096;
/// How often the accounts are drawn up.
const TICK: Duration = Duration::from_secs(1);
/// How long the reader sleeps between looks while records keep coming without waking it. It bounds the delay of an alert
/// on a busy machine; shorter sleeps cost more wakeups. What a response may follow wakes it.
const BUSY_SLEEP: Duration = Duration::from_millis(8);
/// How long it sleeps at the beginning of such a spell.
const SHORT_SLEEP: Duration = Duration::from_micros(250);
/// How long it sleeps when the next record is sure to wake it; only signals have to wait for this.
const QUIET_SLEEP: Duration = Duration::from_millis(200);
/// How long it sleeps while events wait for a container's identity.
const HELD_SLEEP: Duration = Duration::from_millis(5);
/// Silence after which the next record wakes the reader: twice the `wake_after` of the kernel programs.
const QUIET: Duration = Duration::from_millis(2);

/// The sensor at work on this machine.
pub struct Live {
    probe: Probe,
    ring: Ring,
    stage: Stage<Scanner>,
    stop: Arc<AtomicBool>,
    options: Options,
    /// Who looks names up, where anybody wants that.
    resolver: Option<Resolver>,
    resolve: bool,
    /// What the kernel's counters said when they were last looked at.
    counted: Vec<(Kind, Counts)>,
    /// What the kernel half does by itself.
    plan: Option<Plan>,
    /// Who answers where it cannot refuse, and how long somebody may wait for that.
    gate: Option<Gate>,
    answer_within: Duration,
    /// Questions of gates before this one, and how many of them were answered with no.
    asked_before: (u64, u64),
    /// What makes refusals outlive this process, until it is done.
    keeping: Option<Keeping>,
}

impl Live {
    /// Loads the kernel half, and then reads what was there before, so that nothing falls between.
    /// `stop`: ends [`Live::run`].
    ///
    /// # Errors
    /// Where this kernel or the privileges at hand do not allow it.
    pub fn start(options: &Options, config: &Config, stop: Arc<AtomicBool>) -> Result<Self, PipelineError> {
        let (mut probe, ring) = probe::load(options)?;
        if config.metrics.program_stats
            && let Err(error) = probe.measure()
        {
            tracing::warn!(%error, "the run time of programs cannot be measured (metrics.program_stats)");
        }
        give_back();
        // Before the threads that are made from here on.
        let used: &[&str] = if config.respond.fanotify { &["CAP_SYS_ADMIN"] } else { &[] };
        if let Err(error) = capability::give_up_start(used) {
            tracing::warn!(%error, "capabilities that only the start takes are kept");
        }
        let sources = Sources::start(&identity::sources(config));
        let sources =
            sources.map_err(|error| PipelineError::Read { what: "what is known of containers", error })?;
        let scanner = Scanner::new(probe::legacy_controller().as_deref());
        let enricher =
            Enricher::new(scanner, Users::read("/etc"), clock::epoch(), config.processes.limit_bytes)
                .with_container_limits(identity::limits(config));
        let mut stage = Stage::new(enricher, HoldLimits::of(config), Some(sources));
        stage.stats.hooks.clone_from(&probe.report().hooks);
        let counted = probe.counts()?;
        let (resolver, resolve) = (None, config.dns.resolve);
        let options = options.clone();
        let answer_within = Duration::from_millis(config.respond.fanotify_answer_ms);
        let (plan, gate, asked_before) = (None, None, (0, 0));
        let keeping = config.respond.keep_enforcing.then(|| Keeping::new(&config.respond.pins));
        Ok(Self {
            probe,
            ring,
            stage,
            stop,
            options,
            resolver,
            resolve,
            counted,
            plan,
            gate,
            answer_within,
            asked_before,
            keeping,
        })
    }

    /// What the kernel half could attach.
    #[must_use]
    pub const fn report(&self) -> &probe::Report {
        self.probe.report()
    }

    /// What a recording that begins now starts with.
    #[must_use]
    pub fn preamble(&self) -> Preamble {
        let system = rustix::system::uname();
        let (users, groups) = Users::read("/etc").all();
        Preamble {
            abi: ABI_VERSION,
            hostname: system.nodename().to_string_lossy().into_owned(),
            kernel: system.release().to_string_lossy().into_owned(),
            epoch: clock::epoch(),
            users,
            groups,
        }
    }

    /// Watches until `stop` is set, then detaches the programs, takes what is left in the ring, and returns the accounts.
    ///
    /// # Errors
    /// Where the kernel half fails or the consumer cannot go on. The programs are detached then, too.
    pub fn run(mut self, consumer: &mut impl Consumer) -> Result<Stats, PipelineError> {
        self.stage.pass_time(clock::boot(), consumer)?;
        self.snapshot(consumer)?;
        self.look_up(consumer)?;
        let mut next_tick = Instant::now() + TICK;
        let mut last_record = Instant::now();
        // When records began to come after the last silence.
        let mut spell = last_record;
        while !self.stop.load(Ordering::Relaxed) {
            let gaps = self.stage.stats.gaps;
            let before = clock::boot();
            self.stage.pass_time(clock::boot(), consumer)?;
            self.stage.learn(consumer)?;
            if let Some(found) = self.resolver.as_ref().and_then(Resolver::found) {
                self.stage.enricher.resolve(found);
            }
            let taken = self.drain(consumer)?;
            self.take_refused(consumer)?;
            self.place();
            self.keep()?;
            if taken < BATCH {
                self.stage.stats.seen_until = before;
            }
            self.between(consumer)?;
            let now = Instant::now();
            if taken > 0 {
                last_record = now;
            }
            if now >= next_tick || self.stage.stats.gaps != gaps {
                next_tick = now + TICK;
                self.tick(consumer)?;
            }
            if taken < BATCH {
                let quiet = now.duration_since(last_record) > QUIET;
                let woken = self.rest(quiet, now.duration_since(spell))?;
                if quiet || woken {
                    spell = Instant::now();
                }
            }
        }
        self.probe.detach();
        self.take_refused(consumer)?;
        self.close_gate();
        while self.drain(consumer)? > 0 {}
        self.stage.learn(consumer)?;
        self.stage.let_all_go(consumer)?;
        self.tick(consumer)?;
        Ok(self.stage.stats().clone())
    }

    /// Sleeps until there is something to do. While records keep coming the reader looks by itself, so it does not even wait
    /// for a wakeup: a wait on the ring costs more than a plain sleep, and an early wakeup costs another look. That is a
    /// fifth of the CPU time of an exec storm. Only where rules respond does it listen for urgent records, and says whether
    /// one woke it. `spell`: how long records have been coming; a short burst (somebody typed a command) is answered at once,
    /// a storm in large batches.
    fn rest(&self, quiet: bool, spell: Duration) -> Result<bool, PipelineError> {
        let failed = |error| PipelineError::Read { what: "the event ring", error };
        if !quiet {
            let sleep = (spell / 2).clamp(SHORT_SLEEP, BUSY_SLEEP);
            if !self.options.urgent.is_empty() {
                return self.ring.nap(sleep).map_err(failed);
            }
            thread::sleep(sleep);
            return Ok(false);
        }
        // Held events must not wait longer than they may, and answers are taken as they come.
        let timeout = if self.stage.hold.is_empty() { QUIET_SLEEP } else { HELD_SLEEP };
        let bells = [self.stage.sources.as_ref().map(Sources::bell), self.gate.as_ref().map(Gate::bell)];
        let waited = self.ring.wait(timeout, bells);
        // What rang is looked at next; only who waits for the bells has to silence them, a system call each.
        self.stage.sources.iter().for_each(Sources::hush);
        self.gate.iter().for_each(Gate::hush);
        waited.map(|()| false).map_err(failed)
    }

    fn drain(&mut self, consumer: &mut impl Consumer) -> Result<usize, PipelineError> {
        let mut result = Ok(());
        let stage = &mut self.stage;
        let waiting = &mut stage.stats.kernel.ring_waiting_bytes;
        *waiting = self.ring.waiting().max(*waiting);
        let taken = self.ring.drain(BATCH, |bytes| {
            if result.is_ok() {
                result = stage.take(bytes, consumer);
            }
        });
        result.map(|()| taken)
    }

    /// Draws up the accounts, and passes on what was lost since the last time.
    fn tick(&mut self, consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        let counts = self.probe.counts()?;
        let lost: Vec<_> = counts
            .iter()
            .zip(&self.counted)
            .filter(|((_, now), (_, before))| now.lost() > before.lost())
            .map(|((kind, now), (_, before))| {
                (kind.number(), now.ring_full - before.ring_full, now.failed - before.failed)
            })
            .collect();
        let limited = self.limited(&counts)?;
        self.stage.stats.kinds = counts.iter().map(|(kind, counts)| (kind.stem(), *counts)).collect();
        self.counted = counts;
        let ring_waiting_bytes = self.stage.stats.kernel.ring_waiting_bytes;
        self.stage.stats.kernel =
            Usage { ring_bytes: self.ring.bytes().into(), ring_waiting_bytes, ..self.probe.usage() };
        self.stage.enricher.refresh(clock::epoch());
        if !lost.is_empty() || !limited.is_empty() {
            let note = Note { ts: clock::boot(), lost, limited, container: None };
            // First healed, then said: whoever hears of the loss can rely on the process table again.
            if lifecycle_lost(&note) {
                self.reconcile(consumer)?;
            }
            self.stage.lose(&note, consumer)?;
        }
        self.count_asked();
        self.probe.told_refusals();
        self.probe.refresh_shield();
        let enricher = &self.stage.enricher;
        consumer.containers(&|| enricher.containers().present().cloned().collect());
        consumer.tick(self.stage.stats())?;
        self.stage.stats.kernel.ring_waiting_bytes = 0;
        Ok(())
    }

    /// What was held back since the last time, by kind and control group; what no group is known of, as that of group 0.
    fn limited(&mut self, counts: &[(Kind, Counts)]) -> Result<Vec<(u16, u64, u64)>, PipelineError> {
        let grown: Vec<_> = counts
            .iter()
            .zip(&self.counted)
            .filter(|((_, now), (_, before))| now.limited > before.limited)
            .map(|((kind, now), (_, before))| (kind.number(), now.limited - before.limited))
            .collect();
        if grown.is_empty() {
            return Ok(Vec::new());
        }
        let groups = self.probe.limited()?;
        let mut limited = Vec::new();
        for (kind, all) in grown {
            let mut rest = all;
            for (key, count) in groups.iter().filter(|(key, _)| key.kind == u64::from(kind)) {
                // The groups are read after the counters: what came between is said the next time.
                let count = (*count).min(rest);
                rest -= count;
                limited.push((kind, key.cgroup, count));
            }
            if rest > 0 {
                limited.push((kind, 0, rest));
            }
        }
        Ok(limited)
    }

    /// Lets the consumer change what it does, and attaches what it then needs. Hooks that nobody needs any more stay: their
    /// records match no rule, and taking them off and putting them back would lose events of the next set.
    fn between(&mut self, consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        let enricher = &mut self.stage.enricher;
        let own = &mut || {
            let detail = Detail::Loss(Loss::default());
            enricher.own_event(std::process::id(), clock::boot(), EventType::Loss, detail)
        };
        let Some(Needs { wanted, prefilter, urgent, plan }) = consumer.between_batches(own)? else {
            return Ok(());
        };
        (self.options.wanted, self.options.urgent) = (wanted, urgent);
        self.probe.attach_more(&self.options)?;
        let hooks = &self.probe.report().hooks;
        for (hook, before) in hooks.iter().zip(&self.stage.stats.hooks) {
            if hook.is_blind() && !before.is_blind() {
                tracing::warn!(hook = hook.hook, why = hook.refused.join("; "), "blind: not attached");
            }
        }
        self.stage.stats.hooks.clone_from(hooks);
        if self.options.tables.is_some() {
            self.options.tables = Some(tables(&prefilter));
        }
        match plan {
            Some(plan) => self.enforce(plan)?,
            None => self.enforce_nothing()?,
        }
        self.look_up(consumer)
    }

    /// Has the names looked up that the consumer compares with.
    fn look_up(&mut self, consumer: &impl Consumer) -> Result<(), PipelineError> {
        let names = if self.resolve { consumer.hosts() } else { BTreeSet::new() };
        if self.resolver.is_none() && !names.is_empty() {
            let resolver = Resolver::start();
            self.resolver =
                Some(resolver.map_err(|error| PipelineError::Read { what: "the names of hosts", error })?);
        }
        if let Some(resolver) = &self.resolver {
            resolver.want(names);
        }
        Ok(())
    }

    /// Control groups and processes that were there before the first record.
    fn snapshot(&mut self, consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        for record in self.stage.enricher.lookup().cgroups() {
            self.stage.stats.snapshots += 1;
            self.stage.feed(&record, consumer)?;
        }
        self.reconcile(consumer)
    }

    /// Makes the process table agree with the kernel's.
    fn reconcile(&mut self, consumer: &mut impl Consumer) -> Result<(), PipelineError> {
        let records = self.stage.enricher.lookup().processes();
        let records = records.map_err(|error| PipelineError::Read { what: "/proc", error })?;
        let mut alive = BTreeSet::new();
        for record in records {
            alive.extend(crate::decode::decode(&record).map(|raw| raw.header.tgid));
            self.stage.stats.snapshots += 1;
            self.stage.feed(&record, consumer)?;
        }
        let gone = self.stage.enricher.retain_processes(|pid| alive.contains(&pid));
        if gone > 0 {
            tracing::info!(gone, "processes whose end was lost are forgotten");
        }
        Ok(())
    }
}

/// Gives free memory back to the system. Reading the kernel's BTF takes 35 MB for a moment, and the allocator would keep
/// them as long as the sensor runs, since large blocks that are freed make it expect more of them.
#[allow(unsafe_code, reason = "the allocator has no safe interface for this")]
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it only touches memory that nobody uses, and may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

impl From<io::Error> for PipelineError {
    fn from(error: io::Error) -> Self {
        Self::Stage { stage: "output", error }
    }
}
