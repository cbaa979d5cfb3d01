//! A bounded queue with a thread behind it. Offering never waits: what does not fit is counted as dropped.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// What went through: `offered = taken + dropped` once it is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct QueueCounts {
    /// Put in, or tried to.
    pub offered: u64,
    /// Taken out.
    pub taken: u64,
    /// Turned away because it was full.
    pub dropped: u64,
}

impl QueueCounts {
    /// Items that wait now.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.offered.saturating_sub(self.taken).saturating_sub(self.dropped)
    }
}

/// What the worker is called for.
#[derive(Debug)]
pub enum Work<T> {
    /// An item to deal with.
    Item(T),
    /// Nothing is waiting: a good time to flush.
    Idle,
    /// Nothing will come any more. It is the last call.
    End,
}

/// The sending end. Dropping it lets the worker finish what is queued.
#[derive(Debug)]
pub struct Queue<T> {
    /// Items are boxed: the channel touches the memory of all its places when it is made, and for the 65,536 events of a view
    /// that would be 20 MB.
    sender: Option<SyncSender<Box<T>>>,
    worker: Option<JoinHandle<()>>,
    failure: Arc<Mutex<Option<io::Error>>>,
    taken: Arc<AtomicU64>,
    refused: Arc<Refused>,
}

/// What was offered at every entrance, and turned away.
#[derive(Debug, Default)]
struct Refused {
    offered: AtomicU64,
    dropped: AtomicU64,
}

/// Another sending end, for another thread. The worker ends when all of them are gone.
#[derive(Debug)]
pub struct Entrance<T> {
    sender: SyncSender<Box<T>>,
    refused: Arc<Refused>,
}

impl<T> Entrance<T> {
    /// Puts an item in if there is room. Where the worker has ended, the owner of the queue hears of it at the next offer.
    pub fn offer(&self, item: T) {
        self.refused.offered.fetch_add(1, Ordering::Relaxed);
        if self.sender.try_send(Box::new(item)).is_err() {
            self.refused.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<T: Send + 'static> Queue<T> {
    /// A queue of `capacity` items whose `worker` runs on a thread called `name`. An error of the worker ends it, and the
    /// next offer returns that error.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn new(
        name: &str,
        capacity: usize,
        worker: impl FnMut(Work<T>) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        Self::with_pulse(name, capacity, None, worker)
    }

    /// The same; the worker is called with [`Work::Idle`] again each time nothing came for so long.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn with_pulse(
        name: &str,
        capacity: usize,
        pulse: Option<Duration>,
        mut worker: impl FnMut(Work<T>) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(capacity);
        let failure = Arc::new(Mutex::new(None));
        let taken = Arc::new(AtomicU64::new(0));
        let (seen, count) = (Arc::clone(&failure), Arc::clone(&taken));
        let worker = thread::Builder::new().name(name.to_owned()).spawn(move || {
            if let Err(error) = serve(&receiver, pulse, &count, &mut worker)
                && let Ok(mut seen) = seen.lock()
            {
                *seen = Some(error);
            }
        })?;
        Ok(Self { sender: Some(sender), worker: Some(worker), failure, taken, refused: Arc::default() })
    }

    /// A sending end for another thread; `None` once the worker has ended.
    #[must_use]
    pub fn entrance(&self) -> Option<Entrance<T>> {
        Some(Entrance { sender: self.sender.clone()?, refused: Arc::clone(&self.refused) })
    }

    /// Puts an item in if there is room.
    ///
    /// # Errors
    /// The worker's, once it has ended.
    pub fn offer(&mut self, item: T) -> io::Result<()> {
        self.refused.offered.fetch_add(1, Ordering::Relaxed);
        match self.sender.as_ref().map(|sender| sender.try_send(Box::new(item))) {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_))) => {
                self.refused.dropped.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Some(Err(TrySendError::Disconnected(_))) | None => {
                self.refused.dropped.fetch_add(1, Ordering::Relaxed);
                Err(self.failure())
            }
        }
    }

    /// Puts an item in, and waits for room: only where nothing is lost by waiting, as in a replay.
    ///
    /// # Errors
    /// The worker's, once it has ended.
    pub fn put(&mut self, item: T) -> io::Result<()> {
        self.refused.offered.fetch_add(1, Ordering::Relaxed);
        if self.sender.as_ref().is_some_and(|sender| sender.send(Box::new(item)).is_ok()) {
            return Ok(());
        }
        self.refused.dropped.fetch_add(1, Ordering::Relaxed);
        Err(self.failure())
    }

    /// What went through so far.
    #[must_use]
    pub fn counts(&self) -> QueueCounts {
        QueueCounts {
            offered: self.refused.offered.load(Ordering::Relaxed),
            taken: self.taken.load(Ordering::Relaxed),
            dropped: self.refused.dropped.load(Ordering::Relaxed),
        }
    }

    /// Waits until everything is dealt with.
    ///
    /// # Errors
    /// The worker's, if it failed.
    pub fn finish(mut self) -> io::Result<QueueCounts> {
        self.close();
        let failure = self.failure.lock().ok().and_then(|mut failure| failure.take());
        failure.map_or_else(|| Ok(self.counts()), Err)
    }

    fn close(&mut self) {
        self.sender = None;
        if let Some(worker) = self.worker.take()
            && worker.join().is_err()
        {
            tracing::error!("a queue's worker panicked");
        }
    }

    fn failure(&mut self) -> io::Error {
        self.close();
        let failure = self.failure.lock().ok().and_then(|mut failure| failure.take());
        failure.unwrap_or_else(|| io::Error::new(io::ErrorKind::BrokenPipe, "the destination is closed"))
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

fn serve<T>(
    receiver: &Receiver<Box<T>>,
    pulse: Option<Duration>,
    taken: &AtomicU64,
    worker: &mut impl FnMut(Work<T>) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        let item = match receiver.try_recv() {
            Ok(item) => item,
            Err(TryRecvError::Disconnected) => return worker(Work::End),
            Err(TryRecvError::Empty) => {
                worker(Work::Idle)?;
                let next = match pulse {
                    Some(pulse) => receiver.recv_timeout(pulse),
                    None => receiver.recv().map_err(RecvTimeoutError::from),
                };
                match next {
                    Ok(item) => item,
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => return worker(Work::End),
                }
            }
        };
        // Counted first: what the worker fails on was taken, too.
        taken.fetch_add(1, Ordering::Relaxed);
        worker(Work::Item(*item))?;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_full_queue_drops_and_the_sum_holds() {
        let (release, gate) = channel::<()>();
        let (seen, items) = channel();
        let mut queue = Queue::new("test", 2, move |work| {
            if let Work::Item(item) = work {
                // Once nobody holds the gate it stands open.
                let _ = gate.recv();
                seen.send(item).unwrap();
            }
            Ok(())
        })
        .unwrap();
        for item in 0..100 {
            queue.offer(item).unwrap();
        }
        assert!(queue.counts().dropped >= 97, "{:?}", queue.counts());
        for _ in 0..3 {
            let _ = release.send(());
        }
        drop(release);
        let counts = queue.finish().unwrap();
        let delivered = items.iter().count() as u64;
        assert_eq!(counts.offered, counts.taken + counts.dropped);
        assert_eq!(delivered, counts.taken);
    }

    #[test]
    fn the_error_of_a_worker_reaches_who_offers() {
        let mut queue = Queue::new("test", 2, |work: Work<u8>| match work {
            Work::Item(_) => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
            Work::Idle | Work::End => Ok(()),
        })
        .unwrap();
        let error = loop {
            if let Err(error) = queue.offer(1) {
                break error;
            }
            thread::yield_now();
        };
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
