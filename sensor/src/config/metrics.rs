//! Keys of the HTTP server that tells metrics and whether the sensor is well.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::SecretSource;

/// Metrics by HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Where it listens.
    pub listen: Listen,
    /// TLS, where there is a certificate.
    pub tls: ServerTlsConfig,
    /// What whoever asks for `/metrics` has to show; none: nothing.
    pub token: Option<SecretSource>,
    /// Share of a bound (ring, queue, spool) beyond which what waits makes the sensor not ready.
    pub backlog_share: f64,
    /// Whether the run time of the kernel programs is measured.
    pub program_stats: bool,
}

/// An address and a port, or nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Listen(pub Option<SocketAddr>);

/// TLS as a server; both files are read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerTlsConfig {
    /// PEM with the certificate and those between it and an authority; empty: no TLS.
    pub certificate: PathBuf,
    /// PEM with its key.
    pub key: PathBuf,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            listen: Listen(Some(SocketAddr::from(([127, 0, 0, 1], 9464)))),
            tls: ServerTlsConfig::default(),
            token: None,
            backlog_share: 0.8,
            program_stats: false,
        }
    }
}

impl MetricsConfig {
    /// What is wrong with a value, and with which key's.
    pub(super) fn wrong(&self) -> Option<(&'static str, String)> {
        if !(self.backlog_share > 0.0 && self.backlog_share <= 1.0) {
            let message = format!("{} is no share above 0 and up to 1", self.backlog_share);
            return Some(("metrics.backlog_share", message));
        }
        match (self.tls.certificate.as_os_str().is_empty(), self.tls.key.as_os_str().is_empty()) {
            (true, false) => {
                Some(("metrics.tls.certificate", "there is a key and no certificate".to_owned()))
            }
            (false, true) => Some(("metrics.tls.key", "there is a certificate and no key".to_owned())),
            _ => None,
        }
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let parsed = text.parse().map_err(|_| {
            format!(
                "`{text}` is no address with a port; write 127.0.0.1:9464, 0.0.0.0:9464, [::]:9464, or nothing for none"
            )
        });
        parsed.map(|address| Self(Some(address)))
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.0.map(|address| address.to_string()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_its_port_and_nothing_is_nowhere() {
        let listen = |text: &str| Listen::try_from(text.to_owned());
        for text in ["127.0.0.1:9464", "0.0.0.0:0", "[::1]:80", ""] {
            assert_eq!(String::from(listen(text).unwrap()), text);
        }
        for text in ["127.0.0.1", "localhost:9464", ":9464", "9464", "[::1]", "127.0.0.1:65536"] {
            assert!(listen(text).unwrap_err().contains("no address with a port"), "{text}");
        }
    }

    #[test]
    fn values_out_of_range_are_named_by_their_key() {
        let wrong = |config: MetricsConfig| config.wrong().map(|(key, _)| key);
        let default = MetricsConfig::default;
        assert_eq!(wrong(default()), None);
        for share in [0.0, -1.0, 1.01, f64::NAN] {
            assert_eq!(
                wrong(MetricsConfig { backlog_share: share, ..default() }),
                Some("metrics.backlog_share")
            );
        }
        let tls = |certificate: &str, key: &str| {
            let tls = ServerTlsConfig { certificate: certificate.into(), key: key.into() };
            wrong(MetricsConfig { tls, ..default() })
        };
        assert_eq!(tls("", "k"), Some("metrics.tls.certificate"));
        assert_eq!(tls("c", ""), Some("metrics.tls.key"));
        assert_eq!(tls("c", "k"), None);
    }
}
