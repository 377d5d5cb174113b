//! The server dies, stops answering or comes back; the writer dies anywhere.

use std::time::Duration;

use store::{Store, WriteError};
use test_backends::clickhouse::ClickHouse;

use super::rig::{Dice, config, counts, die_anywhere, node, open, range, write_all_while};
use crate::ClickHouseStore;

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_dies_anywhere_leaves_nothing_lost_or_doubled() {
    let (store, config) = open().await;
    let written = die_anywhere(store, &config, 1, 300).await;
    assert_eq!(counts(ClickHouse::shared(), &config.database), [written; 3]);
}

/// SIGKILL of the server under the load of three partitions, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_and_doubles_nothing() {
    let mut server = ClickHouse::start();
    let database = server.database();
    let config = config(&server, &database);
    const END: u64 = 900;
    let stores = [0; 3].map(|_| node(&config, Duration::from_millis(50)));
    let stores = futures::future::join_all(stores).await;
    let kills = async {
        let mut dice = Dice::new(5);
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(500) + dice.micros(900_000)).await;
            tokio::task::block_in_place(|| {
                server.kill();
                server.restart();
            });
        }
    };
    let failures = write_all_while(stores, END, kills).await;
    assert!(failures > 0, "no write met the killed server");
    assert_eq!(counts(&server, &database), [3 * END; 3]);
}

/// Records that an unfinished write left are kept if the next write holds them, and removed if not: because its range is
/// shorter, or because other rules drop them. It stays so when the writer dies again between two short ranges.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_come_again_is_removed() {
    let (store, config) = open().await;
    store.write(range(0, 0, 10)).await.expect("a write");
    // As if a writer had died after its records: their position is taken back.
    store.write(range(0, 10, 30)).await.expect("a write that will be unfinished");
    let server = ClickHouse::shared();
    let (database, back) = (&config.database, "DELETE WHERE Position = 30 SETTINGS mutations_sync = 2");
    server.query(&format!("ALTER TABLE {database}.devlogs_positions {back}"));
    server.query(&format!(
        "INSERT INTO {database}.devlogs_positions (Incarnation, Partition, Position, Epoch, LedgerProjects, LedgerCounts) \
         SELECT 7, 0, 10, min(Epoch), ['p'], [10, 10, 0, 0, 0, 0] FROM {database}.devlogs_claims"
    ));
    // Other rules hold now: of 20 records one in two is dropped, and ranges are cut elsewhere.
    let mut recovered = 0;
    for (from, next) in [(10, 25), (25, 35)] {
        let mut range = range(0, from, next);
        let mut kept = model::Batch::new("p".into());
        range.batches[0].rows().filter(|record| record.id.origin % 2 == 0).for_each(|record| kept.push(&record));
        range.counts[0].stored = kept.len() as u64;
        range.counts[0].dropped = range.counts[0].received - range.counts[0].stored;
        range.batches = vec![kept];
        let store = node(&config, Duration::ZERO).await;
        store.write(range).await.expect("a write after the recovery");
        recovered += store.metrics.recovered_rows.get();
    }
    assert_eq!(recovered, 8, "the even ones from 10 to 24");
    assert_eq!(counts(server, database), [10 + 13; 3]);
}

/// Too many to be named: all that the unfinished write left is removed, and the range written as a whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_unfinished_write_is_begun_anew() {
    let (store, config) = open().await;
    store.write(range(0, 0, 2_000)).await.expect("a write that will be unfinished");
    let server = ClickHouse::shared();
    let database = &config.database;
    server.query(&format!("TRUNCATE TABLE {database}.devlogs_positions"));
    let store = node(&config, Duration::ZERO).await;
    store.write(range(0, 0, 100)).await.expect("a shorter write");
    assert_eq!(counts(server, database), [100; 3]);
    assert_eq!(store.metrics.recovered_rows.get(), 0);
    store.write(range(0, 100, 150)).await.expect("the next write");
    assert_eq!(counts(server, database), [150; 3]);
}

/// A frozen server gives no answer: the write fails as unavailable, and may still happen later.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_unavailable_and_then_goes_on() {
    let server = ClickHouse::start();
    let mut config = config(&server, &server.database());
    config.write_timeout = Duration::from_secs(1);
    let store = ClickHouseStore::open(config.clone()).await.expect("a store");
    store.write(range(0, 0, 10)).await.expect("a write");
    server.freeze();
    let late = store.write(range(0, 10, 20)).await;
    assert!(matches!(late, Err(WriteError::Unavailable(_))), "{late:?}");
    server.thaw();
    let mut at = 10;
    while at < 40 {
        match store.write(range(0, at, at + 10)).await {
            Ok(()) => at += 10,
            Err(WriteError::Moved { at: moved }) => at = moved.0,
            Err(WriteError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(counts(&server, &config.database), [40; 3]);
}
