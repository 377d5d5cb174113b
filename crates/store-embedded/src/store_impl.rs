//! The store seam: writes go to the engine, queries to a snapshot of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use model::position::{Incarnation, Partition};
use model::query::Field;
use model::{Record, RecordId};
use store::{
    Aggregate, AggregateRow, Bucket, FieldInfo, Histogram, LedgerRow, Page, Progress, QueryLimits, Scan, Search,
    SqlAnswer, Stats, Store, StoreError, StoreStatus, ValueCount, WriteBatch, WriteError,
};

use crate::engine::{EmbeddedStoreConfig, Engine};
use crate::verify::verify_segments;
use crate::{origins, query};

/// The embedded store.
#[derive(Debug, Clone)]
pub struct EmbeddedStore {
    engine: Arc<Engine>,
}

impl EmbeddedStore {
    /// Opens or makes a store.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn open(config: EmbeddedStoreConfig) -> Result<Self, StoreError> {
        Ok(Self { engine: blocking(move || Engine::open(config)).await? })
    }

    /// The engine below, for `verify` and metrics.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

/// Runs what blocks on the disk off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| StoreError::Internal(format!("the store's work died: {error}")))?
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn write(&self, batch: WriteBatch) -> Result<(), WriteError> {
        self.engine.wait_for_room().await?;
        let engine = self.engine.clone();
        let written = tokio::task::spawn_blocking(move || engine.write(&batch)).await;
        written.map_err(|error| WriteError::Unavailable(format!("the write died: {error}")))?
    }

    async fn progress(&self, incarnation: Incarnation, partition: Partition) -> Result<Progress, StoreError> {
        // The manifest's lock may be held over an fsync.
        let engine = self.engine.clone();
        blocking(move || Ok(engine.progress(incarnation, partition))).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        let engine = self.engine.clone();
        blocking(move || engine.flush()).await
    }

    async fn seen_key(&self, project: &str, key: u128) -> Result<Option<u128>, StoreError> {
        Ok(self.engine.seen_key(project, key))
    }

    async fn search(&self, search: Search) -> Result<Page, StoreError> {
        query::search(self.engine.snapshot(&search.scan.project), search).await
    }

    async fn get(
        &self,
        project: &str,
        id: RecordId,
        limits: QueryLimits,
    ) -> Result<Option<Record<'static>>, StoreError> {
        query::get(self.engine.snapshot(project), Arc::from(project), id, limits).await
    }

    async fn histogram(&self, histogram: Histogram) -> Result<(Vec<Bucket>, Stats), StoreError> {
        query::histogram(self.engine.snapshot(&histogram.scan.project), histogram).await
    }

    async fn aggregate(&self, aggregate: Aggregate) -> Result<(Vec<AggregateRow>, Stats), StoreError> {
        query::aggregate(self.engine.snapshot(&aggregate.scan.project), aggregate).await
    }

    async fn fields(&self, scan: Scan, limit: usize) -> Result<Vec<FieldInfo>, StoreError> {
        query::fields(self.engine.snapshot(&scan.project), scan, limit).await
    }

    async fn values(&self, scan: Scan, field: Field, limit: usize) -> Result<Vec<ValueCount>, StoreError> {
        query::values(self.engine.snapshot(&scan.project), scan, field, limit).await
    }

    async fn sql(&self, project: Arc<str>, sql: &str, limits: QueryLimits) -> Result<SqlAnswer, StoreError> {
        query::sql(self.engine.snapshot(&project), project, sql, limits).await
    }

    async fn count_by_origin(&self, project: &str, origins: &HashSet<u128>) -> Result<HashMap<u128, u64>, StoreError> {
        let (snapshot, origins) = (self.engine.snapshot(project), origins.clone());
        blocking(move || origins::count(&snapshot, &origins)).await
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        let engine = self.engine.clone();
        blocking(move || {
            let report = verify_segments(engine.segments());
            Ok(report.problems.iter().map(|problem| format!("{}: {}", problem.file, problem.reason)).collect())
        })
        .await
    }

    async fn ledger(&self) -> Result<Vec<LedgerRow>, StoreError> {
        let engine = self.engine.clone();
        blocking(move || Ok(engine.ledger())).await
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        let engine = self.engine.clone();
        blocking(move || Ok(engine.status())).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        let engine = self.engine.clone();
        blocking(move || engine.close()).await
    }
}
