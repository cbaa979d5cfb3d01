//! A file of lines: appended to, begun anew by size or age, and opened again when somebody moved it away. A disk that takes
//! nothing leaves lines in memory, as far as there is room; no line is ever left half written.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use flate2::{Compression as Level, write::GzEncoder};
use uuid::Uuid;

use super::{Gap, GapReason, Record};
use crate::config::{Compression, FileConfig};

/// Lines are written when there are so many bytes of them, or when nothing waits.
const WRITE: usize = 128 << 10;
/// Bytes that wait in memory while the disk takes nothing.
const HELD: usize = 32 << 20;
/// Longest piece of a line at the end of a file that is taken back.
const PIECE: u64 = 4 << 20;
/// A disk that refused is tried again at most so often.
const PAUSE: Duration = Duration::from_secs(1);

/// What went through a file.
#[derive(Debug, Default)]
pub struct FileCounts {
    /// Lines that are written.
    pub delivered: AtomicU64,
    /// Lines that found no room in memory.
    pub overflowed: AtomicU64,
    /// Times that the disk refused.
    pub failures: AtomicU64,
    /// Lines that wait in memory.
    pub waiting: AtomicU64,
    /// Bytes of them.
    pub waiting_bytes: AtomicU64,
    /// Whether the disk refused the last time.
    pub failing: AtomicBool,
}

/// A file.
#[derive(Debug)]
pub struct FileSink {
    config: FileConfig,
    file: Option<File>,
    length: u64,
    begun: Instant,
    /// Whole lines.
    buffer: Vec<u8>,
    lines: u64,
    /// The first and last number that found no room.
    gap: Option<(u64, u64)>,
    refused: Option<Instant>,
    looked: Instant,
    counts: Arc<FileCounts>,
}

impl FileSink {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(config: FileConfig) -> Self {
        let now = Instant::now();
        Self {
            config,
            file: None,
            length: 0,
            begun: now,
            buffer: Vec::new(),
            lines: 0,
            gap: None,
            refused: None,
            looked: now,
            counts: Arc::default(),
        }
    }

    /// What went through.
    #[must_use]
    pub fn counts(&self) -> Arc<FileCounts> {
        Arc::clone(&self.counts)
    }

    /// What found no room, once there is room again.
    pub fn gaps(&mut self, stream: Uuid) -> Vec<Gap> {
        if self.buffer.len() >= HELD {
            return Vec::new();
        }
        let gap = self.gap.take().map(|(from, to)| Gap { stream, from, to, reason: GapReason::Overflowed });
        gap.into_iter().collect()
    }

    /// Adds a line; it is written by and by, and with [`FileSink::flush`].
    pub fn append(&mut self, record: &Record) {
        if self.buffer.len() + record.body.len() >= HELD {
            self.counts.overflowed.fetch_add(1, Ordering::Relaxed);
            self.gap = Some((self.gap.map_or(record.number, |(from, _)| from), record.number));
            return;
        }
        self.buffer.extend_from_slice(&record.body);
        self.buffer.push(b'\n');
        self.lines += 1;
        if self.buffer.len() >= WRITE {
            self.flush();
        }
    }

    /// Writes what waits, and turns the page where it is time. What the disk refuses goes on waiting.
    pub fn flush(&mut self) {
        if self.refused.is_some_and(|refused| refused.elapsed() < PAUSE) {
            return self.account();
        }
        let written = self.write().and_then(|()| self.turn());
        match (written, self.refused.take()) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                tracing::info!(file = %self.config.path.display(), "alerts are written again")
            }
            (Err(error), before) => {
                self.counts.failures.fetch_add(1, Ordering::Relaxed);
                self.refused = Some(Instant::now());
                if before.is_none() {
                    let file = self.config.path.display();
                    tracing::warn!(%file, %error, "alerts cannot be written: they wait in memory");
                }
            }
        }
        self.account();
    }

    fn account(&self) {
        self.counts.waiting.store(self.lines, Ordering::Relaxed);
        self.counts.waiting_bytes.store(self.buffer.len() as u64, Ordering::Relaxed);
        self.counts.failing.store(self.refused.is_some(), Ordering::Relaxed);
    }

    fn write(&mut self) -> io::Result<()> {
        self.look();
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.file.is_none() {
            self.open()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let written = file
            .write_all(&self.buffer)
            .and_then(|()| if self.config.sync { file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // A piece of a line would make the next one unreadable. Where it cannot be taken back now, opening does.
            let _ = file.set_len(self.length);
            self.file = None;
            return Err(error);
        }
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        self.counts.delivered.fetch_add(std::mem::take(&mut self.lines), Ordering::Relaxed);
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        let path = &self.config.path;
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty())
            && let Err(error) = DirBuilder::new().mode(0o750).create(directory)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)?;
        if file.metadata()?.is_file() {
            take_back(&mut file)?;
        }
        (self.length, self.begun) = (file.metadata()?.len(), Instant::now());
        self.file = Some(file);
        Ok(())
    }

    /// Lets go of a file that is no longer at its path: whoever rotates files by hand moved it.
    fn look(&mut self) {
        if self.looked.elapsed() < PAUSE {
            return;
        }
        self.looked = Instant::now();
        let own = self.file.as_ref().and_then(|file| file.metadata().ok());
        let there = fs::metadata(&self.config.path).ok();
        let is = |file: &fs::Metadata| (file.dev(), file.ino());
        if own.is_some() && own.as_ref().map(is) != there.as_ref().map(is) {
            self.file = None;
        } else if let Some(there) = there {
            // Somebody may have emptied it.
            self.length = there.len();
        }
    }

    /// Begins another file where this one is large or old enough.
    fn turn(&mut self) -> io::Result<()> {
        let FileConfig { max_bytes, max_age_s, .. } = self.config;
        let large = max_bytes > 0 && self.length >= max_bytes;
        let old = max_age_s > 0 && self.length > 0 && self.begun.elapsed() >= Duration::from_secs(max_age_s);
        if self.file.is_none() || !(large || old) {
            return Ok(());
        }
        let FileConfig { path, keep, compression, .. } = &self.config;
        self.file = None;
        if *keep == 0 {
            return fs::remove_file(path);
        }
        for number in (1..*keep).rev() {
            for packed in [false, true] {
                let from = numbered(path, number, packed);
                if from.exists() {
                    // The oldest is replaced, in whichever form it is.
                    let _ = fs::remove_file(numbered(path, number + 1, !packed));
                    fs::rename(from, numbered(path, number + 1, packed))?;
                }
            }
        }
        let first = numbered(path, 1, false);
        fs::rename(path, &first)?;
        if *compression == Compression::Gzip {
            let packed = numbered(path, 1, true);
            // Nobody waits for it; the next page is turned long after.
            thread::Builder::new().name("gzip".to_owned()).spawn(move || {
                if let Err(error) = pack(&first, &packed) {
                    tracing::warn!(file = %first.display(), %error, "an old file of alerts is not packed");
                }
            })?;
        }
        Ok(())
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        self.refused = None;
        self.flush();
    }
}

fn numbered(path: &Path, number: usize, packed: bool) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}{}", if packed { ".gz" } else { "" }));
    name.into()
}

fn pack(from: &Path, to: &Path) -> io::Result<()> {
    let part = to.with_extension("part");
    let mut packed = GzEncoder::new(
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&part)?,
        Level::default(),
    );
    io::copy(&mut File::open(from)?, &mut packed)?;
    packed.finish()?.sync_all()?;
    fs::rename(part, to)?;
    fs::remove_file(from)
}

/// Takes a piece of a line back that a crash left at the end.
fn take_back(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(PIECE);
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.read_to_end(&mut end)?;
    if end.last().is_none_or(|byte| *byte == b'\n') {
        return Ok(());
    }
    let whole = memchr::memrchr(b'\n', &end).map_or(0, |at| at + 1);
    if whole > 0 || start == 0 {
        file.set_len(start + whole as u64)?;
    } else {
        // No line of ours is that long: whatever it is, the next one begins on a line of its own.
        file.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64, body: &str) -> Record {
        Record::sample(number, body.as_bytes())
    }

    fn config(path: PathBuf) -> FileConfig {
        FileConfig { path, max_bytes: 0, max_age_s: 0, keep: 3, compression: Compression::None, sync: false }
    }

    #[test]
    fn files_turn_by_size_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let mut file = FileSink::new(FileConfig { max_bytes: 10, ..config(path.clone()) });
        for number in 1..=5 {
            file.append(&record(number, &format!("line number {number}")));
            file.flush();
        }
        drop(file);
        let text = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(
            [text("a.json.1"), text("a.json.2"), text("a.json.3")].concat(),
            "line number 5\nline number 4\nline number 3\n"
        );
        assert!(!path.exists() && !dir.path().join("a.json.4").exists());
    }

    #[test]
    fn a_file_that_was_moved_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let mut file = FileSink::new(config(path.clone()));
        file.append(&record(1, "one"));
        file.flush();
        fs::rename(&path, dir.path().join("moved")).unwrap();
        file.looked = Instant::now().checked_sub(PAUSE).unwrap();
        file.append(&record(2, "two"));
        file.flush();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        assert_eq!(fs::read_to_string(dir.path().join("moved")).unwrap(), "one\n");
    }

    #[test]
    fn a_piece_of_a_line_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        fs::write(&path, "whole\nhal").unwrap();
        let mut file = FileSink::new(config(path.clone()));
        file.append(&record(1, "next"));
        file.flush();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\nnext\n");
    }

    #[test]
    fn a_disk_that_refuses_loses_nothing_until_memory_is_full() {
        let mut file = FileSink::new(config("/dev/full".into()));
        for number in 1..=3 {
            file.append(&record(number, "line"));
        }
        file.flush();
        let counts = file.counts();
        assert_eq!(counts.waiting.load(Ordering::Relaxed), 3);
        assert!(counts.failing.load(Ordering::Relaxed));
        let large = "x".repeat(HELD / 2);
        for number in 4..=6 {
            file.append(&record(number, &large));
        }
        assert_eq!(counts.overflowed.load(Ordering::Relaxed), 2);
        let dir = tempfile::tempdir().unwrap();
        file.config.path = dir.path().join("a.json");
        file.refused = None;
        file.flush();
        let gap = Gap { stream: Uuid::nil(), from: 5, to: 6, reason: GapReason::Overflowed };
        assert_eq!(file.gaps(Uuid::nil()), [gap]);
        assert_eq!(fs::read_to_string(&file.config.path).unwrap().lines().count(), 4);
        assert_eq!(counts.delivered.load(Ordering::Relaxed), 4);
    }
}
