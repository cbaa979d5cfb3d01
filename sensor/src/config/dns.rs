//! Keys about the names of addresses.

use serde::{Deserialize, Serialize};

/// Names of addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsConfig {
    /// Whether names that rules compare with are looked up.
    pub resolve: bool,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self { resolve: true }
    }
}
