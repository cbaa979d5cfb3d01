//! TLS as a client: one configuration for whatever speaks it.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::{
    config::TlsConfig,
    sink::{Failure, Reason},
};

/// What a client needs. Certificates are read now: whoever wants those that were replaced asks again.
///
/// # Errors
/// Where a file is missing or holds something else; the message has its path.
pub fn client(config: &TlsConfig) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(Reason::Tls, error.to_string()))?
        .with_root_certificates(roots(config)?);
    if config.certificate.as_os_str().is_empty() {
        return Ok(builder.with_no_client_auth());
    }
    let chain = certificates(&config.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| unreadable(&config.key, &error))?;
    let built = builder.with_client_auth_cert(chain, key);
    built.map_err(|error| unreadable(&config.certificate, &error))
}

fn roots(config: &TlsConfig) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    if config.ca.as_os_str().is_empty() {
        // Old bundles hold certificates that nobody accepts any more: those are left out.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    }
    for certificate in certificates(&config.ca)? {
        roots.add(certificate).map_err(|error| unreadable(&config.ca, &error))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(unreadable(path, &"there is no certificate in it")),
        Ok(found) => Ok(found),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Reason::Local, format!("cannot use {}: {why}", path.display()))
}
