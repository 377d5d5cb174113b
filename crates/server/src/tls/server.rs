//! What rustls needs, made from the files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

use super::ClientAuth;
use super::files::{Content, TlsError, TlsFiles};
use super::peer::parse;
use crate::metrics::Metrics;

/// What listeners speak, preferred first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// One state of the files, ready for use.
#[derive(Debug)]
pub(super) struct Loaded {
    off: Arc<ServerConfig>,
    clients: Option<Clients>,
    /// Of the server's own certificate, in hexadecimal.
    pub(super) serial: String,
    /// When the server's certificate ends, in seconds since the Unix epoch.
    pub(super) not_after: i64,
    /// When the first of the revocation lists should have been replaced; None without lists.
    crl_next_update: Option<i64>,
    /// Counts up with each state.
    pub(super) version: u64,
}

#[derive(Debug)]
struct Clients {
    optional: Arc<ServerConfig>,
    required: Arc<ServerConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Loaded {
    pub(super) fn new(files: &TlsFiles, content: &Content, version: u64) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let chain = content.chain(files)?;
        let (serial, not_after) = {
            let own =
                chain.first().map(|own| parse(own)).transpose().map_err(|reason| TlsError::new(&files.cert, reason))?;
            own.map(|own| (own.raw_serial_as_string(), own.validity().not_after.timestamp())).unwrap_or_default()
        };
        let key = Arc::new(certified_key(files, content, chain, &provider)?);
        let crls = content.crls(files)?;
        let crl_next_update = next_update(files, &crls)?;
        let clients = match (content.client_ca(files)?, &files.client_ca) {
            (Some(authorities), Some(path)) => {
                let trust = Trust { path, crl_path: files.crl.as_ref(), authorities, crls, provider: &provider };
                Some(Clients {
                    optional: config(&provider, &key, trust.verifier(ClientAuth::Optional)?, files)?,
                    required: config(&provider, &key, trust.verifier(ClientAuth::Required)?, files)?,
                    verifier: trust.verifier(ClientAuth::Required)?,
                })
            }
            _ => None,
        };
        let off = config(&provider, &key, WebPkiClientVerifier::no_client_auth(), files)?;
        Ok(Self { off, clients, serial, not_after, crl_next_update, version })
    }

    /// None when client certificates are asked for and there is no CA.
    pub(super) fn config(&self, client_auth: ClientAuth) -> Option<Arc<ServerConfig>> {
        match client_auth {
            ClientAuth::Off => Some(self.off.clone()),
            ClientAuth::Optional => self.clients.as_ref().map(|clients| clients.optional.clone()),
            ClientAuth::Required => self.clients.as_ref().map(|clients| clients.required.clone()),
        }
    }

    pub(super) fn verifier(&self) -> Option<&dyn ClientCertVerifier> {
        self.clients.as_ref().map(|clients| &*clients.verifier)
    }

    pub(super) fn report(&self, metrics: &Metrics) {
        metrics.tls_expires(self.not_after, self.crl_next_update);
        let now = jiff::Timestamp::now().as_second();
        if self.not_after < now {
            tracing::error!(serial = self.serial, not_after = self.not_after, "the TLS certificate has expired");
        }
        if self.crl_next_update.is_some_and(|next| next < now) {
            tracing::warn!(next_update = self.crl_next_update, "a revocation list is older than its CA allows");
        }
    }
}

fn certified_key(
    files: &TlsFiles,
    content: &Content,
    chain: Vec<CertificateDer<'static>>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let bad_key = |error: rustls::Error| TlsError::new(&files.key, format!("the key can't be used: {error}"));
    let key = CertifiedKey::from_der(chain, content.key(files)?, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::new(&files.key, format!("not the key of the certificate in {}", files.cert.display()))
        }
        error => bad_key(error),
    })?;
    Ok(key)
}

fn config(
    provider: &Arc<CryptoProvider>,
    key: &Arc<CertifiedKey>,
    verifier: Arc<dyn ClientCertVerifier>,
    files: &TlsFiles,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::new(&files.cert, error.to_string()))?;
    // Sessions are kept in the configuration itself: none outlives the lists that it was checked against.
    let mut config = builder
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key.clone())));
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(Arc::new(config))
}

/// Whose client certificates are good.
struct Trust<'a> {
    path: &'a Path,
    crl_path: Option<&'a PathBuf>,
    authorities: Vec<CertificateDer<'static>>,
    crls: Vec<CertificateRevocationListDer<'static>>,
    provider: &'a Arc<CryptoProvider>,
}

impl Trust<'_> {
    /// With lists, the whole chain is checked, and a CA without a list vouches for nobody: a forgotten list must not be
    /// an open door. A list that its CA should have replaced stays in force: refusing every client because a
    /// download failed would lose logs.
    fn verifier(&self, client_auth: ClientAuth) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in &self.authorities {
            roots
                .add(authority.clone())
                .map_err(|error| TlsError::new(self.path, format!("not a certificate of a CA: {error}")))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .with_crls(self.crls.iter().cloned());
        let builder = if client_auth == ClientAuth::Optional { builder.allow_unauthenticated() } else { builder };
        builder.build().map_err(|error| {
            let path = self.crl_path.map_or(self.path, PathBuf::as_path);
            TlsError::new(path, format!("a revocation list can't be used: {error}"))
        })
    }
}

fn next_update(files: &TlsFiles, crls: &[CertificateRevocationListDer<'_>]) -> Result<Option<i64>, TlsError> {
    let path = files.crl.as_deref().unwrap_or(&files.cert);
    let mut first = None;
    for crl in crls {
        let (_, list) = CertificateRevocationList::from_der(crl)
            .map_err(|error| TlsError::new(path, format!("a revocation list can't be read: {error}")))?;
        if let Some(next) = list.next_update() {
            let next = next.timestamp();
            first = Some(first.map_or(next, |first: i64| first.min(next)));
        }
    }
    Ok(first)
}
