//! The disk behind a spool: one redb file, written in transactions, so that a crash at any instant leaves all of one or nothing.

use std::{
    fs::{DirBuilder, File, metadata},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition, backends::FileBackend};

use super::{file, segment::Kept};

/// Segments by their keys.
const SEGMENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("segments");
/// Records, bytes, and milliseconds since 1970, by the same keys: what the start has to know without reading it all.
const INDEX: TableDefinition<'_, u64, (u32, u64, u64)> = TableDefinition::new("index");
/// A segment's key, and how many of its records are done.
const DONE: TableDefinition<'_, (), (u64, u32)> = TableDefinition::new("done");
/// Memory of redb for pages.
const PAGES: usize = 2 << 20;
/// A store that failed is opened again at most so often.
const PAUSE: Duration = Duration::from_secs(1);
/// An empty file is made small again beyond this.
const LARGE: u64 = 16 << 20;

/// The file.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    path: PathBuf,
    database: Option<Database>,
    pub(super) tried: Option<Instant>,
    /// Whether it was ever open: what lies in it is known then.
    known: bool,
}

/// What has to be written together.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) new: Vec<Kept>,
    pub(super) removed: Vec<u64>,
    /// Which segment, and how many of its records.
    pub(super) head_done: Option<(u64, u32)>,
}

/// What an earlier run left.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) segments: Vec<Kept>,
    pub(super) head_done: u32,
}

impl Change {
    pub(super) fn is_empty(&self) -> bool {
        self.new.is_empty() && self.removed.is_empty() && self.head_done.is_none()
    }
}

impl Store {
    /// Nothing is opened yet.
    pub(super) fn new(directory: &Path, name: &str) -> Self {
        Self {
            directory: directory.to_owned(),
            path: file(directory, name),
            database: None,
            tried: None,
            known: false,
        }
    }

    /// Opens the file, or makes it, where it is not open; after a failure not too often. The first time it returns what an
    /// earlier run left. One that is damaged beyond repair is put aside under another name, so that what comes has a place.
    pub(super) fn open(&mut self) -> io::Result<Option<Found>> {
        if self.database.is_some() {
            return Ok(None);
        }
        if self.tried.is_some_and(|tried| tried.elapsed() < PAUSE) {
            return Err(io::Error::other(format!(
                "spool {} could not be opened a moment ago",
                self.path.display()
            )));
        }
        self.tried = Some(Instant::now());
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        made.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot make {}: {error}", self.directory.display()))
        })?;
        let opened = self.create().and_then(|database| Ok((found(&database)?, database)));
        let (found, database) = match opened {
            Ok(opened) => opened,
            Err(error) if is_damage(&error) => {
                let why = error.to_string();
                let aside = self.path.with_extension("damaged");
                tracing::error!(file = %self.path.display(), why, aside = %aside.display(), "a spool is damaged: it is put aside");
                std::fs::rename(&self.path, aside)?;
                let database = self.create().map_err(|error| self.failed(&error))?;
                (Found::default(), database)
            }
            Err(error) => return Err(self.failed(&error)),
        };
        self.database = Some(database);
        Ok((!std::mem::replace(&mut self.known, true)).then_some(found))
    }

    /// Writes all of it, or nothing.
    pub(super) fn write(&mut self, change: &Change) -> io::Result<()> {
        let Some(database) = &self.database else { return Err(io::ErrorKind::NotConnected.into()) };
        write(database, change).map_err(|error| {
            let error = self.failed(&error);
            // After an error of the disk redb refuses everything until the file is opened again.
            self.database = None;
            error
        })
    }

    /// A segment.
    pub(super) fn read(&self, key: u64) -> io::Result<Vec<u8>> {
        let Some(database) = &self.database else { return Err(io::ErrorKind::NotConnected.into()) };
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let table = database.begin_read()?.open_table(SEGMENTS)?;
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        };
        let found = read().map_err(|error| self.failed(&error))?;
        found.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("{}: no segment {key}", self.path.display()))
        })
    }

    /// Makes the file of an empty spool small again.
    pub(super) fn shrink(&mut self) {
        let Some(database) = &mut self.database else { return };
        if metadata(&self.path).is_ok_and(|file| file.len() > LARGE)
            && let Err(error) = database.compact()
        {
            tracing::debug!(%error, file = %self.path.display(), "a spool is not made smaller");
        }
    }

    fn create(&self) -> Result<Database, redb::Error> {
        // What waits may hold whatever command lines hold.
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&self.path)?;
        let mut builder = Builder::new();
        builder.set_cache_size(PAGES);
        Ok(builder.create_with_backend(FileBackend::new(file)?)?)
    }

    fn failed(&self, error: &redb::Error) -> io::Error {
        io::Error::other(format!("spool {}: {error}", self.path.display()))
    }
}

/// Whether the file is none that can be read, now or later.
fn is_damage(error: &redb::Error) -> bool {
    match error {
        redb::Error::Corrupted(_)
        | redb::Error::UpgradeRequired(_)
        | redb::Error::TableTypeMismatch { .. } => true,
        redb::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData,
        _ => false,
    }
}

fn found(database: &Database) -> Result<Found, redb::Error> {
    let change = database.begin_write()?;
    let mut found = Found::default();
    // A table that is not there yet is made, so that later reads find it.
    let done = change.open_table(DONE)?.get(())?.map(|done| done.value());
    change.open_table(SEGMENTS)?;
    for entry in change.open_table(INDEX)?.iter()? {
        let (key, value) = entry?;
        let (records, bytes, stored_at) = value.value();
        let bytes = bytes as usize;
        found.segments.push(Kept { key: key.value(), records, bytes, stored_at, stored: true, data: None });
    }
    change.commit()?;
    let head = found.segments.first().map(|segment| segment.key);
    found.head_done = done.filter(|(key, _)| Some(*key) == head).map_or(0, |(_, done)| done);
    Ok(found)
}

fn write(database: &Database, change: &Change) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut segments = transaction.open_table(SEGMENTS)?;
        let mut index = transaction.open_table(INDEX)?;
        for segment in &change.new {
            if let Some(data) = &segment.data {
                segments.insert(segment.key, &**data)?;
                index.insert(segment.key, (segment.records, segment.bytes as u64, segment.stored_at))?;
            }
        }
        for key in &change.removed {
            segments.remove(key)?;
            index.remove(key)?;
        }
        if let Some(done) = change.head_done {
            transaction.open_table(DONE)?.insert((), done)?;
        }
    }
    Ok(transaction.commit()?)
}
