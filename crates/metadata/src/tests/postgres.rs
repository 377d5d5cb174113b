//! What only PostgreSQL has: many nodes, restarts, TLS.

use std::time::{Duration, Instant};

use test_backends::postgres::{Postgres, PostgresOptions};
use tokio::task::JoinSet;

use super::{key, letter};
use crate::{DEFAULT_PROJECT, Metadata, MetadataError, Scope};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_changes_the_others_see_at_once() {
    let location = Postgres::shared().database();
    let (one, other) = (Metadata::open(&location).await.unwrap(), Metadata::open(&location).await.unwrap());
    let secrets = one.bootstrap().await.unwrap().unwrap();
    assert!(other.bootstrap().await.unwrap().is_none());
    let session = one.sign_in("admin", &secrets.admin_password, "a").await.unwrap();
    assert_eq!(other.session(&session.token).await.unwrap().unwrap(), session.session);
    other.sign_out(&session.token).await.unwrap();
    assert!(one.session(&session.token).await.unwrap().is_none(), "a session ends on all nodes");
    one.create_project("shop").await.unwrap();
    assert!(matches!(other.create_project("shop").await, Err(MetadataError::Exists(_))));
    let (_, text) = one.create_key(&key("shop", &[Scope::Ingest])).await.unwrap();
    assert_eq!(&*other.authenticate_key(&text).await.unwrap().unwrap().project, "shop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_write_at_once_without_conflicts() {
    let location = Postgres::shared().database();
    let mut tasks = JoinSet::new();
    for node in 0..4_u64 {
        let location = location.clone();
        tasks.spawn(async move {
            let metadata = Metadata::open(&location).await.unwrap();
            for number in 0..25 {
                let letters: Vec<_> = (0..4_u64).map(|n| letter(u128::from(n), "a", node * 100 + number, 1)).collect();
                metadata.put_dead_letters(&letters).await.unwrap();
                metadata.create_project(&format!("p{node}-{number}")).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let metadata = Metadata::open(&location).await.unwrap();
    assert_eq!(metadata.count_dead_letters(None).await.unwrap(), 4, "the same letters replace each other");
    assert_eq!(metadata.projects().await.unwrap().len(), 1 + 4 * 25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_server_is_survived() {
    let mut server = Postgres::start(PostgresOptions::default());
    let location = server.database();
    let metadata = Metadata::open(&location).await.unwrap();
    let (_, text) = metadata.create_key(&key(DEFAULT_PROJECT, &[Scope::Query])).await.unwrap();
    server.kill();
    let since = Instant::now();
    let away = Metadata::open(&location).await;
    assert!(away.is_err_and(|error| error.is_out_of_reach()), "a server that is away may come back");
    assert!(since.elapsed() < Duration::from_secs(5), "a refusal must be told at once");
    server.restart();
    let since = Instant::now();
    while metadata.projects().await.is_err() {
        assert!(since.elapsed() < Duration::from_secs(20), "no connection after a restart");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(metadata.authenticate_key(&text).await.unwrap().is_some());
    metadata.create_project("after").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_were_read_are_known_while_the_server_is_away() {
    let mut server = Postgres::start(PostgresOptions::default());
    let location = server.database();
    let metadata = Metadata::open(&location).await.unwrap();
    let strict = Metadata::open(&location).await.unwrap().with_key_grace(Duration::ZERO);
    let new = || key(DEFAULT_PROJECT, &[Scope::Ingest]);
    let (info, text) = metadata.create_key(&new()).await.unwrap();
    let (_, unread) = metadata.create_key(&new()).await.unwrap();
    for node in [&metadata, &strict] {
        assert!(node.authenticate_key(&text).await.unwrap().unwrap().confirmed);
    }
    server.kill();
    // Until what was read a moment ago is stale.
    tokio::time::sleep(Duration::from_millis(1_600)).await;

    let requests: JoinSet<_> = std::iter::repeat_n((metadata.clone(), text.clone()), 16)
        .map(|(metadata, text)| async move { metadata.authenticate_key(&text).await })
        .collect();
    for answer in requests.join_all().await {
        assert!(!answer.unwrap().unwrap().confirmed, "a key that can't be checked is told from others");
    }
    let since = Instant::now();
    for _ in 0..100 {
        assert!(metadata.authenticate_key(&text).await.unwrap().is_some());
    }
    assert!(since.elapsed() < Duration::from_secs(4), "each request waits for a server that is away");
    let mut wrong = text.clone();
    wrong.replace_range(wrong.len() - 4.., "zzzz");
    assert!(metadata.authenticate_key(&wrong).await.unwrap().is_none(), "the secret is checked all the same");
    for (node, key) in [(&metadata, &unread), (&strict, &text)] {
        assert!(node.authenticate_key(key).await.is_err_and(|error| error.is_out_of_reach()));
    }

    server.restart();
    let since = Instant::now();
    while !metadata.authenticate_key(&text).await.unwrap().unwrap().confirmed {
        assert!(since.elapsed() < Duration::from_secs(20), "the server is not asked again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let other = Metadata::open(&location).await.unwrap();
    assert!(other.revoke_key(&info.id).await.unwrap());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(metadata.authenticate_key(&text).await.unwrap().is_none());
    server.kill();
    let away = metadata.authenticate_key(&text).await;
    assert!(away.is_err_and(|error| error.is_out_of_reach()), "a revoked key has no grace");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_by_the_parameters_of_the_url() {
    let server = Postgres::start(PostgresOptions { tls: true, ..PostgresOptions::default() });
    let tls = server.tls().unwrap();
    let with = |mode: &str, ca: &std::path::Path| {
        let (ca, cert, key) = (ca.display(), tls.client_cert.display(), tls.client_key.display());
        format!("{}?sslmode={mode}&sslrootcert={ca}&sslcert={cert}&sslkey={key}", server.url("postgres"))
    };
    let metadata = Metadata::open(&with("verify-full", &tls.ca)).await.unwrap();
    assert!(metadata.bootstrap().await.unwrap().is_some());
    let plain = Metadata::open(&with("disable", &tls.ca)).await;
    assert!(plain.is_err(), "the server wants TLS");
    let other = Postgres::start(PostgresOptions { tls: true, ..PostgresOptions::default() });
    let foreign = Metadata::open(&with("verify-full", &other.tls().unwrap().ca)).await;
    assert!(foreign.is_err(), "a server of another authority must not be trusted");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let location = Postgres::shared().database();
    Metadata::open(&location).await.unwrap().close().await;
    let (_, database) = location.rsplit_once('/').unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'newer', true, '', 0)";
    Postgres::shared().psql(database, newer);
    let opened = Metadata::open(&location).await;
    assert!(matches!(opened, Err(MetadataError::Open(_))), "{opened:?}");
}

#[tokio::test]
async fn passwords_in_the_location_are_not_shown() {
    let location = Postgres::shared().database().replace("postgres@", "postgres:secret-1@");
    let metadata = Metadata::open(&location).await.unwrap();
    assert!(!format!("{metadata:?}").contains("secret-1"));
    let wrong = Metadata::open(&location.replace("127.0.0.1", "127.0.0.1:1:secret-1")).await;
    assert!(!format!("{:?}", wrong.unwrap_err()).contains("secret-1"));
}
