//! Accumulators by group and time; their order, limit and memory.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use model::cursor::Order;
use model::{Record, Value};

use super::accumulator::{self, Accumulator};
use super::distinct::LastHash;
use super::{field_value, key};
use crate::StoreError;
use crate::read::{Aggregate, AggregateRow, Metric, QueryLimits, SortBy};

/// What a slot costs beside its key and the heap of its accumulators, bytes.
const SLOT_BYTES: usize = 48;

/// The metrics of each group.
///
/// A group is found by its key: with an interval, 8 bytes of the bucket's start ([`Groups::push_start`]), then the
/// value of each grouping field ([`key::encode`]).
#[derive(Debug)]
pub struct Groups {
    metrics: Vec<Metric>,
    slots: HashMap<Box<[u8]>, usize, BuildHasherDefault<LastHash>>,
    /// `metrics.len()` for each slot.
    accumulators: Vec<Accumulator>,
    key_bytes: usize,
    limits: QueryLimits,
}

impl Groups {
    /// `limits.rows` bounds the groups, `limits.memory_bytes` what they take.
    pub fn new(metrics: &[Metric], limits: QueryLimits) -> Self {
        Self { metrics: metrics.to_vec(), slots: HashMap::default(), accumulators: Vec::new(), key_bytes: 0, limits }
    }

    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    pub fn push_start(start: i64, key: &mut Vec<u8>) {
        key.extend_from_slice(&start.to_le_bytes());
    }

    /// The slot of a group, new or not.
    ///
    /// # Errors
    /// [`StoreError::Limit`] for one group too many.
    pub fn slot(&mut self, key: &[u8]) -> Result<usize, StoreError> {
        if let Some(slot) = self.slots.get(key) {
            return Ok(*slot);
        }
        let slot = self.slots.len();
        if slot >= self.limits.rows {
            return Err(StoreError::Limit(format!(
                "the query makes more than {} groups; group by fewer fields, or narrow the query or its time range",
                self.limits.rows
            )));
        }
        self.key_bytes += key.len();
        self.slots.insert(key.into(), slot);
        self.accumulators.extend(self.metrics.iter().map(Accumulator::new));
        self.check_size(0)?;
        Ok(slot)
    }

    /// The accumulators of a slot, one for each metric.
    pub fn accumulators(&mut self, slot: usize) -> &mut [Accumulator] {
        let width = self.metrics.len();
        &mut self.accumulators[slot * width..(slot + 1) * width]
    }

    /// Adds one record to its group.
    ///
    /// # Errors
    /// [`StoreError::Limit`] for one group too many.
    pub fn add(&mut self, record: &Record<'_>, aggregate: &Aggregate, key: &mut Vec<u8>) -> Result<(), StoreError> {
        key.clear();
        if let Some(interval) = aggregate.interval {
            Self::push_start(bucket_start(record.timestamp, interval), key);
        }
        for field in &aggregate.group_by {
            key::encode(&field_value(record, field).unwrap_or(Value::Null), key);
        }
        let slot = self.slot(key)?;
        for (accumulator, metric) in self.accumulators(slot).iter_mut().zip(&aggregate.metrics) {
            match &metric.field {
                None => accumulator.add_count(1),
                Some(field) => {
                    if let Some(value) = field_value(record, field) {
                        accumulator.add(&value);
                    }
                }
            }
        }
        Ok(())
    }

    /// # Errors
    /// [`StoreError::Limit`] when the groups take more memory than the query may. Call it once for each block.
    pub fn check(&self) -> Result<(), StoreError> {
        let heap: usize = self.accumulators.iter().map(Accumulator::bytes).sum();
        self.check_size(heap)
    }

    fn check_size(&self, heap: usize) -> Result<(), StoreError> {
        let slots = self.slots.len() * SLOT_BYTES + self.accumulators.len() * size_of::<Accumulator>();
        if heap + slots + self.key_bytes > self.limits.memory_bytes {
            return Err(StoreError::Limit(format!(
                "the query's groups take more than its {} MiB of memory; group by fewer fields, or narrow the query \
                 or its time range",
                self.limits.memory_bytes >> 20
            )));
        }
        Ok(())
    }

    /// Takes in what the same query counted elsewhere.
    ///
    /// # Errors
    /// [`StoreError::Limit`] as for one [`Groups`].
    pub fn merge(&mut self, other: Self) -> Result<(), StoreError> {
        let width = self.metrics.len();
        let mut theirs: Vec<Option<Accumulator>> = other.accumulators.into_iter().map(Some).collect();
        for (key, slot) in other.slots {
            let mine = self.slot(&key)?;
            let taken = theirs[slot * width..(slot + 1) * width].iter_mut().filter_map(Option::take);
            for (mine, theirs) in self.accumulators(mine).iter_mut().zip(taken) {
                mine.merge(theirs);
            }
        }
        self.check()
    }

    /// The rows of the answer in its order, at most `aggregate.limit`.
    pub fn finish(mut self, aggregate: &Aggregate) -> Vec<AggregateRow> {
        if self.slots.is_empty() && aggregate.group_by.is_empty() && aggregate.interval.is_none() {
            self.slots.insert(Box::default(), 0);
            self.accumulators.extend(self.metrics.iter().map(Accumulator::new));
        }
        let width = self.metrics.len();
        let mut rows: Vec<AggregateRow> = self
            .slots
            .iter()
            .map(|(key, slot)| {
                let mut key = &**key;
                let start = aggregate.interval.map(|_| read_start(&mut key));
                let group = aggregate.group_by.iter().map(|_| key::decode(&mut key)).collect();
                let metrics =
                    self.accumulators[slot * width..(slot + 1) * width].iter().map(Accumulator::finish).collect();
                AggregateRow { group, start, metrics }
            })
            .collect();
        sort(&mut rows, aggregate);
        rows.truncate(aggregate.limit);
        rows
    }
}

fn read_start(key: &mut &[u8]) -> i64 {
    let (start, rest) = key.split_first_chunk().expect("a key with an interval begins with its start");
    *key = rest;
    i64::from_le_bytes(*start)
}

/// The start of the bucket that a time falls into; buckets begin at multiples of `interval` since the Unix epoch.
pub fn bucket_start(timestamp: i64, interval: i64) -> i64 {
    timestamp.saturating_sub(timestamp.rem_euclid(interval))
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
        asked.then_with(|| compare_keys(&a.group, &b.group)).then_with(|| a.start.cmp(&b.start))
    });
}

fn compare_metrics(a: Option<&Value<'_>>, b: Option<&Value<'_>>, order: Order) -> Ordering {
    match (a.and_then(accumulator::number), b.and_then(accumulator::number)) {
        (Some(a), Some(b)) => directed(a.compare(b), order),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

fn compare_groups(a: Option<&Value<'_>>, b: Option<&Value<'_>>, order: Order) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else { return Ordering::Equal };
    match (a, b) {
        (Value::Null, _) | (_, Value::Null) => key::compare(a, b),
        _ => directed(key::compare(a, b), order),
    }
}

fn compare_keys(a: &[Value<'_>], b: &[Value<'_>]) -> Ordering {
    a.iter().zip(b).map(|(a, b)| key::compare(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn directed(ordering: Ordering, order: Order) -> Ordering {
    match order {
        Order::Ascending => ordering,
        Order::Descending => ordering.reverse(),
    }
}
