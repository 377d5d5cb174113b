//! TLS, client certificates and SASL.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use queue::conformance::message;
use queue::{Queue, QueueError};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use test_backends::kafka::{Kafka, KafkaOptions, Listener, Secure};

use super::{ZERO, config_at, numbers, open, read_all};
use crate::{KafkaConfig, KafkaQueue, Mechanism, Metrics, Sasl, Tls};

/// An authority and what it signed.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "authority of the tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key.
    fn sign(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate").pem(), key.serialize_pem())
    }
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).expect("a file");
    path
}

async fn carries_a_message(config: &KafkaConfig) {
    let queue = open(config).await;
    let position = queue.append(ZERO, message(7, 100)).await.expect("stored");
    assert_eq!(numbers(&read_all(&queue, ZERO).await).get(&position), Some(&7));
    queue.close().await.expect("closed");
}

async fn is_refused(config: KafkaConfig, word: &str) {
    let config = KafkaConfig { open_timeout: Duration::from_secs(5), ..config };
    let error = KafkaQueue::open(config, Metrics::default()).await.expect_err("not let in");
    assert!(matches!(error, QueueError::Io(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.to_lowercase().contains(word), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_come_in() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (broker_cert, broker_key) = authority.sign("127.0.0.1");
    let secure = Secure {
        key_and_cert: format!("{broker_key}{broker_cert}"),
        ca: authority.pem.clone(),
        user: "ann".to_owned(),
        password: "secret1".to_owned(),
    };
    let options = KafkaOptions { secure: Some(secure), ..KafkaOptions::default() };
    let kafka = tokio::task::spawn_blocking(move || Kafka::start(&options)).await.expect("a broker");
    let dir = tempfile::tempdir().expect("a directory");
    let (cert, key) = authority.sign("collector");
    let ca = Some(write(dir.path(), "ca.pem", &authority.pem));
    let ours = Tls {
        ca: ca.clone(),
        cert: Some(write(dir.path(), "cert.pem", &cert)),
        cert_key: Some(write(dir.path(), "key.pem", &key)),
    };
    let tls = |tls: &Tls| KafkaConfig { tls: Some(tls.clone()), ..config_at(&kafka.brokers_at(Listener::Tls)) };
    carries_a_message(&tls(&ours)).await;
    is_refused(tls(&Tls { ca: ca.clone(), ..Tls::default() }), "certificate").await;
    let unknown = Tls { ca: Some(write(dir.path(), "stranger.pem", &stranger.pem)), ..ours.clone() };
    is_refused(tls(&unknown), "certificate").await;

    let only_ca = Tls { ca, ..Tls::default() };
    let sasl = |mechanism, password: &str| KafkaConfig {
        tls: Some(only_ca.clone()),
        sasl: Some(Sasl { mechanism, user: "ann".to_owned(), password: password.to_owned() }),
        ..config_at(&kafka.brokers_at(Listener::SaslTls))
    };
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512] {
        carries_a_message(&sasl(mechanism, "secret1")).await;
        is_refused(sasl(mechanism, "secret2"), "authentication").await;
    }
}
