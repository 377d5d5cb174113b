//! Runs what the planner wrote and reads its rows.
//!
//! A query is a read-only transaction with limits of its own. Its statement is parsed for each query: the text follows
//! the query's tree, so a cache would grow without end and hardly ever hit.

use std::borrow::Cow;
use std::time::Duration;

use futures::{TryStreamExt, pin_mut};
use model::{Record, RecordId, Severity, SpanId, TraceId};
use store::{QueryLimits, StoreError};
use store_sql::dialect::postgres::fields_from_json;
use store_sql::rows::{FieldRow, GroupRow, HistogramRow, OriginRow, ValueRow};
use store_sql::{Param, Statement};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql, Type};

use crate::connect::Pools;
use crate::error::query_error;
use crate::facts::number;
use crate::lease::Lease;
use crate::micros::Micros;

/// The server stops a query by itself; one that goes on so much longer is given up.
const GRACE: Duration = Duration::from_secs(2);

/// Each sort and hash of a plan may take this share of the query's memory.
const MEMORY_SHARES: usize = 4;
const WORK_MEM_KIB: (usize, usize) = (1 << 10, 256 << 10);

/// An open read-only transaction.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) lease: Lease,
}

impl Session {
    /// `role` may not need quoting.
    pub(crate) async fn begin(pools: &Pools, limits: QueryLimits, role: Option<&str>) -> Result<Self, StoreError> {
        let mut lease = Lease::cancelling(&pools.query, &pools.tls).await.map_err(StoreError::Unavailable)?;
        lease.begin();
        let memory = (limits.memory_bytes / (MEMORY_SHARES << 10)).clamp(WORK_MEM_KIB.0, WORK_MEM_KIB.1);
        let mut begin = format!(
            "BEGIN READ ONLY; SET LOCAL statement_timeout = {}; SET LOCAL work_mem = {memory}",
            limits.time.as_millis().clamp(1, i32::MAX as u128)
        );
        if let Some(role) = role {
            begin.push_str(&format!("; SET LOCAL ROLE \"{}\"", role.replace('"', "\"\"")));
        }
        lease.batch_execute(&begin).await.map_err(|error| query_error(&error, limits.time))?;
        Ok(Self { lease })
    }

    /// Ends the transaction, so that the connection can serve others.
    pub(crate) async fn end(mut self, limits: QueryLimits) -> Result<(), StoreError> {
        self.lease.batch_execute("ROLLBACK").await.map_err(|error| query_error(&error, limits.time))?;
        self.lease.done();
        Ok(())
    }
}

/// Holds a query to its time, also when the server does not.
pub(crate) async fn in_time<T>(
    limits: QueryLimits,
    query: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    if limits.time.is_zero() {
        return Err(StoreError::out_of_time(limits.time));
    }
    let late = |_| StoreError::Unavailable("PostgreSQL does not answer".to_owned());
    tokio::time::timeout(limits.time + GRACE, query).await.map_err(late)?
}

/// Counts an answer against the memory that its query may take.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    all: usize,
}

impl Budget {
    pub(crate) fn new(limits: QueryLimits) -> Self {
        Self { left: limits.memory_bytes, all: limits.memory_bytes }
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), StoreError> {
        let left = self.left.checked_sub(bytes).ok_or_else(|| {
            StoreError::Limit(format!(
                "the answer takes more than the {} KiB that a query may use; ask for less at once, or narrow the query \
                 or its time range",
                self.all >> 10
            ))
        })?;
        self.left = left;
        Ok(())
    }
}

/// The rows of a statement, each read by `read`.
pub(crate) async fn rows<T>(
    pools: &Pools,
    statement: &Statement,
    limits: QueryLimits,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    in_time(limits, async {
        let session = Session::begin(pools, limits, None).await?;
        // An error drops the session, which cancels what still runs.
        let found = read_rows(&session, statement, limits, read).await?;
        session.end(limits).await?;
        Ok(found)
    })
    .await
}

async fn read_rows<T>(
    session: &Session,
    statement: &Statement,
    limits: QueryLimits,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let failed = |error| query_error(&error, limits.time);
    let values = statement.params.iter().map(bound);
    let stream = session.lease.query_typed_raw(&statement.sql, values).await.map_err(failed)?;
    pin_mut!(stream);
    let mut budget = Budget::new(limits);
    let mut answer = Vec::new();
    while let Some(row) = stream.try_next().await.map_err(failed)? {
        budget.take(row.raw_size_bytes() + size_of::<T>())?;
        answer.push(read(&row)?);
    }
    Ok(answer)
}

/// A parameter in the form and of the type that the placeholder has.
pub(crate) fn bound(param: &Param) -> (Box<dyn ToSql + Sync + Send + '_>, Type) {
    match param {
        Param::Text(text) => (Box::new(text), Type::TEXT),
        Param::Int(number) => (Box::new(number), Type::INT8),
        Param::Double(number) => (Box::new(number), Type::FLOAT8),
        Param::Microseconds(micros) => (Box::new(Micros(*micros)), Type::TIMESTAMPTZ),
        Param::Origin(origin) => (Box::new(origin.to_be_bytes().to_vec()), Type::BYTEA),
        Param::Origins(origins) => {
            let origins: Vec<Vec<u8>> = origins.iter().map(|origin| origin.to_be_bytes().to_vec()).collect();
            (Box::new(origins), Type::BYTEA_ARRAY)
        }
        Param::Bytes(bytes) => (Box::new(bytes), Type::BYTEA),
        Param::Texts(texts) => (Box::new(texts), Type::TEXT_ARRAY),
        Param::Ints(numbers) => (Box::new(numbers), Type::INT8_ARRAY),
    }
}

/// A column of an answer.
///
/// # Errors
/// [`StoreError::Internal`] when it has another type than the planner says.
pub(crate) fn column<'r, T: FromSql<'r>>(row: &'r Row, index: usize) -> Result<T, StoreError> {
    row.try_get(index).map_err(|error| StoreError::Internal(format!("column {index} of an answer: {error}")))
}

/// A row of the dialect's record columns, in their order.
pub(crate) fn record(row: &Row, project: &str) -> Result<Record<'static>, StoreError> {
    let damaged = |what: &str| StoreError::Corrupt(format!("a record's {what} can't be read"));
    let fields =
        |plain: usize, texts: usize| Ok::<_, StoreError>(fields_from_json(column(row, plain)?, column(row, texts)?)?);
    let severity = |number: i16| Severity::new(number.into()).ok_or_else(|| damaged("severity"));
    let text = |text: String| Cow::Owned(text);
    Ok(Record {
        timestamp: column(row, 0)?,
        observed: column(row, 1)?,
        id: RecordId { origin: number(column(row, 2)?)?, index: column::<i32>(row, 3)?.cast_unsigned() },
        project: Cow::Owned(project.to_owned()),
        service: text(column(row, 4)?),
        host: column::<Option<String>>(row, 5)?.map(text),
        severity: column::<Option<i16>>(row, 6)?.map(severity).transpose()?,
        message: text(column(row, 7)?),
        trace_id: column::<Option<&[u8]>>(row, 8)?
            .map(|id| TraceId::from_bytes(id).ok_or_else(|| damaged("trace id")))
            .transpose()?,
        span_id: column::<Option<&[u8]>>(row, 9)?
            .map(|id| SpanId::from_bytes(id).ok_or_else(|| damaged("span id")))
            .transpose()?,
        attributes: fields(10, 11)?,
        resource: fields(12, 13)?,
    })
}

pub(crate) fn histogram_row(row: &Row) -> Result<HistogramRow, StoreError> {
    Ok(HistogramRow {
        start: column(row, 0)?,
        place: column(row, 1)?,
        tag: column(row, 2)?,
        text: column(row, 3)?,
        count: column(row, 4)?,
    })
}

pub(crate) fn group_row(row: &Row) -> Result<GroupRow, StoreError> {
    Ok(GroupRow {
        start: column(row, 0)?,
        tags: column(row, 1)?,
        texts: column(row, 2)?,
        counts: column(row, 3)?,
        doubles: column(row, 4)?,
        integers: column(row, 5)?,
        numbers: column(row, 6)?,
    })
}

pub(crate) fn field_row(row: &Row) -> Result<FieldRow, StoreError> {
    Ok(FieldRow { source: column(row, 0)?, name: column(row, 1)?, tag: column(row, 2)?, count: column(row, 3)? })
}

pub(crate) fn value_row(row: &Row) -> Result<ValueRow, StoreError> {
    Ok(ValueRow { tag: column(row, 0)?, text: column(row, 1)?, count: column(row, 2)? })
}

pub(crate) fn origin_row(row: &Row) -> Result<OriginRow, StoreError> {
    Ok(OriginRow { origin: column(row, 0)?, count: column(row, 1)? })
}
