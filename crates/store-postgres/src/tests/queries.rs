//! Queries in their limits, cancelled, and cut off from the server.

use std::time::{Duration, Instant};

use store::{QueryLimits, Store, StoreError, StoreStatus};
use store_sql::Statement;
use test_backends::postgres::{Postgres, PostgresOptions};

use super::{PostgresStore, config, open, position, psql, range, store};
use crate::query;

const LONG: &str = "SELECT count(*)::bigint FROM generate_series(1, 100000000000) AS n";

async fn count(store: &PostgresStore, sql: &str, limits: QueryLimits) -> Result<Vec<i64>, StoreError> {
    let statement = Statement { sql: sql.to_owned(), params: Vec::new() };
    query::rows(&store.pools, &statement, limits, |row| query::column(row, 0)).await
}

fn running(url: &str) -> String {
    psql(
        url,
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%generate_series(1, 1000%' AND state = 'active' \
               AND datname = current_database() AND pid <> pg_backend_pid()",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_query_stops_at_the_server() {
    let (store, url) = store().await;
    for _ in 0..5 {
        let query = count(&store, LONG, QueryLimits::default());
        let dropped = tokio::time::timeout(Duration::from_millis(300), query).await;
        assert!(dropped.is_err(), "{dropped:?}");
    }
    let begun = Instant::now();
    while running(&url) != "0" {
        assert!(begun.elapsed() < Duration::from_secs(10), "a query still runs");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(count(&store, "SELECT 1::bigint", QueryLimits::default()).await.expect("others go on"), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_at_its_limits() {
    let (store, _) = store().await;
    let short = QueryLimits { time: Duration::from_millis(300), ..QueryLimits::default() };
    let late = count(&store, LONG, short).await;
    assert!(matches!(late, Err(StoreError::Limit(_))), "{late:?}");
    let little = QueryLimits { memory_bytes: 100_000, ..QueryLimits::default() };
    let large = count(&store, "SELECT n::bigint FROM generate_series(1, 100000000) AS n", little).await;
    assert!(matches!(large, Err(StoreError::Limit(_))), "{large:?}");
    let written = count(&store, "DELETE FROM devlogs_ledger RETURNING 1::bigint", QueryLimits::default()).await;
    assert!(matches!(written, Err(StoreError::Internal(_))), "queries are read-only: {written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_queries_keep_no_writer_waiting() {
    let (store, _) = store().await;
    let store = std::sync::Arc::new(store);
    let limits = QueryLimits { time: Duration::from_secs(3), ..QueryLimits::default() };
    let queries: Vec<_> = (0..30)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { count(&store, "SELECT 1::bigint FROM pg_sleep(1)", limits).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    store.write(range("p", 0, 0, 10)).await.expect("written");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    queries.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_say_that_the_server_is_gone_and_find_it_again() {
    let mut server = Postgres::start(PostgresOptions::default());
    let settings = crate::PostgresConfig { connect_timeout: Duration::from_secs(1), ..config(server.database()) };
    let store = open(settings).await;
    store.write(range("p", 0, 0, 10)).await.expect("written");
    server.freeze();
    let begun = Instant::now();
    let limits = QueryLimits { time: Duration::from_secs(1), ..QueryLimits::default() };
    let frozen = count(&store, "SELECT 1::bigint", limits).await;
    assert!(matches!(frozen, Err(StoreError::Unavailable(_))), "{frozen:?}");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    server.thaw();
    server.kill();
    let gone = count(&store, "SELECT 1::bigint", limits).await;
    assert!(matches!(gone, Err(StoreError::Unavailable(_))), "{gone:?}");
    server.restart();
    let begun = Instant::now();
    while store.status().await.map(|status: StoreStatus| status.rows).ok() != Some(10) {
        assert!(begun.elapsed() < Duration::from_secs(20), "the store does not find the server again");
    }
    assert_eq!(position(&store, 0).await, 1);
}
