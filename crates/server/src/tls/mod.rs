//! TLS of the listeners: certificates that are replaced while connections stay open, and clients that show their own.
//!
//! - [`files`]: the certificate, the key, the CAs and the revocation lists, read within bounds;
//! - `server`: what rustls needs, made from them: one configuration for each way of asking for client certificates;
//! - [`peer`]: the certificate of a connection's client, checked again when the lists change;
//! - [`identity`]: the names in a certificate, and the rules that make a project, scopes and a service of them;
//! - [`watch`]: notices that files changed.
//!
//! [`Tls`] is what all listeners of a process share. New connections take what is loaded at that moment; open ones keep
//! their keys and go on. Files that can't be used change nothing: the old ones stay in force, and the log and a
//! metric say so.

pub mod files;
pub mod identity;
pub mod peer;
mod server;
#[cfg(test)]
pub(crate) mod tests;
pub mod watch;

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::metrics::Metrics;
use files::{Content, Fingerprint};
pub use files::{TlsError, TlsFiles};
pub use peer::Peer;
use server::Loaded;

/// Whether a listener asks its clients for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// It does not ask.
    #[default]
    Off,
    /// It asks; clients without one go on, clients with a bad one do not.
    Optional,
    /// Only clients with a certificate of the configured CAs come in.
    Required,
}

/// What all listeners share: the files, and what was made of them.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    loaded: ArcSwap<Loaded>,
    /// What was last tried, so that a mistake is told once.
    tried: Mutex<Fingerprint>,
    metrics: Arc<Metrics>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// A file that can't be read or used, with its name and what is wrong.
    pub fn load(files: TlsFiles, metrics: Arc<Metrics>) -> Result<Arc<Self>, TlsError> {
        let content = Content::read(&files)?;
        let loaded = Loaded::new(&files, &content, 1)?;
        loaded.report(&metrics);
        let tried = Mutex::new(content.fingerprint());
        Ok(Arc::new(Self { files, loaded: ArcSwap::from_pointee(loaded), tried, metrics }))
    }

    /// A listener's view.
    ///
    /// # Errors
    /// Client certificates are asked for, but no CA says which are good.
    pub fn listener(self: &Arc<Self>, client_auth: ClientAuth) -> Result<TlsListener, TlsError> {
        if self.loaded.load().config(client_auth).is_none() {
            return Err(TlsError::new(&self.files.cert, "client certificates are asked for, but no CA is configured"));
        }
        Ok(TlsListener { tls: self.clone(), client_auth })
    }

    /// Takes the files as they are now, if they differ from what was tried last.
    ///
    /// # Errors
    /// They can't be used; the old ones stay in force.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.take(Content::read(&self.files))
    }

    fn take(&self, content: Result<Content, TlsError>) -> Result<(), TlsError> {
        let mut tried = self.tried.lock();
        let fingerprint = content.as_ref().map_or_else(TlsError::fingerprint, Content::fingerprint);
        if *tried == fingerprint {
            return Ok(());
        }
        *tried = fingerprint;
        let version = self.loaded.load().version + 1;
        match content.and_then(|content| Loaded::new(&self.files, &content, version)) {
            Ok(loaded) => {
                loaded.report(&self.metrics);
                let serial = loaded.serial.as_str();
                tracing::info!(serial, not_after = loaded.not_after, "TLS files taken into force");
                self.loaded.store(Arc::new(loaded));
                self.metrics.tls_reloaded(true);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "TLS files changed, but can't be used: the old ones stay in force");
                self.metrics.tls_reloaded(false);
                Err(error)
            }
        }
    }
}

/// The serial number of the first certificate in a PEM text, in hexadecimal without separators.
///
/// # Errors
/// There is no certificate in it.
pub fn certificate_serial(pem: &[u8]) -> Result<String, String> {
    let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| "no certificate in PEM form".to_owned())?;
    Ok(peer::parse(&certificate)?.raw_serial_as_string().replace(':', ""))
}

/// TLS as one listener speaks it.
#[derive(Debug, Clone)]
pub struct TlsListener {
    tls: Arc<Tls>,
    client_auth: ClientAuth,
}

impl TlsListener {
    /// For the next connection, with the number of the state that it belongs to; None when client certificates are
    /// asked for and no CA is there to check them.
    pub(crate) fn config(&self) -> Option<(Arc<ServerConfig>, u64)> {
        let loaded = self.tls.loaded.load();
        Some((loaded.config(self.client_auth)?, loaded.version))
    }

    /// The client behind a certificate that a handshake under the state `version` has accepted.
    pub(crate) fn peer(&self, chain: &[CertificateDer<'_>], version: u64) -> Result<Option<Arc<Peer>>, TlsError> {
        if chain.is_empty() {
            return Ok(None);
        }
        Peer::new(self.tls.clone(), chain, version).map(|peer| Some(Arc::new(peer)))
    }
}
