//! Shapes of answers that several endpoints share.

use std::time::Instant;

use model::Record;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A log record as every endpoint answers it. Absent members are left out.
#[derive(Debug, ToSchema)]
#[schema(as = Record)]
pub struct RecordDoc {
    /// Stable: the same record has the same id after any retry, replay or restart.
    pub id: String,
    /// RFC 3339 with nanoseconds.
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// When it was received.
    #[schema(format = DateTime)]
    pub observed_timestamp: String,
    pub project: String,
    pub service: String,
    #[schema(nullable = false)]
    pub host: Option<String>,
    /// `trace`, `debug`, `info`, `warn`, `error` or `fatal`.
    #[schema(nullable = false)]
    pub level: Option<String>,
    /// OpenTelemetry's number, 1 to 24.
    #[schema(nullable = false)]
    pub severity_number: Option<u8>,
    pub message: String,
    #[schema(nullable = false)]
    pub trace_id: Option<String>,
    #[schema(nullable = false)]
    pub span_id: Option<String>,
    /// Values keep their JSON type.
    #[schema(value_type = Object)]
    pub attributes: Map<String, Value>,
    #[schema(value_type = Object)]
    pub resource: Map<String, Value>,
}

/// Records as they are in memory, described as [`RecordDoc`].
pub type Records = Vec<Record<'static>>;

/// What a query looked at.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatsBody {
    /// All matches in the range, when the query had to look at all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub matched: Option<u64>,
    pub scanned_rows: u64,
    /// Bytes read, as stored.
    pub scanned_bytes: u64,
    pub elapsed_ms: u64,
}

impl StatsBody {
    pub(crate) fn new(stats: store::Stats, began: Instant) -> Self {
        Self {
            matched: stats.matched,
            scanned_rows: stats.scanned_rows,
            scanned_bytes: stats.scanned_bytes,
            elapsed_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}
