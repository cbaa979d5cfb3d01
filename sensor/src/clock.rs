//! The system's clocks. All times are nanoseconds.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Since boot, with the time in which the machine slept: the clock of all records.
#[must_use]
pub fn boot() -> u64 {
    of(clock_gettime(ClockId::Boottime))
}

/// Since the start of 1970.
#[must_use]
pub fn wall() -> u64 {
    of(clock_gettime(ClockId::Realtime))
}

/// Between the start of 1970 and the zero of the boot clock, as the clocks stand now.
#[must_use]
pub fn epoch() -> u64 {
    wall().saturating_sub(boot())
}

fn of(time: Timespec) -> u64 {
    nanoseconds(time.tv_sec, time.tv_nsec)
}

/// `seconds` and `rest` nanoseconds as one number.
#[must_use]
pub const fn nanoseconds(seconds: i64, rest: i64) -> u64 {
    seconds.cast_unsigned().wrapping_mul(1_000_000_000).wrapping_add(rest.cast_unsigned())
}
