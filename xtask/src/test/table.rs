//! Lays the rows of a test run out as the closing table, with the reasons of skips and the failures under it.
//!
//! The last line is for programs: `N passed, N failed, N skipped`, exactly.

use std::fmt::Write as _;

/// One suite.
#[derive(Default)]
pub(crate) struct Row {
    /// What ran.
    pub(crate) name: String,
    /// Tests that ran and held.
    pub(crate) passed: u64,
    /// Tests that ran and did not.
    pub(crate) failed: u64,
    /// Tests that could not run here.
    pub(crate) skipped: u64,
    /// Wall time, building included.
    pub(crate) seconds: f64,
    /// The reason of each skip that gave one.
    pub(crate) skips: Vec<Skip>,
    /// The name of each failure that has one.
    pub(crate) failures: Vec<String>,
}

/// A test that could not run, and why.
#[derive(PartialEq, Eq)]
pub(crate) struct Skip {
    /// The test, or empty for the whole suite.
    pub(crate) name: String,
    /// In words that say what would have to change.
    pub(crate) why: String,
}

impl Row {
    /// A suite of which nothing is known yet.
    pub(crate) fn new(name: impl Into<String>) -> Row {
        Row { name: name.into(), ..Row::default() }
    }

    /// A whole suite that cannot run here; it counts as one skip.
    pub(crate) fn skipped(name: &str, why: impl Into<String>) -> Row {
        let skip = Skip { name: String::new(), why: why.into() };
        Row { skipped: 1, skips: vec![skip], ..Row::new(name) }
    }

    /// A whole suite that had to run and could not; it counts as one failure.
    pub(crate) fn broken(name: &str, why: String) -> Row {
        Row { failed: 1, failures: vec![why], ..Row::new(name) }
    }
}

/// The whole closing text.
pub(crate) fn render(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let mut text =
        format!("\n{:width$}  {:>6}  {:>6}  {:>7}  {:>7}\n", "", "passed", "failed", "skipped", "seconds");
    // Writing into a String cannot fail.
    for Row { name, passed, failed, skipped, seconds, .. } in rows {
        let _ = writeln!(text, "{name:width$}  {passed:>6}  {failed:>6}  {skipped:>7}  {seconds:>7.1}");
    }
    let _ = writeln!(text);
    for row in rows {
        for skip in &row.skips {
            let test = if skip.name.is_empty() { String::new() } else { format!("{}: ", skip.name) };
            let _ = writeln!(text, "skipped in {}: {test}{}", row.name, skip.why);
        }
        for failure in &row.failures {
            let _ = writeln!(text, "failed in {}: {failure}", row.name);
        }
    }
    let sum = |count: fn(&Row) -> u64| rows.iter().map(count).sum::<u64>();
    let (passed, failed, skipped) = (sum(|row| row.passed), sum(|row| row.failed), sum(|row| row.skipped));
    let _ = writeln!(text, "{passed} passed, {failed} failed, {skipped} skipped");
    text
}

#[cfg(test)]
mod tests {
    use super::{Row, render};

    #[test]
    fn the_last_line_is_the_sum() {
        let unit = Row { passed: 12, failed: 1, failures: vec!["a::b".to_owned()], ..Row::new("unit tests") };
        let text = render(&[unit, Row::skipped("real-kernel tests", "needs root")]);
        assert!(text.contains("skipped in real-kernel tests: needs root\n"), "{text}");
        assert!(text.contains("failed in unit tests: a::b\n"), "{text}");
        assert!(text.ends_with("\n12 passed, 1 failed, 1 skipped\n"), "{text}");
    }
}
