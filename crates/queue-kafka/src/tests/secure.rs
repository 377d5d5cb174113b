//! TLS, client certificates and SASL.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use queue::conformance::{message, request};
use queue::{Queue, QueueError};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use test_backends::kafka::{Kafka, KafkaOptions, Listener, Secure};

use super::{LONG, ZERO, config_at, numbers, open, read_all};
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

/// New files for old: the brokers trust another authority after a restart, so that clients with the old files are lost.
#[tokio::test(flavor = "multi_thread")]
async fn renewed_certificates_are_used_without_a_restart() {
    let (authority, successor) = (Authority::new(), Authority::new());
    let (broker_cert, broker_key) = authority.sign("127.0.0.1");
    let secure = Secure {
        key_and_cert: format!("{broker_key}{broker_cert}"),
        ca: authority.pem.clone(),
        user: "ann".to_owned(),
        password: "secret1".to_owned(),
    };
    let options = KafkaOptions { secure: Some(secure), ..KafkaOptions::default() };
    let mut kafka = tokio::task::spawn_blocking(move || Kafka::start(&options)).await.expect("a broker");
    let dir = tempfile::tempdir().expect("a directory");
    let files = |authority: &Authority| {
        let (cert, key) = authority.sign("collector");
        (write(dir.path(), "cert.pem", &cert), write(dir.path(), "key.pem", &key))
    };
    let (cert, cert_key) = files(&authority);
    let tls = Tls { ca: Some(write(dir.path(), "ca.pem", &authority.pem)), cert: Some(cert), cert_key: Some(cert_key) };
    let config =
        KafkaConfig { tls: Some(tls), message_bytes_max: 20_000, ..config_at(&kafka.brokers_at(Listener::Tls)) };
    let queue = open(&config).await;
    let mut assigned = queue.join("processor").await.expect("a member");
    assigned.wait_for(|partitions| partitions.len() == 2).await.expect("all partitions");
    let first = queue.append(ZERO, message(1, 100)).await.expect("stored");
    queue.append(ZERO, request(2, 60_000)).await.expect("stored in parts");
    assert_eq!(read_all(&queue, ZERO).await[0].position, first);

    // A file that does not fit the other, and a stranger's: those that run go on.
    write(dir.path(), "cert.pem", &successor.sign("collector").0);
    tokio::time::sleep(Duration::from_secs(6)).await;
    queue.append(ZERO, message(3, 100)).await.expect("stored by the old clients");
    files(&successor);
    tokio::time::sleep(Duration::from_secs(6)).await;
    queue.append(ZERO, message(4, 100)).await.expect("stored by the old clients");

    kafka.kill(1);
    kafka.trust(&successor.pem);
    let mut kafka = tokio::task::spawn_blocking(move || {
        kafka.restart(1);
        kafka
    })
    .await
    .expect("a broker that trusts another");
    let since = Instant::now();
    while let Err(error) = queue.append(ZERO, message(5, 100)).await {
        assert!(since.elapsed() < Duration::from_secs(60), "{error}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    eprintln!("the new certificates were in use after {:?}", since.elapsed());
    let last = queue.append(ZERO, request(6, 60_000)).await.expect("stored in parts");
    let read = read_all(&queue, ZERO).await;
    assert_eq!(read.last().map(|delivery| delivery.position), Some(last));
    queue.commit("processor", ZERO, last.next()).await.expect("committed");
    let all = async { assigned.wait_for(|partitions| partitions.len() == 2).await.is_ok() };
    assert_eq!(tokio::time::timeout(LONG, all).await, Ok(true), "the member must have its partitions again");
    queue.close().await.expect("closed");
    let queue = open(&config).await;
    assert_eq!(queue.committed("processor", ZERO).await.expect("a position"), Some(last.next()));
    queue.close().await.expect("closed");
    kafka.kill(1);
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
