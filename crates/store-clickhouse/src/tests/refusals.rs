//! The server refuses, each time for another reason, then takes what it is given: what failed is told apart, and nothing
//! is lost or doubled.

use std::time::Duration;

use store::{QueryLimits, Store, StoreError, WriteError};
use test_backends::clickhouse::{ClickHouse, POOR, WATCHER};

use super::rig::{self, counts, node, open, range};
use crate::{ClickHouseConfig, ClickHouseStore};

/// What a write of the next 50 records answers while the server refuses; they are written once `mend` has been run.
async fn refused_until_mended(
    config: &ClickHouseConfig,
    store: &ClickHouseStore,
    refuse: &[&str],
    mend: &[&str],
) -> String {
    let run = |statements: &[&str]| {
        for sql in statements {
            ClickHouse::shared().query(&sql.replace("{db}", &config.database));
        }
    };
    store.write(range(0, 0, 100)).await.expect("a write before");
    run(refuse);
    let refused = store.write(range(0, 100, 150)).await;
    let Err(WriteError::Unavailable(said)) = refused else { panic!("{refused:?}") };
    run(mend);
    store.write(range(0, 100, 150)).await.expect("a write after");
    assert_eq!(counts(ClickHouse::shared(), &config.database), [150; 3]);
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_is_unavailable_until_it_is_back() {
    let mut server = ClickHouse::start();
    let config = rig::config(&server, &server.database());
    let store = ClickHouseStore::open(config.clone()).await.expect("a store");
    store.write(range(0, 0, 100)).await.expect("a write before");
    tokio::task::block_in_place(|| server.stop());
    let refused = store.write(range(0, 100, 150)).await;
    assert!(matches!(&refused, Err(WriteError::Unavailable(said)) if said.contains("refused")), "{refused:?}");
    let query = store.sql("p".into(), "SELECT count(*) AS n FROM logs", QueryLimits::default()).await;
    assert!(matches!(query, Err(StoreError::Unavailable(_))), "{query:?}");
    let opened = ClickHouseStore::open(config.clone()).await;
    assert!(matches!(opened, Err(StoreError::Unavailable(_))), "{opened:?}");
    tokio::task::block_in_place(|| server.restart());
    store.write(range(0, 100, 150)).await.expect("a write after");
    assert_eq!(counts(&server, &config.database), [150; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_an_operators_matter() {
    let (store, config) = open().await;
    store.write(range(0, 0, 10)).await.expect("a write");
    for (user, password) in [(&*config.user, "hunter2"), ("nobody", "hunter2")] {
        let config = ClickHouseConfig { user: user.to_owned(), password: password.to_owned(), ..config.clone() };
        let refused = ClickHouseStore::open(config).await;
        let Err(StoreError::Unavailable(said)) = refused else { panic!("{refused:?}") };
        assert!(said.contains("check the user") && said.contains("516") && !said.contains("hunter2"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_may_only_read_is_an_operators_matter() {
    let (store, config) = open().await;
    store.write(range(0, 0, 10)).await.expect("a write");
    let config = ClickHouseConfig { user: WATCHER.to_owned(), ..config };
    let refused = ClickHouseStore::open(config).await;
    let Err(StoreError::Unavailable(said)) = refused else { panic!("{refused:?}") };
    assert!(said.contains("check the user") && said.contains("164"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_parts_ask_for_larger_batches() {
    let (store, config) = open().await;
    let refuse = [
        "SYSTEM STOP MERGES {db}.otel_logs",
        "ALTER TABLE {db}.otel_logs MODIFY SETTING parts_to_throw_insert = 1, parts_to_delay_insert = 1",
    ];
    let mend = [
        "ALTER TABLE {db}.otel_logs RESET SETTING parts_to_throw_insert, parts_to_delay_insert",
        "SYSTEM START MERGES {db}.otel_logs",
    ];
    let said = refused_until_mended(&config, &store, &refuse, &mend).await;
    assert!(said.contains("larger batches help") && said.contains("252"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_is_waited_for() {
    let (store, config) = open().await;
    let there = "RENAME TABLE {db}.kept TO {db}.otel_logs";
    let said = refused_until_mended(&config, &store, &["RENAME TABLE {db}.otel_logs TO {db}.kept"], &[there]).await;
    assert!(said.contains("Code: 60."), "{said}");
}

/// The server gives an insert up after its time, and says so before we do.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_insert_is_given_up_by_the_server() {
    let (_, config) = open().await;
    let config = ClickHouseConfig { write_timeout: Duration::from_secs(1), ..config };
    let store = node(&config, Duration::ZERO).await;
    let slow = "CREATE MATERIALIZED VIEW {db}.slow ENGINE = Null AS SELECT sleepEachRow(0.1) AS s FROM {db}.otel_logs";
    let said = refused_until_mended(&config, &store, &[slow], &["DROP TABLE {db}.slow SYNC"]).await;
    assert!(said.contains("Code: 159."), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_is_short_is_waited_for() {
    let (store, config) = open().await;
    store.write(range(0, 0, 10)).await.expect("a write");
    let poor = node(&ClickHouseConfig { user: POOR.to_owned(), ..config.clone() }, Duration::ZERO).await;
    poor.write(range(0, 10, 20)).await.expect("a small write");
    let large = {
        let mut range = range(0, 20, 30_020);
        let rows: Vec<_> = range.batches[0].rows().map(model::Record::into_owned).collect();
        let mut batch = model::Batch::new("p".into());
        rows.into_iter().for_each(|row| batch.push(&model::Record { message: "long ".repeat(1_000).into(), ..row }));
        range.batches = vec![batch];
        range
    };
    let refused = poor.write(large.clone()).await;
    assert!(matches!(&refused, Err(WriteError::Unavailable(said)) if said.contains("Code: 241.")), "{refused:?}");
    node(&config, Duration::ZERO).await.write(large).await.expect("a write by who has memory");
    assert_eq!(counts(ClickHouse::shared(), &config.database), [30_020; 3]);
}

/// The only refusal that names a record's value: trying again would not help.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_table_forbids_is_a_rejection() {
    let (store, config) = open().await;
    let forbid = "ADD CONSTRAINT no_poison CHECK position(Body, 'message 7 ') = 0";
    ClickHouse::shared().query(&format!("ALTER TABLE {}.otel_logs {forbid}", config.database));
    let refused = store.write(range(0, 0, 20)).await;
    assert!(
        matches!(&refused, Err(WriteError::Rejected { reason, .. }) if reason.contains("no_poison")),
        "{refused:?}"
    );
    store.write(range(0, 0, 7)).await.expect("the half without it");
    let refused = store.write(range(0, 7, 8)).await;
    assert!(matches!(refused, Err(WriteError::Rejected { .. })), "{refused:?}");
    let mut buried = range(0, 7, 20);
    let mut kept = model::Batch::new("p".into());
    buried.batches[0].rows().filter(|record| record.id.origin != 7).for_each(|record| kept.push(&record));
    buried.batches = vec![kept];
    (buried.counts[0].stored, buried.counts[0].dead_lettered) = (12, 1);
    store.write(buried).await.expect("the rest");
    assert_eq!(counts(ClickHouse::shared(), &config.database), [19; 3]);
}
