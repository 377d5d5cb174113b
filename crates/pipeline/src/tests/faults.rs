//! A store and a keeper of dead letters that fail when they are told to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use metadata::DeadLetter;
use model::position::{Incarnation, Partition, Position};
use model::{Record, RecordId};
use parking_lot::Mutex;
use store::memory::MemoryStore;
use store::{
    Aggregate, AggregateRow, Bucket, FieldInfo, Histogram, LedgerRow, Page, Progress, QueryLimits, Scan, Search,
    SqlAnswer, Stats, Store, StoreError, StoreStatus, ValueCount, WriteBatch, WriteError,
};

use crate::{DeadLetterError, DeadLetters};

/// The word that the store refuses.
pub(super) const POISON: &str = "poison";

/// What goes wrong next.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    /// Writes that fail without being stored.
    pub(super) fail_writes: u32,
    /// Writes that are stored, but answered as failed.
    pub(super) lose_replies: u32,
    pub(super) fail_keys: u32,
    /// Whether a refusal names the row.
    pub(super) names_rows: bool,
    pub(super) takes_poison: bool,
}

#[derive(Debug, Default)]
pub(super) struct FaultyStore {
    inner: MemoryStore,
    faults: Mutex<Faults>,
}

impl FaultyStore {
    pub(super) fn set(&self, faults: Faults) {
        *self.faults.lock() = faults;
    }

    /// Takes one of what is left of a fault.
    fn happens(&self, fault: impl Fn(&mut Faults) -> &mut u32) -> bool {
        let mut faults = self.faults.lock();
        let left = fault(&mut faults);
        let happens = *left > 0;
        *left = left.saturating_sub(1);
        happens
    }

    fn poisoned(&self, batch: &WriteBatch) -> Option<(usize, usize)> {
        let is_poison = |record: &Record<'_>| record.message.contains(POISON);
        let row = |(at, batch): (usize, &model::Batch)| batch.rows().position(|r| is_poison(&r)).map(|row| (at, row));
        batch.batches.iter().enumerate().find_map(row).filter(|_| !self.faults.lock().takes_poison)
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn write(&self, batch: WriteBatch) -> Result<(), WriteError> {
        if self.happens(|faults| &mut faults.fail_writes) {
            return Err(WriteError::Unavailable("told to fail".to_owned()));
        }
        let at = self.inner.progress(batch.incarnation, batch.partition).await.map(|progress| progress.written);
        if at.is_ok_and(|at| at == batch.from)
            && let Some(row) = self.poisoned(&batch)
        {
            let row = self.faults.lock().names_rows.then_some(row);
            return Err(WriteError::Rejected { reason: "it holds poison".to_owned(), row });
        }
        self.inner.write(batch).await?;
        if self.happens(|faults| &mut faults.lose_replies) {
            return Err(WriteError::Unavailable("told to lose the reply".to_owned()));
        }
        Ok(())
    }

    async fn progress(&self, incarnation: Incarnation, partition: Partition) -> Result<Progress, StoreError> {
        self.inner.progress(incarnation, partition).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.inner.flush().await
    }

    async fn seen_key(&self, project: &str, key: u128) -> Result<Option<u128>, StoreError> {
        if self.happens(|faults| &mut faults.fail_keys) {
            return Err(StoreError::Unavailable("told to fail".to_owned()));
        }
        self.inner.seen_key(project, key).await
    }

    async fn search(&self, search: Search) -> Result<Page, StoreError> {
        self.inner.search(search).await
    }

    async fn get(
        &self,
        project: &str,
        id: RecordId,
        limits: QueryLimits,
    ) -> Result<Option<Record<'static>>, StoreError> {
        self.inner.get(project, id, limits).await
    }

    async fn histogram(&self, histogram: Histogram) -> Result<(Vec<Bucket>, Stats), StoreError> {
        self.inner.histogram(histogram).await
    }

    async fn aggregate(&self, aggregate: Aggregate) -> Result<(Vec<AggregateRow>, Stats), StoreError> {
        self.inner.aggregate(aggregate).await
    }

    async fn fields(&self, scan: Scan, limit: usize) -> Result<Vec<FieldInfo>, StoreError> {
        self.inner.fields(scan, limit).await
    }

    async fn values(
        &self,
        scan: Scan,
        field: model::query::Field,
        limit: usize,
    ) -> Result<Vec<ValueCount>, StoreError> {
        self.inner.values(scan, field, limit).await
    }

    async fn sql(&self, project: Arc<str>, sql: &str, limits: QueryLimits) -> Result<SqlAnswer, StoreError> {
        self.inner.sql(project, sql, limits).await
    }

    async fn count_by_origin(&self, project: &str, origins: &HashSet<u128>) -> Result<HashMap<u128, u64>, StoreError> {
        self.inner.count_by_origin(project, origins).await
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.inner.check().await
    }

    async fn ledger(&self) -> Result<Vec<LedgerRow>, StoreError> {
        self.inner.ledger().await
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        self.inner.status().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}

#[derive(Debug, Default)]
pub(super) struct Letters {
    kept: Mutex<HashMap<RecordId, DeadLetter>>,
    failures: Mutex<u32>,
}

impl Letters {
    pub(super) fn fail(&self, times: u32) {
        *self.failures.lock() = times;
    }

    pub(super) fn all(&self) -> Vec<DeadLetter> {
        self.kept.lock().values().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.kept.lock().len()
    }
}

#[async_trait]
impl DeadLetters for Letters {
    async fn put_many(&self, letters: &[DeadLetter]) -> Result<(), DeadLetterError> {
        let mut failures = self.failures.lock();
        if *failures > 0 {
            *failures -= 1;
            return Err(DeadLetterError::Unavailable("told to fail".to_owned()));
        }
        self.kept.lock().extend(letters.iter().map(|letter| (letter.id, letter.clone())));
        Ok(())
    }

    async fn kept_from(
        &self,
        incarnation: Incarnation,
        partition: Partition,
        from: Position,
    ) -> Result<Vec<RecordId>, DeadLetterError> {
        let kept = self.kept.lock();
        Ok(kept
            .values()
            .filter(|letter| is_from(letter, incarnation, partition, from))
            .map(|letter| letter.id)
            .collect())
    }

    async fn discard_from(
        &self,
        incarnation: Incarnation,
        partition: Partition,
        from: Position,
    ) -> Result<(), DeadLetterError> {
        self.kept.lock().retain(|_, letter| !is_from(letter, incarnation, partition, from));
        Ok(())
    }
}

fn is_from(letter: &DeadLetter, incarnation: Incarnation, partition: Partition, from: Position) -> bool {
    letter.incarnation == incarnation && letter.partition == partition && letter.position >= from
}
