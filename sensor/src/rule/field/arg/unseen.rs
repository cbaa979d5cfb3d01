//! Arguments of event types that the sensor does not see: rules may name them, and are blind, not wrong.

use crate::event::EventType;

/// The arguments of the event types that the sensor does not see.
pub(super) const fn unseen(event_type: EventType) -> &'static [&'static str] {
    match event_type {
        EventType::Read | EventType::Write => &["res", "data", "fd", "size"],
        _ => &[],
    }
}
