//! Writing: exactly once, whatever happens to the writer.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use model::position::Position;
use store::conformance::generate::Random;
use store::{Store, StoreError, WriteError};
use test_backends::postgres::{Postgres, PostgresOptions};
use tokio::sync::watch::Sender;

use super::{assert_exact, config, open, position, psql, range, store, write_until};
use crate::{PostgresConfig, PostgresStore};

const DISTINCT: &str = "SELECT count(*) = count(DISTINCT (origin, record_index)), count(*) FROM logs";

#[tokio::test(flavor = "multi_thread")]
async fn many_nodes_may_start_at_once() {
    let url = Postgres::shared().database();
    let nodes = (0..8).map(|_| open(config(url.clone())));
    let stores = futures::future::join_all(nodes).await;
    let applied = psql(&url, "SELECT count(*) FROM devlogs_migrations");
    assert_eq!(applied, crate::migrate::MIGRATIONS.len().to_string(), "each migration once");
    for (partition, store) in (0..).zip(&stores) {
        store.write(range("p", partition, 0, 10)).await.expect("every node can write");
    }
    assert_exact(&stores[0], 80).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_of_one_partition_store_everything_once() {
    const RANGES: u64 = 2_000;
    let (one, url) = store().await;
    let other = open(config(url.clone())).await;
    for at in 0..RANGES {
        // Both start at the same range each time: writers that run freely may never meet on a busy machine.
        let (a, b) = tokio::join!(one.write(range("p", 0, at, 2)), other.write(range("p", 0, at, 2)));
        let (Ok(()), Err(WriteError::Moved { at: moved })) = (if a.is_ok() { (a, b) } else { (b, a) }) else {
            panic!("range {at} is confirmed to one writer, and the other is told where to go on");
        };
        assert_eq!(moved, Position(at + 1));
    }
    assert_exact(&one, RANGES * 2).await;
    assert_eq!(psql(&url, DISTINCT), format!("t|{}", RANGES * 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_write_is_stored_whole_or_not_at_all() {
    const RANGES: u64 = 60;
    let (store, url) = store().await;
    let mut random = Random::new(3);
    let mut dropped = 0;
    // Grows until some writes are through in time, however slow the machine is.
    let mut time_max = 4_000;
    loop {
        let at = position(&store, 0).await;
        if at == RANGES {
            break;
        }
        let time = Duration::from_micros(random.below(time_max) as u64);
        match tokio::time::timeout(time, store.write(range("p", 0, at, 20))).await {
            Ok(Ok(()) | Err(WriteError::Moved { .. })) => time_max -= time_max / 8,
            Ok(Err(error)) => panic!("{error}"),
            Err(_) => {
                dropped += 1;
                time_max += time_max / 16;
            }
        }
    }
    assert!(dropped > 10, "{dropped} writes were dropped");
    assert_exact(&store, RANGES * 20).await;
    assert_eq!(psql(&url, DISTINCT), format!("t|{}", RANGES * 20));
}

/// Writes on, a few ranges at a time, until told to end; returns how many ranges are stored.
async fn write_on(store: &PostgresStore, partition: u32, rows: usize, steps: &Sender<u64>, ends: &AtomicBool) -> u64 {
    let mut stored = 0;
    while !ends.load(Ordering::Relaxed) {
        stored += 4;
        write_until(store, partition, stored, rows).await;
        steps.send_modify(|steps| *steps += 1);
    }
    stored
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_and_doubles_nothing() {
    const KILLS: usize = 4;
    const ROWS: usize = 200;
    let mut server = Postgres::start(PostgresOptions::default());
    let url = server.database();
    let store = Arc::new(open(PostgresConfig { write_timeout: Duration::from_secs(20), ..config(url.clone()) }).await);
    let (steps, ends) = (Sender::new(0), Arc::new(AtomicBool::new(false)));
    let writers: Vec<_> = (0..3)
        .map(|partition| {
            let (store, steps, ends) = (store.clone(), steps.clone(), ends.clone());
            tokio::spawn(async move { write_on(&store, partition, ROWS, &steps, &ends).await })
        })
        .collect();
    let (mut random, mut done) = (Random::new(5), steps.subscribe());
    for _ in 0..KILLS {
        let before = *done.borrow();
        done.wait_for(|steps| *steps >= before + 6).await.expect("the writers go on");
        tokio::time::sleep(Duration::from_millis(random.below(30) as u64)).await;
        tokio::task::block_in_place(|| {
            server.kill();
            std::thread::sleep(Duration::from_millis(200));
            server.restart();
        });
    }
    ends.store(true, Ordering::Relaxed);
    let mut ranges = 0;
    for writer in writers {
        ranges += writer.await.expect("a writer ends");
    }
    let expected = ranges * ROWS as u64;
    assert_exact(&store, expected).await;
    let (_, database) = url.rsplit_once('/').expect("a database");
    assert_eq!(server.psql(database, DISTINCT), format!("t|{expected}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_unavailable_in_bounded_time() {
    let server = Postgres::start(PostgresOptions::default());
    let second = Duration::from_secs(1);
    let settings = PostgresConfig { write_timeout: second, connect_timeout: second, ..config(server.database()) };
    let store = open(settings).await;
    store.write(range("p", 0, 0, 10)).await.expect("a write before");
    server.freeze();
    let begun = SystemTime::now();
    for _ in 0..2 {
        let written = store.write(range("p", 0, 1, 10)).await;
        assert!(matches!(written, Err(WriteError::Unavailable(_))), "{written:?}");
    }
    assert!(begun.elapsed().expect("a clock") < Duration::from_secs(12), "{begun:?}");
    server.thaw();
    write_until(&store, 0, 2, 10).await;
    assert_exact(&store, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_server_is_unavailable() {
    let port = test_backends::free_port();
    let address = format!("postgres://u:secret@127.0.0.1:{port}/d");
    let error = PostgresStore::open(config(address)).await.expect_err("nothing listens");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_record_is_named_and_nothing_is_stored() {
    let (store, url) = store().await;
    psql(&url, "ALTER TABLE devlogs_records ADD CHECK (message <> 'poison')");
    psql(&url, "ALTER TABLE devlogs_overflow ADD CHECK (message <> 'poison')");
    let mut poisoned = range("p", 0, 0, 50);
    let mut other = model::Batch::new(Arc::from("q"));
    for row in 0..30 {
        let mut record = poisoned.batches[0].row(row).into_owned();
        record.project = Cow::Borrowed("q");
        if row == 17 {
            record.message = Cow::Borrowed("poison");
        }
        other.push(&record);
    }
    poisoned.batches.push(other);
    let refused = store.write(poisoned.clone()).await;
    let Err(WriteError::Rejected { row, reason }) = refused else { panic!("{refused:?}") };
    assert_eq!(row, Some((1, 17)), "{reason}");
    assert_exact(&store, 0).await;
    // The same among records of the overflow.
    for time in &mut poisoned.batches[1].timestamps[10..20] {
        *time = -1;
    }
    let refused = store.write(poisoned).await;
    let Err(WriteError::Rejected { row, reason }) = refused else { panic!("{refused:?}") };
    assert_eq!(row, Some((1, 17)), "{reason}");
    assert_eq!(position(&store, 0).await, 0);
    let mut good = range("p", 0, 0, 50);
    good.next = Position(9);
    store.write(good).await.expect("others are stored");
    assert_exact(&store, 50).await;
}
