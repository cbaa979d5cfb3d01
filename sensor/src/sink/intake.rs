//! Items → records, in the thread behind a sink's queue: numbered, encoded, chained, and put where they wait (the spool of a
//! remote destination) or where they stay (a file).

use std::{
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Class, Delivery, Gap, Item, Record, Severity, Spool, Work,
    encode::{encode, encode_own},
    file::FileSink,
    stream::Stream,
};
use crate::{clock, config::Encoding};

/// Where what the sensor says of itself takes place.
const HOST: &str = "host";

/// Where records go.
#[derive(Debug)]
pub enum Hold {
    /// To disk, until a remote destination has them.
    Spool(Arc<Spool>),
    /// To a file, for good.
    File(Box<FileSink>),
}

/// How an intake works.
#[derive(Debug)]
pub struct IntakeOptions {
    /// Name of the machine.
    pub hostname: Arc<str>,
    /// Form of records.
    pub encoding: Encoding,
    /// Longest time that a record is in memory alone.
    pub flush: Duration,
    /// Time between two checkpoints; `None`: none.
    pub checkpoint: Option<(Duration, Arc<Ed25519KeyPair>)>,
}

/// The thread's state.
#[derive(Debug)]
pub struct Intake {
    options: IntakeOptions,
    hold: Hold,
    stream: Stream,
    flushed: Instant,
    /// Whether anything was put in since.
    unflushed: bool,
    stated: Instant,
    /// Records that it wrote for itself.
    own: u64,
}

impl Intake {
    /// Nothing is written yet.
    #[must_use]
    pub fn new(options: IntakeOptions, hold: Hold) -> Self {
        let stream = Stream::new(options.checkpoint.as_ref().map(|(_, key)| Arc::clone(key)));
        let now = Instant::now();
        Self { options, hold, stream, flushed: now, unflushed: false, stated: now, own: 0 }
    }

    /// Records that it wrote for itself.
    #[must_use]
    pub const fn own(&self) -> u64 {
        self.own
    }

    /// What the queue's thread calls.
    ///
    /// # Errors
    /// None today: what cannot be written is counted, and said in the stream.
    pub fn work(&mut self, work: Work<Item>) -> io::Result<()> {
        match work {
            Work::Item(item) => {
                self.item(&item);
                if self.flushed.elapsed() >= self.options.flush {
                    self.flush();
                }
            }
            Work::Idle => {
                self.say();
                // A quiet sensor writes an alert at once; a busy one waits for more of them.
                if self.unflushed {
                    thread::sleep(self.options.flush.saturating_sub(self.flushed.elapsed()));
                }
                self.flush();
            }
            Work::End => {
                self.say();
                self.state(true);
                self.flush();
            }
        }
        Ok(())
    }

    fn item(&mut self, item: &Item) {
        if self.stream.is_full() {
            self.state(true);
            self.stream = Stream::new(self.options.checkpoint.as_ref().map(|(_, key)| Arc::clone(key)));
        }
        let (class, container, time) = match item {
            Item::Alert(alert) => (Class::Alert, alert.container.as_ref(), alert.nanoseconds),
            Item::Event(event) => (Class::Event, event.container.as_ref(), event.time),
        };
        let delivery = self.stream.next(class, container.map_or(HOST, |container| &container.full_id));
        let body = encode(self.options.encoding, item, &delivery, &self.options.hostname);
        let id = match item {
            Item::Alert(alert) => alert.uuid,
            Item::Event(_) => Uuid::new_v4(),
        };
        self.put(&delivery, id, time, Severity::of_item(item), body);
    }

    /// Gaps that are known since, and a checkpoint where it is time.
    fn say(&mut self) {
        let gaps = match &mut self.hold {
            Hold::Spool(spool) => spool.gaps(),
            Hold::File(file) => file.gaps(self.stream.id()),
        };
        for Gap { stream, from, to, reason } in gaps {
            self.speak(Class::Gap, |_| json!({ "stream": stream, "from": from, "to": to, "reason": reason }));
        }
        let every = self.options.checkpoint.as_ref().map(|(every, _)| *every);
        if every.is_some_and(|every| self.stated.elapsed() >= every) {
            self.state(false);
        }
    }

    fn state(&mut self, last: bool) {
        self.stated = Instant::now();
        if self.stream.signs() && (last || self.stream.is_open()) {
            self.speak(Class::Checkpoint, |stream| stream.checkpoint(last));
        }
    }

    fn speak(&mut self, class: Class, what: impl FnOnce(&mut Stream) -> Value) {
        let time = clock::wall();
        let what = what(&mut self.stream);
        let delivery: Delivery = self.stream.next(class, HOST);
        let body = encode_own(self.options.encoding, &delivery, &self.options.hostname, time, &what);
        self.own += 1;
        self.put(&delivery, Uuid::new_v4(), time, Severity::of_own(class), body);
    }

    fn put(&mut self, delivery: &Delivery, id: Uuid, time: u64, severity: Severity, body: Vec<u8>) {
        let Delivery { stream, number, class, .. } = *delivery;
        let record = Record { id, stream, number, time, severity: severity.syslog, class, body: body.into() };
        self.stream.link(&record.body);
        self.unflushed = true;
        match &mut self.hold {
            Hold::Spool(spool) => {
                spool.append(&record);
            }
            Hold::File(file) => file.append(&record),
        }
    }

    fn flush(&mut self) {
        match &mut self.hold {
            // Also when nothing was put in: a store that failed is tried again.
            Hold::Spool(spool) if self.unflushed || spool.failure().is_some() => spool.sync(),
            Hold::Spool(_) => {}
            Hold::File(file) => file.flush(),
        }
        self.flushed = Instant::now();
        self.unflushed = false;
    }
}
