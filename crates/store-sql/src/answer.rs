//! From rows to what the store returns: the last steps that no database does alike.

use std::cmp::Ordering;
use std::collections::HashMap;

use model::Value;
use model::cursor::Order;
use model::number::Number;
use store::aggregation::tally::{self, Kinds};
use store::aggregation::{BucketCounts, FieldTally, accumulator, key};
use store::{
    Aggregate, AggregateRow, Bucket, FieldInfo, Histogram, Metric, MetricFn, Scan, SortBy, StoreError, ValueCount,
};

use crate::cell::{self, CellError};
use crate::rows::{FieldRow, GroupRow, HistogramRow, OriginRow, ValueRow};

impl From<CellError> for StoreError {
    fn from(error: CellError) -> Self {
        StoreError::Corrupt(error.to_string())
    }
}

/// The buckets of a histogram, filled by its rows.
#[derive(Debug)]
pub struct HistogramAnswer {
    counts: BucketCounts,
    matched: u64,
}

impl HistogramAnswer {
    /// To be called before the statement is sent.
    ///
    /// # Errors
    /// As [`BucketCounts::new`]: no positive interval, too many buckets.
    pub fn new(histogram: &Histogram) -> Result<Self, StoreError> {
        Ok(Self { counts: BucketCounts::new(histogram)?, matched: 0 })
    }

    /// # Errors
    /// The row is no row of this histogram, or the groups take more memory than the query may.
    pub fn add(&mut self, row: &HistogramRow) -> Result<(), StoreError> {
        let bucket = self.counts.bucket(row.start);
        if bucket >= self.counts.len() {
            return Err(StoreError::Corrupt(format!("a record stands at {}, outside of the histogram", row.start)));
        }
        let rows = row.count.unsigned_abs();
        self.counts.add(bucket, rows);
        self.matched += rows;
        if row.place > 0 {
            let mut value = Vec::new();
            key::encode(&cell::decode(&row.text, row.tag)?, &mut value);
            let slot = self.counts.slot(&value)?;
            self.counts.add_group(slot, bucket, rows);
        }
        Ok(())
    }

    /// Every bucket of the range, and how many records matched.
    pub fn finish(self, groups_max: usize) -> (Vec<Bucket>, u64) {
        (self.counts.finish(groups_max), self.matched)
    }
}

/// The rows of an aggregate in their order, at most its limit.
///
/// # Errors
/// More groups than a query may make, or a row that can't be read.
pub fn aggregate(aggregate: &Aggregate, rows: &[GroupRow]) -> Result<Vec<AggregateRow>, StoreError> {
    let most = aggregate.scan.limits.rows;
    if rows.len() > most {
        return Err(StoreError::Limit(format!(
            "the query makes more than {most} groups; group by fewer fields, or narrow the query or its time range"
        )));
    }
    let mut answer = rows.iter().map(|row| group(aggregate, row)).collect::<Result<Vec<_>, _>>()?;
    sort(&mut answer, aggregate);
    answer.truncate(aggregate.limit);
    Ok(answer)
}

fn group(aggregate: &Aggregate, row: &GroupRow) -> Result<AggregateRow, StoreError> {
    let lengths = [row.counts.len(), row.doubles.len(), row.integers.len(), row.numbers.len()];
    let metrics = aggregate.metrics.len();
    if lengths != [metrics; 4] || [row.tags.len(), row.texts.len()] != [aggregate.group_by.len(); 2] {
        return Err(StoreError::Internal("the database answered another number of columns than asked".to_owned()));
    }
    let values = row.texts.iter().zip(&row.tags).map(|(text, tag)| cell::decode(text, *tag));
    Ok(AggregateRow {
        group: values.collect::<Result<_, _>>()?,
        start: aggregate.interval.map(|_| row.start),
        metrics: aggregate
            .metrics
            .iter()
            .enumerate()
            .map(|(at, metric)| value(metric, row, at))
            .collect::<Result<_, _>>()?,
    })
}

fn value(metric: &Metric, row: &GroupRow, at: usize) -> Result<Value<'static>, StoreError> {
    let (count, doubles) = (row.counts[at], row.doubles[at]);
    if matches!(metric.function, MetricFn::Count | MetricFn::Distinct) {
        return Ok(Value::Int(count));
    }
    if count == 0 {
        return Ok(Value::Null);
    }
    let damaged = |text: &str| StoreError::Internal(format!("the database answered {text:?} for a number"));
    let integer = if count > doubles && !row.integers[at].is_empty() {
        Some(row.integers[at].parse::<i128>().map_err(|_| damaged(&row.integers[at]))?)
    } else {
        None
    };
    let number = if doubles > 0 || matches!(metric.function, MetricFn::Percentile(_)) {
        Some(row.numbers[at].parse::<f64>().map_err(|_| damaged(&row.numbers[at]))?)
    } else {
        None
    };
    let sum = || integer.unwrap_or(0) as f64 + number.unwrap_or(0.0);
    let finite = |number: f64| if number.is_finite() { Value::Double(number) } else { Value::Null };
    Ok(match metric.function {
        MetricFn::Sum => match integer.and_then(|sum| i64::try_from(sum).ok()) {
            Some(sum) if doubles == 0 => Value::Int(sum),
            _ => finite(sum()),
        },
        MetricFn::Avg => finite(sum() / count as f64),
        MetricFn::Percentile(_) => match number {
            Some(number) if doubles == 0 => Value::Int(number as i64),
            Some(number) => finite(number),
            None => Value::Null,
        },
        function => {
            let wanted = if function == MetricFn::Min { Ordering::Less } else { Ordering::Greater };
            let integer = integer.and_then(|number| i64::try_from(number).ok());
            match (integer, number) {
                (Some(integer), Some(double)) if Number::Double(double).compare(Number::Int(integer)) == wanted => {
                    Value::Double(double)
                }
                (Some(integer), _) => Value::Int(integer),
                (None, Some(double)) => Value::Double(double),
                (None, None) => Value::Null,
            }
        }
    })
}

/// Orders rows as asked, ties by group values, then by start.
fn sort(rows: &mut [AggregateRow], aggregate: &Aggregate) {
    let by = aggregate.order.unwrap_or(SortBy::Metric { index: 0, order: Order::Descending });
    rows.sort_by(|a, b| {
        let asked = match by {
            SortBy::Metric { index, order } => compare_metrics(a.metrics.get(index), b.metrics.get(index), order),
            SortBy::Group { index, order } => compare_groups(a.group.get(index), b.group.get(index), order),
            SortBy::Start { order } => directed(a.start.cmp(&b.start), order),
        };
        let groups = || a.group.iter().zip(&b.group).map(|(a, b)| key::compare(a, b));
        asked
            .then_with(|| groups().find(|order| order.is_ne()).unwrap_or(Ordering::Equal))
            .then_with(|| a.start.cmp(&b.start))
    });
}

/// What is no number comes last in both directions.
fn compare_metrics(a: Option<&Value<'_>>, b: Option<&Value<'_>>, order: Order) -> Ordering {
    match (a.and_then(accumulator::number), b.and_then(accumulator::number)) {
        (Some(a), Some(b)) => directed(a.compare(b), order),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

fn compare_groups(a: Option<&Value<'_>>, b: Option<&Value<'_>>, order: Order) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if *a == Value::Null || *b == Value::Null => key::compare(a, b),
        (Some(a), Some(b)) => directed(key::compare(a, b), order),
        _ => Ordering::Equal,
    }
}

fn directed(ordering: Ordering, order: Order) -> Ordering {
    match order {
        Order::Ascending => ordering,
        Order::Descending => ordering.reverse(),
    }
}

/// The fields by falling coverage, then name, at most `limit`.
///
/// # Errors
/// The names take more memory than the query may.
pub fn fields(scan: &Scan, rows: &[FieldRow], limit: usize) -> Result<Vec<FieldInfo>, StoreError> {
    let mut tally = FieldTally::new(scan.limits);
    let (attribute, resource) = (tally::Map::Attributes, tally::Map::Resource);
    let mut widened = Vec::new();
    for row in rows {
        let (count, kinds) = (row.count.unsigned_abs(), kinds(row.tag));
        match row.source {
            0 if row.name.is_empty() => tally.add_records(count),
            0 => tally.add(&row.name, kinds, count)?,
            1 => tally.add(&tally::listed_name(attribute, &row.name), kinds, count)?,
            source => {
                let name = tally::listed_name(resource, &row.name);
                // Of a name in both maps, a record counts once; unless the two are listed apart.
                if source == 3 && *name == *row.name {
                    widened.push((name, kinds));
                } else {
                    tally.add(&name, kinds, count)?;
                }
            }
        }
    }
    widened.iter().for_each(|(name, kinds)| tally.widen(name, *kinds));
    Ok(tally.finish(limit))
}

fn kinds(tag: i64) -> Kinds {
    match u8::try_from(tag) {
        Ok(cell::STRING) => Kinds::STRING,
        Ok(cell::INT) => Kinds::INT,
        Ok(cell::DOUBLE) => Kinds::DOUBLE,
        Ok(cell::BOOL) => Kinds::BOOL,
        Ok(cell::ARRAY) => Kinds::ARRAY,
        _ => Kinds::default(),
    }
}

/// The values in their order.
///
/// # Errors
/// A row that can't be read.
pub fn values(rows: &[ValueRow]) -> Result<Vec<ValueCount>, StoreError> {
    let read =
        |row: &ValueRow| Ok(ValueCount { value: cell::decode(&row.text, row.tag)?, count: row.count.unsigned_abs() });
    rows.iter().map(read).collect()
}

/// Records by origin.
///
/// # Errors
/// A row that can't be read.
pub fn counts(rows: &[OriginRow]) -> Result<HashMap<u128, u64>, StoreError> {
    let read = |row: &OriginRow| {
        let origin = u128::from_str_radix(&row.origin, 16)
            .map_err(|_| StoreError::Corrupt(format!("{:?} is no origin", row.origin)))?;
        Ok((origin, row.count.unsigned_abs()))
    };
    rows.iter().map(read).collect()
}
