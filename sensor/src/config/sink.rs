//! Keys about where alerts go: `sinks` is a map from a name of the operator's choice to one destination and how it is fed.

mod destination;

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

pub use self::destination::{
    Compression, Destination, ElasticsearchConfig, FileConfig, Header, HttpConfig, KafkaConfig, NatsConfig,
    OtlpConfig, OtlpProtocol, Sasl, SaslMechanism, SecretSource, SplunkConfig, SyslogConfig, SyslogTransport,
    TlsConfig, WebhookConfig,
};

/// Sinks by name.
pub type Sinks = BTreeMap<String, SinkConfig>;

/// One sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkConfig {
    /// Where to.
    pub to: Destination,
    /// Form of the records.
    #[serde(default)]
    pub encoding: Encoding,
    /// Which alerts.
    #[serde(default)]
    pub filter: FilterConfig,
    /// Which events beside the alerts; none where no kind is named.
    #[serde(default)]
    pub events: EventsConfig,
    /// Alerts that may wait in memory for their place in the spool or the file. More are dropped and counted.
    #[serde(default = "queue")]
    pub queue: usize,
    /// What waits for a remote destination.
    #[serde(default)]
    pub spool: SpoolConfig,
    /// How often a remote destination is tried.
    #[serde(default)]
    pub retry: RetryConfig,
    /// Proofs that nothing is missing.
    #[serde(default)]
    pub checkpoint: CheckpointConfig,
}

impl SinkConfig {
    /// Whether it can be what was meant; else the key behind `sinks.NAME`, and what is wrong with it.
    ///
    /// # Errors
    /// See there.
    pub fn validate(&self, name: &str) -> Result<(), (&'static str, String)> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return Err((
                "",
                "a name has 1 to 64 letters, digits, `-` and `_`: it becomes that of a file".to_owned(),
            ));
        }
        let minimum = &self.filter.minimum_priority;
        if !super::PRIORITIES.iter().any(|name| name.eq_ignore_ascii_case(minimum)) {
            let message = format!("no such priority `{minimum}`; there are {}", super::PRIORITIES.join(", "));
            return Err((".filter.minimum_priority", message));
        }
        let none = |what: &str| format!("0 {what}");
        if self.queue == 0 {
            return Err((".queue", none("leaves no room for a single alert")));
        }
        if self.events.one_in == 0 {
            return Err((".events.one_in", none("is no share; 1 is every one")));
        }
        if self.retry.batch_records == 0 {
            return Err((".retry.batch_records", none("records are no batch")));
        }
        self.to.validate().map_err(|message| (".to", message))
    }
}

const fn queue() -> usize {
    16_384
}

/// Form of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As Falco writes it, and what Falco's does not carry beside it.
    #[default]
    Falco,
    /// Elastic Common Schema.
    Ecs,
    /// Open Cybersecurity Schema Framework: a detection finding.
    Ocsf,
    /// `ArcSight`'s Common Event Format.
    Cef,
}

/// Which alerts a sink takes. Empty lists take all; `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilterConfig {
    /// Alerts below this priority are not sent: one of [`super::PRIORITIES`], in any case.
    pub minimum_priority: String,
    /// Names of rules.
    pub rules: Vec<String>,
    /// Tags; one of them is enough.
    pub tags: Vec<String>,
    /// Names or ids of containers; `host` is what is in none.
    pub containers: Vec<String>,
    /// Namespaces of Kubernetes.
    pub namespaces: Vec<String>,
}

impl Default for FilterConfig {
    fn default() -> Self {
        Self {
            minimum_priority: "debug".to_owned(),
            rules: Vec::new(),
            tags: Vec::new(),
            containers: Vec::new(),
            namespaces: Vec::new(),
        }
    }
}

/// Which events a sink takes beside alerts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsConfig {
    /// Types of events, as rules name them (`execve`, `connect`, …).
    pub types: Vec<String>,
    /// One of so many is sent.
    pub one_in: u32,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self { types: Vec::new(), one_in: 1 }
    }
}

/// What waits on disk for a remote destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// Directory; each sink has a file of its name there.
    pub directory: PathBuf,
    /// Bytes of records that may wait, on disk or, where that cannot be written, an eighth of it in memory.
    pub max_bytes: u64,
    /// Seconds after which a record that still waits is given up.
    pub max_age_s: u64,
    /// Milliseconds within which a record is on disk.
    pub flush_ms: u64,
    /// Bytes of the file of records that the destination refused for good; beyond it they are only counted.
    pub dead_letter_bytes: u64,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            directory: "/var/lib/vedette/spool".into(),
            max_bytes: 256 << 20,
            max_age_s: 7 * 24 * 3600,
            flush_ms: 100,
            dead_letter_bytes: 16 << 20,
        }
    }
}

/// How a remote destination is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// Milliseconds before the second try; each further pause is twice as long, by a random amount shorter.
    pub first_ms: u64,
    /// Longest pause in milliseconds.
    pub longest_ms: u64,
    /// Milliseconds that a try may take.
    pub timeout_ms: u64,
    /// Records that are sent at once, at most.
    pub batch_records: usize,
    /// Bytes of records that are sent at once, at most; a record that is larger goes alone.
    pub batch_bytes: usize,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            first_ms: 200,
            longest_ms: 30_000,
            timeout_ms: 10_000,
            batch_records: 500,
            batch_bytes: 1 << 20,
        }
    }
}

/// Signed statements of what was sent, in the stream itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Seconds between two, where anything was sent. 0: none.
    pub every_s: u64,
}

#[cfg(test)]
mod tests;
