//! The thread that writes: a slow or full disk holds up no response. What cannot be written is counted, said, and recorded as
//! soon as something can be written again.

use std::{
    io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{Entry, Log, Rotation};

/// Records that may wait: about 10 MiB.
const QUEUE: usize = 8192;
/// How often a log that could not be opened is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// What there is to be said about the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It cannot be written, as it could before.
    Unwritable(String),
    /// It can be written again, and so many records are missing.
    Writable(u64),
}

/// A way to the log.
#[derive(Debug)]
pub struct Writer {
    /// Boxes: each place of the queue takes memory from the start.
    queue: Option<SyncSender<Box<Entry>>>,
    thread: Option<JoinHandle<()>>,
    /// Turned away because the queue was full.
    lost: u64,
}

impl Writer {
    /// Starts the thread; an empty path writes nothing. `hear` is told what becomes of the log.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(
        path: &Path,
        rotation: Rotation,
        hear: impl FnMut(Heard) + Send + 'static,
    ) -> io::Result<Self> {
        if path.as_os_str().is_empty() {
            return Ok(Self { queue: None, thread: None, lost: 0 });
        }
        let (queue, entries) = sync_channel(QUEUE);
        let file = Keeper { path: path.to_owned(), rotation, log: None, missing: 0, said: false, hear };
        let thread = thread::Builder::new().name("audit".to_owned()).stack_size(256 << 10);
        let thread = thread.spawn(move || file.run(&entries))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), lost: 0 })
    }

    /// Records something; never waits.
    pub fn write(&mut self, entry: Entry) {
        let Some(queue) = &self.queue else { return };
        if self.lost > 0 && queue.try_send(Box::new(Entry::Missing { records: self.lost })).is_ok() {
            self.lost = 0;
        }
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(Box::new(entry)) {
            if self.lost == 0 {
                tracing::error!("the audit log is too slow: records are missing in it");
            }
            self.lost += 1;
        }
    }

    /// Waits until everything is written.
    pub fn finish(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the audit log panicked");
        }
    }
}

/// The file, as well as it can be kept.
struct Keeper<H> {
    path: PathBuf,
    rotation: Rotation,
    log: Option<Log>,
    missing: u64,
    said: bool,
    hear: H,
}

impl<H: FnMut(Heard)> Keeper<H> {
    fn run(mut self, entries: &Receiver<Box<Entry>>) {
        self.open();
        loop {
            let entry = match entries.try_recv() {
                Ok(entry) => entry,
                Err(TryRecvError::Disconnected) => break self.keep(),
                Err(TryRecvError::Empty) => {
                    // The disk has to keep a record once nothing more waits: while there is much to write, one order to it
                    // stands for many records.
                    self.keep();
                    match entries.recv_timeout(AGAIN) {
                        Ok(entry) => entry,
                        Err(RecvTimeoutError::Timeout) => {
                            if self.log.is_none() {
                                self.open();
                            }
                            continue;
                        }
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                }
            };
            self.append(&entry);
        }
        if self.missing > 0 {
            tracing::error!(file = %self.path.display(), records = self.missing, "missing in the audit log");
        }
    }

    fn open(&mut self) {
        match Log::open(&self.path, self.rotation) {
            Ok(log) => {
                self.log = Some(log);
                self.catch_up();
            }
            Err(error) => self.complain(&error),
        }
    }

    fn append(&mut self, entry: &Entry) {
        self.catch_up();
        let written = match &mut self.log {
            Some(log) if self.missing == 0 => log.append(entry),
            _ => {
                self.missing += 1;
                return;
            }
        };
        if let Err(error) = written {
            self.missing += 1;
            self.complain(&error);
        }
    }

    /// Says in the log what is missing in it, once it can be written again.
    fn catch_up(&mut self) {
        let Some(log) = &mut self.log else { return };
        if self.missing > 0 && log.append(&Entry::Missing { records: self.missing }).is_err() {
            return;
        }
        if self.said {
            (self.hear)(Heard::Writable(self.missing));
        }
        (self.missing, self.said) = (0, false);
    }

    fn keep(&mut self) {
        if let Some(Err(error)) = self.log.as_ref().map(Log::keep) {
            self.complain(&error);
        }
    }

    fn complain(&mut self, error: &io::Error) {
        if !self.said {
            self.said = true;
            tracing::error!(file = %self.path.display(), %error, "the audit log cannot be written; responses go on");
            (self.hear)(Heard::Unwritable(error.to_string()));
        }
    }
}
