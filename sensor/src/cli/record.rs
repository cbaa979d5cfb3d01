//! `vedette record FILE`: the stream of this machine, for `vedette replay`.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use clap::Args;

use super::{Common, events::LiveArgs, signals};
use crate::{
    event::Event,
    pipeline::{Consumer, Live, PipelineError, Stats},
    recording::{Note, Writer},
    rule::TypeSet,
    sink::{Queue, Work},
};

/// Arguments of `vedette record`.
#[derive(Debug, Args)]
pub(super) struct RecordArgs {
    /// Where to write
    file: PathBuf,
    #[command(flatten)]
    live: LiveArgs,
    #[command(flatten)]
    common: Common,
}

/// Bytes handed to the writer at once.
const BLOCK: usize = 256 << 10;
/// Blocks that may wait for a slow disk: 64 MiB.
const BLOCKS: usize = 256;

/// Records until it is told to stop.
pub(super) fn run(args: &RecordArgs) -> anyhow::Result<ExitCode> {
    let config = args.common.load_beside()?;
    let file = File::create(&args.file).with_context(|| format!("cannot create {}", args.file.display()))?;
    let asked = signals::listen(None)?;
    let live = Live::start(&args.live.options(&config, TypeSet::NONE), &config, asked.stop.clone())?;
    eprintln!("watching");
    let mut preamble = Vec::new();
    Writer::new(&mut preamble, &live.preamble())?;
    let mut output = BufWriter::new(file);
    let queue = Queue::new("recording", BLOCKS, move |work| match work {
        Work::Item(block) => output.write_all(Vec::as_slice(&block)),
        Work::Idle | Work::End => output.flush(),
    })?;
    let mut recorder = Recorder { block: preamble, queue };
    args.live.stop_after(&asked);
    let stats = live.run(&mut recorder)?;
    recorder.flush()?;
    let counts = recorder.queue.finish()?;
    if counts.dropped > 0 {
        anyhow::bail!("the disk was too slow: {} blocks are missing from the recording", counts.dropped);
    }
    eprintln!("{} records, {} lost", stats.received, stats.lost);
    stats.write(&config.stats_file)?;
    Ok(ExitCode::SUCCESS)
}

struct Recorder {
    block: Vec<u8>,
    queue: Queue<Vec<u8>>,
}

impl Recorder {
    fn flush(&mut self) -> Result<(), PipelineError> {
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK + (64 << 10)));
        self.queue.offer(block).map_err(|error| PipelineError::Stage { stage: "recording", error })
    }

    fn append(
        &mut self,
        frame: impl FnOnce(&mut Writer<&mut Vec<u8>>) -> io::Result<()>,
    ) -> Result<(), PipelineError> {
        frame(&mut Writer::resume(&mut self.block))
            .map_err(|error| PipelineError::Stage { stage: "recording", error })?;
        if self.block.len() >= BLOCK { self.flush() } else { Ok(()) }
    }
}

impl Consumer for Recorder {
    fn record(&mut self, bytes: &[u8]) -> Result<(), PipelineError> {
        self.append(|writer| writer.record(bytes))
    }

    fn note(&mut self, note: &Note) -> Result<(), PipelineError> {
        self.append(|writer| writer.note(note))
    }

    fn event(&mut self, _event: Event) -> Result<(), PipelineError> {
        Ok(())
    }

    fn tick(&mut self, _stats: &mut Stats) -> Result<(), PipelineError> {
        self.flush()
    }
}

/// Sleeps, then asks to stop.
pub(super) fn stop_later(asked: &signals::Asked, after: Duration) {
    let stop = asked.stop.clone();
    // Detached on purpose: the process may end before it does.
    std::thread::spawn(move || {
        std::thread::sleep(after);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
