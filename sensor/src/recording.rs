//! Streams of records in files: what `vedette record` writes and `vedette replay` reads.
//!
//! A line of JSON ([`Preamble`]), then frames: a little-endian `u32` with the length, and that many bytes. A frame is a
//! record as the kernel wrote it or, where the highest bit of the length is set, a [`Note`] as JSON. Everything that the stages
//! behind it need is in the file: processes and control groups that were there before come first, as snapshot records.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
};

use sensor_common::{ABI_VERSION, Kind};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::event::{Facts, Source, User};

/// Set in a frame's length where it is a note.
const NOTE: u32 = 1 << 31;
/// No record is longer: the scratch memory of the kernel programs has 24 KiB, a snapshot at most a few texts of 64 KiB.
const FRAME_LIMIT: u32 = 1 << 20;
/// Longest first line.
const PREAMBLE_LIMIT: u64 = 16 << 20;

/// Why a file is no recording.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// The file cannot be read or written.
    #[error("cannot read or write the recording: {0}")]
    Io(#[from] io::Error),
    /// The first line is something else.
    #[error("this is not a recording of vedette: {0}")]
    Preamble(#[from] serde_json::Error),
    /// The records have another layout.
    #[error("the recording has records of version {found}, this vedette reads version {ABI_VERSION}")]
    Abi {
        /// The file's.
        found: u32,
    },
    /// A frame longer than any record.
    #[error("frame {number} of the recording claims {len} bytes: the file is damaged")]
    Frame {
        /// Counted from 1.
        number: u64,
        /// What it claims.
        len: u32,
    },
}

/// The first line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preamble {
    /// Version of the record layouts.
    pub abi: u32,
    /// Name of the machine.
    pub hostname: String,
    /// Its kernel.
    pub kernel: String,
    /// Nanoseconds between 1970 and the boot clock's zero.
    pub epoch: u64,
    /// Users.
    #[serde(default)]
    pub users: BTreeMap<u32, User>,
    /// Names of groups.
    #[serde(default)]
    pub groups: BTreeMap<u32, String>,
}

/// What is in a recording besides records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Boot time in nanoseconds.
    pub ts: u64,
    /// Records lost before this place: number of the kind, refused by a full ring, failed.
    #[serde(default)]
    pub lost: Vec<(u16, u64, u64)>,
    /// Records held back before this place: number of the kind, control group, how many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limited: Vec<(u16, u64, u64)>,
    /// What became known of a container at this place; it comes from outside the kernel, so a replay has it from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Box<Learned>>,
}

/// What one source said of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// The container's control group: the latest one of this path is meant.
    pub cgroup: Box<str>,
    /// Which source.
    pub source: Source,
    /// What it said.
    pub facts: Facts,
}

impl Note {
    /// What was held back, of the kinds that this version knows: kind, control group, how many.
    pub fn limited_kinds(&self) -> impl Iterator<Item = (Kind, u64, u64)> {
        self.limited
            .iter()
            .filter_map(|(kind, group, count)| Some((Kind::from_number(*kind)?, *group, *count)))
    }

    /// The kinds that this version knows.
    pub fn lost_kinds(&self) -> impl Iterator<Item = (Kind, u64, u64)> {
        self.lost.iter().filter_map(|(kind, full, failed)| Some((Kind::from_number(*kind)?, *full, *failed)))
    }
}

/// Writes a recording.
#[derive(Debug)]
pub struct Writer<W>(W);

impl<W: Write> Writer<W> {
    /// Starts a recording.
    ///
    /// # Errors
    /// Where the output refuses it.
    pub fn new(mut output: W, preamble: &Preamble) -> Result<Self, RecordingError> {
        serde_json::to_writer(&mut output, preamble)?;
        output.write_all(b"\n")?;
        Ok(Self(output))
    }

    /// Goes on with a recording that has its first line already.
    pub const fn resume(output: W) -> Self {
        Self(output)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Where the output refuses it.
    pub fn record(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.frame(0, bytes)
    }

    /// Adds a note.
    ///
    /// # Errors
    /// Where the output refuses it.
    pub fn note(&mut self, note: &Note) -> io::Result<()> {
        self.frame(NOTE, &serde_json::to_vec(note)?)
    }

    fn frame(&mut self, bit: u32, bytes: &[u8]) -> io::Result<()> {
        let len = u32::try_from(bytes.len()).ok().filter(|len| *len <= FRAME_LIMIT);
        let len = len.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "record too long"))?;
        self.0.write_all(&(len | bit).to_le_bytes())?;
        self.0.write_all(bytes)
    }

    /// Hands the output back, everything written.
    ///
    /// # Errors
    /// Where the output refuses it.
    pub fn finish(mut self) -> io::Result<W> {
        self.0.flush()?;
        Ok(self.0)
    }
}

/// A frame of a recording.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A record, not yet decoded.
    Record(&'a [u8]),
    /// A note.
    Note(Note),
    /// The end. `torn`: in the middle of a frame, as a crash leaves it.
    End {
        /// Whether a frame was cut off.
        torn: bool,
    },
}

/// Reads a recording.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    preamble: Preamble,
    frame: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Reader<R> {
    /// Opens a recording.
    ///
    /// # Errors
    /// Where the file cannot be read, is none, or is of another version.
    pub fn new(mut input: R) -> Result<Self, RecordingError> {
        let mut line = Vec::new();
        io::Read::take(&mut input, PREAMBLE_LIMIT).read_until(b'\n', &mut line)?;
        let preamble: Preamble = serde_json::from_slice(&line)?;
        if preamble.abi != ABI_VERSION {
            return Err(RecordingError::Abi { found: preamble.abi });
        }
        Ok(Self { input, preamble, frame: Vec::new(), number: 0 })
    }

    /// The first line.
    #[must_use]
    pub const fn preamble(&self) -> &Preamble {
        &self.preamble
    }

    /// The next frame.
    ///
    /// # Errors
    /// Where the file cannot be read or is damaged.
    pub fn next_frame(&mut self) -> Result<Frame<'_>, RecordingError> {
        let mut head = [0; 4];
        match fill(&mut self.input, &mut head)? {
            4 => {}
            got => return Ok(Frame::End { torn: got != 0 }),
        }
        let head = u32::from_le_bytes(head);
        let len = head & !NOTE;
        self.number += 1;
        if len > FRAME_LIMIT {
            return Err(RecordingError::Frame { number: self.number, len });
        }
        self.frame.resize(len as usize, 0);
        if fill(&mut self.input, &mut self.frame)? < self.frame.len() {
            return Ok(Frame::End { torn: true });
        }
        if head & NOTE != 0 {
            return Ok(Frame::Note(serde_json::from_slice(&self.frame)?));
        }
        Ok(Frame::Record(&self.frame))
    }
}

/// Reads until the buffer is full or the input ends; says how much it got.
fn fill(input: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while let Some(rest) = buffer.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preamble() -> Preamble {
        Preamble { abi: ABI_VERSION, hostname: "h".into(), epoch: 5, ..Preamble::default() }
    }

    #[test]
    fn frames_come_back_and_a_torn_end_is_said() {
        let note =
            Note { ts: 9, lost: vec![(16, 3, 0), (9999, 1, 1)], limited: vec![(16, 7, 2)], container: None };
        let mut writer = Writer::new(Vec::new(), &preamble()).unwrap();
        writer.record(b"first").unwrap();
        writer.note(&note).unwrap();
        writer.record(b"").unwrap();
        let bytes = writer.finish().unwrap();
        let mut reader = Reader::new(&bytes[..]).unwrap();
        assert_eq!(reader.preamble(), &preamble());
        assert_eq!(reader.next_frame().unwrap(), Frame::Record(b"first"));
        let Frame::Note(read) = reader.next_frame().unwrap() else { panic!("no note") };
        assert_eq!(read.lost_kinds().collect::<Vec<_>>(), [(Kind::FileOpen, 3, 0)]);
        assert_eq!(reader.next_frame().unwrap(), Frame::Record(b""));
        assert_eq!(reader.next_frame().unwrap(), Frame::End { torn: false });
        let mut reader = Reader::new(&bytes[..bytes.len() - 2]).unwrap();
        assert_eq!(reader.next_frame().unwrap(), Frame::Record(b"first"));
        reader.next_frame().unwrap();
        assert_eq!(reader.next_frame().unwrap(), Frame::End { torn: true });
    }

    #[test]
    fn other_files_and_damage_are_errors() {
        assert!(matches!(Reader::new(&b"\x7fELF\x02\x01"[..]), Err(RecordingError::Preamble(_))));
        assert!(matches!(Reader::new(&b""[..]), Err(RecordingError::Preamble(_))));
        let other = serde_json::to_vec(&Preamble { abi: ABI_VERSION + 1, ..preamble() }).unwrap();
        assert!(matches!(Reader::new(&other[..]), Err(RecordingError::Abi { .. })));
        let mut bytes = Writer::new(Vec::new(), &preamble()).unwrap().finish().unwrap();
        bytes.extend((FRAME_LIMIT + 1).to_le_bytes());
        let mut reader = Reader::new(&bytes[..]).unwrap();
        assert!(matches!(reader.next_frame(), Err(RecordingError::Frame { number: 1, .. })));
    }
}
