//! Turns the lines that a test suite prints into counts, reasons of skips and names of failures.
//!
//! It sees lines only: it must not know which suite they come from or how its process ended.

use super::table::{Row, Skip};

/// The start of the line by which a test says that it could not run: `skipped: NAME: WHY`. libtest counts
/// such a test as passed; a test prints the line once and then returns.
const SKIPPED: &str = "skipped: ";

/// The start of a line by which a test says how long something took: shown of tests that pass, too.
const MEASURED: &str = "measured: ";

/// Reads the output of one suite, line by line.
pub(super) struct Reader {
    libtest: bool,
    /// Within the part in which libtest repeats what passing tests wrote.
    in_successes: bool,
    /// How many result lines there were.
    results: u32,
    passed: u64,
    failed: u64,
    ignored: u64,
    skips: Vec<Skip>,
    failures: Vec<String>,
}

impl Reader {
    /// For `cargo test`: many binaries, each of which ends with its own result line, which are added up.
    pub(super) fn libtest() -> Reader {
        Reader {
            libtest: true,
            in_successes: false,
            results: 0,
            passed: 0,
            failed: 0,
            ignored: 0,
            skips: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// For a program whose last line with counts, such as `12 passed, 1 failed`, is the result.
    pub(super) fn summary() -> Reader {
        Reader { libtest: false, ..Reader::libtest() }
    }

    /// Whether any result was seen; success without one is a suite that did not run.
    pub(super) fn counted(&self) -> bool {
        self.results > 0
    }

    /// Whether any test of a suite failed.
    pub(super) fn failed(&self) -> bool {
        self.failed > 0
    }

    /// Takes one line and says whether it is worth showing.
    pub(super) fn line(&mut self, line: &str) -> bool {
        if let Some(skip) = skip(line) {
            // The same line comes twice where a test writes it both past the capture and into it.
            if !self.skips.contains(&skip) {
                self.skips.push(skip);
            }
            return !self.in_successes;
        }
        if !self.libtest {
            if let (Some(passed), Some(failed)) = (count(line, "passed"), count(line, "failed")) {
                self.results += 1;
                self.passed = passed;
                self.failed = failed;
                self.ignored = count(line, "skipped").unwrap_or(0);
            }
            return true;
        }
        self.libtest_line(line)
    }

    fn libtest_line(&mut self, line: &str) -> bool {
        match line {
            "successes:" => self.in_successes = true,
            "failures:" => self.in_successes = false,
            _ => {}
        }
        if let Some(result) = line.strip_prefix("test result: ") {
            self.in_successes = false;
            self.results += 1;
            self.passed += count(result, "passed").unwrap_or(0);
            self.failed += count(result, "failed").unwrap_or(0);
            self.ignored += count(result, "ignored").unwrap_or(0);
        } else if let Some(test) = line.strip_prefix("test ") {
            if let Some(name) = test.strip_suffix(" ... FAILED") {
                self.failures.push(name.to_owned());
            } else if let Some((name, why)) = test.split_once(" ... ignored") {
                let why = why.trim_start_matches(", ");
                let why = if why.is_empty() { "ignored in the source" } else { why };
                self.skips.push(Skip { name: name.to_owned(), why: why.to_owned() });
            }
        }
        !self.in_successes || line.starts_with(MEASURED)
    }

    /// The row of this suite. A test that skipped itself is taken out of those that passed.
    pub(super) fn finish(&mut self, name: &str) -> Row {
        let mut row = Row::new(name);
        row.failures = std::mem::take(&mut self.failures);
        row.skips = std::mem::take(&mut self.skips);
        row.failed = self.failed;
        row.skipped = self.ignored;
        if self.libtest {
            // What libtest itself ignored has its reason in the list too, but never was among the passed.
            let own = (row.skips.len() as u64).saturating_sub(self.ignored);
            row.passed = self.passed.saturating_sub(own);
            row.skipped += own;
        } else {
            row.passed = self.passed;
        }
        row
    }
}

fn skip(line: &str) -> Option<Skip> {
    // With one test at a time libtest writes `test NAME ... ` first, and the test's own line lands behind it.
    let own = line.split_once(" ... ").map_or(line, |(_, own)| own);
    let said = [line, own].into_iter().find_map(|text| text.trim_start().strip_prefix(SKIPPED))?;
    let (name, why) = said.split_once(": ")?;
    Some(Skip { name: name.to_owned(), why: why.trim().to_owned() })
}

/// The number before a word, as in `12 passed`.
fn count(line: &str, word: &str) -> Option<u64> {
    let mut before = None;
    for part in line.split_whitespace() {
        if part.trim_end_matches([',', ';', '.', ':']) == word {
            return before;
        }
        before = part.parse().ok();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::Reader;

    fn read(mut reader: Reader, text: &str) -> (super::Row, String) {
        let shown: Vec<&str> = text.lines().filter(|line| reader.line(line)).collect();
        (reader.finish("suite"), shown.join("\n"))
    }

    #[test]
    fn libtest_binaries_are_added_up() {
        let text = "test a ... ok\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
                    test b::c ... FAILED\ntest result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured;\n";
        let (row, _) = read(Reader::libtest(), text);
        assert_eq!((row.passed, row.failed, row.skipped), (7, 1, 0));
        assert_eq!(row.failures, ["b::c"]);
    }

    #[test]
    fn a_test_that_skips_itself_has_not_passed() {
        let text = "test a ... ok\ntest b ... ok\nskipped: b: no BPF LSM: not in the list\n\nsuccesses:\n\n\
                    ---- b stdout ----\nskipped: b: no BPF LSM: not in the list\n\nsuccesses:\n    b\n\n\
                    test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\nend\n";
        let (row, shown) = read(Reader::libtest(), text);
        assert_eq!((row.passed, row.failed, row.skipped), (1, 0, 1));
        assert_eq!(row.skips.len(), 1);
        assert_eq!(row.skips.first().unwrap().why, "no BPF LSM: not in the list");
        assert!(!shown.contains("stdout ----"), "the output of passing tests is not shown:\n{shown}");
        assert!(shown.ends_with("end"));
    }

    #[test]
    fn a_skip_is_seen_behind_the_name_of_its_test_too() {
        let text = "test b ... skipped: b: the kernel has no LSM ... yet\nok\ntest result: ok. 1 passed; 0 failed;\n";
        let (row, _) = read(Reader::libtest(), text);
        assert_eq!((row.passed, row.skipped), (0, 1));
        assert_eq!(row.skips.first().unwrap().why, "the kernel has no LSM ... yet");
    }

    #[test]
    fn what_a_test_measured_is_shown_though_it_passed() {
        let text = "test a ... ok\n\nsuccesses:\n\n---- a stdout ----\nmeasured: it took 3 ms\nmore\n\n\
                    test result: ok. 1 passed; 0 failed;\n";
        let (_, shown) = read(Reader::libtest(), text);
        assert!(shown.contains("it took 3 ms") && !shown.contains("more"), "{shown}");
    }

    #[test]
    fn ignored_tests_are_skips_with_their_reason() {
        let text = "test a ... ok\ntest b ... ignored, takes an hour\ntest c ... ignored\n\
                    test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out\n";
        let (row, _) = read(Reader::libtest(), text);
        assert_eq!((row.passed, row.failed, row.skipped), (1, 0, 2));
        let whys: Vec<&str> = row.skips.iter().map(|skip| skip.why.as_str()).collect();
        assert_eq!(whys, ["takes an hour", "ignored in the source"]);
    }

    #[test]
    fn a_summary_counts_its_last_line() {
        let (row, _) = read(Reader::summary(), "web: 2 passed, 0 failed\n41 passed, 1 failed, 3 skipped\n");
        assert_eq!((row.passed, row.failed, row.skipped), (41, 1, 3));
    }
}
