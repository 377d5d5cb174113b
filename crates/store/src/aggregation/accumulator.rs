//! One metric of one group.

use std::cmp::Ordering;

use model::Value;
use model::number::Number;

use super::distinct::{self, Distinct};
use super::sketch::Sketch;
use crate::read::{Metric, MetricFn};

#[derive(Debug, Clone)]
pub enum Accumulator {
    Count(u64),
    Sum(Sum),
    Avg(Sum),
    Min(Option<Number>),
    Max(Option<Number>),
    Percentile { percentile: u8, sketch: Sketch, integers: bool },
    Distinct(Distinct),
}

/// The number that a value counts as: numbers, and strings that read wholly as one.
pub fn number(value: &Value<'_>) -> Option<Number> {
    match value {
        Value::Int(number) => Some(Number::Int(*number)),
        Value::Double(number) => Some(Number::Double(*number)),
        Value::String(text) => Number::parse(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Map(_) => None,
    }
}

impl Accumulator {
    pub fn new(metric: &Metric) -> Self {
        match metric.function {
            MetricFn::Count => Self::Count(0),
            MetricFn::Sum => Self::Sum(Sum::default()),
            MetricFn::Avg => Self::Avg(Sum::default()),
            MetricFn::Min => Self::Min(None),
            MetricFn::Max => Self::Max(None),
            MetricFn::Percentile(percentile) => {
                Self::Percentile { percentile, sketch: Sketch::default(), integers: true }
            }
            MetricFn::Distinct => Self::Distinct(Distinct::default()),
        }
    }

    /// Adds the value that a record has in the metric's field. Only for records that have one.
    pub fn add(&mut self, value: &Value<'_>) {
        match self {
            Self::Count(count) => *count += 1,
            Self::Distinct(values) => values.add_hash(distinct::hash(value, &mut Vec::new())),
            _ => {
                if let Some(number) = number(value) {
                    self.add_number(number);
                }
            }
        }
    }

    /// Adds a number to a numeric metric; the same as [`Accumulator::add`] with less work.
    pub fn add_number(&mut self, number: Number) {
        match self {
            Self::Count(count) => *count += 1,
            Self::Sum(sum) | Self::Avg(sum) => sum.add(number),
            Self::Min(least) => keep(least, number, Ordering::Less),
            Self::Max(most) => keep(most, number, Ordering::Greater),
            Self::Percentile { sketch, integers, .. } => {
                *integers &= matches!(number, Number::Int(value) if value.unsigned_abs() <= 1 << 53);
                sketch.add(number.as_f64());
            }
            Self::Distinct(values) => values.add_hash(distinct::hash(&value(number), &mut Vec::new())),
        }
    }

    /// Counts `rows` records at once. Only for [`MetricFn::Count`].
    pub fn add_count(&mut self, rows: u64) {
        if let Self::Count(count) = self {
            *count += rows;
        }
    }

    /// Adds a value by [`distinct::hash`]. Only for [`MetricFn::Distinct`].
    pub fn add_hash(&mut self, hash: u64) {
        if let Self::Distinct(values) = self {
            values.add_hash(hash);
        }
    }

    /// Takes in what the same metric counted elsewhere.
    pub fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Count(mine), Self::Count(theirs)) => *mine += theirs,
            (Self::Sum(mine), Self::Sum(theirs)) | (Self::Avg(mine), Self::Avg(theirs)) => mine.merge(&theirs),
            (Self::Min(mine), Self::Min(Some(theirs))) => keep(mine, theirs, Ordering::Less),
            (Self::Max(mine), Self::Max(Some(theirs))) => keep(mine, theirs, Ordering::Greater),
            (
                Self::Percentile { sketch, integers, .. },
                Self::Percentile { sketch: theirs, integers: their_integers, .. },
            ) => {
                *integers &= their_integers;
                sketch.merge(theirs);
            }
            (Self::Distinct(mine), Self::Distinct(theirs)) => mine.merge(theirs),
            _ => {}
        }
    }

    /// The metric's value; null where there was none.
    pub fn finish(&self) -> Value<'static> {
        match self {
            Self::Count(count) => count_value(*count),
            Self::Sum(sum) => sum.total().map_or(Value::Null, value),
            Self::Avg(sum) => sum.mean().map_or(Value::Null, Value::Double),
            Self::Min(number) | Self::Max(number) => number.map_or(Value::Null, value),
            Self::Percentile { percentile, sketch, integers } => match sketch.percentile(*percentile) {
                Some(number) if *integers => Value::Int(number as i64),
                Some(number) => Value::Double(number),
                None => Value::Null,
            },
            Self::Distinct(values) => count_value(values.count()),
        }
    }

    /// Bytes on the heap; 0 for what stays small.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Percentile { sketch, .. } => sketch.bytes(),
            Self::Distinct(values) => values.bytes(),
            _ => 0,
        }
    }
}

fn count_value(count: u64) -> Value<'static> {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn value(number: Number) -> Value<'static> {
    match number {
        Number::Int(number) => Value::Int(number),
        Number::Double(number) => Value::Double(number),
    }
}

/// Keeps the extreme of two. Of an integer and a double of equal value it keeps the integer, so that the answer does
/// not hang on the order of the records.
fn keep(kept: &mut Option<Number>, number: Number, wanted: Ordering) {
    let better = match kept {
        None => true,
        Some(kept) => match number.compare(*kept) {
            Ordering::Equal => matches!(number, Number::Int(_)),
            order => order == wanted,
        },
    };
    if better {
        *kept = Some(number);
    }
}

/// A sum with its rounding error carried along (Neumaier), so that it hardly depends on the order.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    integers: i128,
    doubles: f64,
    error: f64,
    count: u64,
    doubles_seen: bool,
}

impl Sum {
    fn add(&mut self, number: Number) {
        self.count += 1;
        match number {
            Number::Int(value) => self.integers += i128::from(value),
            Number::Double(value) => {
                self.doubles_seen = true;
                self.add_double(value);
            }
        }
    }

    fn add_double(&mut self, value: f64) {
        let sum = self.doubles + value;
        self.error +=
            if self.doubles.abs() >= value.abs() { (self.doubles - sum) + value } else { (value - sum) + self.doubles };
        self.doubles = sum;
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.integers += other.integers;
        self.doubles_seen |= other.doubles_seen;
        self.add_double(other.doubles);
        self.error += other.error;
    }

    fn as_double(&self) -> f64 {
        self.integers as f64 + (self.doubles + self.error)
    }

    /// None for no value, and for a sum beyond the doubles.
    fn total(&self) -> Option<Number> {
        if self.count == 0 {
            return None;
        }
        match i64::try_from(self.integers) {
            Ok(integers) if !self.doubles_seen => Some(Number::Int(integers)),
            _ => Some(Number::Double(self.as_double())).filter(|sum| sum.as_f64().is_finite()),
        }
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.as_double() / self.count as f64).filter(|mean| mean.is_finite())
    }
}
