//! `vedette replay FILE`: a recorded stream through the same pipeline.

use std::{
    fs::File,
    io::{self, BufReader, Cursor},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use anyhow::Context;
use clap::Args;

use super::{Common, sources::RuleArgs};
use crate::{
    event::Event,
    pipeline::{Alerting, Consumer, PipelineError, replay},
    recording::Reader,
    rule::Filter,
    sink::{Alert, Lines, Outputs, Queue, Sink, Work},
};

/// Arguments of `vedette replay`.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// A file that `vedette record` wrote
    file: PathBuf,
    /// Show the events instead of the alerts; with a condition, only those that it matches
    #[arg(long, value_name = "FILTER", num_args = 0..=1, default_missing_value = "")]
    events: Option<String>,
    /// Show nothing; say how many events a second one core decodes, attributes and matches
    #[arg(long, conflicts_with = "events")]
    bench: bool,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    common: Common,
}

/// Times that a recording is played for the bench, at least; short ones are played until a second has passed.
const BENCH_ROUNDS: u32 = 5;

/// Plays the file.
pub(super) fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let config = args.common.load_beside()?;
    if args.bench {
        return bench(args);
    }
    let file = File::open(&args.file).with_context(|| format!("cannot open {}", args.file.display()))?;
    let reader = Reader::new(BufReader::new(file))?;
    let hostname = reader.preamble().hostname.clone();
    let mut lines = Lines::stdout(args.common.json);
    let played = if let Some(condition) = &args.events {
        replay(reader, &config, &mut Shown { filter: super::filter(condition)?, lines })
    } else {
        let rules = args.rules.compile(&config)?;
        let queue = Queue::new("output", config.stdout.queue, move |work: Work<Arc<Alert>>| match work {
            Work::Item(alert) => lines.deliver(&alert),
            Work::Idle | Work::End => lines.flush(),
        })?;
        let mut alerting =
            Alerting::new(rules, Outputs::new(queue), &hostname, true).with_state(config.rules.state_bytes);
        replay(reader, &config, &mut alerting).and_then(|mut stats| {
            alerting.finish(&mut stats)?;
            Ok(stats)
        })
    };
    match played {
        Ok(stats) => {
            eprintln!(
                "{} events, {} matches, {} lost in the recording",
                stats.events, stats.matches, stats.lost
            );
            stats.write(&config.stats_file)?;
        }
        Err(error) if super::is_closed_output(&error) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Plays the recording from memory, again and again, with alerts that go nowhere.
fn bench(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let config = args.common.load_beside()?;
    let bytes = std::fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let mut rates = Vec::new();
    let (mut events, mut matches) = (0, 0);
    let begin = Instant::now();
    while rates.len() < BENCH_ROUNDS as usize || begin.elapsed().as_secs_f64() < 1.0 {
        let reader = Reader::new(Cursor::new(&bytes[..]))?;
        let queue = Queue::new("output", config.stdout.queue, |_| Ok(()))?;
        let mut alerting = Alerting::new(args.rules.compile(&config)?, Outputs::new(queue), "bench", true);
        let start = Instant::now();
        let mut stats = replay(reader, &config, &mut alerting)?;
        let seconds = start.elapsed().as_secs_f64();
        alerting.finish(&mut stats)?;
        (events, matches) = (stats.events, stats.matches);
        rates.push(stats.events as f64 / seconds);
    }
    rates.sort_by(f64::total_cmp);
    let at = |index: usize| rates.get(index).copied().unwrap_or_default();
    let (least, median, most) = (at(0), at(rates.len() / 2), at(rates.len() - 1));
    if args.common.json {
        println!(
            "{}",
            serde_json::json!({ "events": events, "matches": matches, "rounds": rates.len(),
                "events_per_second": { "min": least, "median": median, "max": most } })
        );
    } else {
        println!(
            "{events} events, {matches} matches, {} rounds: {median:.0} events/s on one core (min {least:.0}, max {most:.0})",
            rates.len()
        );
    }
    Ok(ExitCode::SUCCESS)
}

struct Shown {
    filter: Option<Filter>,
    lines: Lines<io::Stdout>,
}

impl Consumer for Shown {
    fn event(&mut self, event: Event) -> Result<(), PipelineError> {
        if self.filter.as_mut().is_none_or(|filter| filter.matches(&event)) {
            self.lines.event(&event)?;
        }
        Ok(())
    }

    fn tick(&mut self, _stats: &mut crate::pipeline::Stats) -> Result<(), PipelineError> {
        Ok(self.lines.flush()?)
    }
}
