//! Which keys a running sensor takes over. The one table of it: the log, `vedette config show` and the reference page ask it.

use serde_json::Value;

use super::{Config, keys};

/// What is loaded again with the rules. All else is fixed at the start.
const TAKEN_OVER: [&str; 6] = [
    "rules.builtin",
    "rules.first_match",
    "rules.minimum_priority",
    "rules.paths",
    "rules.toggles",
    "rules.watch",
];

/// Whether a change of this key needs a restart of the sensor.
#[must_use]
pub fn needs_restart(key: &str) -> bool {
    !TAKEN_OVER.contains(&key)
}

impl Config {
    /// Keys whose values differ between the two and that a running sensor does not take over, by their dotted names.
    #[must_use]
    pub fn needs_restart(&self, other: &Self) -> Vec<String> {
        let value = |config| serde_json::to_value(config).unwrap_or_default();
        let (own, other) = (value(self), value(other));
        let at = |value: &Value, key: &str| value.pointer(&format!("/{}", key.replace('.', "/"))).cloned();
        let differs = |key: &String| at(&own, key) != at(&other, key);
        // Keys of sinks may be there in one of them alone.
        let mut all = [keys("", &own), keys("", &other)].concat();
        all.sort_unstable();
        all.dedup();
        all.into_iter().filter(|key| needs_restart(key) && differs(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_is_taken_over_is_one() {
        let all = keys("", &serde_json::to_value(Config::default()).unwrap());
        assert!(TAKEN_OVER.iter().all(|key| all.iter().any(|known| known == key)));
    }

    #[test]
    fn a_sink_that_comes_or_goes_needs_a_restart() {
        let mut other = Config::default();
        let sink = serde_json::json!({ "to": { "file": { "path": "/x" } } });
        other.sinks.insert("siem".to_owned(), serde_json::from_value(sink).unwrap());
        let gone = other.needs_restart(&Config::default());
        assert!(gone.contains(&"sinks.siem.to.file.path".to_owned()), "{gone:?}");
        assert_eq!(Config::default().needs_restart(&other), gone);
    }
}
