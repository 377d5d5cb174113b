//! TLS towards the server. The files are read for each connection, so that renewed certificates need no restart.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Socket;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::PostgresTls;

/// Where systems keep the authorities that they trust.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Makes the TLS part of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    /// None: TLS is off, and no file is read.
    files: Option<Arc<PostgresTls>>,
}

impl Tls {
    pub(crate) fn off() -> Self {
        Self { files: None }
    }

    /// # Errors
    /// When a file can't be read or holds something else, with its name.
    pub(crate) fn new(files: PostgresTls) -> io::Result<Self> {
        let tls = Self { files: Some(Arc::new(files)) };
        tls.client_config()?;
        Ok(tls)
    }

    fn client_config(&self) -> io::Result<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let Some(files) = &self.files else {
            return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
        };
        let builder = builder.with_root_certificates(roots(files.ca_file.as_deref())?);
        match (&files.cert_file, &files.key_file) {
            (None, None) => Ok(builder.with_no_client_auth()),
            (Some(cert), Some(key)) => {
                let chain = certificates(cert)?;
                let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| in_file(key, error))?;
                builder.with_client_auth_cert(chain, key_der).map_err(|error| in_file(cert, error))
            }
            _ => Err(io::Error::other("a client certificate needs both its file and the file of its key")),
        }
    }
}

fn roots(ca_file: Option<&Path>) -> io::Result<RootCertStore> {
    let system = || SYSTEM_BUNDLES.iter().map(Path::new).find(|path| path.exists());
    let Some(path) = ca_file.or_else(system) else {
        return Err(io::Error::other("no trusted authorities are known here; set the file of the server's authority"));
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(path)?);
    if added == 0 {
        return Err(in_file(path, "no certificate in it"));
    }
    Ok(roots)
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| in_file(path, error))?;
    found.collect::<Result<_, _>>().map_err(|error| in_file(path, error))
}

fn in_file(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Self::TlsConnect> {
        let mut connect = MakeRustlsConnect::new(self.client_config()?);
        match MakeTlsConnect::<Socket>::make_tls_connect(&mut connect, host) {
            Ok(connect) => Ok(connect),
        }
    }
}
