//! The files of a listener's TLS, read within bounds.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

/// A chain has a few kilobytes; a revocation list of a large company some megabytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Where certificates and keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the server's certificate, then those that lead from it to its CA.
    pub cert: PathBuf,
    /// PEM: the private key of the first certificate.
    pub key: PathBuf,
    /// PEM: the CAs whose client certificates are good.
    pub client_ca: Option<PathBuf>,
    /// PEM or DER: what these CAs have revoked; one list for each CA that signs client certificates.
    pub crl: Option<PathBuf>,
}

/// A file that can't be read or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct TlsError {
    pub path: PathBuf,
    pub reason: String,
}

impl TlsError {
    pub(super) fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: path.to_owned(), reason: reason.into() }
    }

    /// Tells one failure from another, as [`Content::fingerprint`] does for contents.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Sha256::digest(self.to_string()).into())
    }
}

/// Tells contents apart without keeping a key in memory longer than needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

/// What the files hold at one moment.
pub(super) struct Content {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
    crl: Option<Vec<u8>>,
}

impl Content {
    pub(super) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let optional = |path: &Option<PathBuf>| path.as_deref().map(read).transpose();
        Ok(Self {
            cert: read(&files.cert)?,
            key: read(&files.key)?,
            client_ca: optional(&files.client_ca)?,
            crl: optional(&files.crl)?,
        })
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        let nothing = Vec::new();
        for part in
            [&self.cert, &self.key, self.client_ca.as_ref().unwrap_or(&nothing), self.crl.as_ref().unwrap_or(&nothing)]
        {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Fingerprint(hash.finalize().into())
    }

    pub(super) fn chain(&self, files: &TlsFiles) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        certificates(&files.cert, &self.cert)
    }

    pub(super) fn key(&self, files: &TlsFiles) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            TlsError::new(&files.key, format!("no private key in PEM form without a password: {error}"))
        })
    }

    /// The CAs of clients, if client certificates are known here.
    pub(super) fn client_ca(&self, files: &TlsFiles) -> Result<Option<Vec<CertificateDer<'static>>>, TlsError> {
        match (&files.client_ca, &self.client_ca) {
            (Some(path), Some(bytes)) => certificates(path, bytes).map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn crls(&self, files: &TlsFiles) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        let (Some(path), Some(bytes)) = (&files.crl, &self.crl) else { return Ok(Vec::new()) };
        // A DER list is a sequence; PEM is text.
        if bytes.first() == Some(&0x30) {
            return Ok(vec![CertificateRevocationListDer::from(bytes.clone())]);
        }
        let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(bytes).collect();
        let lists = lists.map_err(|error| TlsError::new(path, format!("damaged PEM: {error}")))?;
        if lists.is_empty() {
            return Err(TlsError::new(path, "no revocation list in it (`-----BEGIN X509 CRL-----`)"));
        }
        Ok(lists)
    }
}

fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let found = found.map_err(|error| TlsError::new(path, format!("damaged PEM: {error}")))?;
    if found.is_empty() {
        return Err(TlsError::new(path, "no certificate in it (`-----BEGIN CERTIFICATE-----`)"));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |error: std::io::Error| TlsError::new(path, format!("can't be read: {error}"));
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(TlsError::new(path, format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}
