//! The table `logs`: chunks and blocks of a snapshot as DataFusion reads them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, RecordBatchOptions, StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use model::Value;
use model::number::Number;
use model::query::Field;
use store::aggregation::accumulator;
use store::{QueryLimits, Stats, StoreError};

use super::functions::text;
use crate::chunk::Snapshot;
use crate::columns::{self, Kind, RecordReader};
use crate::filter::Needs;
use crate::query::control::{self, Control};
use crate::query::unit::{Rows, Unit, run_mask};
use crate::query::values::for_each;

/// Batches that wait to be taken from each partition.
const BATCHES_AHEAD: usize = 2;

/// A column of the table.
#[derive(Debug, Clone)]
enum Column {
    Field(Field),
    Attributes,
    Resource,
}

/// The table of one statement.
#[derive(Debug)]
pub(super) struct Logs {
    snapshot: Snapshot,
    project: Arc<str>,
    schema: SchemaRef,
    columns: Arc<[Column]>,
    limits: QueryLimits,
    scanned: Arc<Scanned>,
}

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Scanned {
    pub(super) fn stats(&self) -> Stats {
        Stats {
            matched: None,
            scanned_rows: self.rows.load(Ordering::Relaxed),
            scanned_bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

impl Logs {
    /// Reads the schemas of the snapshot's segments: blocks on the disk.
    pub(super) fn new(
        control: &Control,
        snapshot: Snapshot,
        project: Arc<str>,
        statement: &str,
        limits: QueryLimits,
    ) -> std::result::Result<Self, StoreError> {
        let time = || DataType::Timestamp(TimeUnit::Nanosecond, None);
        let mut table: Vec<(String, DataType, Column)> = [
            ("timestamp", time(), Column::Field(Field::Timestamp)),
            ("observed_timestamp", time(), Column::Field(Field::ObservedTimestamp)),
            ("id", DataType::Utf8, Column::Field(Field::Id)),
            ("level", DataType::Utf8, Column::Field(Field::Level)),
            ("severity_number", DataType::Int64, Column::Field(Field::SeverityNumber)),
            ("service", DataType::Utf8, Column::Field(Field::Service)),
            ("host", DataType::Utf8, Column::Field(Field::Host)),
            ("message", DataType::Utf8, Column::Field(Field::Message)),
            ("trace_id", DataType::Utf8, Column::Field(Field::TraceId)),
            ("span_id", DataType::Utf8, Column::Field(Field::SpanId)),
            ("attributes", DataType::Utf8, Column::Attributes),
            ("resource", DataType::Utf8, Column::Resource),
        ]
        .into_iter()
        .map(|(name, data_type, column)| (name.to_owned(), data_type, column))
        .collect();
        for (name, data_type) in named_columns(control, &snapshot, statement)? {
            if table.iter().all(|(taken, _, _)| *taken != name) {
                table.push((name.clone(), data_type, Column::Field(Field::Any(name))));
            }
        }
        let fields: Vec<_> =
            table.iter().map(|(name, data_type, _)| ArrowField::new(name, data_type.clone(), true)).collect();
        let columns = table.into_iter().map(|(_, _, column)| column).collect();
        let schema = Arc::new(Schema::new(fields));
        Ok(Self { snapshot, project, schema, columns, limits, scanned: Arc::default() })
    }

    pub(super) fn scanned(&self) -> &Arc<Scanned> {
        &self.scanned
    }
}

/// The attribute and resource names that a statement mentions, with their types.
fn named_columns(
    control: &Control,
    snapshot: &Snapshot,
    statement: &str,
) -> std::result::Result<BTreeMap<String, DataType>, StoreError> {
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, statement).tokenize().unwrap_or_default();
    // By name: the kinds of its columns; a quoted name may also stand in `overflow` only.
    let mut mentioned: BTreeMap<String, (Vec<Kind>, bool)> = BTreeMap::new();
    for token in tokens {
        if let Token::Word(word) = token {
            let quoted = word.quote_style.is_some();
            let name = if quoted { word.value } else { word.value.to_ascii_lowercase() };
            mentioned.entry(name).or_default().1 |= quoted;
        }
    }
    let mut overflow = false;
    let mut add = |schema: &Schema| {
        overflow |= columns::overflow_of(schema).is_some();
        for (_, field) in columns::fields_of(schema) {
            if let Some((kinds, _)) = mentioned.get_mut(&*field.name) {
                kinds.push(field.kind);
            }
        }
    };
    snapshot.chunks.iter().for_each(|chunk| add(chunk.batch.schema_ref()));
    let metas = control::map(control, &snapshot.segments, |segment| segment.meta())?;
    metas.iter().for_each(|meta| add(&meta.schema));
    let known = mentioned.into_iter().filter(|(_, (kinds, quoted))| !kinds.is_empty() || (*quoted && overflow));
    Ok(known.map(|(name, (kinds, _))| (name, common_type(&kinds))).collect())
}

fn common_type(kinds: &[Kind]) -> DataType {
    let all = |wanted: &[Kind]| !kinds.is_empty() && kinds.iter().all(|kind| wanted.contains(kind));
    match () {
        () if all(&[Kind::Int]) => DataType::Int64,
        () if all(&[Kind::Int, Kind::Double]) => DataType::Float64,
        () if all(&[Kind::Bool]) => DataType::Boolean,
        () => DataType::Utf8,
    }
}

#[async_trait]
impl TableProvider for Logs {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut range = i64::MIN..i64::MAX;
        filters.iter().for_each(|filter| narrow(filter, &mut range));
        let snapshot = self.snapshot.clone();
        let within = range.clone();
        let units = move |control: &_| Unit::of_snapshot(control, &snapshot, &within, &Needs::Nothing);
        let mut units = control::run(self.limits, units).await.map_err(external)?;
        // A LIMIT without an order gives the newest, as a search does.
        units.sort_by_key(|unit| std::cmp::Reverse(unit.times().1));
        let all: Vec<usize> = (0..self.columns.len()).collect();
        let projected: Vec<usize> = projection.cloned().unwrap_or(all);
        let schema = Arc::new(self.schema.project(&projected)?);
        let count = state.config().target_partitions().clamp(1, units.len().max(1));
        let mut parts: Vec<Vec<Unit>> = vec![Vec::new(); count];
        units.into_iter().enumerate().for_each(|(index, unit)| parts[index % count].push(unit));
        let partition = |units| {
            let part = Part {
                schema: schema.clone(),
                columns: projected.iter().map(|column| self.columns[*column].clone()).collect(),
                project: self.project.clone(),
                units: Arc::new(units),
                range: range.clone(),
                scanned: self.scanned.clone(),
            };
            Arc::new(part) as Arc<dyn PartitionStream>
        };
        let parts = parts.into_iter().map(partition).collect();
        Ok(Arc::new(StreamingTableExec::try_new(schema.clone(), parts, None, Vec::new(), false, limit)?))
    }
}

/// Narrows the range by a comparison of `timestamp` with a constant.
fn narrow(filter: &Expr, range: &mut Range<i64>) {
    let Expr::BinaryExpr(binary) = filter else { return };
    let (operator, time) = match (&*binary.left, &*binary.right) {
        (left, right) if binary.op == Operator::And => {
            narrow(left, range);
            narrow(right, range);
            return;
        }
        (Expr::Column(column), Expr::Literal(ScalarValue::TimestampNanosecond(Some(time), _), _))
            if column.name == "timestamp" =>
        {
            (Some(binary.op), *time)
        }
        (Expr::Literal(ScalarValue::TimestampNanosecond(Some(time), _), _), Expr::Column(column))
            if column.name == "timestamp" =>
        {
            (binary.op.swap(), *time)
        }
        _ => return,
    };
    let next = time.saturating_add(1);
    match operator {
        Some(Operator::Gt) => range.start = range.start.max(next),
        Some(Operator::GtEq) => range.start = range.start.max(time),
        Some(Operator::Lt) => range.end = range.end.min(time),
        Some(Operator::LtEq) => range.end = range.end.min(next),
        Some(Operator::Eq) => *range = range.start.max(time)..range.end.min(next),
        _ => {}
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Some units of the table, read one after the other.
#[derive(Debug)]
struct Part {
    schema: SchemaRef,
    columns: Arc<[Column]>,
    project: Arc<str>,
    units: Arc<Vec<Unit>>,
    range: Range<i64>,
    scanned: Arc<Scanned>,
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStream::builder(self.schema.clone(), BATCHES_AHEAD);
        let sender = builder.tx();
        let (schema, columns, project) = (self.schema.clone(), self.columns.clone(), self.project.clone());
        let (units, range, scanned) = (self.units.clone(), self.range.clone(), self.scanned.clone());
        builder.spawn_blocking(move || {
            for unit in units.iter() {
                let batch = read(unit, &schema, &columns, &project, &range, &scanned).map_err(external);
                // Nobody listens any more: the statement is done or was cancelled.
                if sender.blocking_send(batch).is_err() {
                    break;
                }
            }
            Ok(())
        });
        builder.build()
    }
}

fn read(
    unit: &Unit,
    schema: &SchemaRef,
    columns: &[Column],
    project: &str,
    range: &Range<i64>,
    scanned: &Scanned,
) -> std::result::Result<RecordBatch, StoreError> {
    let mut rows = Rows::new(unit);
    let run = rows.within(range)?;
    let mut nested = None;
    let mut arrays = Vec::with_capacity(columns.len());
    for (column, field) in columns.iter().zip(schema.fields()) {
        let array = match column {
            Column::Field(column) => field_array(&mut rows, column, field.data_type(), project)?,
            Column::Attributes | Column::Resource => {
                if nested.is_none() {
                    nested = Some(nested_arrays(&mut rows, project)?);
                }
                let (attributes, resource) = nested.clone().unwrap_or_else(|| (empty(), empty()));
                if matches!(column, Column::Attributes) { attributes } else { resource }
            }
        };
        arrays.push(array.slice(run.start, run.len()));
    }
    scanned.rows.fetch_add(run.len() as u64, Ordering::Relaxed);
    scanned.bytes.fetch_add(rows.bytes, Ordering::Relaxed);
    let options = RecordBatchOptions::new().with_row_count(Some(run.len()));
    RecordBatch::try_new_with_options(schema.clone(), arrays, &options)
        .map_err(|error| StoreError::Internal(error.to_string()))
}

fn empty() -> ArrayRef {
    arrow::array::new_empty_array(&DataType::Utf8)
}

fn field_array(
    rows: &mut Rows<'_>,
    field: &Field,
    data_type: &DataType,
    project: &str,
) -> std::result::Result<ArrayRef, StoreError> {
    let internal = |error: arrow::error::ArrowError| StoreError::Internal(error.to_string());
    let whole = match field {
        Field::Timestamp => Some(columns::TS),
        Field::ObservedTimestamp => Some(columns::OBSERVED),
        Field::Service => Some(columns::SERVICE),
        Field::Host => Some(columns::HOST),
        Field::Message => Some(columns::MESSAGE),
        Field::SeverityNumber => Some(columns::SEVERITY),
        _ => None,
    };
    if let Some(index) = whole {
        return cast(&rows.column(index)?, data_type).map_err(internal);
    }
    let mask = run_mask(&(0..rows.len()), rows.len());
    Ok(match data_type {
        DataType::Int64 => {
            let mut array = Int64Builder::with_capacity(rows.len());
            for_each(rows, field, project, &mask, |value| match value {
                Some(Value::Int(number)) => array.append_value(number),
                _ => array.append_null(),
            })?;
            Arc::new(array.finish())
        }
        DataType::Float64 => {
            let mut array = Float64Builder::with_capacity(rows.len());
            for_each(rows, field, project, &mask, |value| {
                array.append_option(value.as_ref().and_then(accumulator::number).map(Number::as_f64));
            })?;
            Arc::new(array.finish())
        }
        DataType::Boolean => {
            let mut array = BooleanBuilder::with_capacity(rows.len());
            for_each(rows, field, project, &mask, |value| match value {
                Some(Value::Bool(flag)) => array.append_value(flag),
                _ => array.append_null(),
            })?;
            Arc::new(array.finish())
        }
        _ => {
            let mut array = StringBuilder::new();
            for_each(rows, field, project, &mask, |value| array.append_option(value.as_ref().map(text)))?;
            Arc::new(array.finish())
        }
    })
}

/// Attributes and resource of each row as JSON objects.
fn nested_arrays(rows: &mut Rows<'_>, project: &str) -> std::result::Result<(ArrayRef, ArrayRef), StoreError> {
    let all: Vec<usize> = (0..rows.unit.schema().fields().len()).collect();
    let (batch, bytes) = rows.unit.read(&all, None)?;
    rows.bytes += bytes;
    let reader = RecordReader::new(&batch)?;
    let (mut attributes, mut resource) = (StringBuilder::new(), StringBuilder::new());
    for row in 0..batch.num_rows() {
        let record = reader.record(row, project)?;
        attributes.append_value(Value::Map(record.attributes).to_json());
        resource.append_value(Value::Map(record.resource).to_json());
    }
    Ok((Arc::new(attributes.finish()), Arc::new(resource.finish())))
}
