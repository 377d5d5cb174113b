//! What a query asks and what it gets.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use model::cursor::{Order, SortKey};
use model::query::{Field, Query};
use model::{Record, Value};

/// The part of a store that a query looks at.
#[derive(Debug, Clone)]
pub struct Scan {
    pub project: Arc<str>,
    /// Nanoseconds since the Unix epoch; includes the start, excludes the end.
    pub range: Range<i64>,
    pub query: Arc<Query>,
    pub limits: QueryLimits,
}

/// What a query may cost; the answer past it is [`crate::StoreError::Limit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLimits {
    pub time: Duration,
    /// Of the query's own working memory (groups, sorted rows).
    pub memory_bytes: usize,
    /// Rows of the answer of SQL, and groups of an aggregate.
    pub rows: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { time: Duration::from_secs(30), memory_bytes: 512 << 20, rows: 100_000 }
    }
}

/// One page of records.
#[derive(Debug, Clone)]
pub struct Search {
    pub scan: Scan,
    pub order: Order,
    pub limit: usize,
    /// Only what comes after this in `order`.
    pub after: Option<SortKey>,
}

/// At most `limit` records; fewer means that there are no more.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub records: Vec<Record<'static>>,
    pub stats: Stats,
}

/// What a query looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// All matches in the range, when the query had to look at all of them.
    pub matched: Option<u64>,
    /// Rows that were held against the query.
    pub scanned_rows: u64,
    /// Bytes that were read, as stored.
    pub scanned_bytes: u64,
}

/// Counts by time.
#[derive(Debug, Clone)]
pub struct Histogram {
    pub scan: Scan,
    /// Nanoseconds; buckets begin at its multiples since the Unix epoch.
    pub interval: i64,
    pub group_by: Option<Field>,
    /// Groups to tell apart; the records of all others (the smallest) are counted in `count` only.
    pub groups_max: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Nanoseconds since the Unix epoch.
    pub start: i64,
    pub count: u64,
    /// By value, null for records without the field; empty unless grouped. In the order of all-over counts.
    pub groups: Vec<(Value<'static>, u64)>,
}

/// Metrics by group.
#[derive(Debug, Clone)]
pub struct Aggregate {
    pub scan: Scan,
    pub group_by: Vec<Field>,
    /// Nanoseconds; also groups by time, as a histogram does.
    pub interval: Option<i64>,
    pub metrics: Vec<Metric>,
    /// None: by the first metric, falling. Ties by group value, bytewise, null last.
    pub order: Option<SortBy>,
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    pub function: MetricFn,
    /// None only for [`MetricFn::Count`], which then counts records; with a field it counts those that have it.
    pub field: Option<Field>,
}

/// Numeric functions take numbers and strings that read wholly as one, and skip the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricFn {
    Count,
    Sum,
    Avg,
    Min,
    Max,
    /// 1 to 99; nearest rank, with a rank error of at most 1 %.
    Percentile(u8),
    /// Exact up to 100 000 values, then within 2 %.
    Distinct,
}

/// What orders the rows of an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    Metric { index: usize, order: Order },
    Group { index: usize, order: Order },
    Start { order: Order },
}

#[derive(Debug, Clone, PartialEq)]
pub struct AggregateRow {
    /// One for each of `group_by`; null for records without the field. JSON types are kept.
    pub group: Vec<Value<'static>>,
    /// With an interval: nanoseconds since the Unix epoch.
    pub start: Option<i64>,
    /// One for each metric; null where there was no value.
    pub metrics: Vec<Value<'static>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FieldInfo {
    pub name: String,
    /// `string`, `int`, `double`, `bool`, `array`, or `mixed`.
    pub kind: &'static str,
    /// The share of matching records that have it, 0 to 1.
    pub coverage: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ValueCount {
    pub value: Value<'static>,
    pub count: u64,
}

/// The answer of a SQL statement.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SqlAnswer {
    /// Name and type, in the words of the store's dialect.
    pub columns: Vec<(String, String)>,
    pub rows: Vec<Vec<serde_json::Value>>,
    pub stats: Stats,
}
