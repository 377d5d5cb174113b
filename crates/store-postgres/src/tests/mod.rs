//! Tests on real servers: PostgreSQL for load, failures and concurrency, TimescaleDB for its own SQL.

mod conformance;
mod crash;
mod measure;
mod proxy;
mod queries;
mod retention;
mod sql;
mod timescale;
mod tls;
mod unknown_commit;
mod write;

use std::sync::Arc;
use std::time::Duration;

use model::Batch;
use model::position::{Incarnation, Partition, Position};
use store::conformance::generate::{self, Random};
use store::{Counts, Store, WriteBatch, WriteError};
use test_backends::postgres::Postgres;

use crate::{PostgresConfig, PostgresStore};

const INCARNATION: Incarnation = Incarnation(7);

/// The generated records have fixed times; so wide a window lets them into partitions whenever the tests run.
const WIDE: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// Short times, and everything but the background's work, which tests call themselves.
fn config(url: String) -> PostgresConfig {
    PostgresConfig {
        url,
        late_max: WIDE,
        early_max: WIDE,
        compress_after: None,
        maintenance_interval: Duration::ZERO,
        ..PostgresConfig::default()
    }
}

/// A store on a database of its own.
async fn store() -> (PostgresStore, String) {
    let url = Postgres::shared().database();
    (open(config(url.clone())).await, url)
}

async fn open(config: PostgresConfig) -> PostgresStore {
    PostgresStore::open(config).await.expect("the database can be opened")
}

/// Asks the shared server about a database.
fn psql(url: &str, sql: &str) -> String {
    let (_, database) = url.rsplit_once('/').expect("a database in the address");
    Postgres::shared().psql(database, sql)
}

/// One range of a partition with `rows` generated records, the same for the same arguments, and its ledger counts.
fn range(project: &str, partition: u32, from: u64, rows: usize) -> WriteBatch {
    let mut random = Random::new(from << 32 | u64::from(partition));
    let mut batch = Batch::new(Arc::from(project));
    let first = (from as usize * 1_000 + partition as usize) * 100_000;
    for row in first..first + rows {
        batch.push(&generate::record(&mut random, project, row));
    }
    let rows = rows as u64;
    WriteBatch {
        incarnation: INCARNATION,
        partition: Partition(partition),
        from: Position(from),
        next: Position(from + 1),
        batches: vec![batch],
        keys: Vec::new(),
        counts: vec![Counts { received: rows, stored: rows, ..Counts::new(Arc::from(project)) }],
    }
}

async fn position(store: &PostgresStore, partition: u32) -> u64 {
    store.progress(INCARNATION, Partition(partition)).await.expect("progress").written.0
}

/// Writes ranges up to `end` as a processor would: tries again while the store is out of reach, reads its position when
/// it came too late. Returns how many writes were confirmed.
async fn write_until(store: &PostgresStore, partition: u32, end: u64, rows: usize) -> u64 {
    let mut confirmed = 0;
    let mut from = None;
    while from.is_none_or(|from| from < end) {
        let Some(at) = from else {
            let read = store.progress(INCARNATION, Partition(partition)).await;
            from = read.ok().map(|progress| progress.written.0);
            if from.is_none() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            continue;
        };
        match store.write(range("p", partition, at, rows)).await {
            Ok(()) => {
                confirmed += 1;
                from = Some(at + 1);
            }
            Err(WriteError::Moved { at }) => from = Some(at.0),
            Err(WriteError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("{error}"),
        }
    }
    confirmed
}

/// Every record is there, once, and the books agree.
async fn assert_exact(store: &PostgresStore, expected: u64) {
    let status = store.status().await.expect("a status");
    assert_eq!(status.rows, expected);
    assert_eq!(store.check().await.expect("a check"), Vec::<String>::new());
    let ledger = store.ledger().await.expect("the ledger");
    assert_eq!(ledger.iter().map(|row| row.stored - row.expired).sum::<u64>(), expected);
}
