//! The consumer's end of the ring: raw records, in the order in which the kernel wrote them.

mod waiting;

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use rustix::{
    event::{PollFd, PollFlags, Timespec, epoll, poll},
    io::Errno,
};

use self::waiting::Positions;

/// The event ring. One consumer.
pub struct Ring {
    ring: RingBuf<MapData>,
    bytes: u32,
    /// None where they cannot be mapped.
    positions: Option<Positions>,
    /// Hears of each wakeup once, however many records are there.
    wakeups: OwnedFd,
}

impl Ring {
    pub(super) fn new(ring: RingBuf<MapData>, bytes: u32) -> io::Result<Self> {
        let positions = Positions::map(ring.as_raw_fd());
        if let Err(error) = &positions {
            tracing::debug!(%error, "how full the ring is will not be known");
        }
        let wakeups = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let ring = Self { ring, bytes, positions: positions.ok(), wakeups };
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&ring.wakeups, ring.fd(), epoll::EventData::new_u64(0), flags)?;
        Ok(ring)
    }

    /// Its size in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Bytes that wait in it now; 0 where that cannot be known.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.positions.as_ref().map_or(0, Positions::waiting)
    }

    /// Hands every record that is there to `take`, at most `limit`, and says how many there were.
    pub fn drain(&mut self, limit: usize, mut take: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        while count < limit {
            let Some(record) = self.ring.next() else { break };
            take(&record);
            count += 1;
        }
        count
    }

    /// Sleeps until the kernel wakes the reader, one of the `bells` becomes readable, or the time is over.
    ///
    /// The kernel wakes for a record that follows 2 ms of silence on its CPU, and for urgent ones. A reader that saw a record less than
    /// twice that long ago must therefore come back by itself; one that did not can sleep as long as it likes.
    ///
    /// # Errors
    /// Where the kernel refuses to wait on the ring.
    pub fn wait(&self, timeout: Duration, bells: [Option<BorrowedFd<'_>>; 2]) -> io::Result<()> {
        let fd = self.fd();
        let [first, second] = bells.map(|bell| bell.unwrap_or(fd));
        let fds = [&fd, &first, &second];
        wait(&mut fds.map(|fd| PollFd::new(fd, PollFlags::IN)), timeout).map(drop)
    }

    /// Sleeps until the time is over or the kernel wakes the reader, whatever records are there without that, and says
    /// whether it was woken.
    ///
    /// # Errors
    /// Where the kernel refuses to wait on the ring.
    pub fn nap(&self, timeout: Duration) -> io::Result<bool> {
        // Its own timeout has milliseconds only, before Linux 5.11.
        if !wait(&mut [PollFd::new(&self.wakeups, PollFlags::IN)], timeout)? {
            return Ok(false);
        }
        let event = epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) };
        match epoll::wait(&self.wakeups, &mut [event], Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Ok(_) | Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    #[allow(unsafe_code, reason = "aya's ring hands out its descriptor as a number only")]
    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor belongs to `self.ring`, which outlives the borrow.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }
}

/// Waits until one of them is ready, and says whether one is.
pub(super) fn wait(fds: &mut [PollFd<'_>], timeout: Duration) -> io::Result<bool> {
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    match poll(fds, Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
