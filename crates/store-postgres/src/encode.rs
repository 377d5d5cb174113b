//! Rows for the database, straight from the columns of a batch: as binary COPY, or as arrays for INSERT where a proxy
//! does not carry COPY.

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::{BufMut, Bytes, BytesMut};
use futures::{SinkExt, pin_mut};
use model::{Batch, Fields, Value};
use store_sql::dialect::postgres::fields_to_json;
use store_sql::words::word_hashes;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, CopyInSink, Error};

use crate::layout::{DAY_NANOS, Window};
use crate::lease::Lease;
use crate::micros::Micros;

/// In the order of [`put_row`] and [`Arrays`].
const COLUMNS: &str = "project, ts, ts_nanos, observed_ns, origin, record_index, service, host, severity, message, \
                       trace_id, span_id, attributes, attribute_texts, resource, resource_texts, words";
const COLUMN_COUNT: i16 = 17;

/// COPY data is sent in pieces of about this size.
const PIECE_BYTES: usize = 128 << 10;
/// An INSERT takes at most so many rows.
const INSERT_ROWS_MAX: usize = 1_000;

/// Where a row goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Records,
    Overflow,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Records => "devlogs_records",
            Self::Overflow => "devlogs_overflow",
        }
    }
}

/// The rows of a write and the table of each.
#[derive(Debug)]
pub(crate) struct Rows<'b> {
    batches: &'b [Batch],
    window: Window,
    now: i64,
}

impl<'b> Rows<'b> {
    pub(crate) fn new(batches: &'b [Batch], window: Window, now: i64) -> Self {
        Self { batches, window, now }
    }

    /// The rows of one table as (index of the batch, row), in the order in which they are sent.
    fn of(&self, table: Table) -> impl Iterator<Item = (usize, usize)> {
        self.batches.iter().enumerate().flat_map(move |(index, batch)| {
            let times = batch.timestamps.iter().enumerate();
            times.filter(move |(_, time)| self.table(**time) == table).map(move |(row, _)| (index, row))
        })
    }

    fn table(&self, time: i64) -> Table {
        if self.window.holds(time, self.now) { Table::Records } else { Table::Overflow }
    }

    /// The days of the partitions that the rows need.
    pub(crate) fn days(&self) -> HashSet<i64> {
        let rows = self.of(Table::Records);
        rows.map(|(batch, row)| self.batches[batch].timestamps[row].div_euclid(DAY_NANOS)).collect()
    }

    /// The row that was sent as this line, from 0.
    pub(crate) fn at(&self, table: Table, line: usize) -> Option<(usize, usize)> {
        self.of(table).nth(line)
    }
}

/// How rows travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Copy,
    Insert,
}

impl Way {
    /// Tries whether the connection carries COPY.
    ///
    /// # Errors
    /// When it fails for another reason.
    pub(crate) async fn find(client: &Client) -> Result<Self, Error> {
        let nothing = async {
            let sink: CopyInSink<Bytes> = client.copy_in("COPY devlogs_overflow (project) FROM STDIN BINARY").await?;
            pin_mut!(sink);
            let mut empty = BytesMut::new();
            put_header(&mut empty);
            empty.put_i16(-1);
            sink.send(empty.freeze()).await?;
            sink.finish().await
        };
        match nothing.await {
            Ok(_) => Ok(Self::Copy),
            Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::FEATURE_NOT_SUPPORTED) => {
                tracing::info!("the connection does not carry COPY, rows are inserted by statements, which is slower");
                Ok(Self::Insert)
            }
            Err(error) => Err(error),
        }
    }

    /// Sends the rows of a table within the open transaction.
    pub(crate) async fn store(self, lease: &Lease, rows: &Rows<'_>, table: Table) -> Result<(), Error> {
        if rows.of(table).next().is_none() {
            return Ok(());
        }
        match self {
            Self::Copy => copy(lease, rows, table).await,
            Self::Insert => insert(lease, rows, table).await,
        }
    }
}

async fn copy(lease: &Lease, rows: &Rows<'_>, table: Table) -> Result<(), Error> {
    let sql = format!("COPY {} ({COLUMNS}) FROM STDIN BINARY", table.name());
    let statement = lease.prepare_cached(&sql).await?;
    let sink: CopyInSink<Bytes> = lease.copy_in(&statement).await?;
    pin_mut!(sink);
    let mut piece = BytesMut::with_capacity(PIECE_BYTES + (PIECE_BYTES >> 2));
    put_header(&mut piece);
    for (batch, row) in rows.of(table) {
        put_row(&mut piece, &rows.batches[batch], row);
        if piece.len() >= PIECE_BYTES {
            sink.send(piece.split().freeze()).await?;
        }
    }
    piece.put_i16(-1);
    sink.send(piece.freeze()).await?;
    sink.finish().await?;
    Ok(())
}

/// The head of the binary format: signature, flags, length of the extension.
fn put_header(out: &mut BytesMut) {
    out.put_slice(b"PGCOPY\n\xff\r\n\0");
    out.put_i32(0);
    out.put_i32(0);
}

fn put_row(out: &mut BytesMut, batch: &Batch, row: usize) {
    out.put_i16(COLUMN_COUNT);
    put_bytes(out, batch.project.as_bytes());
    let (micros, nanos) = Micros::of_nanos(batch.timestamps[row]);
    put_fixed(out, &micros.since_2000().to_be_bytes());
    put_fixed(out, &nanos.to_be_bytes());
    put_fixed(out, &batch.observed[row].to_be_bytes());
    put_fixed(out, &batch.ids[row].origin.to_be_bytes());
    put_fixed(out, &batch.ids[row].index.to_be_bytes());
    put_bytes(out, batch.services.get(row).as_bytes());
    put_option(out, batch.host_present[row].then(|| batch.hosts.get(row).as_bytes()));
    let severity = batch.severities[row].map(|severity| i16::from(severity.number()).to_be_bytes());
    put_option(out, severity.as_ref().map(|bytes| &bytes[..]));
    put_bytes(out, batch.messages.get(row).as_bytes());
    put_option(out, batch.trace_ids[row].as_ref().map(|id| &id.0[..]));
    put_option(out, batch.span_ids[row].as_ref().map(|id| &id.0[..]));
    for fields in [&batch.attributes, &batch.resources] {
        let (plain, texts) = json_columns(&fields.get(row));
        put_jsonb(out, &plain);
        match texts {
            Some(texts) => put_jsonb(out, &texts),
            None => out.put_i32(-1),
        }
    }
    put_words(out, &word_hashes(batch.messages.get(row)));
}

/// Fields as the JSON of their `jsonb` column and of its column of texts. What is equal as `jsonb` is written alike:
/// compression by TimescaleDB keeps one of the equal values of a column for all, so `500` could come back as `500.0`.
/// That a number is a double stands in the texts.
fn json_columns(fields: &Fields<'_>) -> (String, Option<String>) {
    let (plain, texts) = fields_to_json(fields);
    // A double, also one in an array, always has a text.
    if texts.is_none() {
        return (plain, texts);
    }
    (Value::Map(members_alike(fields)).to_json(), texts)
}

fn members_alike<'v>(fields: &'v Fields<'_>) -> Fields<'v> {
    fields.iter().map(|(name, value)| (Cow::Borrowed(&**name), alike(value))).collect()
}

/// Whole doubles as the integers that they equal. Larger ones equal no integer that a record can have.
fn alike<'v>(value: &'v Value<'_>) -> Value<'v> {
    const INTEGERS_END: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Value::Double(number) if number.fract() == 0.0 && (-INTEGERS_END..INTEGERS_END).contains(number) => {
            Value::Int(*number as i64)
        }
        Value::Array(items) => Value::Array(items.iter().map(alike).collect()),
        Value::Map(fields) => Value::Map(members_alike(fields)),
        other => other.borrowed(),
    }
}

/// Lengths are of parts of a record, which is far smaller than 2 GiB.
fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_i32(bytes.len() as i32);
    out.put_slice(bytes);
}

fn put_fixed<const N: usize>(out: &mut BytesMut, bytes: &[u8; N]) {
    put_bytes(out, bytes);
}

fn put_option(out: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => put_bytes(out, bytes),
        None => out.put_i32(-1),
    }
}

fn put_jsonb(out: &mut BytesMut, text: &str) {
    out.put_i32(text.len() as i32 + 1);
    out.put_u8(1);
    out.put_slice(text.as_bytes());
}

/// An array: dimensions, whether it has nulls, type, then length and lower bound of the one dimension.
fn put_words(out: &mut BytesMut, words: &[i64]) {
    let dimensions = i32::from(!words.is_empty());
    out.put_i32(12 + dimensions * 8 + words.len() as i32 * 12);
    out.put_i32(dimensions);
    out.put_i32(0);
    out.put_u32(Type::INT8.oid());
    if !words.is_empty() {
        out.put_i32(words.len() as i32);
        out.put_i32(1);
    }
    for word in words {
        put_fixed(out, &word.to_be_bytes());
    }
}

async fn insert(lease: &Lease, rows: &Rows<'_>, table: Table) -> Result<(), Error> {
    let sql = format!(
        "INSERT INTO {} ({COLUMNS}) SELECT project, ts, ts_nanos, observed_ns, origin, record_index, service, host, \
         severity, message, trace_id, span_id, attributes::jsonb, attribute_texts::jsonb, resource::jsonb, \
         resource_texts::jsonb, words::bigint[] FROM unnest($1::text[], $2::timestamptz[], $3::smallint[], \
         $4::bigint[], $5::bytea[], $6::int[], $7::text[], $8::text[], $9::smallint[], $10::text[], $11::bytea[], \
         $12::bytea[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[]) AS rows ({COLUMNS})",
        table.name()
    );
    let statement = lease.prepare_cached(&sql).await?;
    let all: Vec<_> = rows.of(table).collect();
    for some in all.chunks(INSERT_ROWS_MAX) {
        let mut arrays = Arrays::default();
        some.iter().for_each(|(batch, row)| arrays.push(&rows.batches[*batch], *row));
        lease.execute(&statement, &arrays.values()).await?;
    }
    Ok(())
}

/// Rows as one array for each column.
#[derive(Debug, Default)]
struct Arrays<'b> {
    projects: Vec<&'b str>,
    times: Vec<Micros>,
    nanos: Vec<i16>,
    observed: Vec<i64>,
    origins: Vec<Vec<u8>>,
    indexes: Vec<i32>,
    services: Vec<&'b str>,
    hosts: Vec<Option<&'b str>>,
    severities: Vec<Option<i16>>,
    messages: Vec<&'b str>,
    trace_ids: Vec<Option<&'b [u8]>>,
    span_ids: Vec<Option<&'b [u8]>>,
    attributes: Vec<String>,
    attribute_texts: Vec<Option<String>>,
    resources: Vec<String>,
    resource_texts: Vec<Option<String>>,
    /// As literals, since an array of arrays would have to be a rectangle.
    words: Vec<String>,
}

impl<'b> Arrays<'b> {
    fn push(&mut self, batch: &'b Batch, row: usize) {
        let (micros, nanos) = Micros::of_nanos(batch.timestamps[row]);
        self.projects.push(&batch.project);
        self.times.push(micros);
        self.nanos.push(nanos);
        self.observed.push(batch.observed[row]);
        self.origins.push(batch.ids[row].origin.to_be_bytes().to_vec());
        self.indexes.push(batch.ids[row].index.cast_signed());
        self.services.push(batch.services.get(row));
        self.hosts.push(batch.host_present[row].then(|| batch.hosts.get(row)));
        self.severities.push(batch.severities[row].map(|severity| severity.number().into()));
        self.messages.push(batch.messages.get(row));
        self.trace_ids.push(batch.trace_ids[row].as_ref().map(|id| &id.0[..]));
        self.span_ids.push(batch.span_ids[row].as_ref().map(|id| &id.0[..]));
        let (plain, texts) = json_columns(&batch.attributes.get(row));
        self.attributes.push(plain);
        self.attribute_texts.push(texts);
        let (plain, texts) = json_columns(&batch.resources.get(row));
        self.resources.push(plain);
        self.resource_texts.push(texts);
        let words: Vec<String> = word_hashes(batch.messages.get(row)).iter().map(i64::to_string).collect();
        self.words.push(format!("{{{}}}", words.join(",")));
    }

    fn values(&self) -> [&(dyn ToSql + Sync); 17] {
        [
            &self.projects,
            &self.times,
            &self.nanos,
            &self.observed,
            &self.origins,
            &self.indexes,
            &self.services,
            &self.hosts,
            &self.severities,
            &self.messages,
            &self.trace_ids,
            &self.span_ids,
            &self.attributes,
            &self.attribute_texts,
            &self.resources,
            &self.resource_texts,
            &self.words,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_are_written_alike() {
        let written = |value: Value<'static>| json_columns(&vec![("n".into(), value)]);
        let whole = [(500.0, "500"), (-0.0, "0"), (1e15, "1000000000000000"), (-9e18, "-9000000000000000000")];
        for (double, integer) in whole {
            let (plain, texts) = written(Value::Double(double));
            assert_eq!(plain, format!(r#"{{"n":{integer}}}"#));
            assert!(texts.is_some(), "its type is kept");
            assert_eq!(written(Value::Int(integer.parse().expect("an integer"))), (plain, None));
        }
        assert_eq!(written(Value::Double(0.5)).0, r#"{"n":0.5}"#);
        let inner = |number| Value::Array(vec![Value::Map(vec![("k".into(), number)])]);
        let (double, integer) = (written(inner(Value::Double(1.0))), written(inner(Value::Int(1))));
        assert_eq!(double.0, integer.0);
        assert_ne!(double.1, integer.1);
    }
}
