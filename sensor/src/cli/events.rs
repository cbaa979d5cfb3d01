//! `vedette events [FILTER]`: what happens, as it happens.

use std::{collections::BTreeSet, process::ExitCode, time::Duration};

use clap::Args;
use sensor_common::{Kind, Settings};

use super::{Common, is_closed_output, record::stop_later, signals};
use crate::{
    config::Config,
    event::Event,
    pipeline::{Consumer, Live, PipelineError},
    probe::{Options, Wanted},
    rule::{Filter, TypeSet},
    sink::{Lines, Queue, Sink, Work},
};

/// Arguments of `vedette events`.
#[derive(Debug, Args)]
pub(super) struct EventsArgs {
    /// Only events that this condition matches, as in 'proc.name = nginx and evt.type = connect'
    filter: Option<String>,
    #[command(flatten)]
    live: LiveArgs,
    #[command(flatten)]
    common: Common,
}

/// Flags of what watches without rules.
#[derive(Clone, Debug, Args)]
pub(super) struct LiveArgs {
    /// Only these kinds (proc_exec, file_open, net_connect, …); otherwise all but `mem_protect`, which every thread writes
    /// all the time
    #[arg(long, value_delimiter = ',', value_parser = kind, value_name = "KIND")]
    kinds: Vec<Kind>,
    /// With the environment of new processes
    #[arg(long)]
    env: bool,
    /// With the names that files were asked for by, also where the open went well
    #[arg(long)]
    open_names: bool,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
}

fn kind(stem: &str) -> Result<Kind, String> {
    Kind::ALL.into_iter().find(|kind| kind.stem() == stem).ok_or_else(|| {
        let stems: Vec<_> = Kind::ALL.iter().map(|kind| kind.stem()).collect();
        format!("no such kind; there are {}", stems.join(", "))
    })
}

impl LiveArgs {
    /// What to load; `named` are the event types that a filter names.
    pub(super) fn options(&self, config: &Config, named: TypeSet) -> Options {
        let asked = |kind: Kind| !kind.is_noise() || named.iter().any(|named| named.kind() == Some(kind));
        let all = || Kind::ALL.into_iter().filter(|kind| asked(*kind)).collect();
        let kinds = if self.kinds.is_empty() { all() } else { self.kinds.clone() };
        Options { extras: self.extras(), ..super::options(&config.kernel, Wanted::of(kinds)) }
    }

    fn extras(&self) -> u32 {
        let mut want = 0;
        if self.env {
            want |= Settings::WANT_ENV;
        }
        if self.open_names {
            want |= Settings::WANT_OPEN_NAME;
        }
        want
    }

    /// Ends the run in time, where a time was given.
    pub(super) fn stop_after(&self, asked: &signals::Asked) {
        if let Some(seconds) = self.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            stop_later(asked, seconds);
        }
    }
}

/// Events that may wait for a slow reader.
const QUEUE: usize = 65_536;

/// Prints events until it is told to stop or nobody reads them any more.
pub(super) fn run(args: &EventsArgs) -> anyhow::Result<ExitCode> {
    let config = args.common.load_beside()?;
    let filter = super::filter(args.filter.as_deref().unwrap_or_default())?;
    let asked = signals::listen(None)?;
    let named = filter.as_ref().map_or(TypeSet::NONE, Filter::named_types);
    let live = Live::start(&args.live.options(&config, named), &config, asked.stop.clone())?;
    eprintln!("watching");
    let mut lines = Lines::stdout(args.common.json);
    let queue = Queue::new("output", QUEUE, move |work| match work {
        Work::Item(event) => lines.event(&event),
        Work::Idle | Work::End => lines.flush(),
    })?;
    let mut view = View { filter, queue };
    args.live.stop_after(&asked);
    let mut stats = match live.run(&mut view) {
        Ok(stats) => stats,
        Err(error) if is_closed_output(&error) => return Ok(ExitCode::SUCCESS),
        Err(error) => return Err(error.into()),
    };
    stats.queue = match view.queue.finish() {
        Ok(counts) => counts,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        Err(error) => return Err(error.into()),
    };
    eprintln!("{} events, {} lost, {} not shown", stats.events, stats.lost, stats.queue.dropped);
    stats.write(&config.stats_file)?;
    Ok(ExitCode::SUCCESS)
}

struct View {
    filter: Option<Filter>,
    queue: Queue<Event>,
}

impl Consumer for View {
    fn event(&mut self, event: Event) -> Result<(), PipelineError> {
        if self.filter.as_mut().is_some_and(|filter| !filter.matches(&event)) {
            return Ok(());
        }
        self.queue.offer(event).map_err(|error| PipelineError::Stage { stage: "output", error })
    }

    fn hosts(&self) -> BTreeSet<String> {
        self.filter.as_ref().map(|filter| filter.hosts().names).unwrap_or_default()
    }
}
