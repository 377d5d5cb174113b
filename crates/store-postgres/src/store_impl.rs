//! The store seam over the modules of this crate.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use model::position::{Incarnation, Partition};
use model::query::Field;
use model::{Record, RecordId};
use store::{
    Aggregate, AggregateRow, Bucket, FieldInfo, Histogram, LedgerRow, Page, Progress, QueryLimits, Scan, Search,
    SqlAnswer, Stats, Store, StoreError, StoreStatus, ValueCount, WriteBatch, WriteError,
};
use store_sql::answer::{self, HistogramAnswer};
use store_sql::dialect::Postgres;
use store_sql::guard::guard;
use store_sql::{ORIGINS_MAX, Planner};
use tokio::task::JoinHandle;
use tokio_postgres::Row;

use crate::config::PostgresConfig;
use crate::connect::Pools;
use crate::encode::Way;
use crate::error::query_error;
use crate::layout::Layout;
use crate::lease::Lease;
use crate::maintenance::Maintenance;
use crate::metrics::Metrics;
use crate::write::Writer;
use crate::{facts, migrate, query, sql};

const PLANNER: Planner<Postgres> = Planner::postgres();

/// Records in TimescaleDB or PostgreSQL.
#[derive(Debug)]
pub struct PostgresStore {
    pub(crate) pools: Pools,
    layout: Arc<Layout>,
    writer: Writer,
    pub(crate) sql_role: Option<Arc<str>>,
    metrics: Metrics,
    maintenance: Arc<Maintenance>,
    background: JoinHandle<()>,
}

impl PostgresStore {
    /// Connects, brings the tables to this version and starts the work in the background. Many nodes may do so at once.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for settings or a database that can't serve; [`StoreError::Unavailable`] when it can't be
    /// reached now.
    pub async fn open(config: PostgresConfig) -> Result<Self, StoreError> {
        let pools = Pools::new(&config)?;
        let mut lease = Lease::of(&pools.write).await.map_err(StoreError::Unavailable)?;
        lease.begin();
        let layout = Arc::new(migrate::migrate(&mut lease, &config).await?);
        let way = Way::find(&lease).await.map_err(|error| query_error(&error, config.write_timeout))?;
        lease.done();
        drop(lease);
        let sql_role = sql::role(&pools, config.sql_role.as_deref()).await?;
        let metrics = Metrics::default();
        let writer = Writer::new(pools.clone(), layout.clone(), way, &config, metrics.clone());
        let maintenance =
            Arc::new(Maintenance { pools: pools.clone(), layout: layout.clone(), config, metrics: metrics.clone() });
        let background = tokio::spawn({
            let maintenance = maintenance.clone();
            async move { maintenance.run().await }
        });
        Ok(Self { pools, layout, writer, sql_role, metrics, maintenance, background })
    }

    /// What the store counts about itself.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// One round of the background's work now: partitions ahead, retention, compression, old keys.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with what failed.
    pub async fn maintain(&self) -> Result<(), StoreError> {
        self.maintenance.round().await.map_err(StoreError::Unavailable)
    }
}

/// A count that looked at every match.
fn counted(matched: u64) -> Stats {
    Stats { matched: Some(matched), scanned_rows: matched, scanned_bytes: 0 }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.background.abort();
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn write(&self, batch: WriteBatch) -> Result<(), WriteError> {
        let begun = Instant::now();
        let written = self.writer.write(&batch).await;
        self.metrics.writes.count(&batch, begun.elapsed(), &written);
        written
    }

    async fn progress(&self, incarnation: Incarnation, partition: Partition) -> Result<Progress, StoreError> {
        facts::progress(&self.pools, incarnation, partition).await
    }

    /// What is committed is durable.
    async fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn seen_key(&self, project: &str, key: u128) -> Result<Option<u128>, StoreError> {
        facts::seen_key(&self.pools, project, key).await
    }

    async fn search(&self, search: Search) -> Result<Page, StoreError> {
        let statement = PLANNER.search(&search);
        let project = search.scan.project.clone();
        let read = |row: &Row| query::record(row, &project);
        let records = query::rows(&self.pools, &statement, search.scan.limits, read).await?;
        let all = search.after.is_none() && records.len() < search.limit;
        let found = records.len() as u64;
        let stats = Stats { matched: all.then_some(found), scanned_rows: found, scanned_bytes: 0 };
        Ok(Page { records, stats })
    }

    async fn get(
        &self,
        project: &str,
        id: RecordId,
        limits: QueryLimits,
    ) -> Result<Option<Record<'static>>, StoreError> {
        let read = |row: &Row| query::record(row, project);
        Ok(query::rows(&self.pools, &PLANNER.get(project, id), limits, read).await?.pop())
    }

    async fn histogram(&self, histogram: Histogram) -> Result<(Vec<Bucket>, Stats), StoreError> {
        let mut answer = HistogramAnswer::new(&histogram)?;
        let statement = PLANNER.histogram(&histogram);
        let rows = query::rows(&self.pools, &statement, histogram.scan.limits, query::histogram_row).await?;
        rows.iter().try_for_each(|row| answer.add(row))?;
        let (buckets, matched) = answer.finish(histogram.groups_max);
        Ok((buckets, counted(matched)))
    }

    async fn aggregate(&self, aggregate: Aggregate) -> Result<(Vec<AggregateRow>, Stats), StoreError> {
        let statement = PLANNER.aggregate(&aggregate);
        let rows = query::rows(&self.pools, &statement, aggregate.scan.limits, query::group_row).await?;
        Ok((answer::aggregate(&aggregate, &rows)?, Stats::default()))
    }

    async fn fields(&self, scan: Scan, limit: usize) -> Result<Vec<FieldInfo>, StoreError> {
        let rows = query::rows(&self.pools, &PLANNER.fields(&scan), scan.limits, query::field_row).await?;
        answer::fields(&scan, &rows, limit)
    }

    async fn values(&self, scan: Scan, field: Field, limit: usize) -> Result<Vec<ValueCount>, StoreError> {
        let statement = PLANNER.values(&scan, &field, limit);
        answer::values(&query::rows(&self.pools, &statement, scan.limits, query::value_row).await?)
    }

    async fn sql(&self, project: Arc<str>, sql: &str, limits: QueryLimits) -> Result<SqlAnswer, StoreError> {
        let statement = guard::<Postgres>(sql, &project, limits.rows)?;
        sql::run(&self.pools, self.sql_role.as_deref(), &statement, limits).await
    }

    async fn count_by_origin(&self, project: &str, origins: &HashSet<u128>) -> Result<HashMap<u128, u64>, StoreError> {
        let origins: Vec<u128> = origins.iter().copied().collect();
        let mut counts = HashMap::new();
        for some in origins.chunks(ORIGINS_MAX) {
            let statement = PLANNER.count_by_origin(project, some);
            let rows = query::rows(&self.pools, &statement, QueryLimits::default(), query::origin_row).await?;
            counts.extend(answer::counts(&rows)?);
        }
        Ok(counts)
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        facts::check(&self.pools).await
    }

    async fn ledger(&self) -> Result<Vec<LedgerRow>, StoreError> {
        facts::ledger(&self.pools).await
    }

    async fn status(&self) -> Result<StoreStatus, StoreError> {
        facts::status(&self.pools, &self.layout).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.background.abort();
        self.pools.close();
        Ok(())
    }
}
