//! Keys about what is hidden in what leaves the sensor.

use serde::{Deserialize, Serialize};

/// What is hidden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedactConfig {
    /// Whether what the sensor itself knows as secrets on command lines is hidden.
    pub builtin: bool,
    /// Regular expressions of what else is; of one with a group named `secret` only that.
    pub patterns: Vec<String>,
}

impl Default for RedactConfig {
    fn default() -> Self {
        Self { builtin: true, patterns: Vec::new() }
    }
}
