//! Where records are kept and searched.
//!
//! - [`Store`]: the seam that every backend stands behind; [`conformance`] holds each of them to it;
//! - [`write`]: what a processor hands over: records, positions, keys and the ledger's counts, all or nothing;
//! - [`read`]: what a query asks and what it gets;
//! - [`aggregation`]: the accumulators of `aggregate`, shared by every backend that computes in this process;
//! - [`metrics`]: what stores on servers count of their writes;
//! - [`memory`]: the reference store that the conformance suite and property tests compare with.

pub mod aggregation;
pub mod conformance;
pub mod memory;
pub mod metrics;
pub mod read;
pub mod write;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use model::position::{Incarnation, Partition, Position};
use model::{Record, RecordId};

pub use read::{
    Aggregate, AggregateRow, Bucket, FieldInfo, Histogram, Metric, MetricFn, Page, QueryLimits, Scan, Search, SortBy,
    SqlAnswer, Stats, ValueCount,
};
pub use write::{Counts, LedgerRow, Progress, SeenKey, WriteBatch};

/// A store of log records that is written exactly once and gives the same answers as every other.
///
/// Dropping a query's future cancels it. Every query looks at one project only.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Stores a range of one partition: its records, its idempotency keys, its ledger counts and the new position, all
    /// or nothing. When it returns, the records are visible to queries; they are durable once [`Store::progress`] says
    /// so.
    ///
    /// Compare-and-set: if the partition's position is not `batch.from`, nothing is stored and the answer is
    /// [`WriteError::Moved`]; the caller wrote too late and gives the partition up.
    async fn write(&self, batch: WriteBatch) -> Result<(), WriteError>;

    /// How far a partition of a queue was stored; both positions are 0 for one never seen.
    async fn progress(&self, incarnation: Incarnation, partition: Partition) -> Result<Progress, StoreError>;

    /// Makes everything written durable and returns when it is.
    async fn flush(&self) -> Result<(), StoreError>;

    /// The body hash that came with an idempotency key within its lifetime (24 h), if the key was stored.
    async fn seen_key(&self, project: &str, key: u128) -> Result<Option<u128>, StoreError>;

    /// One page of matching records, ordered by time, then id.
    async fn search(&self, search: Search) -> Result<Page, StoreError>;

    /// The record with this id, if the project has it.
    async fn get(
        &self,
        project: &str,
        id: RecordId,
        limits: QueryLimits,
    ) -> Result<Option<Record<'static>>, StoreError>;

    /// Matching records counted by time; every bucket of the range is listed, empty ones too.
    async fn histogram(&self, histogram: Histogram) -> Result<(Vec<Bucket>, Stats), StoreError>;

    async fn aggregate(&self, aggregate: Aggregate) -> Result<(Vec<AggregateRow>, Stats), StoreError>;

    /// The fields of matching records, by falling coverage, then name.
    async fn fields(&self, scan: Scan, limit: usize) -> Result<Vec<FieldInfo>, StoreError>;

    /// The most frequent values of a field among matching records, by falling count, then value.
    async fn values(&self, scan: Scan, field: model::query::Field, limit: usize)
    -> Result<Vec<ValueCount>, StoreError>;

    /// Runs one read-only statement over the project's own `logs` view.
    async fn sql(&self, project: Arc<str>, sql: &str, limits: QueryLimits) -> Result<SqlAnswer, StoreError>;

    /// How many records the project has of each of these origins; those without records may be left out.
    async fn count_by_origin(&self, project: &str, origins: &HashSet<u128>) -> Result<HashMap<u128, u64>, StoreError>;

    /// Reads everything that is stored and says what is damaged, a sentence each. Queries and writes go on.
    async fn check(&self) -> Result<Vec<String>, StoreError>;

    /// The ledger: what became of the records of each partition and project.
    async fn ledger(&self) -> Result<Vec<LedgerRow>, StoreError>;

    /// Sizes, for the status page.
    async fn status(&self) -> Result<StoreStatus, StoreError>;

    /// Flushes, stops background work and returns.
    async fn close(&self) -> Result<(), StoreError>;
}

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StoreStatus {
    pub backend: &'static str,
    pub rows: u64,
    /// Durable bytes.
    pub bytes: u64,
    /// Files, parts or chunks.
    pub segments: u64,
    /// Rows not durable in the store yet (they are in the queue).
    pub buffered_rows: u64,
    /// Oldest and newest timestamps, nanoseconds since the Unix epoch.
    pub oldest: Option<i64>,
    pub newest: Option<i64>,
}

/// Why a batch was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The partition's position is not where the batch begins.
    #[error("the partition stands at {at}, not where the batch begins")]
    Moved { at: Position },
    /// The store refuses some record of the batch; retrying will not help. `row` names it when the store knows it as
    /// (index in `batches`, row in that batch).
    #[error("the store refuses a record: {reason}")]
    Rejected { reason: String, row: Option<(usize, usize)> },
    /// A full disk, a lost connection: try again.
    #[error("the store can't be written now: {0}")]
    Unavailable(String),
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A limit of the query was reached; says which and what to do.
    #[error("{0}")]
    Limit(String),
    /// The query asks for what can't be (SQL that does not parse, a function that is not allowed).
    #[error("{0}")]
    Invalid(String),
    #[error("the store can't be reached now: {0}")]
    Unavailable(String),
    #[error("the store's data is damaged: {0}")]
    Corrupt(String),
    #[error("the store failed: {0}")]
    Internal(String),
}
