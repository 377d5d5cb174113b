//! Queries: planned by `store_sql`, run under the query's limits, cancelled when nobody waits any more.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use clickhouse::query::Query;
use clickhouse::{Row, RowOwned, RowRead};
use model::query::Field;
use model::{Fields, Record, RecordId, Severity, SpanId, TraceId, Value};
use serde::Deserialize;
use store::{
    Aggregate, AggregateRow, Bucket, FieldInfo, Histogram, Page, QueryLimits, Scan, Search, Stats, StoreError,
    ValueCount,
};
use store_sql::{ORIGINS_MAX, Planner, Statement, answer, cell};

use crate::ClickHouseStore;
use crate::connection::{Connection, GRACE, query_id};
use crate::metrics::Metrics;
use crate::rows::{FieldRow, GroupRow, HistogramRow, OriginRow, ValueRow};

/// A record as `Dialect::RECORD_COLUMNS` gives it.
#[derive(Debug, Row, Deserialize)]
struct RecordRow {
    timestamp: i64,
    observed: i64,
    origin: u128,
    record_index: u32,
    service: String,
    has_host: u8,
    host: String,
    severity: u8,
    message: String,
    trace_id: String,
    span_id: String,
    attributes: Vec<(String, String)>,
    attribute_types: Vec<(String, u8)>,
    resource: Vec<(String, String)>,
    resource_types: Vec<(String, u8)>,
}

impl ClickHouseStore {
    pub(crate) async fn search_records(&self, search: &Search) -> Result<Page, StoreError> {
        let statement = Planner::clickhouse().search(search);
        let (rows, stats) = self.rows::<RecordRow>(&statement, search.scan.limits).await?;
        let records = rows.into_iter().map(|row| read_record(row, &search.scan.project));
        Ok(Page { records: records.collect::<Result<_, _>>()?, stats })
    }

    pub(crate) async fn get_record(
        &self,
        project: &str,
        id: RecordId,
        limits: QueryLimits,
    ) -> Result<Option<Record<'static>>, StoreError> {
        let (rows, _) = self.rows::<RecordRow>(&Planner::clickhouse().get(project, id), limits).await?;
        rows.into_iter().next().map(|row| read_record(row, project)).transpose()
    }

    pub(crate) async fn count_by_time(&self, histogram: &Histogram) -> Result<(Vec<Bucket>, Stats), StoreError> {
        let mut answer = answer::HistogramAnswer::new(histogram)?;
        let statement = Planner::clickhouse().histogram(histogram);
        let (rows, mut stats) = self.rows::<HistogramRow>(&statement, histogram.scan.limits).await?;
        for row in rows {
            answer.add(&row.into())?;
        }
        let (buckets, matched) = answer.finish(histogram.groups_max);
        stats.matched = Some(matched);
        Ok((buckets, stats))
    }

    pub(crate) async fn aggregate_records(
        &self,
        aggregate: &Aggregate,
    ) -> Result<(Vec<AggregateRow>, Stats), StoreError> {
        let statement = Planner::clickhouse().aggregate(aggregate);
        let (rows, stats) = self.rows::<GroupRow>(&statement, aggregate.scan.limits).await?;
        let rows: Vec<_> = rows.into_iter().map(Into::into).collect();
        Ok((answer::aggregate(aggregate, &rows)?, stats))
    }

    pub(crate) async fn list_fields(&self, scan: &Scan, limit: usize) -> Result<Vec<FieldInfo>, StoreError> {
        let statement = Planner::clickhouse().fields(scan);
        let (rows, _) = self.rows::<FieldRow>(&statement, scan.limits).await?;
        let rows: Vec<_> = rows.into_iter().map(Into::into).collect();
        answer::fields(scan, &rows, limit)
    }

    pub(crate) async fn list_values(
        &self,
        scan: &Scan,
        field: &Field,
        limit: usize,
    ) -> Result<Vec<ValueCount>, StoreError> {
        let statement = Planner::clickhouse().values(scan, field, limit);
        let (rows, _) = self.rows::<ValueRow>(&statement, scan.limits).await?;
        let rows: Vec<_> = rows.into_iter().map(Into::into).collect();
        answer::values(&rows)
    }

    pub(crate) async fn count_origins(
        &self,
        project: &str,
        origins: &HashSet<u128>,
    ) -> Result<HashMap<u128, u64>, StoreError> {
        let origins: Vec<_> = origins.iter().copied().collect();
        let mut counts = HashMap::new();
        for some in origins.chunks(ORIGINS_MAX) {
            let statement = Planner::clickhouse().count_by_origin(project, some);
            let (rows, _) = self.rows::<OriginRow>(&statement, QueryLimits::default()).await?;
            let rows: Vec<_> = rows.into_iter().map(Into::into).collect();
            counts.extend(answer::counts(&rows)?);
        }
        Ok(counts)
    }

    /// All rows of a planned statement, which bounds them.
    async fn rows<T>(&self, statement: &Statement, limits: QueryLimits) -> Result<(Vec<T>, Stats), StoreError>
    where
        T: Row + RowOwned + RowRead,
    {
        let running = Running::start(&self.home, &self.metrics, limits)?;
        let query = running.prepare(statement);
        let fetched = tokio::time::timeout(limits.time + GRACE, async {
            let mut cursor = query.fetch::<T>()?;
            let mut rows = Vec::new();
            while let Some(row) = cursor.next().await? {
                rows.push(row);
            }
            let summary = cursor.summary();
            let stats = Stats {
                matched: None,
                scanned_rows: summary.and_then(|summary| summary.read_rows()).unwrap_or_default(),
                scanned_bytes: summary.and_then(|summary| summary.read_bytes()).unwrap_or_default(),
            };
            Ok((rows, stats))
        })
        .await;
        match fetched {
            Ok(fetched) => running.end(fetched, false),
            Err(_) => Err(StoreError::out_of_time(limits.time)),
        }
    }
}

/// A query on the server; dropped before its end it is killed there.
pub(crate) struct Running<'s> {
    server: &'s Connection,
    metrics: &'s Arc<Metrics>,
    limits: QueryLimits,
    id: String,
    is_done: bool,
}

impl<'s> Running<'s> {
    pub(crate) fn start(
        server: &'s Connection,
        metrics: &'s Arc<Metrics>,
        limits: QueryLimits,
    ) -> Result<Self, StoreError> {
        // The server takes no time for no limit.
        if limits.time.is_zero() {
            return Err(StoreError::out_of_time(limits.time));
        }
        Ok(Self { server, metrics, limits, id: query_id("query"), is_done: false })
    }

    /// The statement with its parameters and limits.
    pub(crate) fn prepare(&self, statement: &Statement) -> Query {
        let mut query = self
            .server
            .client()
            .query_raw(&statement.sql)
            .with_setting("query_id", &self.id)
            // Otherwise an error may come in the middle of rows, and the summary before the end.
            .with_setting("wait_end_of_query", "1")
            .with_setting("max_execution_time", format!("{:.3}", self.limits.time.as_secs_f64()))
            .with_setting("max_memory_usage", self.limits.memory_bytes.max(1).to_string())
            .with_setting("max_untracked_memory", self.limits.memory_bytes.clamp(1, 4 << 20).to_string());
        for (index, param) in statement.params.iter().enumerate() {
            query = query.with_setting(format!("param_p{index}"), param.to_clickhouse());
        }
        query
    }

    /// The server has answered. `is_foreign`: the statement came from a user.
    pub(crate) fn end<T>(
        mut self,
        answer: Result<T, clickhouse::error::Error>,
        is_foreign: bool,
    ) -> Result<T, StoreError> {
        self.is_done = true;
        answer.map_err(|error| {
            self.metrics.query_errors.inc();
            self.server.failure(&error).into_store_error(Some(&self.limits), is_foreign)
        })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        self.metrics.cancelled_queries.inc();
        let (server, id) = (self.server.clone(), std::mem::take(&mut self.id));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // A query that is not killed ends by its time limit.
                if let Err(failure) = server.execute(&format!("KILL QUERY WHERE query_id = '{id}' ASYNC")).await {
                    tracing::debug!(?failure, "a cancelled query could not be stopped");
                }
            });
        }
    }
}

fn read_record(row: RecordRow, project: &str) -> Result<Record<'static>, StoreError> {
    let damaged = |what: &str| StoreError::Corrupt(format!("a record has no valid {what}"));
    let id = |text: &str| (!text.is_empty()).then(|| hex::decode(text));
    let trace_id = id(&row.trace_id).transpose().map_err(|_| damaged("trace id"))?;
    let span_id = id(&row.span_id).transpose().map_err(|_| damaged("span id"))?;
    Ok(Record {
        id: RecordId { origin: row.origin, index: row.record_index },
        timestamp: row.timestamp,
        observed: row.observed,
        project: Cow::Owned(project.to_owned()),
        service: Cow::Owned(row.service),
        host: (row.has_host == 1).then_some(Cow::Owned(row.host)),
        severity: Severity::new(i64::from(row.severity)),
        message: Cow::Owned(row.message),
        trace_id: trace_id.as_deref().and_then(TraceId::from_bytes),
        span_id: span_id.as_deref().and_then(SpanId::from_bytes),
        attributes: read_fields(row.attributes, row.attribute_types)?,
        resource: read_fields(row.resource, row.resource_types)?,
    })
}

/// Both maps have the same keys in the same order. Rows of another exporter have no types: their values are strings.
fn read_fields(texts: Vec<(String, String)>, types: Vec<(String, u8)>) -> Result<Fields<'static>, StoreError> {
    let mut types = types.into_iter();
    let field = |(name, text): (String, String)| {
        let value = match types.next() {
            Some((_, tag)) => cell::decode(&text, i64::from(tag))?,
            None => Value::String(Cow::Owned(text)),
        };
        Ok((Cow::Owned(name), value))
    };
    texts.into_iter().map(field).collect()
}
