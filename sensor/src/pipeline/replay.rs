//! Records from a file, through the same stages.

use std::io::BufRead;

use super::{Consumer, PipelineError, Stage, Stats, hold::HoldLimits, identity::limits};
use crate::{
    config::Config,
    enrich::{Enricher, NoLookup, Users},
    recording::{Frame, Reader},
};

/// Plays a recording to its end and returns the accounts.
///
/// # Errors
/// Where the recording is damaged or the consumer cannot go on. A recording that ends in the middle of a frame is played up
/// to there, with a warning.
pub fn replay<R: BufRead>(
    mut reader: Reader<R>,
    config: &Config,
    consumer: &mut impl Consumer,
) -> Result<Stats, PipelineError> {
    let preamble = reader.preamble();
    let users = Users::of_recording(&preamble.users, &preamble.groups);
    let enricher = Enricher::new(NoLookup, users, preamble.epoch, config.processes.limit_bytes)
        .with_container_limits(limits(config));
    let mut stage = Stage::new(enricher, HoldLimits::of(config), None);
    loop {
        match reader.next_frame()? {
            Frame::Record(bytes) if is_snapshot(bytes) => {
                stage.stats.snapshots += 1;
                stage.feed(bytes, consumer)?;
            }
            Frame::Record(bytes) => {
                stage.take(bytes, consumer)?;
                stage.pass_time(stage.last_ts, consumer)?;
            }
            Frame::Note(note) => {
                stage.pass_time(note.ts, consumer)?;
                stage.recall(note, consumer)?;
            }
            Frame::End { torn } => {
                if torn {
                    tracing::warn!("the recording ends in the middle of a record");
                }
                stage.let_all_go(consumer)?;
                consumer.tick(stage.stats())?;
                return Ok(stage.stats().clone());
            }
        }
    }
}

fn is_snapshot(bytes: &[u8]) -> bool {
    use zerocopy::FromBytes;
    sensor_common::Header::read_from_prefix(bytes)
        .is_ok_and(|(header, _)| header.flags & sensor_common::flags::SNAPSHOT != 0)
}
