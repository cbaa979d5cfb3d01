//! The accounts of the rules: which set is at work, since when and out of what, and what became of the attempts to
//! replace it. `vedette doctor` reads them back and compares them with what is on disk.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::rule::{Content, Source};

/// Rules at work. `loads = generation + failures`, and the generation is 1 at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleStats {
    /// Rules in the set at work.
    pub loaded: usize,
    /// Which set this is, counted from 1.
    pub generation: u64,
    /// Attempts to load a set, the first one included.
    pub loads: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// When the set at work was loaded, RFC 3339.
    pub loaded_at: String,
    /// Whether what is on disk failed to load, so that an older set is at work.
    pub failing: bool,
    /// When an attempt last failed.
    pub failed_at: Option<String>,
    /// Its first error in one line; kept when a later attempt goes well.
    pub last_error: Option<String>,
    /// Names of those that miss something because a hook that they need is not at work.
    pub blind: Vec<String>,
    /// What the set was made of.
    #[serde(flatten)]
    pub origin: Origin,
}

/// What a set was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// Lowest priority, toggles, first match: as they were in force.
    pub options: serde_json::Value,
    /// In load order.
    pub sources: Vec<SourceStats>,
}

/// One text of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStats {
    /// Its path.
    pub name: String,
    /// SHA-256 of its bytes in hexadecimal digits, as `sha256sum` prints it.
    pub sha256: String,
}

impl Origin {
    /// The origin of what is compiled from `content`.
    #[must_use]
    pub fn of(content: &Content) -> Self {
        Self {
            options: serde_json::to_value(&content.options).unwrap_or_default(),
            sources: content.sources.iter().map(SourceStats::of).collect(),
        }
    }
}

impl SourceStats {
    fn of(source: &Source) -> Self {
        let digest = Sha256::digest(source.text.as_bytes());
        let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { name: source.name.clone(), sha256 }
    }
}

impl RuleStats {
    /// A set of `rules` rules is at work from now on.
    pub fn loaded(&mut self, rules: usize, origin: Origin) {
        self.loaded = rules;
        self.generation += 1;
        self.loads += 1;
        self.loaded_at = now();
        self.failing = false;
        self.origin = origin;
    }

    /// An attempt failed; the set at work stays.
    pub fn failed(&mut self, error: String) {
        self.loads += 1;
        self.failures += 1;
        self.failing = true;
        self.failed_at = Some(now());
        self.last_error = Some(error);
    }
}

/// RFC 3339 in UTC, to the millisecond.
pub(super) fn now() -> String {
    format!("{:.3}", Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_holds_and_the_accounts_can_be_read_back() {
        let source = Source { name: "a".to_owned(), text: "abc".to_owned() };
        let content = Content { sources: vec![source], ..Content::default() };
        let mut stats = RuleStats::default();
        stats.loaded(3, Origin::of(&content));
        stats.failed("a.yaml:1:1: no".to_owned());
        assert!(stats.failing);
        stats.loaded(4, Origin::of(&content));
        assert_eq!((stats.loads, stats.generation, stats.failures, stats.failing), (3, 2, 1, false));
        assert_eq!(stats.last_error.as_deref(), Some("a.yaml:1:1: no"));
        // The test vector of FIPS 180-2.
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(stats.origin.sources[0].sha256, sha256);
        let text = serde_json::to_string(&stats).unwrap();
        assert_eq!(serde_json::from_str::<RuleStats>(&text).unwrap(), stats);
    }
}
