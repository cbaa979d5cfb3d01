//! Keys about what is done where a rule asks for more than an alert, what is never touched, and who may give orders.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::isolate::IsolateConfig;

/// Responses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RespondConfig {
    /// Whether responses are carried out at all.
    pub enabled: bool,
    /// Whether everything is done but the action itself.
    pub dry_run: bool,
    /// Files of rules that may respond; `*` stands for any text. The built-in ones always may.
    pub trusted_rules: Vec<String>,
    /// What is never touched.
    pub protect: ProtectConfig,
    /// How often.
    pub limit: LimitConfig,
    /// How long the fuse stays open, in seconds.
    pub fuse_seconds: u64,
    /// The audit log.
    pub audit: PathBuf,
    /// Bytes past which it goes on in a new file; 0: never.
    pub audit_bytes: u64,
    /// Files before that one which are kept.
    pub audit_files: usize,
    /// What of containers is held back, so that it is known after a restart.
    pub held: PathBuf,
    /// Responses that may wait.
    pub queue: usize,
    /// Groups that are cut off from the network.
    pub isolate: IsolateConfig,
    /// Whether execs and opens that rules block are refused by fanotify where the kernel half cannot refuse them.
    pub fanotify: bool,
    /// Milliseconds that somebody waits for the answer at most.
    pub fanotify_answer_ms: u64,
    /// Whether what is enforced outlives the sensor.
    pub keep_enforcing: bool,
    /// Where that is pinned: a directory of a BPF filesystem.
    pub pins: PathBuf,
}

/// What no rule may touch; in every list `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProtectConfig {
    /// Whether the kernel refuses what turns against the sensor itself, where it can.
    pub sensor: bool,
    /// Control groups, by their paths from the root of the hierarchy.
    pub cgroups: Vec<String>,
    /// Executables, by their paths.
    pub exes: Vec<String>,
    /// Namespaces of Kubernetes.
    pub namespaces: Vec<String>,
    /// Images, by their names as the runtime was asked for them.
    pub images: Vec<String>,
}

/// How many responses a minute may have. 0: no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitConfig {
    /// Of all workloads together.
    pub per_minute: usize,
    /// Of one workload.
    pub per_workload_per_minute: usize,
}

/// The operator's socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlConfig {
    /// Where it is; empty: there is none.
    pub socket: PathBuf,
    /// Members of this group may give orders, too; empty: root alone.
    pub group: String,
}

impl Default for RespondConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            dry_run: false,
            trusted_rules: vec!["*".to_owned()],
            protect: ProtectConfig::default(),
            limit: LimitConfig::default(),
            fuse_seconds: 300,
            audit: "/var/log/vedette/audit.log".into(),
            audit_bytes: 64 << 20,
            audit_files: 8,
            held: "/run/vedette/held.json".into(),
            queue: 4096,
            isolate: IsolateConfig::default(),
            fanotify: false,
            fanotify_answer_ms: 250,
            keep_enforcing: false,
            pins: "/sys/fs/bpf/vedette".into(),
        }
    }
}

impl Default for ProtectConfig {
    fn default() -> Self {
        Self {
            sensor: true,
            cgroups: Vec::new(),
            exes: Vec::new(),
            namespaces: vec!["kube-system".to_owned()],
            images: Vec::new(),
        }
    }
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self { per_minute: 100, per_workload_per_minute: 20 }
    }
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self { socket: "/run/vedette/control.sock".into(), group: String::new() }
    }
}
