//! The contract of [`Store`], case by case.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::cursor::{Order, SortKey};
use model::position::{Incarnation, Partition, Position};
use model::query::{Field, Query, Test, Text, WordPattern};
use model::{Batch, Record, RecordId, Severity, Value};

use super::generate::{self, Random, literal};
use super::sorted_fields;
use crate::read::{Aggregate, Histogram, Metric, MetricFn, QueryLimits, Scan, Search};
use crate::write::{Counts, LedgerRow, SeenKey, WriteBatch};
use crate::{Store, StoreError, WriteError};

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_800_000_000 * SECOND;

/// Runs every case on `store`, which must be empty.
///
/// # Panics
/// At the first case that does not hold.
pub async fn run(store: &dyn Store) {
    positions_are_compare_and_set(store).await;
    keys_and_ledger_come_with_the_records(store).await;
    lost_messages_stand_in_the_ledger(store).await;
    a_write_is_visible_at_once_and_after_a_flush(store).await;
    every_type_of_value_comes_back(store).await;
    ranges_include_their_start_and_exclude_their_end(store).await;
    ties_are_ordered_by_id_and_pages_fit_together(store).await;
    pages_hold_while_others_write(store).await;
    a_histogram_adds_up_and_lists_empty_buckets(store).await;
    projects_never_see_each_other(store).await;
    limits_say_what_they_are(store).await;
    a_dropped_query_does_no_harm(store).await;
}

fn lane(case: u128) -> WriteBatch {
    WriteBatch {
        incarnation: Incarnation(case),
        partition: Partition(0),
        from: Position(0),
        next: Position(1),
        batches: Vec::new(),
        keys: Vec::new(),
        counts: Vec::new(),
    }
}

fn record(project: &str, timestamp: i64, id: u128, message: &str) -> Record<'static> {
    Record {
        id: RecordId { origin: id, index: 0 },
        timestamp,
        observed: timestamp,
        project: Cow::Owned(project.to_owned()),
        message: Cow::Owned(message.to_owned()),
        severity: Severity::new(9),
        ..Record::default()
    }
}

fn batch(project: &str, records: &[Record<'_>]) -> Batch {
    let mut batch = Batch::new(Arc::from(project));
    records.iter().for_each(|record| batch.push(record));
    batch
}

async fn store_all(store: &dyn Store, case: u128, project: &str, records: &[Record<'_>]) {
    store.write(WriteBatch { batches: vec![batch(project, records)], ..lane(case) }).await.expect("a first write");
}

fn scan(project: &str, query: Query) -> Scan {
    let range = START..START + 3_600 * SECOND;
    Scan { project: Arc::from(project), range, query: Arc::new(query), limits: QueryLimits::default() }
}

fn page(scan: Scan, limit: usize, after: Option<SortKey>) -> Search {
    Search { scan, order: Order::Descending, limit, after }
}

async fn messages(store: &dyn Store, scan: Scan) -> Vec<String> {
    let found = store.search(page(scan, 10_000, None)).await.expect("a search");
    found.records.into_iter().map(|record| record.message.into_owned()).collect()
}

async fn positions_are_compare_and_set(store: &dyn Store) {
    let (incarnation, partition) = (Incarnation(1), Partition(0));
    let before = store.progress(incarnation, partition).await.expect("progress");
    assert_eq!((before.written, before.durable), (Position(0), Position(0)), "a partition never seen stands at 0");
    let one = [record("cas", START, 1, "one")];
    let first = WriteBatch { batches: vec![batch("cas", &one)], next: Position(5), ..lane(1) };
    let (a, b) = tokio::join!(store.write(first.clone()), store.write(first.clone()));
    let moved = match (a, b) {
        (Ok(()), Err(moved)) | (Err(moved), Ok(())) => moved,
        other => panic!("of two writers of one range one must win: {other:?}"),
    };
    assert!(matches!(moved, WriteError::Moved { at: Position(5) }), "{moved:?}");
    assert_eq!(messages(store, scan("cas", Query::All)).await, ["one"], "the loser stores nothing");
    let gap = WriteBatch { from: Position(6), next: Position(7), ..first };
    assert!(matches!(store.write(gap).await, Err(WriteError::Moved { at: Position(5) })), "no gaps");
    let written = store.progress(incarnation, partition).await.expect("progress").written;
    assert_eq!(written, Position(5));
    store.flush().await.expect("a flush");
    let durable = store.progress(incarnation, partition).await.expect("progress").durable;
    assert_eq!(durable, Position(5), "a flush makes everything written durable");
    let other = store.progress(incarnation, Partition(1)).await.expect("progress");
    assert_eq!(other.written, Position(0), "partitions are apart");
}

async fn keys_and_ledger_come_with_the_records(store: &dyn Store) {
    let project: Arc<str> = Arc::from("keys");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos() as i64;
    let key = |key, received| SeenKey { project: project.clone(), key, body: key + 100, received };
    let keys = vec![key(1, now), key(2, now - 25 * 3_600 * SECOND)];
    let counts = |received, stored, dead_lettered| Counts {
        project: project.clone(),
        received,
        stored,
        dead_lettered,
        ..Counts::default()
    };
    let first = WriteBatch { keys, counts: vec![counts(3, 2, 1)], ..lane(2) };
    store.write(first).await.expect("a write without records");
    let second = WriteBatch { from: Position(1), next: Position(2), counts: vec![counts(4, 4, 0)], ..lane(2) };
    store.write(second).await.expect("the next write");
    assert_eq!(store.seen_key("keys", 1).await.expect("a look"), Some(101));
    assert_eq!(store.seen_key("keys", 2).await.expect("a look"), None, "older than a day");
    assert_eq!(store.seen_key("other", 1).await.expect("a look"), None, "of another project");
    let ledger = store.ledger().await.expect("the ledger");
    let rows: Vec<_> = ledger.iter().filter(|row| *row.project == *project).collect();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((rows[0].received, rows[0].stored, rows[0].dead_lettered), (7, 6, 1));
    assert_eq!((rows[0].incarnation, rows[0].partition), (Incarnation(2), Partition(0)));
}

/// What the queue lost has no project and stays out of the balance, also after a flush.
async fn lost_messages_stand_in_the_ledger(store: &dyn Store) {
    for (from, next, messages) in [(0, 7, 7), (7, 10, 3)] {
        let counts = vec![Counts::of_lost(messages)];
        let range = WriteBatch { from: Position(from), next: Position(next), counts, ..lane(11) };
        store.write(range).await.expect("a write of lost messages");
    }
    for moment in ["at once", "after a flush"] {
        let ledger = store.ledger().await.expect("the ledger");
        let rows: Vec<_> = ledger.iter().filter(|row| row.incarnation == Incarnation(11)).collect();
        assert_eq!(rows.len(), 1, "{moment}: {rows:?}");
        assert_eq!((&*rows[0].project, rows[0].lost, rows[0].received), ("", 10, 0), "{moment}");
        assert!(ledger.iter().all(LedgerRow::is_balanced), "{moment}: {ledger:?}");
        store.flush().await.expect("a flush");
    }
}

async fn a_write_is_visible_at_once_and_after_a_flush(store: &dyn Store) {
    let wanted = record("visible", START, 1, "here I am");
    store_all(store, 3, "visible", std::slice::from_ref(&wanted)).await;
    for moment in ["at once", "after a flush"] {
        assert_eq!(messages(store, scan("visible", Query::All)).await, ["here I am"], "{moment}");
        let got = store.get("visible", wanted.id, QueryLimits::default()).await.expect("a get");
        assert_eq!(got.as_ref(), Some(&wanted), "{moment}");
        store.flush().await.expect("a flush");
    }
    let unknown = RecordId { origin: 1, index: 1 };
    assert_eq!(store.get("visible", unknown, QueryLimits::default()).await.expect("a get"), None);
}

async fn every_type_of_value_comes_back(store: &dyn Store) {
    let values = [
        Value::String(Cow::Borrowed("")),
        Value::String(Cow::Borrowed("grüße \u{1f980} \"quoted\" \\ \n")),
        Value::Int(i64::MIN),
        Value::Int(i64::MAX),
        Value::Double(0.1),
        Value::Double(1.0),
        Value::Double(f64::MAX),
        Value::Double(5e-324),
        Value::Bool(true),
        Value::Bool(false),
        Value::Array(Vec::new()),
        Value::Array(vec![
            Value::Null,
            Value::Int(1),
            Value::Double(1.0),
            Value::Map(vec![(Cow::Borrowed("k"), Value::String(Cow::Borrowed("v")))]),
        ]),
    ];
    let records: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(index, value)| Record {
            attributes: vec![(Cow::Borrowed("same"), value.clone()), (Cow::Borrowed("odd name: \"x\""), value.clone())],
            resource: vec![(Cow::Borrowed("same"), value.clone())],
            ..record("values", START + index as i64, index as u128, "")
        })
        .collect();
    store_all(store, 4, "values", &records).await;
    store.flush().await.expect("a flush");
    let mut found = store.search(page(scan("values", Query::All), 100, None)).await.expect("a search").records;
    found.reverse();
    assert_eq!(sorted_fields(found), sorted_fields(records));
}

async fn ranges_include_their_start_and_exclude_their_end(store: &dyn Store) {
    let records = [record("ends", START, 1, "start"), record("ends", START + 10, 2, "end")];
    store_all(store, 5, "ends", &records).await;
    for moment in ["in memory", "after a flush"] {
        for (range, expected) in [
            (START..START + 10, vec!["start"]),
            (START..START + 11, vec!["end", "start"]),
            (START + 1..START + 11, vec!["end"]),
            (START + 1..START + 10, vec![]),
            (START..START, vec![]),
        ] {
            let scan = Scan { range: range.clone(), ..scan("ends", Query::All) };
            assert_eq!(messages(store, scan).await, expected, "{range:?} {moment}");
        }
        store.flush().await.expect("a flush");
    }
}

async fn ties_are_ordered_by_id_and_pages_fit_together(store: &dyn Store) {
    let records: Vec<_> = (0..50).map(|id| record("ties", START + (id / 20) as i64, id * 7 % 50, "m")).collect();
    store_all(store, 6, "ties", &records).await;
    for order in [Order::Ascending, Order::Descending] {
        let mut expected: Vec<_> =
            records.iter().map(|record| SortKey { timestamp: record.timestamp, id: record.id }).collect();
        expected.sort();
        if order == Order::Descending {
            expected.reverse();
        }
        let mut found = Vec::new();
        loop {
            let search = Search { order, ..page(scan("ties", Query::All), 7, found.last().copied()) };
            let records = store.search(search).await.expect("a page").records;
            found.extend(records.iter().map(|record| SortKey { timestamp: record.timestamp, id: record.id }));
            if records.len() < 7 {
                break;
            }
        }
        assert_eq!(found, expected, "{order:?}");
    }
}

/// What was there when page one was answered comes exactly once, however much is written, flushed and merged.
async fn pages_hold_while_others_write(store: &dyn Store) {
    let at = |id: u128| START + (id as i64 * 37) % 500;
    let first: Vec<_> = (0..200).map(|id| record("paging", at(id), id, "first")).collect();
    store_all(store, 7, "paging", &first).await;
    let (mut found, mut after): (Vec<RecordId>, _) = (Vec::new(), None);
    for round in 1_u64.. {
        let records = store.search(page(scan("paging", Query::All), 20, after)).await.expect("a page").records;
        found.extend(records.iter().map(|record| record.id));
        let Some(last) = records.last().filter(|_| records.len() == 20) else { break };
        after = Some(SortKey { timestamp: last.timestamp, id: last.id });
        let late: Vec<_> = (0..5)
            .map(|index| u128::from(1_000 + round * 5 + index))
            .map(|id| record("paging", at(id), id, "late"))
            .collect();
        let range = WriteBatch { from: Position(round), next: Position(round + 1), ..lane(7) };
        store.write(WriteBatch { batches: vec![batch("paging", &late)], ..range }).await.expect("a late write");
        store.flush().await.expect("a flush");
    }
    let mut unique = found.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), found.len(), "no record comes twice");
    assert_eq!(unique.iter().filter(|id| id.origin < 1_000).count(), 200, "none of the first is left out");
}

async fn a_histogram_adds_up_and_lists_empty_buckets(store: &dyn Store) {
    let mut random = Random::new(8);
    let mut records: Vec<_> = (0..300).map(|index| generate::record(&mut random, "buckets", index)).collect();
    for record in &mut records {
        record.timestamp = START + (record.timestamp - generate::TIMES_START) / 10 * 7;
    }
    store_all(store, 8, "buckets", &records).await;
    let word = Text::Phrase(vec![WordPattern::Exact("timeout".to_owned())]);
    for query in [Query::All, Query::Message(word)] {
        let scan = Scan { range: START + 5..START + 90 * SECOND, ..scan("buckets", query) };
        let histogram =
            Histogram { scan: scan.clone(), interval: 2 * SECOND, group_by: Some(Field::Level), groups_max: 9 };
        let (buckets, _) = store.histogram(histogram).await.expect("a histogram");
        let found = messages(store, scan).await.len() as u64;
        assert!(found > 0, "the query finds something");
        assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), found);
        let starts: Vec<_> = buckets.iter().map(|bucket| bucket.start).collect();
        let expected: Vec<_> = (0..45).map(|index| START + index * 2 * SECOND).collect();
        assert_eq!(starts, expected, "every bucket is listed, aligned to the epoch");
        for bucket in &buckets {
            assert_eq!(bucket.groups.iter().map(|(_, count)| count).sum::<u64>(), bucket.count, "{bucket:?}");
        }
    }
}

async fn projects_never_see_each_other(store: &dyn Store) {
    let mine = record("mine", START, 77, "shared words");
    let theirs = record("theirs", START, 78, "shared words");
    let both = vec![batch("mine", std::slice::from_ref(&mine)), batch("theirs", std::slice::from_ref(&theirs))];
    store.write(WriteBatch { batches: both, ..lane(9) }).await.expect("a write of two projects");
    for moment in ["in memory", "after a flush"] {
        let scan = scan("mine", Query::All);
        let found = store.search(page(scan.clone(), 10, None)).await.expect("a search").records;
        assert_eq!(found.iter().map(|record| record.id).collect::<Vec<_>>(), [mine.id], "{moment}");
        assert_eq!(found[0].project, "mine");
        let foreign = store.get("mine", theirs.id, QueryLimits::default()).await.expect("a get");
        assert_eq!(foreign, None, "{moment}");
        let count = Metric { function: MetricFn::Count, field: None };
        let aggregate = Aggregate {
            scan: scan.clone(),
            group_by: vec![Field::Project],
            interval: None,
            metrics: vec![count],
            order: None,
            limit: 10,
        };
        let (rows, _) = store.aggregate(aggregate).await.expect("an aggregate");
        assert_eq!(rows.len(), 1, "{moment}: {rows:?}");
        let values = store.values(scan.clone(), Field::Id, 10).await.expect("values");
        assert_eq!(values.len(), 1, "{moment}: {values:?}");
        let histogram = Histogram { scan: scan.clone(), interval: 3_600 * SECOND, group_by: None, groups_max: 0 };
        let (buckets, _) = store.histogram(histogram).await.expect("a histogram");
        assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), 1, "{moment}");
        let foreign = Query::Field(Field::Project, Test::Equals(literal("theirs")));
        assert!(messages(store, Scan { query: Arc::new(foreign), ..scan }).await.is_empty(), "{moment}");
        store.flush().await.expect("a flush");
    }
}

async fn limits_say_what_they_are(store: &dyn Store) {
    let records: Vec<_> = (0..100).map(|id| record("limits", START + id as i64, id, "m")).collect();
    store_all(store, 10, "limits", &records).await;
    let with = |limits| Scan { limits, ..scan("limits", Query::All) };
    let no_time = QueryLimits { time: Duration::ZERO, ..QueryLimits::default() };
    let late = store.search(page(with(no_time), 10, None)).await;
    assert!(matches!(late, Err(StoreError::Limit(_))), "{late:?}");
    let few_rows = QueryLimits { rows: 10, ..QueryLimits::default() };
    let aggregate = Aggregate {
        scan: with(few_rows),
        group_by: vec![Field::Id],
        interval: None,
        metrics: vec![Metric { function: MetricFn::Count, field: None }],
        order: None,
        limit: 5,
    };
    let many = store.aggregate(aggregate).await;
    assert!(matches!(many, Err(StoreError::Limit(_))), "{many:?}");
    let little = QueryLimits { memory_bytes: 64, ..QueryLimits::default() };
    let large = store.values(with(little), Field::Id, 5).await;
    assert!(matches!(large, Err(StoreError::Limit(_))), "{large:?}");
}

async fn a_dropped_query_does_no_harm(store: &dyn Store) {
    for _ in 0..20 {
        let search = store.search(page(scan("limits", Query::All), 10, None));
        let _ = tokio::time::timeout(Duration::from_micros(1), search).await;
    }
    assert_eq!(messages(store, scan("limits", Query::All)).await.len(), 100);
}
