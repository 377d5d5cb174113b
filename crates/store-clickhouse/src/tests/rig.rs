//! Stores, ranges and counts for the tests.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::position::{Incarnation, Partition, Position};
use model::{Batch, Record, RecordId, Severity, Value};
use store::{Counts, WriteBatch};
use test_backends::clickhouse::{ClickHouse, USER};

use crate::{ClickHouseConfig, ClickHouseStore};

pub const NOW: i64 = 1_800_000_000_000_000_000;
pub const DAY: i64 = 86_400_000_000_000;

pub fn config(server: &ClickHouse, database: &str) -> ClickHouseConfig {
    ClickHouseConfig {
        url: server.url(),
        database: database.to_owned(),
        user: USER.0.to_owned(),
        password: USER.1.to_owned(),
        // Processes die here, power does not fail.
        fsync: false,
        ..ClickHouseConfig::default()
    }
}

/// A store in an empty database of the shared server.
pub async fn open() -> (ClickHouseStore, ClickHouseConfig) {
    let server = ClickHouse::shared();
    let config = config(server, &server.database());
    (ClickHouseStore::open(config.clone()).await.expect("a store"), config)
}

/// The same tables as another node sees them.
pub async fn node(config: &ClickHouseConfig, takeover_patience: Duration) -> ClickHouseStore {
    let config = ClickHouseConfig { takeover_patience, ..config.clone() };
    ClickHouseStore::open(config).await.expect("another store on the same tables")
}

/// The record of a position: each position of a partition holds one.
pub fn record(partition: u32, position: u64) -> Record<'static> {
    // Two days, so that a range is two inserts.
    let timestamp = NOW + (position % 2) as i64 * DAY + position as i64;
    Record {
        id: RecordId { origin: u128::from(partition) << 64 | u128::from(position), index: 0 },
        timestamp,
        observed: NOW,
        service: Cow::Borrowed("shop-web"),
        severity: Severity::new(9),
        message: Cow::Owned(format!("message {position} of partition {partition}")),
        attributes: vec![(Cow::Borrowed("position"), Value::Int(position as i64))],
        ..Record::default()
    }
}

pub fn range(partition: u32, from: u64, next: u64) -> WriteBatch {
    let project: Arc<str> = Arc::from("p");
    let mut batch = Batch::new(project.clone());
    (from..next).for_each(|position| batch.push(&record(partition, position)));
    let rows = next - from;
    WriteBatch {
        incarnation: Incarnation(7),
        partition: Partition(partition),
        from: Position(from),
        next: Position(next),
        batches: vec![batch],
        keys: Vec::new(),
        counts: vec![Counts { received: rows, stored: rows, ..Counts::new(project) }],
    }
}

/// Rows, different ids, and the ledger's count of stored rows: three times the same when all is well.
pub fn counts(server: &ClickHouse, database: &str) -> [u64; 3] {
    let line = server.query(&format!(
        "SELECT (SELECT count() FROM {database}.otel_logs), (SELECT uniqExact(Origin, RecordIndex) FROM \
         {database}.otel_logs), (SELECT sum(n) FROM (SELECT argMax(LedgerCounts, Position)[2] AS n FROM \
         {database}.devlogs_positions GROUP BY Incarnation, Partition))"
    ));
    let numbers: Vec<u64> = line.split('\t').map(|number| number.parse().expect("a number")).collect();
    numbers.try_into().expect("three numbers")
}

/// Random waits and cuts without a dependency.
#[derive(Debug)]
pub struct Dice(pub store::conformance::generate::Random);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(store::conformance::generate::Random::new(seed))
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.number() % bound.max(1)
    }

    pub fn micros(&mut self, bound: u64) -> Duration {
        Duration::from_micros(self.below(bound))
    }
}

/// How often each thing was seen.
pub type Tally = HashMap<&'static str, u64>;
