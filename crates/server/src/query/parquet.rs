//! Records as a Parquet file, a row group for each few pages.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, TimestampNanosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use model::Record;
use model::json::Members;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::error::ApiError;
use crate::query::csv::COLUMNS;

/// Rows are buffered up to this before they are written out.
const GROUP_ROWS: usize = 20_000;
const GROUP_BYTES: usize = 32 << 20;

#[derive(Debug)]
pub(crate) struct Parquet {
    /// None once finished.
    writer: Option<ArrowWriter<Vec<u8>>>,
    schema: Arc<Schema>,
}

impl Parquet {
    pub(crate) fn new() -> Result<Self, ApiError> {
        let schema = Arc::new(schema());
        let level = ZstdLevel::try_new(1).map_err(ApiError::internal)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let writer =
            ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties)).map_err(ApiError::internal)?;
        Ok(Self { writer: Some(writer), schema })
    }

    /// What can be sent after these records; often nothing until a row group is full.
    pub(crate) fn page(&mut self, records: &[Record<'_>]) -> Result<Vec<u8>, ApiError> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns(records)).map_err(ApiError::internal)?;
        let Some(writer) = &mut self.writer else { return Ok(Vec::new()) };
        writer.write(&batch).map_err(ApiError::internal)?;
        if writer.in_progress_size() > GROUP_BYTES {
            writer.flush().map_err(ApiError::internal)?;
        }
        Ok(std::mem::take(writer.inner_mut()))
    }

    pub(crate) fn finish(&mut self) -> Result<Vec<u8>, ApiError> {
        match self.writer.take() {
            Some(writer) => writer.into_inner().map_err(ApiError::internal),
            None => Ok(Vec::new()),
        }
    }
}

fn schema() -> Schema {
    let fields = COLUMNS.map(|name| match name {
        "timestamp" | "observed_timestamp" => {
            Field::new(name, DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), false)
        }
        "severity_number" => Field::new(name, DataType::Int32, true),
        "host" | "level" | "trace_id" | "span_id" => Field::new(name, DataType::Utf8, true),
        _ => Field::new(name, DataType::Utf8, false),
    });
    Schema::new(fields.to_vec())
}

/// In the order of [`COLUMNS`].
fn columns(records: &[Record<'_>]) -> Vec<ArrayRef> {
    let texts = |of: &dyn Fn(&Record<'_>) -> Option<String>| -> ArrayRef {
        Arc::new(records.iter().map(of).collect::<StringArray>())
    };
    let times = |of: &dyn Fn(&Record<'_>) -> i64| -> ArrayRef {
        let times: Vec<i64> = records.iter().map(of).collect();
        Arc::new(TimestampNanosecondArray::from(times).with_timezone("UTC"))
    };
    let numbers: Int32Array =
        records.iter().map(|record| record.severity.map(|severity| i32::from(severity.number()))).collect();
    let json = |record: &Record<'_>, resource: bool| {
        serde_json::to_string(&Members(if resource { &record.resource } else { &record.attributes })).ok()
    };
    vec![
        texts(&|record| Some(record.id.to_string())),
        times(&|record| record.timestamp),
        times(&|record| record.observed),
        texts(&|record| Some(record.project.to_string())),
        texts(&|record| Some(record.service.to_string())),
        texts(&|record| record.host.as_deref().map(str::to_owned)),
        texts(&|record| record.severity.map(|severity| severity.level().to_string())),
        Arc::new(numbers),
        texts(&|record| Some(record.message.to_string())),
        texts(&|record| record.trace_id.map(|id| id.to_string())),
        texts(&|record| record.span_id.map(|id| id.to_string())),
        texts(&|record| json(record, false)),
        texts(&|record| json(record, true)),
    ]
}
