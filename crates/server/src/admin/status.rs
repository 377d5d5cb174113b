//! The state of things on one page.

use axum::Json;
use axum::extract::State;
use model::time;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::ledger::{self, PartitionBody};
use crate::admin::metadata_error;
use crate::error::{ApiError, Problem};
use crate::query::ApiState;
use crate::query::caller::Operator;
use crate::query::gate::store_error;

#[derive(Debug, Serialize, ToSchema)]
pub struct StatusAnswer {
    pub version: &'static str,
    /// True when the server runs with `--dev`.
    pub dev: bool,
    /// Since the server started.
    pub uptime_seconds: u64,
    /// False while something that is needed fails, or the server drains.
    pub ready: bool,
    /// Each check by name, `ok` or what is wrong.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub checks: serde_json::Map<String, serde_json::Value>,
    /// Where the node listens: `collector`, `grpc`, `api`, `ops`.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub addresses: std::sync::Arc<std::collections::BTreeMap<&'static str, String>>,
    pub store: StoreBody,
    pub queue: QueueBody,
    /// Of all projects.
    pub dead_letters: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct StoreBody {
    pub backend: &'static str,
    pub rows: u64,
    pub bytes: u64,
    pub segments: u64,
    /// Rows that are in the queue and in memory only.
    pub buffered_rows: u64,
    #[schema(format = DateTime)]
    pub oldest: Option<String>,
    #[schema(format = DateTime)]
    pub newest: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct QueueBody {
    pub incarnation: String,
    pub partitions: Vec<PartitionBody>,
}

/// Sizes, progress and health of the whole node
#[utoipa::path(get, path = "/api/v1/status", tag = "admin",
    responses((status = 200, body = StatusAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn status(State(state): State<ApiState>, _: Operator) -> Result<Json<StatusAnswer>, ApiError> {
    let (ready, checks) = state.server.health.ready().await;
    let store = state.store.status().await.map_err(store_error)?;
    let partitions = ledger::partitions(&state).await?;
    let dead_letters = state.metadata.count_dead_letters(None).await.map_err(metadata_error)?;
    Ok(Json(StatusAnswer {
        version: env!("CARGO_PKG_VERSION"),
        dev: state.server.auth.is_open(),
        uptime_seconds: state.server.health.uptime().as_secs(),
        ready,
        checks,
        addresses: state.addresses.clone(),
        store: StoreBody {
            backend: store.backend,
            rows: store.rows,
            bytes: store.bytes,
            segments: store.segments,
            buffered_rows: store.buffered_rows,
            oldest: store.oldest.map(time::format),
            newest: store.newest.map(time::format),
        },
        queue: QueueBody { incarnation: state.queue.incarnation().to_string(), partitions },
        dead_letters,
    }))
}
