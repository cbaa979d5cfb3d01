//! Records from a file, through the same stages.

use std::io::BufRead;

use super::{Consumer, PipelineError, Stage, Stats};
use crate::{
    enrich::{Enricher, NoLookup, Users},
    recording::{Frame, Reader},
};

/// Plays a recording to its end and returns the accounts. `process_bytes`: limit of the process table.
///
/// # Errors
/// Where the recording is damaged or the consumer cannot go on. A recording that ends in the middle of a frame is played up
/// to there, with a warning.
pub fn replay<R: BufRead>(
    mut reader: Reader<R>,
    process_bytes: usize,
    consumer: &mut impl Consumer,
) -> Result<Stats, PipelineError> {
    let preamble = reader.preamble();
    let users = Users::from_names(&preamble.users, &preamble.groups);
    let mut stage = Stage::new(Enricher::new(NoLookup, users, preamble.epoch, process_bytes));
    loop {
        match reader.next_frame()? {
            Frame::Record(bytes) if is_snapshot(bytes) => {
                stage.stats.snapshots += 1;
                stage.feed(bytes, consumer)?;
            }
            Frame::Record(bytes) => stage.take(bytes, consumer)?,
            Frame::Note(note) => stage.lose(&note, consumer)?,
            Frame::End { torn } => {
                if torn {
                    tracing::warn!("the recording ends in the middle of a record");
                }
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
