//! File + environment + flags + defaults → [`Config`], validated once. Downstream nothing is optional any more.

mod dns;
mod identity;
mod isolate;
mod kernel;
mod metrics;
mod near;
mod page;
mod place;
mod range;
mod redact;
mod respond;
mod restart;
mod sink;
mod source;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

pub use self::{
    dns::DnsConfig,
    identity::{ContainerdConfig, DockerConfig, IdentityConfig},
    isolate::{AllowedPeer, IsolateConfig},
    kernel::{KernelConfig, KernelMode},
    metrics::{Listen, MetricsConfig, ServerTlsConfig},
    page::page,
    redact::RedactConfig,
    respond::{ControlConfig, LimitConfig, ProtectConfig, RespondConfig},
    restart::needs_restart,
    sink::*,
    source::{Loaded, Origin},
};

/// Read where no `--config` is given, if it is there.
pub const DEFAULT_FILE: &str = "/etc/vedette/vedette.yaml";
/// The names of priorities, the least urgent first.
pub const PRIORITIES: [&str; 8] =
    ["debug", "informational", "notice", "warning", "error", "critical", "alert", "emergency"];
/// Every key, with its default. `deploy/vedette.yaml` documents them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of this machine in alerts; empty: what the kernel says.
    pub hostname: String,
    /// Held while `vedette run` works, so that there is only one.
    pub lock: PathBuf,
    /// Where to write the accounts of the run as JSON, once a second and at the end; empty: nowhere.
    pub stats_file: PathBuf,
    /// Rules.
    pub rules: RulesConfig,
    /// Kernel half.
    pub kernel: KernelConfig,
    /// Process table.
    pub processes: ProcessesConfig,
    /// Names of addresses.
    pub dns: DnsConfig,
    /// Who containers are.
    pub identity: IdentityConfig,
    /// containerd.
    pub containerd: ContainerdConfig,
    /// dockerd.
    pub docker: DockerConfig,
    /// Responses.
    pub respond: RespondConfig,
    /// The operator's socket.
    pub control: ControlConfig,
    /// Metrics and whether the sensor is well, by HTTP.
    pub metrics: MetricsConfig,
    /// Alerts on standard output.
    pub stdout: StdoutConfig,
    /// Where alerts go beside it.
    pub sinks: Sinks,
    /// What is hidden in what leaves the sensor.
    pub redact: RedactConfig,
    /// The key that signs checkpoints; made where a sink has them and it is missing.
    pub signing_key: PathBuf,
}

/// Which rules are loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RulesConfig {
    /// Whether the built-in set is loaded, before the files.
    pub builtin: bool,
    /// Files, and directories whose `*.yaml` are loaded in the order of their names. Missing ones are skipped.
    pub paths: Vec<PathBuf>,
    /// Memory in bytes for what `count`, `sequence` and `suppress` of all rules remember; 128 KiB at least.
    pub state_bytes: usize,
    /// Whether rule files and the configuration are loaded again when they change; SIGHUP always does that.
    pub watch: bool,
    /// Rules below this priority are not loaded: one of [`PRIORITIES`], in any case.
    pub minimum_priority: String,
    /// Which rules to switch on or off, in this order; later ones win.
    pub toggles: Vec<RuleToggle>,
    /// Whether an event stops at the first rule that matches.
    pub first_match: bool,
}

/// Switches rules on or off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleToggle {
    /// On, also those that their file switches off.
    Enable(RuleChoice),
    /// Off.
    Disable(RuleChoice),
}

/// Some of the rules; in names of rules and files `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleChoice {
    /// By name.
    Rule(String),
    /// By tag.
    Tag(String),
    /// By the file that defines them: its path, or its name alone.
    File(String),
}

/// The process table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessesConfig {
    /// Memory for process images in bytes.
    pub limit_bytes: usize,
}

/// Alerts on standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StdoutConfig {
    /// How alerts are written.
    pub format: Format,
    /// Alerts that may wait for a slow reader; more are dropped and counted.
    pub queue: usize,
}

/// Form of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Readable lines on a terminal, JSON lines elsewhere.
    Auto,
    /// JSON lines.
    Json,
    /// Readable lines.
    Text,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hostname: String::new(),
            lock: "/run/vedette/lock".into(),
            stats_file: "/run/vedette/stats.json".into(),
            rules: RulesConfig::default(),
            kernel: KernelConfig::default(),
            processes: ProcessesConfig::default(),
            dns: DnsConfig::default(),
            identity: IdentityConfig::default(),
            containerd: ContainerdConfig::default(),
            docker: DockerConfig::default(),
            respond: RespondConfig::default(),
            control: ControlConfig::default(),
            metrics: MetricsConfig::default(),
            stdout: StdoutConfig::default(),
            sinks: Sinks::default(),
            redact: RedactConfig::default(),
            signing_key: "/var/lib/vedette/signing.key".into(),
        }
    }
}

impl Default for RulesConfig {
    fn default() -> Self {
        Self {
            builtin: true,
            paths: vec!["/etc/vedette/rules.d".into()],
            watch: true,
            minimum_priority: "debug".to_owned(),
            toggles: Vec::new(),
            first_match: false,
            state_bytes: 16 << 20,
        }
    }
}

impl Default for ProcessesConfig {
    fn default() -> Self {
        Self { limit_bytes: 24 << 20 }
    }
}

impl Default for StdoutConfig {
    fn default() -> Self {
        Self { format: Format::Auto, queue: 16_384 }
    }
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {error}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's words.
        error: std::io::Error,
    },
    /// The file is no YAML.
    #[error("{path}: {message}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// A `--set` without `=`.
    #[error("--set {0}: write it as key=value")]
    Set(String),
    /// A key that does not exist, or a value of the wrong type or out of range.
    #[error("{origin}: {message}")]
    Value {
        /// Where the value came from.
        origin: String,
        /// What is wrong with it.
        message: String,
    },
}

impl Config {
    /// Defaults, then the file, then the environment, then `sets` (`key=value`). `file`: `None` for [`DEFAULT_FILE`].
    ///
    /// # Errors
    /// See [`ConfigError`]; a missing default file is none.
    pub fn load(file: Option<&Path>, sets: &[String]) -> Result<Self, ConfigError> {
        Loaded::read(file, sets).map(|loaded| loaded.config)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        match range::wrong(self) {
            Some((origin, message)) => Err(ConfigError::Value { origin, message }),
            None => Ok(()),
        }
    }
}

/// The dotted names of all leaves; a mapping without entries is one.
fn keys(prefix: &str, value: &Value) -> Vec<String> {
    let Value::Object(map) = value else { return vec![prefix.to_owned()] };
    if map.is_empty() && !prefix.is_empty() {
        return vec![prefix.to_owned()];
    }
    let name = |key: &String| if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
    map.iter().flat_map(|(key, value)| keys(&name(key), value)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_documented_file_is_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/vedette.yaml");
        assert_eq!(Config::load(Some(&path), &[]).unwrap(), Config::default());
        let text = fs::read_to_string(path).unwrap();
        for key in keys("", &serde_json::to_value(Config::default()).unwrap()) {
            let leaf = key.rsplit('.').next().unwrap();
            assert!(text.contains(&format!("{leaf}:")), "deploy/vedette.yaml does not mention {key}");
        }
    }

    #[test]
    fn later_sources_win_and_mistakes_are_said() {
        let sets =
            |sets: &[&str]| Config::load(None, &sets.iter().map(|set| (*set).to_owned()).collect::<Vec<_>>());
        let config = sets(&["kernel.ring_bytes=65536", "rules.builtin=false", "hostname=a"]).unwrap();
        assert_eq!(
            (config.kernel.ring_bytes, config.rules.builtin, config.hostname.as_str()),
            (65536, false, "a")
        );
        let error = |set: &str| sets(&[set]).unwrap_err().to_string();
        assert!(error("rules.builtin=maybe").contains("--set rules.builtin: invalid type"));
        assert!(error("hostname").contains("key=value"));
        assert!(error(r#"rules.toggles=[{"off": {"tag": "x"}}]"#).contains("unknown variant `off`"));
        assert!(error(r#"rules.toggles=[{"disable": {"tags": "x"}}]"#).contains("unknown variant `tags`"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.yaml");
        fs::write(&file, "kernel: [1\n").unwrap();
        assert!(matches!(Config::load(Some(&file), &[]), Err(ConfigError::Syntax { .. })));
        assert!(matches!(Config::load(Some(&dir.path().join("none")), &[]), Err(ConfigError::Read { .. })));
    }

    #[test]
    fn toggles_keep_their_order_and_rules_need_no_restart() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.yaml");
        let text = "lock: /l\nrules:\n  state_bytes: 200000\n  minimum_priority: WARNING\n  toggles:\n    - disable: {tag: mitre_discovery}\n    - enable: {rule: \"Shell*\"}\n    - disable: {file: local.yaml}\n";
        fs::write(&file, text).unwrap();
        let config = Config::load(Some(&file), &[]).unwrap();
        assert_eq!(
            config.rules.toggles,
            [
                RuleToggle::Disable(RuleChoice::Tag("mitre_discovery".to_owned())),
                RuleToggle::Enable(RuleChoice::Rule("Shell*".to_owned())),
                RuleToggle::Disable(RuleChoice::File("local.yaml".to_owned())),
            ]
        );
        assert_eq!(Config::default().needs_restart(&config), ["lock", "rules.state_bytes"]);
    }
}
