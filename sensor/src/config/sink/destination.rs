//! Destinations: what each needs to be reached. Secrets never stand here, only where they are read from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where a sink sends to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Destination {
    /// A file on this machine.
    File(FileConfig),
    /// RFC 5424.
    Syslog(SyslogConfig),
    /// HTTP, to whatever takes JSON.
    Webhook(WebhookConfig),
    /// Splunk's HTTP event collector.
    Splunk(SplunkConfig),
    /// Elasticsearch and OpenSearch.
    Elasticsearch(ElasticsearchConfig),
    /// OpenTelemetry's logs.
    Otlp(OtlpConfig),
    /// Kafka.
    Kafka(KafkaConfig),
    /// NATS JetStream.
    Nats(NatsConfig),
}

impl Destination {
    /// The name by which it is chosen.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Syslog(_) => "syslog",
            Self::Webhook(_) => "webhook",
            Self::Splunk(_) => "splunk",
            Self::Elasticsearch(_) => "elasticsearch",
            Self::Otlp(_) => "otlp",
            Self::Kafka(_) => "kafka",
            Self::Nats(_) => "nats",
        }
    }
}

impl Destination {
    /// Whether its address can be one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn validate(&self) -> Result<(), String> {
        let url = |url: &str| {
            let known = ["http://", "https://"]
                .iter()
                .any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
            // What stands in an address would be seen in logs.
            let secret = url
                .split_once("://")
                .is_some_and(|(_, rest)| rest.split('/').next().unwrap_or_default().contains('@'));
            match (known, secret) {
                (true, false) => Ok(()),
                (true, true) => {
                    Err("no user or password stands in an address: use a header or the keys for it"
                        .to_owned())
                }
                (false, _) => Err(format!("`{url}` is no address that begins with http:// or https://")),
            }
        };
        let some = |what: &str, given: bool| if given { Ok(()) } else { Err(format!("it has no {what}")) };
        match self {
            Self::File(to) => some("path", !to.path.as_os_str().is_empty()),
            Self::Syslog(to) if to.facility > 23 => {
                Err(format!("no facility {}: they are 0 to 23", to.facility))
            }
            Self::Syslog(to) => some("address", !to.address.is_empty()),
            Self::Webhook(to) => url(&to.url),
            Self::Splunk(to) => url(&to.url),
            Self::Elasticsearch(to) => url(&to.url),
            Self::Otlp(to) => url(&to.endpoint),
            Self::Kafka(to) => {
                some("brokers", !to.brokers.is_empty()).and_then(|()| some("topic", !to.topic.is_empty()))
            }
            Self::Nats(to) if to.servers.iter().any(|server| server.contains('@')) => {
                Err("no user or password stands in an address: use the keys for it".to_owned())
            }
            Self::Nats(to) => {
                some("servers", !to.servers.is_empty()).and_then(|()| some("subject", !to.subject.is_empty()))
            }
        }
    }
}

/// Where a secret is read from; it is read again when it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretSource {
    /// A file; blanks and line breaks at its ends do not count.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
}

/// TLS as a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM with the authorities to trust instead of the machine's own; empty: the machine's.
    pub ca: PathBuf,
    /// PEM with a certificate to show; empty: none.
    pub certificate: PathBuf,
    /// PEM with its key.
    pub key: PathBuf,
}

/// What everything that speaks HTTP has in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// `gzip` or `none`.
    pub compression: Compression,
    /// Headers beside those that the protocol asks for.
    pub headers: Vec<Header>,
    /// TLS, for `https`.
    pub tls: TlsConfig,
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Where its value is.
    pub value: SecretSource,
}

/// How bodies are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// As gzip.
    Gzip,
}

/// A file of one record per line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    /// Its path. Its directory is made if only that is missing.
    pub path: PathBuf,
    /// Bytes after which another file is begun; 0: never.
    #[serde(default = "file_max_bytes")]
    pub max_bytes: u64,
    /// Seconds after which another file is begun; 0: never.
    #[serde(default)]
    pub max_age_s: u64,
    /// Old files that are kept.
    #[serde(default = "file_keep")]
    pub keep: usize,
    /// How old files are packed.
    #[serde(default)]
    pub compression: Compression,
    /// Whether lines are on the disk, not only in the system's memory, before they count as delivered.
    #[serde(default)]
    pub sync: bool,
}

const fn file_max_bytes() -> u64 {
    100 << 20
}

const fn file_keep() -> usize {
    10
}

/// A syslog server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyslogConfig {
    /// By which way.
    pub transport: SyslogTransport,
    /// `host:port`, or a path for `unix`.
    pub address: String,
    /// 0 to 23; 4 is `auth`, 10 `authpriv`, 16 `local0`.
    #[serde(default = "syslog_facility")]
    pub facility: u8,
    /// What the records call this program.
    #[serde(default = "syslog_app_name")]
    pub app_name: String,
    /// For `tls`.
    #[serde(default)]
    pub tls: TlsConfig,
}

const fn syslog_facility() -> u8 {
    4
}

fn syslog_app_name() -> String {
    "vedette".to_owned()
}

/// Ways to a syslog server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyslogTransport {
    /// A socket of this machine, datagram or stream.
    Unix,
    /// A datagram for each record (RFC 5426).
    Udp,
    /// Octet counting (RFC 6587).
    Tcp,
    /// The same within TLS (RFC 5425).
    Tls,
}

/// An HTTP endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// `http://…` or `https://…`.
    pub url: String,
    /// Whether each record is a request of its own, as Falco sends them; else a request has a JSON array.
    #[serde(default)]
    pub one_by_one: bool,
    /// Requests that are under way at once where they are sent one by one. With more than one, records may arrive in another
    /// order.
    #[serde(default = "webhook_parallel")]
    pub parallel: usize,
    /// HTTP.
    #[serde(default)]
    pub http: HttpConfig,
}

const fn webhook_parallel() -> usize {
    1
}

/// Splunk's HTTP event collector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplunkConfig {
    /// `https://splunk:8088`; the path is added.
    pub url: String,
    /// The collector's token.
    pub token: SecretSource,
    /// Empty: the token's own.
    #[serde(default)]
    pub index: String,
    /// Its source type.
    #[serde(default = "splunk_sourcetype")]
    pub sourcetype: String,
    /// Whether a record counts as delivered only once the indexer has acknowledged it.
    #[serde(default)]
    pub acknowledge: bool,
    /// HTTP.
    #[serde(default)]
    pub http: HttpConfig,
}

fn splunk_sourcetype() -> String {
    "vedette:alert".to_owned()
}

/// Elasticsearch or `OpenSearch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElasticsearchConfig {
    /// `https://elasticsearch:9200`.
    pub url: String,
    /// A data stream or an index.
    #[serde(default = "elasticsearch_index")]
    pub index: String,
    /// User of the basic authentication; empty: none.
    #[serde(default)]
    pub user: String,
    /// Its password.
    #[serde(default)]
    pub password: Option<SecretSource>,
    /// An API key instead, as the server encodes it.
    #[serde(default)]
    pub api_key: Option<SecretSource>,
    /// HTTP.
    #[serde(default)]
    pub http: HttpConfig,
}

fn elasticsearch_index() -> String {
    "logs-vedette.alert-default".to_owned()
}

/// A collector of `OpenTelemetry`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtlpConfig {
    /// `http://collector:4317` for gRPC; for HTTP the whole address, `http://collector:4318/v1/logs`.
    pub endpoint: String,
    /// Which of the two.
    #[serde(default)]
    pub protocol: OtlpProtocol,
    /// Headers are metadata in gRPC.
    #[serde(default)]
    pub http: HttpConfig,
}

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OtlpProtocol {
    /// gRPC.
    #[default]
    Grpc,
    /// Protocol buffers by HTTP.
    Http,
}

/// A Kafka cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// `host:port`; one that answers is enough.
    pub brokers: Vec<String>,
    /// Where records go; it has to be there.
    pub topic: String,
    /// Which partition: the order of records is kept within one.
    #[serde(default)]
    pub partition: i32,
    /// `gzip` or `none`.
    #[serde(default)]
    pub compression: Compression,
    /// Whether to use TLS.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Who we are.
    #[serde(default)]
    pub sasl: Option<Sasl>,
}

/// Who we are for Kafka.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    /// How it is shown.
    pub mechanism: SaslMechanism,
    /// The user.
    pub user: String,
    /// Its password.
    pub password: SecretSource,
}

/// How a password is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SaslMechanism {
    /// As it is.
    #[serde(rename = "plain")]
    Plain,
    /// RFC 7677.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// The same with the longer hash.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

/// A NATS server with `JetStream`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsConfig {
    /// `nats://host:4222` or `tls://…`; one that answers is enough.
    pub servers: Vec<String>,
    /// Where records go; a stream has to take it up.
    pub subject: String,
    /// User; empty: none.
    #[serde(default)]
    pub user: String,
    /// Its password.
    #[serde(default)]
    pub password: Option<SecretSource>,
    /// A token instead.
    #[serde(default)]
    pub token: Option<SecretSource>,
    /// TLS.
    #[serde(default)]
    pub tls: TlsConfig,
}
