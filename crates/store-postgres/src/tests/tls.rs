//! TLS with certificates on both sides.

use store::{Store, StoreError};
use test_backends::postgres::{Postgres, PostgresOptions};

use super::{config, open, range};
use crate::{PostgresConfig, PostgresStore, PostgresTls};

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_checked_on_both_sides() {
    let server = Postgres::start(PostgresOptions { tls: true, ..PostgresOptions::default() });
    let files = server.tls().expect("a server with TLS");
    let mutual = PostgresTls {
        ca_file: Some(files.ca.clone()),
        cert_file: Some(files.client_cert.clone()),
        key_file: Some(files.client_key.clone()),
    };
    let url = format!("{}?sslmode=verify-full", server.database());
    let settings = |tls: PostgresTls, url: &str| PostgresConfig { tls, ..config(url.to_owned()) };
    let store = open(settings(mutual.clone(), &url)).await;
    store.write(range("p", 0, 0, 10)).await.expect("written");
    let refused = [
        // The server's authority is not known.
        settings(PostgresTls { ca_file: Some(files.client_cert.clone()), ..mutual.clone() }, &url),
        // The server asks for a certificate.
        settings(PostgresTls { cert_file: None, key_file: None, ..mutual.clone() }, &url),
        // The certificate is of another name.
        settings(mutual.clone(), &url.replace("127.0.0.1", "localhost")),
        // The server takes no connection without TLS.
        settings(mutual.clone(), &url.replace("verify-full", "disable")),
    ];
    for settings in refused {
        let error = PostgresStore::open(settings).await.expect_err("refused");
        assert!(matches!(error, StoreError::Unavailable(_) | StoreError::Internal(_)), "{error:?}");
    }
    let missing = PostgresTls { ca_file: Some("/does/not/exist".into()), ..mutual };
    let error = PostgresStore::open(settings(missing, &url)).await.expect_err("a file is missing");
    assert!(matches!(&error, StoreError::Invalid(text) if text.contains("/does/not/exist")), "{error:?}");
}
