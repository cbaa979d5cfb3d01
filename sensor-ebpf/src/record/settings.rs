//! What the daemon tells the programs while they run, and what they do without it.

use aya_ebpf::{macros::map, maps::Array};
use sensor_common::Settings;

#[map]
pub(super) static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);

/// One of the numbers that the daemon may change at any time.
#[inline(always)]
pub(crate) fn settings(read: impl FnOnce(&Settings) -> u32) -> u32 {
    SETTINGS.get(0).map_or(0, read)
}

/// From now on nothing is done for a daemon that has ended, but what is to outlive it.
#[inline(always)]
pub(crate) fn end() {
    let Some(settings) = SETTINGS.get_ptr_mut(0) else { return };
    // SAFETY: the map's value; whoever else writes it has ended.
    let settings = unsafe { &mut *settings };
    settings.ended = 1;
    if settings.kept == 0 {
        settings.verdicts = 0;
    }
}

/// Whether the daemon asked for one of the `WANT_*` extras.
#[inline(always)]
pub(crate) fn wanted(what: u32) -> bool {
    settings(|settings| settings.want) & what != 0
}
