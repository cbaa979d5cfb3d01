//! Keys of the kernel half.

use serde::{Deserialize, Serialize};

/// What the kernel half does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KernelConfig {
    /// Size of the event ring in bytes: a power of two, at least a page.
    pub ring_bytes: u32,
    /// How hooks are attached.
    pub mode: KernelMode,
    /// Hooks to leave out, by the stems that `vedette doctor` shows.
    pub disabled_hooks: Vec<String>,
    /// Whether the kernel half drops what no rule can match.
    pub filters: bool,
    /// Records that are not about processes which one control group may send in a second on one CPU; more are held back and
    /// counted. 0: no limit.
    pub records_per_second: u32,
    /// How many it may send at once.
    pub burst: u32,
}

/// How hooks are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelMode {
    /// Each hook in the best way that this kernel takes.
    Auto,
    /// At the ends of functions, or not at all.
    Full,
    /// To tracepoints.
    Tracepoint,
}

impl Default for KernelConfig {
    fn default() -> Self {
        Self {
            ring_bytes: 8 << 20,
            mode: KernelMode::Auto,
            disabled_hooks: Vec::new(),
            filters: true,
            records_per_second: 20_000,
            burst: 40_000,
        }
    }
}
