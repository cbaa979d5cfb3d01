//! `vedette rules simulate`: a recorded stream through the same pipeline, and what the rules would have said and done, by
//! rule and workload. It alerts nobody and touches nothing.

mod report;

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, bail};

pub(super) use self::report::Report;
use super::Files;
use crate::{
    config::Config,
    event::{Event, ProcessKey},
    pipeline::{Consumer, PipelineError, Stats, replay},
    recording::Reader,
    rule::{Cost, Engine, Match, RuleInfo, RuleSet, field::Reading, testing},
};

/// What a recording begins with.
const RECORDING: &[u8] = b"{\"abi\":";
/// Nanoseconds of recorded time after which what rules remember is looked through.
const RELEASE_EVERY: u64 = 1_000_000_000;

/// Plays the file, and reports.
///
/// # Errors
///
/// See [`play`].
pub(super) fn run(path: &Path, files: &Files) -> anyhow::Result<Report> {
    let (simulation, lost) = play(path, files)?;
    Ok(simulation.report(lost))
}

/// Plays the file, a recording or a list of events as tests write them, and says how many events the recording lost.
///
/// # Errors
///
/// A file that is neither, rules that cannot be loaded.
pub(super) fn play(path: &Path, files: &Files) -> anyhow::Result<(Simulation, u64)> {
    let (set, _) = super::load(files)?;
    let mut simulation = Simulation::new(set);
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut input = BufReader::new(file);
    let begin = input.fill_buf().with_context(|| format!("cannot read {}", path.display()))?;
    let lost = if begin.starts_with(RECORDING) {
        let reader = Reader::new(input).with_context(|| format!("cannot read {}", path.display()))?;
        let stats = replay(reader, &Config::default(), &mut simulation);
        stats.with_context(|| format!("cannot play {}", path.display()))?.lost
    } else {
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
        let Ok(text) = String::from_utf8(bytes) else {
            bail!("{} is neither a recording of vedette nor a list of events", path.display());
        };
        let events = testing::events(&path.display().to_string(), &text).map_err(anyhow::Error::msg);
        let events = events.with_context(|| {
            format!("{} is no recording of vedette, and not a list of events either", path.display())
        })?;
        events.into_iter().for_each(|event| simulation.see(&event));
        0
    };
    if simulation.events == 0 {
        bail!("there is no event in {}", path.display());
    }
    Ok((simulation, lost))
}

/// Who it happened to: a container, or an executable of the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Workload {
    Container(Box<str>),
    Host(String),
}

/// What one rule did in one workload.
#[derive(Debug, Default)]
struct Tally {
    /// Name and image of the container, where they are known.
    name: Option<String>,
    image: Option<String>,
    alerts: u64,
    suppressed: u64,
    /// Processes that alerts were about.
    processes: HashSet<ProcessKey>,
    /// Nanoseconds since 1970.
    first: u64,
    last: u64,
    example: String,
}

pub(super) struct Simulation {
    engine: Engine,
    matches: Vec<Match>,
    tallies: BTreeMap<(usize, Workload), Tally>,
    events: u64,
    first: u64,
    last: u64,
    released: u64,
    /// The container's name and image.
    name: Option<Reading>,
    image: Option<Reading>,
}

impl Simulation {
    fn new(set: Arc<RuleSet>) -> Self {
        let reading = |name| Reading::resolve(name, None).ok();
        Self {
            engine: Engine::new(set),
            matches: Vec::new(),
            tallies: BTreeMap::new(),
            events: 0,
            first: u64::MAX,
            last: 0,
            released: 0,
            name: reading("container.name"),
            image: reading("container.image"),
        }
    }

    /// What each rule cost.
    pub(super) fn costs(&self) -> Vec<Cost> {
        self.engine.costs()
    }

    fn see(&mut self, event: &Event) {
        self.events += 1;
        self.first = self.first.min(event.time);
        self.last = self.last.max(event.time);
        self.engine.evaluate(event, &mut self.matches);
        let rules = Arc::clone(self.engine.set());
        for number in self.engine.silenced().to_vec() {
            if let Some(rule) = rules.rules().get(number as usize) {
                self.tally(rule, event).suppressed += 1;
            }
        }
        for Match { rule, .. } in std::mem::take(&mut self.matches) {
            let tally = self.tally(&rule, event);
            tally.alerts += 1;
            tally.processes.insert(event.process.key);
            if tally.example.is_empty() {
                tally.example = rule.render(event).0.trim_end().to_owned();
            }
        }
        if event.boot_time > self.released.saturating_add(RELEASE_EVERY) {
            self.released = event.boot_time;
            // What was suppressed is in the tallies already.
            self.engine.expire(event.boot_time, &mut Vec::new());
        }
    }

    fn tally(&mut self, rule: &RuleInfo, event: &Event) -> &mut Tally {
        let workload = match &event.container {
            Some(container) => Workload::Container(container.id.clone()),
            None => Workload::Host(event.process.exe.to_string()),
        };
        let (name, image) = (&self.name, &self.image);
        let tally = self.tallies.entry((rule.index, workload)).or_insert_with(|| Tally {
            name: text(name.as_ref(), event),
            image: text(image.as_ref(), event),
            first: event.time,
            ..Tally::default()
        });
        tally.first = tally.first.min(event.time);
        tally.last = tally.last.max(event.time);
        tally
    }
}

/// What a field of the container says, where it says something.
fn text(reading: Option<&Reading>, event: &Event) -> Option<String> {
    let mut bytes = Vec::new();
    let said = reading?.write(event, &mut bytes) && event.container.is_some();
    said.then(|| String::from_utf8_lossy(&bytes).into_owned())
}

impl Consumer for Simulation {
    fn event(&mut self, event: Event) -> Result<(), PipelineError> {
        self.see(&event);
        Ok(())
    }

    fn tick(&mut self, _stats: &mut Stats) -> Result<(), PipelineError> {
        Ok(())
    }
}
