//! The reference store: every answer by plain evaluation of every record.
//!
//! Other stores are compared with it. It keeps nothing on disk and looks at each record for each query, so it is for
//! tests only. It has no SQL.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use model::cursor::{Order, SortKey};
use model::position::{Incarnation, Partition, Position};
use model::query::{Evaluator, Field};
use model::{Record, RecordId, Value};

use crate::aggregation::values::{value_counts, value_query};
use crate::aggregation::{BucketCounts, FieldTally, Groups, field_value, key};
use crate::read::{
    Aggregate, AggregateRow, Bucket, FieldInfo, Histogram, Page, QueryLimits, Scan, Search, SqlAnswer, Stats,
    ValueCount,
};
use crate::write::{LedgerRow, Progress, SeenKey, WriteBatch};
use crate::{Store, StoreError, StoreStatus, WriteError};

/// How long an idempotency key is remembered.
const KEY_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Records checked between two looks at the clock.
const CLOCK_ROWS: usize = 1_024;

#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    records: HashMap<Arc<str>, Vec<Record<'static>>>,
    positions: HashMap<(Incarnation, Partition), Position>,
    keys: HashMap<(Arc<str>, u128), SeenKey>,
    ledger: BTreeMap<(Arc<str>, Incarnation, Partition), LedgerRow>,
}

impl MemoryStore {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `each` with every match, in order of storing.
    fn scan(
        &self,
        scan: &Scan,
        mut each: impl FnMut(&Record<'static>) -> Result<(), StoreError>,
    ) -> Result<Stats, StoreError> {
        let begun = Instant::now();
        let evaluator = Evaluator::new(&scan.query);
        let state = self.state();
        let mut stats = Stats::default();
        let mut matched = 0;
        for (index, record) in state.records.get(&scan.project).into_iter().flatten().enumerate() {
            if index % CLOCK_ROWS == 0 && begun.elapsed() >= scan.limits.time {
                return Err(StoreError::out_of_time(scan.limits.time));
            }
            if scan.range.contains(&record.timestamp) {
                stats.scanned_rows += 1;
                if evaluator.matches(record) {
                    matched += 1;
                    each(record)?;
                }
            }
        }
        stats.matched = Some(matched);
        Ok(stats)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn write(&self, batch: WriteBatch) -> Result<(), WriteError> {
        let mut state = self.state();
        let at = state.positions.entry((batch.incarnation, batch.partition)).or_default();
        if *at != batch.from {
            return Err(WriteError::Moved { at: *at });
        }
        *at = batch.next;
        for records in batch.batches {
            let kept = state.records.entry(records.project.clone()).or_default();
            kept.extend(records.rows().map(Record::into_owned));
        }
        for key in batch.keys {
            state.keys.insert((key.project.clone(), key.key), key);
        }
        for counts in batch.counts {
            let key = (counts.project.clone(), batch.incarnation, batch.partition);
            let sums = state
                .ledger
                .entry(key)
                .or_insert_with(|| LedgerRow::new(counts.project.clone(), batch.incarnation, batch.partition));
            sums.add(&counts);
        }
        Ok(())
    }

    async fn progress(&self, incarnation: Incarnation, partition: Partition) -> Result<Progress, StoreError> {
        let at = self.state().positions.get(&(incarnation, partition)).copied().unwrap_or_default();
        Ok(Progress { written: at, durable: at })
    }

    async fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn seen_key(&self, project: &str, key: u128) -> Result<Option<u128>, StoreError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let oldest = now.saturating_sub(KEY_LIFETIME).as_nanos() as i64;
        let state = self.state();
        Ok(state.keys.get(&(Arc::from(project), key)).filter(|seen| seen.received > oldest).map(|seen| seen.body))
    }

    async fn search(&self, search: Search) -> Result<Page, StoreError> {
        let mut records = Vec::new();
        let mut stats = self.scan(&search.scan, |record| {
            let key = sort_key(record);
            let wanted = search.after.is_none_or(|after| match search.order {
                Order::Ascending => key > after,
                Order::Descending => key < after,
            });
            if wanted {
                records.push(record.clone());
            }
            Ok(())
        })?;
        records.sort_by_key(sort_key);
        if search.order == Order::Descending {
            records.reverse();
        }
        records.truncate(search.limit);
        if search.after.is_some() {
            stats.matched = None;
        }
        Ok(Page { records, stats })
    }

    async fn get(
        &self,
        project: &str,
        id: RecordId,
        _limits: QueryLimits,
    ) -> Result<Option<Record<'static>>, StoreError> {
        let state = self.state();
        Ok(state.records.get(project).into_iter().flatten().find(|record| record.id == id).cloned())
    }

    async fn histogram(&self, histogram: Histogram) -> Result<(Vec<Bucket>, Stats), StoreError> {
        let mut counts = BucketCounts::new(&histogram)?;
        let mut group = Vec::new();
        let stats = self.scan(&histogram.scan, |record| {
            let bucket = counts.bucket(record.timestamp);
            counts.add(bucket, 1);
            if let Some(field) = &histogram.group_by {
                group.clear();
                key::encode(&field_value(record, field).unwrap_or(Value::Null), &mut group);
                let slot = counts.slot(&group)?;
                counts.add_group(slot, bucket, 1);
            }
            Ok(())
        })?;
        Ok((counts.finish(histogram.groups_max), stats))
    }

    async fn aggregate(&self, aggregate: Aggregate) -> Result<(Vec<AggregateRow>, Stats), StoreError> {
        let mut groups = Groups::new(&aggregate.metrics, aggregate.scan.limits);
        let mut key = Vec::new();
        let stats = self.scan(&aggregate.scan, |record| groups.add(record, &aggregate, &mut key))?;
        groups.check()?;
        Ok((groups.finish(&aggregate), stats))
    }

    async fn fields(&self, scan: Scan, limit: usize) -> Result<Vec<FieldInfo>, StoreError> {
        let mut tally = FieldTally::new(scan.limits);
        self.scan(&scan, |record| tally.add_record(record))?;
        Ok(tally.finish(limit))
    }

    async fn values(&self, scan: Scan, field: Field, limit: usize) -> Result<Vec<ValueCount>, StoreError> {
        let (counted, _) = self.aggregate(value_query(scan, field, limit)).await?;
        Ok(value_counts(counted, limit))
    }

    async fn sql(&self, _project: Arc<str>, _sql: &str, _limits: QueryLimits) -> Result<SqlAnswer, StoreError> {
        Err(StoreError::Invalid("this store has no SQL; use an embedded store or a database".to_owned()))
    }

    async fn count_by_origin(&self, project: &str, origins: &HashSet<u128>) -> Result<HashMap<u128, u64>, StoreError> {
        let mut counts = HashMap::new();
        for record in self.state().records.get(project).into_iter().flatten() {
            if origins.contains(&record.id.origin) {
                *counts.entry(record.id.origin).or_default() += 1;
            }
        }
        Ok(counts)
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn ledger(&self) -> Result<Vec<LedgerRow>, StoreError> {
        Ok(self.state().ledger.values().cloned().collect())
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        let state = self.state();
        let times = || state.records.values().flatten().map(|record| record.timestamp);
        Ok(StoreStatus {
            backend: "memory",
            rows: times().count() as u64,
            bytes: 0,
            segments: 0,
            buffered_rows: 0,
            oldest: times().min(),
            newest: times().max(),
        })
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn sort_key(record: &Record<'_>) -> SortKey {
    SortKey { timestamp: record.timestamp, id: record.id }
}
