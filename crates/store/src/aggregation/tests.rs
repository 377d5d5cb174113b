//! Accuracy, merging and order of the accumulators.

use std::borrow::Cow;
use std::sync::Arc;

use model::Value;
use model::cursor::Order;
use model::number::Number;
use model::query::{Field, Query};

use super::distinct::{self, Distinct, EXACT_MAX};
use super::sketch::{CAPACITY, Sketch};
use super::{Accumulator, BucketCounts, Groups, key};
use crate::StoreError;
use crate::read::{Aggregate, Histogram, Metric, MetricFn, QueryLimits, Scan, SortBy};

fn string(text: &str) -> Value<'static> {
    Value::String(Cow::Owned(text.to_owned()))
}

fn scan(range: std::ops::Range<i64>) -> Scan {
    Scan { project: Arc::from("p"), range, query: Arc::new(Query::All), limits: QueryLimits::default() }
}

fn metric(function: MetricFn) -> Metric {
    Metric { function, field: Some(Field::Any("x".to_owned())) }
}

fn filled(function: MetricFn, values: &[Value<'_>]) -> Value<'static> {
    let mut accumulator = Accumulator::new(&metric(function));
    values.iter().for_each(|value| accumulator.add(value));
    accumulator.finish()
}

/// A full-period generator modulo 2^20: every value once, in a scattered order.
fn scattered(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|index| (index * 390_505 + 17) % (1 << 20))
}

#[test]
fn percentiles_are_exact_at_first_and_within_one_percent_of_rank_later() {
    let mut few = Sketch::default();
    (1..=100).for_each(|value| few.add(f64::from(value)));
    assert_eq!(few.percentile(95), Some(95.0));
    assert_eq!(few.percentile(99), Some(99.0));
    assert_eq!(few.percentile(1), Some(1.0));
    let count = 1_u64 << 20;
    for sorted in [true, false] {
        let mut many = Sketch::default();
        if sorted {
            (0..count).for_each(|value| many.add(value as f64));
        } else {
            scattered(count).for_each(|value| many.add(value as f64));
        }
        for percentile in [1, 25, 50, 95, 99] {
            let found = many.percentile(percentile).expect("there are values");
            let rank = f64::from(percentile) / 100.0 * count as f64;
            assert!((found - rank).abs() <= 0.01 * count as f64, "p{percentile}: {found}, rank {rank}");
        }
        assert!(many.bytes() < 32 * CAPACITY * size_of::<f64>());
    }
}

#[test]
fn merged_sketches_answer_as_one() {
    let count = 1_u64 << 20;
    let mut merged = Sketch::default();
    for part in 0..64 {
        let mut sketch = Sketch::default();
        scattered(count).skip(part).step_by(64).for_each(|value| sketch.add(value as f64));
        merged.merge(sketch);
    }
    let found = merged.percentile(95).expect("there are values");
    assert!((found / count as f64 - 0.95).abs() <= 0.01, "{found}");
}

#[test]
fn distinct_is_exact_to_its_bound_and_close_beyond() {
    let hash = |value: u64| distinct::hash(&Value::Int(value as i64), &mut Vec::new());
    let mut exact = Distinct::default();
    (0..EXACT_MAX as u64).chain(0..500).for_each(|value| exact.add_hash(hash(value)));
    assert_eq!(exact.count(), EXACT_MAX as u64);
    let (mut low, mut high) = (Distinct::default(), Distinct::default());
    (0..700_000).for_each(|value| low.add_hash(hash(value)));
    (600_000..1_000_000).for_each(|value| high.add_hash(hash(value)));
    low.merge(high);
    assert!((low.count() as f64 / 1_000_000.0 - 1.0).abs() <= 0.02, "{}", low.count());
    low.merge(exact);
    assert!((low.count() as f64 / 1_000_000.0 - 1.0).abs() <= 0.02, "{}", low.count());
}

#[test]
fn distinct_just_past_its_bound_is_close_too() {
    let mut values = Distinct::default();
    let count = EXACT_MAX as u64 + 1_000;
    (0..count).for_each(|value| values.add_hash(distinct::hash(&Value::Int(value as i64), &mut Vec::new())));
    assert!((values.count() as f64 / count as f64 - 1.0).abs() <= 0.02, "{}", values.count());
}

#[test]
fn numeric_functions_take_numbers_and_numeric_strings_and_skip_the_rest() {
    let values = [Value::Int(3), string("4"), string("x"), Value::Bool(true), Value::Double(0.5), string("")];
    assert_eq!(filled(MetricFn::Sum, &values), Value::Double(7.5));
    assert_eq!(filled(MetricFn::Avg, &values), Value::Double(2.5));
    assert_eq!(filled(MetricFn::Min, &values), Value::Double(0.5));
    assert_eq!(filled(MetricFn::Max, &values), Value::Int(4));
    assert_eq!(filled(MetricFn::Percentile(50), &values), Value::Double(3.0));
    assert_eq!(filled(MetricFn::Count, &values), Value::Int(6));
    assert_eq!(filled(MetricFn::Distinct, &values), Value::Int(6));
    for function in [MetricFn::Sum, MetricFn::Avg, MetricFn::Min, MetricFn::Max, MetricFn::Percentile(99)] {
        assert_eq!(filled(function, &[string("x")]), Value::Null, "{function:?}");
    }
}

#[test]
fn integers_stay_integers_and_exact() {
    let large = [Value::Int(i64::MAX), Value::Int(i64::MAX - 1)];
    assert_eq!(filled(MetricFn::Max, &large), Value::Int(i64::MAX));
    assert_eq!(filled(MetricFn::Min, &large), Value::Int(i64::MAX - 1));
    assert_eq!(filled(MetricFn::Sum, &[Value::Int(2), Value::Int(3)]), Value::Int(5));
    assert_eq!(filled(MetricFn::Sum, &large), Value::Double(2.0 * i64::MAX as f64));
    assert_eq!(filled(MetricFn::Sum, &[Value::Double(f64::MAX), Value::Double(f64::MAX)]), Value::Null);
}

#[test]
fn a_sum_does_not_hang_on_the_order() {
    let mut values = vec![Value::Double(1e16), Value::Double(1.0), Value::Double(-1e16)];
    assert_eq!(filled(MetricFn::Sum, &values), Value::Double(1.0));
    values.rotate_left(1);
    assert_eq!(filled(MetricFn::Sum, &values), Value::Double(1.0));
}

#[test]
fn keys_keep_types_apart_and_come_back_as_they_were() {
    let values = [
        Value::Null,
        string(""),
        string("1"),
        Value::Int(1),
        Value::Double(1.0),
        Value::Bool(true),
        Value::Array(vec![Value::Null, Value::Int(1), Value::Map(vec![(Cow::Borrowed("a"), string("b"))])]),
    ];
    let mut seen = std::collections::HashSet::new();
    for value in &values {
        let mut bytes = Vec::new();
        key::encode(value, &mut bytes);
        assert_eq!(&key::decode(&mut &*bytes), value);
        assert!(seen.insert(bytes), "{value:?}");
    }
    let mut zeros = (Vec::new(), Vec::new());
    key::encode(&Value::Double(0.0), &mut zeros.0);
    key::encode(&Value::Double(-0.0), &mut zeros.1);
    assert_eq!(zeros.0, zeros.1);
}

fn grouped(groups: &[(Value<'static>, i64)], order: Option<SortBy>, limit: usize) -> Vec<(Value<'static>, i64)> {
    let aggregate = Aggregate {
        scan: scan(0..1),
        group_by: vec![Field::Any("x".to_owned())],
        interval: None,
        metrics: vec![metric(MetricFn::Sum)],
        order,
        limit,
    };
    let mut all = Groups::new(&aggregate.metrics, QueryLimits::default());
    for part in groups.chunks(2) {
        let mut counted = Groups::new(&aggregate.metrics, QueryLimits::default());
        for (value, number) in part {
            let mut bytes = Vec::new();
            key::encode(value, &mut bytes);
            let slot = counted.slot(&bytes).expect("few groups");
            counted.accumulators(slot)[0].add_number(Number::Int(*number));
        }
        all.merge(counted).expect("few groups");
    }
    all.finish(&aggregate)
        .into_iter()
        .map(|mut row| match (row.group.pop(), row.metrics.pop()) {
            (Some(value), Some(Value::Int(sum))) => (value, sum),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn rows_order_by_the_first_metric_then_by_value_with_null_last() {
    let groups = [
        (Value::Null, 5),
        (string("b"), 2),
        (string("B"), 3),
        (string("b"), 3),
        (string("a"), 5),
        (Value::Int(10), 1),
        (Value::Int(9), 1),
    ];
    let expected = [
        (string("a"), 5),
        (string("b"), 5),
        (Value::Null, 5),
        (string("B"), 3),
        (Value::Int(10), 1),
        (Value::Int(9), 1),
    ];
    assert_eq!(grouped(&groups, None, 10), expected);
    assert_eq!(grouped(&groups, None, 2), expected[..2]);
    let falling = grouped(&groups, Some(SortBy::Group { index: 0, order: Order::Descending }), 10);
    let values: Vec<_> = falling.into_iter().map(|(value, _)| value).collect();
    assert_eq!(values, [string("b"), string("a"), string("B"), Value::Int(9), Value::Int(10), Value::Null]);
}

#[test]
fn one_group_too_many_and_too_much_memory_are_limits() {
    let limits = QueryLimits { rows: 2, memory_bytes: 1 << 20, ..QueryLimits::default() };
    let mut groups = Groups::new(&[metric(MetricFn::Percentile(50))], limits);
    let slot = groups.slot(b"a").expect("the first");
    groups.slot(b"b").expect("the second");
    assert!(matches!(groups.slot(b"c"), Err(StoreError::Limit(_))));
    (0..1_000_000).for_each(|value| groups.accumulators(slot)[0].add_number(Number::Int(value)));
    groups.check().expect("sketches stay small");
    let tight = QueryLimits { memory_bytes: 1_000, ..limits };
    let mut groups = Groups::new(&[metric(MetricFn::Distinct)], tight);
    let slot = groups.slot(b"a").expect("fits");
    (0..1_000).for_each(|value| groups.accumulators(slot)[0].add(&Value::Int(value)));
    assert!(matches!(groups.check(), Err(StoreError::Limit(_))));
}

#[test]
fn buckets_are_aligned_and_cover_the_range() {
    let histogram = |range| Histogram { scan: scan(range), interval: 10, group_by: None, groups_max: 1 };
    let starts = |range| {
        let counts = BucketCounts::new(&histogram(range)).expect("few buckets");
        counts.finish(1).into_iter().map(|bucket| bucket.start).collect::<Vec<_>>()
    };
    assert_eq!(starts(5..25), [0, 10, 20]);
    assert_eq!(starts(10..20), [10]);
    assert_eq!(starts(-11..1), [-20, -10, 0]);
    assert_eq!(starts(7..7), [0_i64; 0]);
    let counts = BucketCounts::new(&histogram(-11..1)).expect("few buckets");
    assert_eq!([-11, -10, -1, 0].map(|time| counts.bucket(time)), [0, 1, 1, 2]);
    assert!(matches!(BucketCounts::new(&histogram(i64::MIN..i64::MAX)), Err(StoreError::Limit(_))));
}
