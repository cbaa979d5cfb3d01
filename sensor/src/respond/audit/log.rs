//! The file: opened at its end, continued where it ended, appended to.

use std::{
    fs::{DirBuilder, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::{Entry, FIRST, Rotation, line, rotate, sha256, verify::head};

/// How much of the end is read at first; a record has about 1 KiB.
const END: u64 = 64 << 10;

/// A log at its end.
#[derive(Debug)]
pub struct Log {
    file: File,
    seq: u64,
    last: String,
    /// A part of a record that could not be taken back; the next one says so first.
    part: Vec<u8>,
    path: PathBuf,
    rotation: Rotation,
    /// Whether it could not give its name away, which is said once.
    stuck: bool,
}

impl Log {
    /// Opens a log, or begins one, and says in it what is wrong with its end. Its directory is made where only that is missing.
    ///
    /// # Errors
    /// Where it cannot be opened, read or written, and where another process writes it.
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty())
            && let Err(error) = DirBuilder::new().mode(0o700).create(dir)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        let mut file = open(path)?;
        let (mut whole, mut torn) = end(&mut file)?;
        if head(&torn).is_ok() {
            // Only its line break is missing.
            file.write_all(b"\n")?;
            whole = Some(std::mem::take(&mut torn));
        }
        let (path, stuck) = (path.to_owned(), false);
        let mut log = Self { file, seq: 0, last: FIRST.to_owned(), part: torn, path, rotation, stuck };
        let mut first = Vec::new();
        // A sensor that ended between two files.
        if whole.is_none()
            && log.part.is_empty()
            && let Some(before) = rotate::last(&log.path)
        {
            whole = end(&mut File::open(before)?)?.0;
            first.push(Entry::Continued);
        }
        if let Some(whole) = &whole {
            match head(whole) {
                Ok((head, hash)) => (log.seq, log.last) = (head.seq, hash),
                Err(why) => {
                    log.last = sha256(whole);
                    first.push(Entry::Damaged { why });
                }
            }
        }
        first.push(Entry::Started { pid: std::process::id(), version: env!("CARGO_PKG_VERSION") });
        first.iter().try_for_each(|entry| log.append(entry))?;
        Ok(log)
    }

    /// Appends a record. Where only a part of it could be written, as on a full disk, that part is taken back.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        if !self.part.is_empty() {
            let torn = Entry::Torn { bytes: self.part.len(), sha256: sha256(&self.part) };
            self.write(b"\n", &torn)?;
            self.part.clear();
        }
        self.write(b"", entry)?;
        if self.rotation.bytes > 0 && self.file.metadata()?.len() >= self.rotation.bytes && !self.stuck {
            // The record is written, whatever becomes of the file's name.
            if let Err(error) = self.rotate() {
                self.stuck = true;
                tracing::warn!(file = %self.path.display(), %error, "the audit log grows on: it cannot be rotated");
            }
        }
        Ok(())
    }

    /// Goes on in a new file.
    fn rotate(&mut self) -> io::Result<()> {
        self.keep()?;
        rotate::move_on(&self.path, self.rotation)?;
        self.file = open(&self.path)?;
        self.write(b"", &Entry::Continued)
    }

    fn write(&mut self, before: &[u8], entry: &Entry) -> io::Result<()> {
        let (bytes, hash) = line(self.seq + 1, entry, &self.last)?;
        let bytes = [before, &bytes].concat();
        let length = self.file.metadata()?.len();
        if let Err(error) = self.file.write_all(&bytes) {
            // A log that may only grow (`chattr +a`) keeps the part.
            if self.file.set_len(length).is_err() {
                let written = self.file.metadata()?.len().saturating_sub(length) as usize;
                self.part.extend(bytes.into_iter().take(written));
            }
            return Err(error);
        }
        (self.seq, self.last) = (self.seq + 1, hash);
        Ok(())
    }

    /// Has the disk keep what was appended.
    ///
    /// # Errors
    /// Where it does not.
    pub fn keep(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Opens a log for nobody but us.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    // Two chains in one file would be one that is broken.
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// The last whole line, and what stands behind it.
fn end(file: &mut File) -> io::Result<(Option<Vec<u8>>, Vec<u8>)> {
    let length = file.metadata()?.len();
    let mut size = END;
    loop {
        let from = length.saturating_sub(size);
        file.seek(SeekFrom::Start(from))?;
        let mut text = Vec::new();
        file.take(size).read_to_end(&mut text)?;
        let mut parts = text.rsplitn(3, |byte| *byte == b'\n');
        let torn = parts.next().unwrap_or_default().to_vec();
        let whole = parts.next().map(<[u8]>::to_vec);
        // The line is whole if there is a break before it, or the file begins with it.
        if from == 0 || parts.next().is_some() {
            return Ok((whole, torn));
        }
        size *= 2;
    }
}
