//! What the verifier looked at: instructions by program and kernel, as a page that is committed.
//!
//! A program that grows loads slower, and one day not at all on a kernel that nobody tried. `--refresh` writes the page; a
//! run without it compares.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::entry::{SERIES, Series};
use crate::docs::PAGES;
use crate::place::Place;

/// Growth in percent that is not worth a word: other kernels of the same series differ by half of that.
const TOLERANCE: u64 = 20;

const HEAD: &str = "<!-- Written by `cargo xtask test --vm all --refresh`. -->

# What the verifier looks at

Instructions that the verifier walks through for each program, by kernel; a million is the limit. Kernels before 5.16 do not
say it. `cargo xtask test --vm` fails where a program needs a fifth more than this.

";

/// Program → series → instructions.
#[derive(Default, Debug, PartialEq, Eq)]
pub(super) struct Verified(BTreeMap<String, BTreeMap<&'static str, u64>>);

fn page(place: &Place) -> PathBuf {
    place.top.join(PAGES).join("verifier.md")
}

impl Verified {
    /// What is committed; nothing where there is no page yet.
    pub(super) fn read(place: &Place) -> Verified {
        parse(&fs::read_to_string(page(place)).unwrap_or_default())
    }

    /// Writes the page.
    pub(super) fn write(&self, place: &Place) -> Result<()> {
        let page = page(place);
        fs::write(&page, self.render()).with_context(|| format!("cannot write {}", page.display()))
    }

    /// Takes over what a kernel said.
    pub(super) fn learn(&mut self, series: Series, programs: &[(&str, u64)]) {
        for (program, count) in programs {
            self.0.entry((*program).to_owned()).or_default().insert(series.name, *count);
        }
    }

    /// One sentence for each program that has grown too much. One that is not on the page is new.
    pub(super) fn compare(&self, series: Series, programs: &[(&str, u64)]) -> Vec<String> {
        let known = |program: &str| self.0.get(program)?.get(series.name).copied();
        let grown = programs.iter().filter_map(|(program, count)| {
            let before = known(program)?;
            (*count * 100 > before * (100 + TOLERANCE)).then(|| {
                format!(
                    "the verifier looks at {count} instructions of {program}, and at {before} by verifier.md"
                )
            })
        });
        grown.collect()
    }

    fn render(&self) -> String {
        let names = SERIES.map(|series| series.name);
        let mut text =
            format!("{HEAD}| program | {} |\n|{}\n", names.join(" | "), " --- |".repeat(names.len() + 1));
        for (program, counts) in &self.0 {
            let cells = names.map(|name| counts.get(name).map_or("-".to_owned(), u64::to_string));
            // Writing into a String cannot fail.
            let _ = writeln!(text, "| `{program}` | {} |", cells.join(" | "));
        }
        text
    }
}

fn parse(text: &str) -> Verified {
    let mut verified = Verified::default();
    for line in text.lines() {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let Some(program) = cells.next().and_then(|cell| cell.strip_prefix('`')?.strip_suffix('`')) else {
            continue;
        };
        for (series, cell) in SERIES.into_iter().zip(cells) {
            if let Ok(count) = cell.parse() {
                verified.learn(series, &[(program, count)]);
            }
        }
    }
    verified
}

#[cfg(test)]
mod tests {
    use super::{SERIES, Verified, parse};

    #[test]
    fn the_page_can_be_read_back_and_growth_is_found() {
        let [old, .., newest] = SERIES;
        let mut verified = Verified::default();
        verified.learn(newest, &[("a", 1000), ("b", 10)]);
        verified.learn(old, &[("a", 500)]);
        assert_eq!(parse(&verified.render()), verified);
        assert_eq!(verified.compare(newest, &[("a", 1200), ("b", 5), ("new", 9)]), [""; 0]);
        let found = verified.compare(newest, &[("a", 1201)]);
        assert!(
            found.len() == 1 && found.iter().all(|line| line.contains("1201 instructions of a")),
            "{found:?}"
        );
        assert_eq!(verified.compare(old, &[("b", 99)]), [""; 0]);
    }
}
