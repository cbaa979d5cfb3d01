//! TLS as a server: the certificate is read again when its files change, and the last good one serves meanwhile.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

use super::MetricsError;
use crate::config::ServerTlsConfig;

/// By what it shows that a file is another one.
type Stamp = [Option<(u64, SystemTime)>; 2];

/// The certificate at work.
pub(super) struct Tls {
    config: ServerTlsConfig,
    stamp: Stamp,
    acceptor: TlsAcceptor,
}

impl Tls {
    /// Reads the files; `None` where the configuration names none.
    pub(super) fn open(config: &ServerTlsConfig) -> Result<Option<Self>, MetricsError> {
        if config.certificate.as_os_str().is_empty() {
            return Ok(None);
        }
        let stamp = stamp(config);
        let acceptor = read(config)?;
        Ok(Some(Self { config: config.clone(), stamp, acceptor }))
    }

    /// What shakes hands with the next client. Of files that changed and cannot be used the log says so once.
    pub(super) fn acceptor(&mut self) -> TlsAcceptor {
        let stamp = stamp(&self.config);
        if stamp != self.stamp {
            // First noted: files that change once more meanwhile are read once more.
            self.stamp = stamp;
            match read(&self.config) {
                Ok(acceptor) => {
                    tracing::info!("metrics: the new certificate is at work");
                    self.acceptor = acceptor;
                }
                Err(error) => {
                    tracing::warn!(%error, "metrics: the new certificate cannot be used, the old one stays")
                }
            }
        }
        self.acceptor.clone()
    }
}

fn stamp(config: &ServerTlsConfig) -> Stamp {
    [&config.certificate, &config.key].map(|path| {
        let about = fs::metadata(path).ok()?;
        Some((about.len(), about.modified().ok()?))
    })
}

fn read(config: &ServerTlsConfig) -> Result<TlsAcceptor, MetricsError> {
    let wrong = |path: &Path, error: &dyn std::fmt::Display| MetricsError::Tls {
        path: PathBuf::from(path),
        error: error.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(&config.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(&config.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| wrong(&config.key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let built = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut server = built.map_err(|error| wrong(&config.certificate, &error))?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(server)))
}
