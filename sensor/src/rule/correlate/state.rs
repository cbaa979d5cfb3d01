//! What is remembered of one key, and what it costs.

use std::{collections::VecDeque, sync::Arc};

use super::chain::{Chain, Evidence};
use crate::event::Container;

/// What is remembered of one key.
#[derive(Debug)]
pub(super) enum State {
    /// Times of the events that no alert counted yet.
    Times(VecDeque<u64>),
    /// Values that no alert counted yet, each behind the time at which it was last seen.
    Values(VecDeque<(u64, u64)>),
    Chain(Chain),
    Silence(Silence),
}

/// The time after an alert.
#[derive(Clone, Debug)]
pub(super) struct Silence {
    /// Boot time of the alert's event.
    pub(super) since: u64,
    /// What was not said meanwhile.
    pub(super) suppressed: u64,
    /// The last of it.
    pub(super) last: Evidence,
    /// Where it happened. It is shared with the sensor's table of containers.
    pub(super) container: Option<Arc<Container>>,
}

impl State {
    /// Bytes on the heap, as the allocator gives them out.
    pub(super) fn heap(&self) -> usize {
        match self {
            Self::Times(times) => allocated(times.capacity() * size_of::<u64>()),
            Self::Values(values) => allocated(values.capacity() * size_of::<(u64, u64)>()),
            Self::Chain(chain) => chain.blocks().map(allocated).sum(),
            Self::Silence(_) => 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Times(times) => times.is_empty(),
            Self::Values(values) => values.is_empty(),
            Self::Chain(chain) => chain.is_empty(),
            Self::Silence(_) => false,
        }
    }

    /// Alerts that nobody would hear of if this were forgotten.
    pub(super) const fn unsaid(&self) -> u64 {
        match self {
            Self::Silence(silence) => silence.suppressed,
            _ => 0,
        }
    }
}

/// What an allocation of so many bytes takes: the common allocators round up to 16 bytes with 8 of their own, and
/// never give less than 32.
pub(super) const fn allocated(bytes: usize) -> usize {
    if bytes == 0 {
        return 0;
    }
    let rounded = (bytes + 8).next_multiple_of(16);
    if rounded < 32 { 32 } else { rounded }
}
