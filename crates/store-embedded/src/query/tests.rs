//! The embedded store against the reference store.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::cursor::Order;
use model::position::{Incarnation, Partition, Position};
use model::query::words::TextMatcher;
use model::query::{self, Field, Query};
use model::{Batch, Record, RecordId, Severity, Value};
use serde_json::json;
use store::{
    Aggregate, Histogram, Metric, MetricFn, QueryLimits, Scan, Search, Store, StoreError, WriteBatch, conformance,
};

use crate::tests::{batch, record, records};
use crate::{EmbeddedStore, EmbeddedStoreConfig};

async fn opened(dir: &tempfile::TempDir) -> EmbeddedStore {
    EmbeddedStore::open(EmbeddedStoreConfig::new(dir.path())).await.expect("a new directory opens")
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_queries_answer_as_the_reference_does() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = opened(&dir).await;
    for seed in 0..4 {
        conformance::compare(&store, seed, 600, 150).await;
    }
    store.close().await.expect("the store closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = opened(&dir).await;
    conformance::run(&store).await;
    store.close().await.expect("the store closes");
}

/// Templates leave out the words with digits, so what begins, ends or stands inside of one is looked for in another way.
#[tokio::test(flavor = "multi_thread")]
async fn parts_of_words_with_digits_are_found_in_segments() {
    const MESSAGES: [&str; 5] = ["disk x1Abc port 22", "disk free", "port abc9 x", "open abc port", "é7é port 1"];
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = opened(&dir).await;
    let message = |(at, text)| Record { message: Cow::Borrowed(text), ..record(at, at as i64) };
    let records: Vec<_> = (0_u64..).zip(MESSAGES).map(message).collect();
    store.write(batch(0, 1, &records)).await.expect("a write");
    store.flush().await.expect("a flush");
    for part in [
        "abc port", "xyz port", "bc port", "port abc", "port ab", "port xyz", "22", "1ab", "disk x1", "9 x", "free x",
        "abc", "é port", "port 22",
    ] {
        let query = query::parse(&format!("\"*{part}*\""), 0).expect(part);
        let Query::Message(text) = &query else { panic!("{part} is {query:?}") };
        let matcher = TextMatcher::new(text);
        let mut expected = MESSAGES.to_vec();
        expected.retain(|message| matcher.matches(message));
        let scan =
            Scan { project: "p".into(), range: 0..10, query: Arc::new(query.clone()), limits: QueryLimits::default() };
        let search = Search { scan, order: Order::Ascending, limit: 10, after: None };
        let found = store.search(search).await.expect(part).records;
        let found: Vec<_> = found.iter().map(|record| record.message.as_ref()).collect();
        assert_eq!(found, expected, "{part}");
    }
}

/// Grouped counts of whole blocks come from the index, those of parts of blocks and of what is in memory from rows.
#[tokio::test(flavor = "multi_thread")]
async fn counts_of_the_index_are_those_of_the_rows() {
    const SECOND: i64 = 1_000_000_000;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = EmbeddedStoreConfig { compaction_fan_in: 2, ..EmbeddedStoreConfig::new(dir.path()) };
    let store = EmbeddedStore::open(config).await.expect("a new directory opens");
    let mut records = records(0, 40_000, 0);
    // In the last block there are too many to be counted.
    records[35_000..].iter_mut().for_each(|record| record.host = Some(record.message.clone()));
    store.write(batch(0, 1, &records[..20_000])).await.expect("a write");
    store.write(batch(1, 2, &records[20_000..])).await.expect("a write");
    let in_memory = grouped_counts(&store).await;
    store.flush().await.expect("a flush");
    assert_eq!(grouped_counts(&store).await, in_memory);
    store.write(batch(2, 3, &self::records(40_000, 40_000, 0))).await.expect("a write");
    let in_memory = grouped_counts(&store).await;
    store.flush().await.expect("a flush");
    let since = Instant::now();
    while store.status().await.expect("a status").segments > 1 {
        assert!(since.elapsed() < Duration::from_secs(20), "the segments are not merged");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(grouped_counts(&store).await, in_memory, "blocks are copied with their counts");
    let (_, stats) = store.aggregate(grouped(Field::Service, None, 0..80 * SECOND)).await.expect("an aggregate");
    assert_eq!((stats.matched, stats.scanned_bytes), (Some(80_000), 0), "no row was read");
    store.close().await.expect("the store closes");
}

fn grouped(field: Field, interval: Option<i64>, range: Range<i64>) -> Aggregate {
    let scan = Scan { project: "p".into(), range, query: Arc::new(Query::All), limits: QueryLimits::default() };
    let metrics = vec![Metric { function: MetricFn::Count, field: None }];
    Aggregate { scan, group_by: vec![field], interval, metrics, order: None, limit: 1000 }
}

/// What every grouping that the index may answer says of the whole time, of a part of it, and of short and long buckets.
async fn grouped_counts(store: &EmbeddedStore) -> Vec<String> {
    const SECOND: i64 = 1_000_000_000;
    let mut answers = Vec::new();
    for field in [Field::Level, Field::SeverityNumber, Field::Service, Field::Host] {
        for range in [0..80 * SECOND, 5 * SECOND..69 * SECOND] {
            for interval in [None, Some(7 * SECOND), Some(3600 * SECOND)] {
                let aggregate = grouped(field.clone(), interval, range.clone());
                let scan = aggregate.scan.clone();
                answers.push(format!("{:?}", store.aggregate(aggregate).await.expect("an aggregate").0));
                if let Some(interval) = interval {
                    let histogram = Histogram { scan, interval, group_by: Some(field.clone()), groups_max: 5 };
                    answers.push(format!("{:?}", store.histogram(histogram).await.expect("a histogram").0));
                }
            }
        }
    }
    answers
}

/// One record in a segment, one in memory, one of another project.
async fn filled(dir: &tempfile::TempDir) -> EmbeddedStore {
    let store = opened(dir).await;
    for (at, project) in ["shop", "shop", "other"].into_iter().enumerate() {
        let status = if at == 0 { Value::Int(502) } else { Value::Double(200.5) };
        let record = Record {
            id: RecordId { origin: at as u128 + 1, index: 0 },
            timestamp: 1_800_000_000_000_000_000 + at as i64,
            message: Cow::Owned(format!("message {at}")),
            severity: Severity::new(17),
            attributes: vec![(Cow::Borrowed("http.status"), status)],
            ..Record::default()
        };
        let mut batch = Batch::new(Arc::from(project));
        batch.push(&record);
        let range = WriteBatch {
            incarnation: Incarnation(1),
            partition: Partition(0),
            from: Position(at as u64),
            next: Position(at as u64 + 1),
            batches: vec![batch],
            keys: Vec::new(),
            counts: Vec::new(),
        };
        store.write(range).await.expect("a write");
        if at == 0 {
            store.flush().await.expect("a flush");
        }
    }
    store
}

async fn sql(store: &EmbeddedStore, text: &str) -> Result<Vec<Vec<serde_json::Value>>, StoreError> {
    store.sql(Arc::from("shop"), text, QueryLimits::default()).await.map(|answer| answer.rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_reads_the_projects_own_logs() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = filled(&dir).await;
    for (text, expected) in [
        ("SELECT count(*) FROM logs", json!([[2]])),
        ("SELECT message, level FROM logs ORDER BY timestamp", json!([["message 0", "error"], ["message 1", "error"]])),
        ("SELECT \"http.status\" AS s FROM logs ORDER BY 1", json!([[200.5], [502.0]])),
        ("SELECT json_get(attributes, 'http.status') AS s FROM logs ORDER BY 1 DESC", json!([["502"], ["200.5"]])),
        ("SELECT message FROM logs WHERE timestamp > '2027-01-15T08:00:00Z'", json!([["message 1"]])),
        (
            "WITH l AS (SELECT service FROM logs) SELECT service, count(*) FROM l GROUP BY 1",
            json!([["unknown_service", 2]]),
        ),
    ] {
        assert_eq!(json!(sql(&store, text).await.expect(text)), expected, "{text}");
    }
    let limits = QueryLimits { rows: 1, ..QueryLimits::default() };
    let many = store.sql(Arc::from("shop"), "SELECT message FROM logs", limits).await;
    assert!(matches!(many, Err(StoreError::Limit(_))), "{many:?}");
}

/// Rows without end, made of a few: nothing is read any more once it runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_without_end_is_stopped() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = filled(&dir).await;
    let runtime = tokio::runtime::Handle::current().metrics();
    let before = runtime.num_alive_tasks();
    let tables: Vec<_> = (0..36).map(|index| format!("logs AS l{index}")).collect();
    let text = format!("SELECT count(*) FROM {}", tables.join(", "));
    let limits = QueryLimits { time: Duration::from_millis(300), ..QueryLimits::default() };
    let ended = store.sql(Arc::from("shop"), &text, limits).await;
    assert!(matches!(ended, Err(StoreError::Limit(_))), "{ended:?}");
    let since = Instant::now();
    while runtime.num_alive_tasks() > before {
        assert!(since.elapsed() < Duration::from_secs(10), "its tasks go on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_can_do_nothing_but_read() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = filled(&dir).await;
    for text in [
        "",
        "SELECT",
        "SELECT 1; SELECT 2",
        "DROP TABLE logs",
        "DELETE FROM logs",
        "INSERT INTO logs SELECT * FROM logs",
        "CREATE TABLE t AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "COPY logs TO '/tmp/x.csv'",
        "SET datafusion.execution.batch_size = 1",
        "SHOW TABLES",
        "EXPLAIN SELECT 1",
        "SELECT 1 INTO t",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM other",
        "SELECT * FROM generate_series(1, 1000000000)",
        "SELECT repeat('x', 1000000000)",
        "SELECT nothing FROM logs",
    ] {
        let answer = sql(&store, text).await;
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{text}: {answer:?}");
    }
}
