//! Retention and tiering, on two disks.

use std::time::{Duration, UNIX_EPOCH};

use model::Batch;
use store::{Store, WriteBatch};
use test_backends::clickhouse::{ClickHouse, TIERED};

use super::rig::{DAY, config, open, range, record};
use crate::{ClickHouseConfig, ClickHouseStore};

/// A record of each age in days, the position its number. One of over 400 days goes to the overflow partition.
fn aged(from: u64, ages: &[i64]) -> WriteBatch {
    let now = i64::try_from(UNIX_EPOCH.elapsed().expect("a clock").as_nanos()).expect("this century");
    let mut batch = Batch::new("p".into());
    for (position, age) in (from..).zip(ages) {
        batch.push(&model::Record { timestamp: now - age * DAY, observed: now, ..record(0, position) });
    }
    WriteBatch { batches: vec![batch], ..range(0, from, from + ages.len() as u64) }
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not in 30 s: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_days_are_removed_and_stand_in_the_ledger() {
    let (store, config) = open().await;
    let (server, database) = (ClickHouse::shared(), config.database.clone());
    store.write(aged(0, &[1, 20, 500])).await.expect("a write");
    let ttl = || {
        server.query(&format!(
            "SELECT engine_full FROM system.tables WHERE database = '{database}' AND name = 'otel_logs'"
        ))
    };
    assert!(!ttl().contains(" TTL "), "nothing is removed unless asked");
    let aging = ClickHouseConfig { retention_days: Some(10), ..config.clone() };
    let store = ClickHouseStore::open(aging.clone()).await.expect("a store with retention");
    // What is late is removed too, a wrong clock's record ages by its receipt.
    store.write(aged(3, &[2, 30])).await.expect("a write of another node");
    let left = || {
        let sql = "SELECT arraySort(groupArray(toUInt32(Origin))) FROM";
        server.query(&format!("{sql} {database}.otel_logs"))
    };
    eventually("the days older than ten are gone", || left() == "[0,2,3]").await;
    let ledger = store.ledger().await.expect("the ledger");
    assert_eq!(ledger.iter().map(|row| row.stored).sum::<u64>(), 5);
    assert_eq!(ledger.iter().map(|row| row.expired).sum::<u64>(), 2);
    let changes = || server.query(&format!("SELECT count() FROM system.mutations WHERE database = '{database}'"));
    let before = changes();
    ClickHouseStore::open(aging.clone()).await.expect("the same rules again");
    assert_eq!(changes(), before, "the same rules are not set again");
    ClickHouseStore::open(ClickHouseConfig { retention_days: Some(5), ..aging }).await.expect("other rules");
    assert!(ttl().contains("toIntervalDay(5)"), "{}", ttl());
    ClickHouseStore::open(config.clone()).await.expect("no rules");
    assert!(!ttl().contains(" TTL "), "{}", ttl());
    assert_eq!(left(), "[0,2,3]");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_days_move_to_the_slow_disk() {
    let server = ClickHouse::shared();
    let (policy, volume) = TIERED;
    let config = ClickHouseConfig { storage_policy: Some(policy.to_owned()), ..config(server, &server.database()) };
    let store = ClickHouseStore::open(config.clone()).await.expect("a store on two disks");
    store.write(aged(0, &[0, 5])).await.expect("a write");
    let places = || {
        server.query(&format!(
            "SELECT groupArray(disk) FROM (SELECT Origin, disk_name AS disk FROM {db}.otel_logs AS l JOIN system.parts \
             AS p ON p.name = l._part AND p.database = '{db}' AND p.table = 'otel_logs' AND p.active ORDER BY Origin)",
            db = config.database
        ))
    };
    assert_eq!(places(), "['default','default']");
    let tiering = ClickHouseConfig {
        tier_after_days: Some(2),
        tier_volume: Some(volume.to_owned()),
        retention_days: Some(30),
        ..config.clone()
    };
    let store = ClickHouseStore::open(tiering).await.expect("a store with tiering");
    eventually("the older day is on the slow disk", || places() == "['default','cold']").await;
    store.write(aged(2, &[0, 8])).await.expect("a write of an old record");
    eventually("an old record that came late, too", || places() == "['default','cold','default','cold']").await;
    assert!(store.check().await.expect("a check").is_empty());
    assert_eq!(store.status().await.expect("the status").rows, 4);
}
