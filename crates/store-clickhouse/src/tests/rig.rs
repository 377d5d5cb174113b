//! Stores, ranges and counts for the tests.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::position::{Incarnation, Partition, Position};
use model::{Batch, Record, RecordId, Severity, Value};
use store::{Counts, Store, WriteBatch, WriteError};
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
    counts_of(&[server], database)
}

/// As [`counts`], over the shards of a cluster.
pub fn counts_of(servers: &[&ClickHouse], database: &str) -> [u64; 3] {
    let number = |server: &ClickHouse, sql: &str| server.query(sql).parse::<u64>().expect("a number");
    let stored = format!(
        "SELECT sum(n) FROM (SELECT argMax(LedgerCounts, Position)[2] AS n FROM {database}.devlogs_positions \
         GROUP BY Incarnation, Partition)"
    );
    [
        number(servers[0], &format!("SELECT count() FROM {database}.otel_logs")),
        number(servers[0], &format!("SELECT uniqExact(Origin, RecordIndex) FROM {database}.otel_logs")),
        servers.iter().map(|server| number(server, &stored)).sum(),
    ]
}

/// A processor's loop over one partition, as patient as that: it goes on where the partition stands, and tries again while
/// the store is away. Returns how often it was.
pub async fn write_all(store: &ClickHouseStore, partition: u32, end: u64) -> u64 {
    let mut dice = Dice::new(u64::from(partition));
    let (mut at, mut failures) = (0, 0);
    while at < end {
        let next = (at + 1 + dice.below(60)).min(end);
        match store.write(range(partition, at, next)).await {
            Ok(()) => at = next,
            Err(WriteError::Moved { at: moved }) => at = moved.0,
            Err(WriteError::Unavailable(_)) => {
                failures += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    failures
}

/// Writes a partition with each store, all at once, while `disturb` does what it does. Returns how often the store was away.
pub async fn write_all_while(stores: Vec<ClickHouseStore>, end: u64, disturb: impl Future<Output = ()>) -> u64 {
    let writers: Vec<_> = (0_u32..)
        .zip(stores)
        .map(|(partition, store)| tokio::spawn(async move { write_all(&store, partition, end).await }))
        .collect();
    disturb.await;
    let mut failures = 0;
    for writer in writers {
        failures += writer.await.expect("a writer");
    }
    failures
}

/// Writes `partitions` partitions to `end` at least. Every write is dropped after a random time, in the middle of whatever it
/// does there, and a new node goes on. Returns how many records there must be.
pub async fn die_anywhere(mut store: ClickHouseStore, config: &ClickHouseConfig, partitions: u32, end: u64) -> u64 {
    let mut dice = Dice::new(11);
    let mut stands = vec![0; partitions as usize];
    let (mut died, mut recovered) = (0, 0);
    // Deaths are spread over the time that a write takes on this machine now.
    let mut write_micros = 20_000;
    while stands.iter().any(|at| *at < end) || died < 6 || recovered == 0 {
        assert!(stands.iter().all(|at| *at < 20 * end), "too few died in the middle: {died}, {recovered}");
        let partition = dice.below(partitions.into()) as u32;
        let at = &mut stands[partition as usize];
        // Batches are cut differently each time.
        let next = *at + 1 + dice.below(50);
        let begun = Instant::now();
        let write = store.write(range(partition, *at, next));
        match tokio::time::timeout(dice.micros(write_micros * 3 / 2), write).await {
            Ok(Ok(())) => {
                *at = next;
                write_micros = begun.elapsed().as_micros() as u64;
            }
            Ok(Err(WriteError::Moved { at: moved })) => *at = moved.0,
            Ok(Err(error)) => panic!("{error}"),
            Err(_) => {
                died += 1;
                write_micros += write_micros / 4;
                recovered += store.metrics.recovered_rows.get();
                store = node(config, Duration::ZERO).await;
            }
        }
    }
    let mut written = 0;
    for (partition, mut at) in (0..).zip(stands) {
        // The last one may have died after it was done.
        while let Err(error) = store.write(range(partition, at, at + 1)).await {
            let WriteError::Moved { at: moved } = error else { panic!("{error}") };
            at = moved.0;
        }
        written += at + 1;
    }
    written
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
