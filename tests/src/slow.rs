//! How patient tests are, and how big their storms. An emulated processor is many times slower than a real one:
//! `VEDETTE_TEST_SLOW=N` multiplies the deadlines, `VEDETTE_TEST_STORM=N` divides what is done thousands of times.

use std::time::Duration;

/// How long a test waits on a real machine. Nothing takes nearly as long; a loaded machine must not fail a test.
const DEADLINE: Duration = Duration::from_secs(90);

/// How long a test waits for anything.
#[must_use]
pub fn deadline() -> Duration {
    DEADLINE * number("VEDETTE_TEST_SLOW")
}

/// How often something is done that is done `times` times on a real machine.
#[must_use]
pub fn scaled(times: usize) -> usize {
    times.div_ceil(number("VEDETTE_TEST_STORM") as usize)
}

fn number(name: &str) -> u32 {
    let Ok(value) = std::env::var(name) else { return 1 };
    let number = value.parse().ok().filter(|number| *number > 0);
    number.unwrap_or_else(|| panic!("{name} is a number from 1, not `{value}`"))
}
