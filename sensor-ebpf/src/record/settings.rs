//! What the daemon tells the programs while they run, and what they do without it.

use sensor_common::Settings;

/// No map but a variable, which the daemon writes: nearly every program looks here, and a key costs it 7 ns.
#[unsafe(link_section = ".data.settings")]
static mut SETTINGS: Settings = Settings::NONE;

/// One of the numbers that the daemon may change at any time.
#[inline(always)]
pub(crate) fn settings<T: Copy>(field: impl FnOnce(&Settings) -> &T) -> T {
    let all = &raw const SETTINGS;
    // SAFETY: the variable is there for as long as the program, and the daemon writes whole words.
    unsafe { (&raw const *field(&*all)).read_volatile() }
}

/// From now on nothing is done for a daemon that has ended, but what is to outlive it.
#[inline(always)]
pub(crate) fn end() {
    let settings = &raw mut SETTINGS;
    // SAFETY: fields of the variable; whoever else writes it has ended.
    unsafe {
        (&raw mut (*settings).ended).write_volatile(1);
        if (&raw const (*settings).kept).read_volatile() == 0 {
            (&raw mut (*settings).verdicts).write_volatile(0);
        }
    }
}

/// Whether the daemon asked for one of the `WANT_*` extras.
#[inline(always)]
pub(crate) fn wanted(what: u32) -> bool {
    settings(|settings| &settings.want) & what != 0
}
