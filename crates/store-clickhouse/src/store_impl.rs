//! The store's contract, each method where it is done.

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
use store_sql::dialect::ClickHouse;
use store_sql::guard::guard;

use crate::ClickHouseStore;
use crate::lane::LaneId;

#[async_trait]
impl Store for ClickHouseStore {
    async fn write(&self, batch: WriteBatch) -> Result<(), WriteError> {
        self.write_range(batch).await
    }

    /// Everything that is written is durable: the server answers after its files are.
    async fn progress(&self, incarnation: Incarnation, partition: Partition) -> Result<Progress, StoreError> {
        let at = self.position(LaneId { incarnation, partition }).await?;
        Ok(Progress { written: at, durable: at })
    }

    async fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn seen_key(&self, project: &str, key: u128) -> Result<Option<u128>, StoreError> {
        self.body_of_key(project, key).await
    }

    async fn search(&self, search: Search) -> Result<Page, StoreError> {
        self.search_records(&search).await
    }

    async fn get(
        &self,
        project: &str,
        id: RecordId,
        limits: QueryLimits,
    ) -> Result<Option<Record<'static>>, StoreError> {
        self.get_record(project, id, limits).await
    }

    async fn histogram(&self, histogram: Histogram) -> Result<(Vec<Bucket>, Stats), StoreError> {
        self.count_by_time(&histogram).await
    }

    async fn aggregate(&self, aggregate: Aggregate) -> Result<(Vec<AggregateRow>, Stats), StoreError> {
        self.aggregate_records(&aggregate).await
    }

    async fn fields(&self, scan: Scan, limit: usize) -> Result<Vec<FieldInfo>, StoreError> {
        self.list_fields(&scan, limit).await
    }

    async fn values(&self, scan: Scan, field: Field, limit: usize) -> Result<Vec<ValueCount>, StoreError> {
        self.list_values(&scan, &field, limit).await
    }

    async fn sql(&self, project: Arc<str>, sql: &str, limits: QueryLimits) -> Result<SqlAnswer, StoreError> {
        let statement = guard::<ClickHouse>(sql, &project, limits.rows)?;
        self.run_checked_sql(&project, &statement, limits).await
    }

    async fn count_by_origin(&self, project: &str, origins: &HashSet<u128>) -> Result<HashMap<u128, u64>, StoreError> {
        self.count_origins(project, origins).await
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.damage().await
    }

    async fn ledger(&self) -> Result<Vec<LedgerRow>, StoreError> {
        self.ledger_rows().await
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        self.sizes().await
    }

    /// Nothing runs in the background, and every write was synchronous.
    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
