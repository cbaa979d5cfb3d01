//! The consumer's end of the ring: raw records, in the order in which the kernel wrote them.

mod waiting;

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::waiting::Positions;

/// The event ring. One consumer.
pub struct Ring {
    ring: RingBuf<MapData>,
    bytes: u32,
    /// None where they cannot be mapped.
    positions: Option<Positions>,
}

impl Ring {
    pub(super) fn new(ring: RingBuf<MapData>, bytes: u32) -> Self {
        let positions = Positions::map(ring.as_raw_fd());
        if let Err(error) = &positions {
            tracing::debug!(%error, "how full the ring is will not be known");
        }
        Self { ring, bytes, positions: positions.ok() }
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

    /// Sleeps until the kernel wakes the reader, `bell` becomes readable, or the time is over.
    ///
    /// The kernel wakes only for a record that follows 2 ms of silence on its CPU. A reader that saw a record less than
    /// twice that long ago must therefore come back by itself; one that did not can sleep as long as it likes.
    ///
    /// # Errors
    /// Where the kernel refuses to wait on the ring.
    #[allow(unsafe_code, reason = "aya's ring hands out its descriptor as a number only")]
    pub fn wait(&self, timeout: Duration, bell: Option<BorrowedFd<'_>>) -> io::Result<()> {
        // SAFETY: the descriptor belongs to `self.ring`, which outlives the borrow.
        let fd = unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) };
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let bell = bell.unwrap_or(fd);
        match poll(&mut [PollFd::new(&fd, PollFlags::IN), PollFd::new(&bell, PollFlags::IN)], Some(&timeout))
        {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
