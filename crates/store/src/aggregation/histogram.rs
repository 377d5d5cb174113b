//! Counts by time, and by group where asked.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::ops::Range;

use model::Value;

use super::distinct::LastHash;
use super::groups::bucket_start;
use super::key;
use crate::StoreError;
use crate::read::{Bucket, Histogram, QueryLimits};

/// The buckets of a range. Buckets begin at multiples of the interval since the Unix epoch; the first and the last
/// one hold only what the range holds.
#[derive(Debug)]
pub struct BucketCounts {
    first: i64,
    interval: i64,
    totals: Vec<u64>,
    slots: HashMap<Box<[u8]>, usize, BuildHasherDefault<LastHash>>,
    /// For each slot, one count for each bucket.
    groups: Vec<Vec<u64>>,
    bytes: usize,
    limits: QueryLimits,
}

impl BucketCounts {
    /// # Errors
    /// [`StoreError::Invalid`] for an interval that is not positive, [`StoreError::Limit`] for more buckets than the
    /// answer may have rows.
    pub fn new(histogram: &Histogram) -> Result<Self, StoreError> {
        let Range { start, end } = histogram.scan.range;
        let (interval, limits) = (histogram.interval, histogram.scan.limits);
        if interval <= 0 {
            return Err(StoreError::Invalid("the interval of a histogram must be longer than nothing".to_owned()));
        }
        let first = bucket_start(start, interval);
        let span = if end > start { i128::from(end) - i128::from(first) } else { 0 };
        let buckets = (span + i128::from(interval) - 1) / i128::from(interval);
        let buckets = usize::try_from(buckets).ok().filter(|buckets| *buckets <= limits.rows).ok_or_else(|| {
            StoreError::Limit(format!(
                "the histogram has {buckets} buckets, more than {}; ask for a longer interval or a shorter range",
                limits.rows
            ))
        })?;
        Ok(Self {
            first,
            interval,
            totals: vec![0; buckets],
            slots: HashMap::default(),
            groups: Vec::new(),
            bytes: 0,
            limits,
        })
    }

    /// Buckets of the range.
    pub fn len(&self) -> usize {
        self.totals.len()
    }

    pub fn is_empty(&self) -> bool {
        self.totals.is_empty()
    }

    /// The bucket of a time within the range.
    pub fn bucket(&self, timestamp: i64) -> usize {
        (timestamp.wrapping_sub(self.first) as u64 / self.interval as u64) as usize
    }

    /// The times of a bucket.
    pub fn times(&self, bucket: usize) -> Range<i64> {
        let start = self.first.saturating_add(self.interval.saturating_mul(bucket as i64));
        start..start.saturating_add(self.interval)
    }

    /// Counts records of one bucket.
    pub fn add(&mut self, bucket: usize, rows: u64) {
        self.totals[bucket] += rows;
    }

    /// The slot of a group by its value ([`key::encode`]).
    ///
    /// # Errors
    /// [`StoreError::Limit`] when the groups take more memory than the query may.
    pub fn slot(&mut self, key: &[u8]) -> Result<usize, StoreError> {
        if let Some(slot) = self.slots.get(key) {
            return Ok(*slot);
        }
        self.bytes += key.len() + self.totals.len() * size_of::<u64>() + 64;
        if self.bytes > self.limits.memory_bytes {
            return Err(StoreError::Limit(format!(
                "the histogram's groups take more than the query's {} MiB of memory; group by another field, or ask \
                 for a longer interval or a shorter range",
                self.limits.memory_bytes >> 20
            )));
        }
        let slot = self.groups.len();
        self.slots.insert(key.into(), slot);
        self.groups.push(vec![0; self.totals.len()]);
        Ok(slot)
    }

    /// Counts records of one bucket and group; [`BucketCounts::add`] counts the same records for the bucket.
    pub fn add_group(&mut self, slot: usize, bucket: usize, rows: u64) {
        self.groups[slot][bucket] += rows;
    }

    /// Takes in what the same query counted elsewhere.
    ///
    /// # Errors
    /// [`StoreError::Limit`] as for [`BucketCounts::slot`].
    pub fn merge(&mut self, other: Self) -> Result<(), StoreError> {
        add_all(&mut self.totals, &other.totals);
        for (key, slot) in other.slots {
            let mine = self.slot(&key)?;
            add_all(&mut self.groups[mine], &other.groups[slot]);
        }
        Ok(())
    }

    /// Every bucket of the range, with the counts of the `groups_max` largest groups, by falling count, then value.
    pub fn finish(self, groups_max: usize) -> Vec<Bucket> {
        let mut groups: Vec<(u64, Value<'static>, usize)> = self
            .slots
            .iter()
            .map(|(key, slot)| (self.groups[*slot].iter().sum(), key::decode(&mut &**key), *slot))
            .collect();
        groups.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| key::compare(&a.1, &b.1)));
        groups.truncate(groups_max);
        (0..self.totals.len())
            .map(|bucket| Bucket {
                start: self.times(bucket).start,
                count: self.totals[bucket],
                groups: groups
                    .iter()
                    .map(|(_, value, slot)| (value.clone(), self.groups[*slot][bucket]))
                    .filter(|(_, count)| *count > 0)
                    .collect(),
            })
            .collect()
    }
}

fn add_all(mine: &mut [u64], theirs: &[u64]) {
    mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
}
