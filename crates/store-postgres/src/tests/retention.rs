//! What is old goes, is counted, and comes to no harm to what is new.

use std::time::{Duration, SystemTime};

use store::{Store, WriteBatch, WriteError};

use super::{PostgresStore, config, open, psql, range, store};
use crate::PostgresConfig;

const DAY: i64 = 86_400_000_000_000;

pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_nanos() as i64
}

/// A range whose records all stand so many days back.
pub(super) fn aged(from: u64, rows: usize, days: i64) -> WriteBatch {
    let mut range = range("p", 0, from, rows);
    range.batches[0].timestamps.fill(now() - days * DAY);
    range
}

async fn expired(store: &PostgresStore) -> u64 {
    store.ledger().await.expect("the ledger").iter().map(|row| row.expired).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_partitions_are_dropped_and_counted() {
    let (keeping, url) = store().await;
    keeping.maintain().await.expect("a round");
    for (from, days) in [(0, 40), (1, 31), (2, 3), (3, 0)] {
        keeping.write(aged(from, 10, days)).await.expect("written");
    }
    keeping.maintain().await.expect("a round");
    assert_eq!(expired(&keeping).await, 0, "retention is off until set");
    let retention = Some(Duration::from_secs(30 * 86_400));
    let dropping = open(PostgresConfig { retention, ..config(url.clone()) }).await;
    dropping.maintain().await.expect("a round");
    assert_eq!(expired(&dropping).await, 20);
    assert_eq!(dropping.status().await.expect("a status").rows, 20);
    assert_eq!(dropping.check().await.expect("a check"), Vec::<String>::new());
    assert_eq!(psql(&url, "SELECT count(*) FROM pg_class WHERE relname LIKE 'devlogs_expired\\__%'"), "1");
    // The other node still believes in a partition that is gone.
    let refused = keeping.write(aged(4, 10, 40)).await;
    assert!(matches!(refused, Err(WriteError::Unavailable(_))), "{refused:?}");
    keeping.write(aged(4, 10, 40)).await.expect("the partition is made again");
    dropping.maintain().await.expect("a round");
    assert_eq!(expired(&dropping).await, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_partition_is_finished_after_a_crash() {
    let (store, url) = store().await;
    store.write(aged(0, 10, 40)).await.expect("written");
    let name = psql(
        &url,
        "SELECT inhrelid::regclass FROM pg_inherits JOIN pg_class ON oid = inhrelid \
                           WHERE inhparent = 'devlogs_records'::regclass ORDER BY relname LIMIT 1",
    );
    psql(
        &url,
        &format!(
            "ALTER TABLE devlogs_records DETACH PARTITION {name}; \
                         ALTER TABLE {name} RENAME TO devlogs_expired_1"
        ),
    );
    let retention = Some(Duration::from_secs(30 * 86_400));
    let store = open(PostgresConfig { retention, ..config(url) }).await;
    store.maintain().await.expect("a round");
    assert_eq!(expired(&store).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn late_records_share_one_table_and_go_by_the_time_of_writing() {
    let url = test_backends::postgres::Postgres::shared().database();
    let day = Duration::from_secs(86_400);
    let settings = PostgresConfig { late_max: 400 * day, early_max: day, ..config(url.clone()) };
    let store = open(PostgresConfig { retention: Some(500 * day), ..settings }).await;
    store.maintain().await.expect("a round");
    let partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'devlogs_records'::regclass";
    let before = psql(&url, partitions);
    for (from, days) in [(0, 401), (1, 5_000), (2, -3), (3, 0)] {
        store.write(aged(from, 10, days)).await.expect("written");
    }
    assert_eq!(psql(&url, partitions), before, "nobody makes partitions at will");
    assert_eq!(psql(&url, "SELECT count(*) FROM devlogs_overflow"), "30");
    assert_eq!(psql(&url, "SELECT count(*) FROM logs"), "40");
    store.maintain().await.expect("a round");
    assert_eq!(expired(&store).await, 0, "they were written just now");
    psql(
        &url,
        "UPDATE devlogs_overflow SET stored_at = now() - interval '501 days' WHERE ts < now() - interval '9 years'",
    );
    store.maintain().await.expect("a round");
    assert_eq!(expired(&store).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_keys_are_removed() {
    let (store, url) = store().await;
    let key = |key, received| store::SeenKey { project: "p".into(), key, body: 1, received };
    let keys = vec![key(1, now()), key(2, now() - 2 * DAY), key(1, now())];
    store.write(WriteBatch { keys, ..range("p", 0, 0, 1) }).await.expect("written");
    store.maintain().await.expect("a round");
    assert_eq!(psql(&url, "SELECT count(*) FROM devlogs_keys"), "1");
    assert_eq!(store.seen_key("p", 1).await.expect("a look"), Some(1));
}
