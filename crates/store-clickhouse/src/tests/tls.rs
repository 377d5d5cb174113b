//! TLS with certificates on both sides. The tests' ClickHouse has no TLS of its own, so a proxy ends it before the server.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use store::{Store, StoreError};
use tempfile::TempDir;
use test_backends::clickhouse::ClickHouse;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::rig::{config, counts, range};
use crate::{ClickHouseConfig, ClickHouseStore};

/// PEM files: an authority, a server on 127.0.0.1, a client, and an authority that nobody trusts.
struct Files(TempDir);

impl Files {
    fn make() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let authority = |name: &str| {
            let key = KeyPair::generate().expect("a key");
            let mut params = CertificateParams::new(Vec::new()).expect("parameters");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let certificate = params.self_signed(&key).expect("an authority");
            fs::write(dir.path().join(format!("{name}.pem")), certificate.pem()).expect("a file");
            Issuer::new(params, key)
        };
        let (ca, _) = (authority("ca"), authority("stranger"));
        for (name, usage) in
            [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)]
        {
            let key = KeyPair::generate().expect("a key");
            let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
            params.extended_key_usages.push(usage);
            let certificate = params.signed_by(&key, &ca).expect("a certificate");
            fs::write(dir.path().join(format!("{name}.pem")), certificate.pem()).expect("a file");
            fs::write(dir.path().join(format!("{name}.key")), key.serialize_pem()).expect("a file");
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Takes TLS only, from clients with a certificate of the authority, and passes on what is in it. Returns its port.
async fn start_proxy(files: &Files, server: u16) -> u16 {
    let certificates = |path: &Path| -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(path).expect("a file").collect::<Result<_, _>>().expect("certificates")
    };
    let mut roots = RootCertStore::empty();
    certificates(&files.path("ca.pem")).into_iter().for_each(|root| roots.add(root).expect("an authority"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocols")
        .with_client_cert_verifier(clients.expect("a verifier"))
        .with_single_cert(
            certificates(&files.path("server.pem")),
            PrivateKeyDer::from_pem_file(files.path("server.key")).expect("a key"),
        )
        .expect("a server's certificate");
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await?;
                let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_checked_on_both_sides() {
    let server = ClickHouse::shared();
    let files = Files::make();
    let port = start_proxy(&files, server.http_port()).await;
    let mutual = ClickHouseConfig {
        url: format!("https://127.0.0.1:{port}"),
        ca_file: Some(files.path("ca.pem")),
        client_cert_file: Some(files.path("client.pem")),
        client_key_file: Some(files.path("client.key")),
        ..config(server, &server.database())
    };
    let store = ClickHouseStore::open(mutual.clone()).await.expect("a store behind TLS");
    store.write(range(0, 0, 5_000)).await.expect("a write");
    assert_eq!(counts(server, &mutual.database), [5_000; 3]);
    let refused = [
        (
            "the server's authority is not known",
            ClickHouseConfig { ca_file: Some(files.path("stranger.pem")), ..mutual.clone() },
        ),
        (
            "nor is it one of the public ones",
            ClickHouseConfig { ca_file: None, client_cert_file: None, client_key_file: None, ..mutual.clone() },
        ),
        (
            "no certificate to show",
            ClickHouseConfig { client_cert_file: None, client_key_file: None, ..mutual.clone() },
        ),
        (
            "the certificate is of another name",
            ClickHouseConfig { url: format!("https://localhost:{port}"), ..mutual.clone() },
        ),
    ];
    for (why, config) in refused {
        let answer = ClickHouseStore::open(config).await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{why}: {answer:?}");
    }
    let missing = ClickHouseConfig { ca_file: Some("/does/not/exist".into()), ..mutual };
    let answer = ClickHouseStore::open(missing).await;
    assert!(matches!(&answer, Err(StoreError::Invalid(said)) if said.contains("/does/not/exist")), "{answer:?}");
}
