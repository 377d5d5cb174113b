//! Holds a store to the answers of the reference store over generated records and queries.

use std::sync::Arc;

use model::cursor::{Order, SortKey};
use model::position::{Incarnation, Partition, Position};
use model::{Batch, Record, Value};

use super::generate::{self, Random};
use crate::aggregation::accumulator;
use crate::memory::MemoryStore;
use crate::read::{Aggregate, AggregateRow, Histogram, Metric, MetricFn, QueryLimits, Scan, Search, SortBy};
use crate::write::WriteBatch;
use crate::{Store, StoreError};

/// Writes the same generated records to `store` and to a [`MemoryStore`] and compares `cases` generated queries of
/// every kind. Each call has a project of its own, named by its seed.
///
/// # Panics
/// At the first different answer, with the seed and the case.
pub async fn compare(store: &dyn Store, seed: u64, records: usize, cases: usize) {
    let mut random = Random::new(seed);
    let project: Arc<str> = Arc::from(format!("compare-{seed}"));
    let reference = MemoryStore::default();
    write(store, &reference, &mut random, &project, seed, records).await;
    for case in 0..cases {
        let query = Arc::new(generate::query(&mut random, 3));
        let limits = QueryLimits::default();
        let scan = Scan { project: project.clone(), range: generate::range(&mut random), query, limits };
        let context = format!("seed {seed}, case {case}: {:?} in {:?}", scan.query, scan.range);
        search(store, &reference, &mut random, &scan, &context).await;
        histogram(store, &reference, &mut random, &scan, &context).await;
        aggregate(store, &reference, &mut random, &scan, &context).await;
        let field = generate::field(&mut random);
        let limit = 1 + random.below(8);
        let found = store.values(scan.clone(), field.clone(), limit).await;
        let expected = reference.values(scan.clone(), field.clone(), limit).await;
        assert_eq!(ok(found, &context), ok(expected, &context), "values of {field:?}, {context}");
        let found = ok(store.fields(scan.clone(), 100).await, &context);
        let expected = ok(reference.fields(scan.clone(), 100).await, &context);
        assert_eq!(found.len(), expected.len(), "fields, {context}: {found:?} but {expected:?}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!((&found.name, found.kind), (&expected.name, expected.kind), "fields, {context}");
            assert!((found.coverage - expected.coverage).abs() < 1e-9, "coverage of {}, {context}", found.name);
        }
    }
}

/// Half of the ranges are flushed, so that records stand in every place that a store has for them; two partitions take
/// turns, which a store may keep apart.
async fn write(
    store: &dyn Store,
    reference: &MemoryStore,
    random: &mut Random,
    project: &Arc<str>,
    seed: u64,
    records: usize,
) {
    let incarnation = Incarnation(u128::from(seed) << 64 | 0xc0);
    let mut written = 0;
    let mut ranges = 0;
    while written < records {
        let mut batch = Batch::new(project.clone());
        let rows = (1 + random.below(records / 4 + 1)).min(records - written);
        for index in written..written + rows {
            batch.push(&generate::record(random, project, index));
        }
        written += rows;
        let position = u64::from(ranges / 2);
        let range = WriteBatch {
            incarnation,
            partition: Partition(ranges % 2),
            from: Position(position),
            next: Position(position + 1),
            batches: vec![batch],
            keys: Vec::new(),
            counts: Vec::new(),
        };
        ranges += 1;
        reference.write(range.clone()).await.expect("the reference store takes every batch");
        store.write(range).await.expect("the store takes a valid batch");
        if random.once_in(2) {
            store.flush().await.expect("the store can be flushed");
        }
    }
}

async fn search(store: &dyn Store, reference: &MemoryStore, random: &mut Random, scan: &Scan, context: &str) {
    let order = if random.once_in(2) { Order::Ascending } else { Order::Descending };
    let limit = [1, 7, 50, 10_000][random.below(4)];
    let mut after: Option<SortKey> = None;
    for page in 0..4 {
        let search = Search { scan: scan.clone(), order, limit, after };
        let found = sorted_fields(ok(store.search(search.clone()).await, context).records);
        let expected = sorted_fields(ok(reference.search(search).await, context).records);
        for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "row {row} of page {page}, limit {limit}, {order:?}, {context}");
        }
        assert_eq!(found.len(), expected.len(), "rows of page {page}, limit {limit}, {order:?}, {context}");
        if let Some(first) = expected.first() {
            let limits = QueryLimits::default();
            let got = ok(store.get(&scan.project, first.id, limits).await, context);
            assert_eq!(sorted_fields(got.into_iter().collect()), std::slice::from_ref(first), "get, {context}");
        }
        let Some(last) = expected.last().filter(|_| expected.len() == limit) else { return };
        after = Some(SortKey { timestamp: last.timestamp, id: last.id });
    }
}

/// Stores need not keep the order of the fields of a record.
pub fn sorted_fields(mut records: Vec<Record<'static>>) -> Vec<Record<'static>> {
    for record in &mut records {
        record.attributes.sort_by(|a, b| a.0.cmp(&b.0));
        record.resource.sort_by(|a, b| a.0.cmp(&b.0));
    }
    records
}

async fn histogram(store: &dyn Store, reference: &MemoryStore, random: &mut Random, scan: &Scan, context: &str) {
    let interval = [1_000_000_000, 7_000_000_000, 60_000_000_000, 100_000_000][random.below(4)];
    let group_by = (!random.once_in(3)).then(|| generate::field(random));
    let histogram = Histogram { scan: scan.clone(), interval, group_by, groups_max: 1 + random.below(6) };
    let found = ok(store.histogram(histogram.clone()).await, context).0;
    let expected = ok(reference.histogram(histogram.clone()).await, context).0;
    assert_eq!(found, expected, "histogram of {interval} by {:?}, {context}", histogram.group_by);
}

async fn aggregate(store: &dyn Store, reference: &MemoryStore, random: &mut Random, scan: &Scan, context: &str) {
    let group_by: Vec<_> = (0..random.below(3)).map(|_| generate::field(random)).collect();
    let functions = [
        MetricFn::Count,
        MetricFn::Sum,
        MetricFn::Avg,
        MetricFn::Min,
        MetricFn::Max,
        MetricFn::Percentile(50),
        MetricFn::Percentile(99),
        MetricFn::Distinct,
    ];
    let metrics: Vec<_> = (0..1 + random.below(3))
        .map(|_| match functions[random.below(functions.len())] {
            MetricFn::Count if random.once_in(2) => Metric { function: MetricFn::Count, field: None },
            function => Metric { function, field: Some(generate::field(random)) },
        })
        .collect();
    // Sums may differ in their last bits, so they don't order what a limit then cuts.
    let exact = matches!(metrics[0].function, MetricFn::Count | MetricFn::Distinct);
    let order = match random.below(3) {
        0 if exact => None,
        1 if !group_by.is_empty() => Some(SortBy::Group { index: 0, order: Order::Ascending }),
        _ if exact => Some(SortBy::Metric { index: 0, order: Order::Ascending }),
        _ => Some(SortBy::Start { order: Order::Descending }),
    };
    let interval = random.once_in(3).then_some(7_000_000_000);
    let limit = 1 + random.below(20);
    let aggregate = Aggregate { scan: scan.clone(), group_by, interval, metrics, order, limit };
    let found = ok(store.aggregate(aggregate.clone()).await, context).0;
    let expected = ok(reference.aggregate(aggregate.clone()).await, context).0;
    let shown = format!("aggregate {:?} by {:?}, {context}", aggregate.metrics, aggregate.group_by);
    assert_eq!(found.len(), expected.len(), "{shown}: {found:?} but {expected:?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert!(same_row(found, expected), "{shown}: {found:?} but {expected:?}");
    }
}

fn same_row(found: &AggregateRow, expected: &AggregateRow) -> bool {
    found.group == expected.group
        && found.start == expected.start
        && found.metrics.len() == expected.metrics.len()
        && found.metrics.iter().zip(&expected.metrics).all(|(found, expected)| same_number(found, expected))
}

/// Doubles agree within 1e-9 relative, anything else exactly.
fn same_number(found: &Value<'_>, expected: &Value<'_>) -> bool {
    match (found, expected) {
        (Value::Double(_), Value::Double(_)) => {
            let (Some(found), Some(expected)) = (accumulator::number(found), accumulator::number(expected)) else {
                return false;
            };
            let (found, expected) = (found.as_f64(), expected.as_f64());
            (found - expected).abs() <= 1e-9 * found.abs().max(expected.abs())
        }
        (found, expected) => found == expected,
    }
}

fn ok<T>(answer: Result<T, StoreError>, context: &str) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => panic!("{error}; {context}"),
    }
}
