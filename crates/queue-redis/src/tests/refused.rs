//! What a Redis must be like, and who may use it.

use std::time::Duration;

use queue::conformance::message;
use queue::{Queue, QueueError};
use test_backends::redis::{Options, Redis};

use super::{ZERO, config, eventually, open, refused};
use crate::{Durability, RedisConfig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_may_lose_acknowledged_messages_is_refused() {
    let mut redis = Redis::start(Options { appendonly: false, ..Options::default() });
    let everysec = |redis: &Redis| RedisConfig { durability: Durability::Everysec, ..config(redis) };
    assert!(refused(config(&redis)).await.contains("appendonly yes"));
    assert!(refused(everysec(&redis)).await.contains("appendonly yes"), "everysec needs a file too");

    redis.restart_with(Options { appendfsync: "everysec", ..Options::default() });
    let reason = refused(config(&redis)).await;
    assert!(reason.contains("appendfsync always") && reason.contains("durability = \"everysec\""), "{reason}");
    assert!(refused(RedisConfig { durability: Durability::AlwaysStated, ..config(&redis) }).await.contains("everysec"));
    let queue = open(everysec(&redis)).await;
    queue.append(ZERO, message(1, 10)).await.unwrap();

    let more = vec![("maxmemory", "50mb".to_owned()), ("maxmemory-policy", "allkeys-lru".to_owned())];
    redis.restart_with(Options { more, ..Options::default() });
    assert!(refused(config(&redis)).await.contains("noeviction"));

    let more = vec![("no-appendfsync-on-rewrite", "yes".to_owned())];
    redis.restart_with(Options { more, ..Options::default() });
    assert!(refused(config(&redis)).await.contains("no-appendfsync-on-rewrite"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_change_while_it_runs_close_the_queue() {
    let redis = Redis::start(Options::default());
    let queue = open(config(&redis)).await;
    queue.append(ZERO, message(1, 10)).await.unwrap();
    redis.cli(&["CONFIG", "SET", "appendfsync", "no"]);
    let mut said = String::new();
    eventually("messages are refused", async || match queue.append(ZERO, message(2, 10)).await {
        Err(QueueError::Unavailable { reason, .. }) => {
            said = reason;
            true
        }
        _ => false,
    })
    .await;
    assert!(said.contains("appendfsync no"), "{said}");
    redis.cli(&["CONFIG", "SET", "appendfsync", "always"]);
    eventually("messages are taken again", async || queue.append(ZERO, message(3, 10)).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_cannot_be_read_are_to_be_stated() {
    let redis = Redis::start(Options::default());
    redis.cli(&["ACL", "SETUSER", "app", "on", ">secret-of-app", "~devlogs:*", "+@all", "-config"]);
    let user =
        RedisConfig { user: Some("app".to_owned()), password: Some("secret-of-app".to_owned()), ..config(&redis) };
    assert!(refused(user.clone()).await.contains("always-stated"));
    let queue = open(RedisConfig { durability: Durability::AlwaysStated, ..user }).await;
    queue.append(ZERO, message(1, 10)).await.unwrap();
    assert_eq!("always-stated".parse(), Ok(Durability::AlwaysStated));
    assert!("sometimes".parse::<Durability>().unwrap_err().contains("everysec"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_are_used_and_never_shown() {
    let redis = Redis::start(Options { password: Some("secret-1"), ..Options::default() });
    let right = RedisConfig { password: Some("secret-1".to_owned()), ..config(&redis) };
    open(right.clone()).await.append(ZERO, message(1, 10)).await.unwrap();
    let in_url = RedisConfig { url: redis.url().replace("127", ":secret-1@127"), ..config(&redis) };
    open(in_url.clone()).await.append(ZERO, message(1, 10)).await.unwrap();
    let wrong = RedisConfig { password: Some("secret-2".to_owned()), ..config(&redis) };
    let texts = [
        refused(config(&redis)).await,
        refused(wrong.clone()).await,
        refused(RedisConfig { url: "redis:// :secret-3@x".to_owned(), ..wrong.clone() }).await,
        format!("{right:?} {in_url:?} {wrong:?}"),
        format!("{:?}", open(right).await),
    ];
    assert!(texts.iter().all(|text| !text.contains("secret-")), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_needs_the_right_authority_and_a_client_certificate() {
    let redis = Redis::start(Options { tls: true, ..Options::default() });
    let tls = redis.tls();
    let right = RedisConfig {
        url: format!("rediss://127.0.0.1:{}/", tls.port),
        tls_ca: Some(tls.ca.clone()),
        tls_certificate: Some(tls.certificate.clone()),
        tls_key: Some(tls.key.clone()),
        ..config(&redis)
    };
    let queue = open(right.clone()).await;
    let position = queue.append(ZERO, message(1, 100_000)).await.unwrap();
    let read = queue.read(ZERO, position, 1, Duration::ZERO).await.unwrap();
    assert_eq!(read[0].message, message(1, 100_000));
    refused(RedisConfig { tls_certificate: None, tls_key: None, ..right.clone() }).await;
    let other = Redis::start(Options { tls: true, ..Options::default() });
    let reason = refused(RedisConfig { tls_ca: Some(other.tls().ca.clone()), ..right.clone() }).await;
    assert!(reason.contains("certificate"), "{reason}");
    let missing = refused(RedisConfig { tls_ca: Some("/no/such/ca.pem".into()), ..right.clone() }).await;
    assert!(missing.contains("/no/such/ca.pem"), "{missing}");
    assert!(refused(RedisConfig { tls_key: None, ..right }).await.contains("belong together"));
    assert!(refused(RedisConfig { tls_ca: Some("ca.pem".into()), ..config(&redis) }).await.contains("rediss://"));
}
