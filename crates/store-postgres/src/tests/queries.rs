//! Queries in their limits, cancelled, and cut off from the server.

use std::time::{Duration, Instant};

use store::{Histogram, QueryLimits, Scan, Store, StoreError, StoreStatus};
use store_sql::{Planner, Statement};
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

/// A value of a field is looked for in four columns; all of them must have an index, or none is used.
#[tokio::test(flavor = "multi_thread")]
async fn values_of_fields_and_traces_are_found_by_their_indexes() {
    let (store, url) = store().await;
    for from in 0..4 {
        store.write(range("p", 0, from, 5_000)).await.expect("written");
    }
    psql(&url, "VACUUM ANALYZE");
    for (query, index) in [
        ("user_id:u7", "attributes_idx"),
        ("user_id:u7", "attribute_texts_idx"),
        ("user_id:u7", "resource_idx"),
        ("user_id:u7", "resource_texts_idx"),
        ("attributes.status:500", "attribute_texts_idx"),
        ("trace_id:0102030405060708090a0b0c0d0e0f10", "trace_id_idx"),
        ("extraordinary", "words_idx"),
    ] {
        let scan = Scan {
            project: "p".into(),
            range: 0..i64::MAX,
            query: model::query::parse(query, 0).expect("a query").into(),
            limits: QueryLimits::default(),
        };
        let counts = Histogram { scan, interval: 3_600_000_000_000, group_by: None, groups_max: 0 };
        let Statement { sql, params } = Planner::postgres().histogram(&counts);
        let explain = Statement { sql: format!("EXPLAIN (COSTS OFF) {sql}"), params };
        let text = |row: &tokio_postgres::Row| query::column::<String>(row, 0);
        let plan = query::rows(&store.pools, &explain, QueryLimits::default(), text).await.expect("a plan").join("\n");
        assert!(plan.contains(index) && !plan.contains("Seq Scan on devlogs_records"), "{query}, {index}:\n{plan}");
    }
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
