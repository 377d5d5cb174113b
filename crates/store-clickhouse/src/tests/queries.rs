//! Answers: the contract of every store, and those of the reference store.

use std::time::Duration;

use model::query::Query;
use store::{QueryLimits, Scan, Search, Store, StoreError, conformance};
use test_backends::clickhouse::ClickHouse;

use super::rig::{open, range};

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    conformance::run(&open().await.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_the_reference_store() {
    let (store, _) = open().await;
    for seed in [1, 2] {
        conformance::compare(&store, seed, 300, 25).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_query_ends_on_the_server() {
    let (store, config) = open().await;
    store.write(range(0, 0, 1_000)).await.expect("a write");
    // A view in place of the table makes every query slow.
    let (server, database) = (ClickHouse::shared(), &config.database);
    server.query(&format!("RENAME TABLE {database}.otel_logs TO {database}.kept"));
    server.query(&format!(
        "CREATE VIEW {database}.otel_logs AS SELECT * FROM {database}.kept WHERE sleepEachRow(0.01) = 0 \
         SETTINGS function_sleep_max_microseconds_per_block = 0"
    ));
    let scan = Scan {
        project: "p".into(),
        range: 0..i64::MAX,
        query: Query::All.into(),
        limits: QueryLimits { time: Duration::from_secs(60), ..QueryLimits::default() },
    };
    let running = || {
        let count = format!("SELECT count() FROM system.processes WHERE current_database = '{database}'");
        server.query(&count).parse::<u32>().expect("a number")
    };
    let search = Search { scan, order: Default::default(), limit: 10, after: None };
    let search = tokio::spawn(async move { store.search(search).await.map(|_| ()) });
    wait("the query runs", || running() == 1).await;
    search.abort();
    wait("the query is gone", || running() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_query_says_that_it_ran_out_of_time() {
    let (store, config) = open().await;
    store.write(range(0, 0, 1_000)).await.expect("a write");
    let (server, database) = (ClickHouse::shared(), &config.database);
    server.query(&format!("RENAME TABLE {database}.otel_logs TO {database}.kept"));
    server.query(&format!(
        "CREATE VIEW {database}.otel_logs AS SELECT * FROM {database}.kept WHERE sleepEachRow(0.01) = 0 \
         SETTINGS function_sleep_max_microseconds_per_block = 0"
    ));
    let limits = QueryLimits { time: Duration::from_millis(300), ..QueryLimits::default() };
    let scan = Scan { project: "p".into(), range: 0..i64::MAX, query: Query::All.into(), limits };
    let search = Search { scan, order: Default::default(), limit: 10, after: None };
    let late = store.search(search).await;
    assert!(matches!(&late, Err(StoreError::Limit(said)) if said.contains("0.3 s")), "{late:?}");
}

async fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not in 10 s: {what}");
}
