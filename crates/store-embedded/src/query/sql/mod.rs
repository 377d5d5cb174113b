//! SQL over one project's records: one read-only statement over the table `logs`, run by DataFusion.
//!
//! | column of `logs` | type | |
//! |---|---|---|
//! | `timestamp`, `observed_timestamp` | timestamp, nanoseconds, UTC | `timestamp >= '2026-11-22T10:00:00Z'` narrows what is read |
//! | `id`, `service`, `host`, `level`, `message`, `trace_id`, `span_id` | text | `level` in lower case |
//! | `severity_number` | integer | 1 to 24 |
//! | `attributes`, `resource` | text | JSON objects; `json_get(attributes, 'http.path')` gives one value as text |
//! | any attribute or resource name, as `"http.status_code"` | integer, double, boolean or text | |
//!
//! A name is a column only in statements that mention it, so `SELECT *` stays readable. It is the attribute of that
//! name, else the resource value. Its type is the one that all its values have (integers and doubles together are
//! doubles), and text where they differ.
//!
//! A statement is `SELECT`, `WITH` or `VALUES`; there is no other table, no file and no setting to reach, and only the
//! functions in [`functions`] are there. Time, memory and rows are limited.

mod functions;
mod table;

use std::num::NonZero;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, TimeUnit, TimestampNanosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SessionStateBuilder, SessionStateDefaults};
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use futures::StreamExt;
use serde_json::Value as Json;
use store::{QueryLimits, SqlAnswer, StoreError};

use super::control;
use crate::chunk::Snapshot;
use table::Logs;

/// Longest statement, bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;

pub(super) async fn sql(
    snapshot: Snapshot,
    project: Arc<str>,
    text: &str,
    limits: QueryLimits,
) -> Result<SqlAnswer, StoreError> {
    let answered = tokio::time::timeout(limits.time, answer(snapshot, project, text, limits));
    answered.await.unwrap_or_else(|_| Err(StoreError::out_of_time(limits.time)))
}

async fn answer(
    snapshot: Snapshot,
    project: Arc<str>,
    text: &str,
    limits: QueryLimits,
) -> Result<SqlAnswer, StoreError> {
    let statement = parse(text)?;
    let of_statement = text.to_owned();
    let logs = control::run(limits, move |control| Logs::new(control, snapshot, project, &of_statement, limits));
    let logs = Arc::new(logs.await?);
    let scanned = logs.scanned().clone();
    let context = SessionContext::new_with_state(session(limits)?);
    context.register_table("logs", logs).map_err(failed)?;
    let plan = context.state().statement_to_plan(statement).await.map_err(failed)?;
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(&plan)
        .map_err(failed)?;
    let frame = context.execute_logical_plan(plan).await.map_err(failed)?;
    let plan = interruptible(frame.create_physical_plan().await.map_err(failed)?).map_err(failed)?;
    let mut stream = execute_stream(plan, context.task_ctx()).map_err(failed)?;
    let columns = stream.schema().fields().iter().map(|f| (f.name().clone(), type_name(f.data_type()))).collect();
    let mut answer = SqlAnswer { columns, ..SqlAnswer::default() };
    let mut bytes = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(failed)?;
        bytes += batch.get_array_memory_size();
        if answer.rows.len() + batch.num_rows() > limits.rows {
            return Err(StoreError::Limit(format!(
                "the answer has more than {} rows; add a LIMIT or aggregate",
                limits.rows
            )));
        }
        if bytes > limits.memory_bytes {
            return Err(StoreError::Limit(format!(
                "the answer takes more than {} MiB; select fewer columns or add a LIMIT",
                limits.memory_bytes >> 20
            )));
        }
        add_rows(&batch, &mut answer.rows)?;
    }
    answer.stats = scanned.stats();
    Ok(answer)
}

/// A plan that ends when its time is over or its client is gone. DataFusion lets go of the thread where rows are read,
/// but a join makes any number of rows of what it has read: without a rest behind each, the tasks that run it can't be
/// stopped, and a few such statements would take all threads for good.
fn interruptible(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let with_rest = |node: Arc<dyn ExecutionPlan>| {
        Ok(match node.children().len() {
            0 | 1 => Transformed::no(node),
            _ => Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>),
        })
    };
    plan.transform_up(with_rest).data()
}

/// One statement that only reads.
fn parse(text: &str) -> Result<Statement, StoreError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(StoreError::Invalid(format!("the statement is longer than {} KiB", TEXT_BYTES_MAX >> 10)));
    }
    let dialect = PostgreSqlDialect {};
    let parser = DFParserBuilder::new(text).with_dialect(&dialect).build().map_err(failed);
    let mut statements = parser?.parse_statements().map_err(failed)?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(Statement::Statement(statement)), true) if matches!(*statement, SqlStatement::Query(_)) => {
            Ok(Statement::Statement(statement))
        }
        (None, _) => Err(StoreError::Invalid("there is no statement".to_owned())),
        (_, false) => Err(StoreError::Invalid("only one statement at a time".to_owned())),
        _ => Err(StoreError::Invalid("only SELECT and WITH are allowed; this API is read-only".to_owned())),
    }
}

/// A session with nothing in it but our functions, and nothing to reach but memory.
fn session(limits: QueryLimits) -> Result<SessionState, StoreError> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(limits.memory_bytes)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()
        .map_err(failed)?;
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let config = SessionConfig::new().with_target_partitions(cores).with_information_schema(false);
    Ok(SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(functions::scalar())
        .with_aggregate_functions(functions::aggregate())
        .with_window_functions(functions::window())
        .build())
}

/// DataFusion's words for what went wrong, told apart by whose fault it is.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
fn failed(error: DataFusionError) -> StoreError {
    match error.find_root() {
        DataFusionError::External(inner) => match inner.downcast_ref::<StoreError>() {
            Some(StoreError::Limit(message)) => StoreError::Limit(message.clone()),
            Some(StoreError::Corrupt(message)) => StoreError::Corrupt(message.clone()),
            _ => StoreError::Internal(inner.to_string()),
        },
        DataFusionError::ResourcesExhausted(_) => StoreError::Limit(
            "the statement takes more memory than a query may; narrow its time range, or group by fewer values"
                .to_owned(),
        ),
        DataFusionError::Internal(message) => StoreError::Internal(message.clone()),
        other => StoreError::Invalid(other.strip_backtrace()),
    }
}

fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::Dictionary(_, values) => type_name(values),
        DataType::Boolean => "bool".to_owned(),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => "double".to_owned(),
        other if other.is_integer() => "int".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Null => "null".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

fn add_rows(batch: &RecordBatch, rows: &mut Vec<Vec<Json>>) -> Result<(), StoreError> {
    let first = rows.len();
    rows.extend((0..batch.num_rows()).map(|_| Vec::with_capacity(batch.num_columns())));
    for column in batch.columns() {
        for (row, cells) in rows[first..].iter_mut().enumerate() {
            cells.push(cell(column, row)?);
        }
    }
    Ok(())
}

fn cell(column: &ArrayRef, row: usize) -> Result<Json, StoreError> {
    if column.is_null(row) {
        return Ok(Json::Null);
    }
    Ok(match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        // JSON has no word for infinity and what is no number.
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Float32 => f64::from(column.as_primitive::<Float32Type>().value(row)).into(),
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            model::time::format(column.as_primitive::<TimestampNanosecondType>().value(row)).into()
        }
        other => {
            let options = FormatOptions::default();
            let shown = ArrayFormatter::try_new(column, &options).map_err(|e| StoreError::Internal(e.to_string()))?;
            let text = shown.value(row).to_string();
            match text.parse::<serde_json::Number>() {
                Ok(number) if other.is_integer() => Json::Number(number),
                _ => Json::String(text),
            }
        }
    })
}
