//! Work on everything that is stored: verify, replay, going on behind damage. Who runs the node does it; this module
//! asks.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use model::position::{Partition, Position};
use model::time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{ApiError, Code, Problem};
use crate::query::ApiState;
use crate::query::caller::Operator;

/// What a node can do with everything that it stores.
#[async_trait]
pub trait Maintenance: Send + Sync + std::fmt::Debug {
    /// Proves that what was acknowledged is stored exactly once.
    async fn verify(&self) -> Result<VerifyAnswer, String>;

    /// Processes again what the queue holds of a time of receipt (nanoseconds since the Unix epoch); with `partial` also
    /// when it does not hold all of it any more.
    async fn replay(&self, range: Range<i64>, partial: bool) -> Result<ReplayAnswer, MaintenanceError>;

    /// What keeps the processor from reading on in a partition of the queue, if anything does.
    async fn damage(&self, partition: Partition) -> Result<Option<DamageBody>, MaintenanceError>;

    /// Gives up the messages of a partition that do not read; `to` must be the end of the damage. Answers with what was
    /// given up.
    async fn skip(&self, partition: Partition, to: Position) -> Result<DamageBody, MaintenanceError>;
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// It can't be done as asked; says why, for the operator.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Failed(String),
}

impl From<MaintenanceError> for ApiError {
    fn from(error: MaintenanceError) -> Self {
        match error {
            MaintenanceError::Refused(reason) => Self::new(Code::Unprocessable, reason),
            // Operators are told, who may have no other sight of the log.
            MaintenanceError::Failed(reason) => Self::new(Code::Internal, reason.clone()).with_internal(reason),
        }
    }
}

/// Messages of a partition that were stored and do not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DamageBody {
    pub from: u64,
    /// Where reading can go on. Null when nobody can tell: then the queue must be restored.
    pub to: Option<u64>,
    /// What is wrong, and where.
    pub reason: String,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct VerifyAnswer {
    pub sound: bool,
    /// Processed messages that the queue still holds, and their records.
    pub messages: u64,
    pub records: u64,
    /// Of these records: in the store, and kept as dead letters.
    pub stored: u64,
    pub dead_lettered: u64,
    /// Neither, as the ledger says: dead letters that were dropped, and records that retention removed.
    pub gone: u64,
    /// Neither, and nothing says why.
    pub lost: u64,
    /// In the store more than once.
    pub doubled: u64,
    /// Messages that wait for the processor.
    pub waiting: u64,
    /// A sentence each.
    pub problems: Vec<String>,
}

/// What a replay did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReplayAnswer {
    /// Messages of the time that the queue still held, and their records.
    pub messages: u64,
    pub records: u64,
    /// Records that were missing and are stored now.
    pub stored: u64,
    /// Messages of any time that the queue holds but can't read.
    pub damaged: u64,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// A time of receipt as in queries: RFC 3339, epoch milliseconds, `now`, `-1h`.
    #[schema(value_type = String)]
    pub from: TimeText,
    /// Not included; now unless given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub to: Option<TimeText>,
    /// Also when the queue no longer holds all of that time.
    #[serde(default)]
    pub partial: bool,
}

/// A time as text or number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum TimeText {
    Text(String),
    Milliseconds(i64),
}

impl TimeText {
    fn read(&self, now: i64) -> Result<i64, ApiError> {
        let text = match self {
            TimeText::Text(text) => text.clone(),
            TimeText::Milliseconds(number) => number.to_string(),
        };
        time::parse_query(&text, now).ok_or_else(|| {
            ApiError::malformed(format!("`{text}` is no time: write RFC 3339, epoch milliseconds, `now` or `-1h`"))
        })
    }
}

/// Reads everything that is stored and proves that what was acknowledged is there once; takes its time
#[utoipa::path(post, path = "/api/v1/verify", tag = "admin",
    responses((status = 200, body = VerifyAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn verify(State(state): State<ApiState>, _: Operator) -> Result<Json<VerifyAnswer>, ApiError> {
    let maintenance: Arc<dyn Maintenance> = state.maintenance.clone();
    Ok(Json(maintenance.verify().await.map_err(MaintenanceError::Failed)?))
}

/// Processes again what the queue holds of a time, and stores what is missing
#[utoipa::path(post, path = "/api/v1/replay", tag = "admin", request_body = ReplayRequest,
    responses((status = 200, body = ReplayAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn replay(
    State(state): State<ApiState>,
    _: Operator,
    Json(request): Json<ReplayRequest>,
) -> Result<Json<ReplayAnswer>, ApiError> {
    let now = crate::query::now();
    let from = request.from.read(now)?;
    let to = request.to.map_or(Ok(now), |to| to.read(now))?;
    if from > to {
        return Err(ApiError::malformed("`from` is after `to`"));
    }
    Ok(Json(state.maintenance.replay(from..to, request.partial).await?))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SkipRequest {
    pub partition: u32,
    /// The end of the damage, as the status tells it.
    pub to: u64,
}

/// Gives up messages of the queue that do not read, so that the processor goes on behind them; the ledger counts them as lost
#[utoipa::path(post, path = "/api/v1/queue/skip", operation_id = "skip_damage", tag = "admin", request_body = SkipRequest,
    responses((status = 200, body = DamageBody), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn skip(
    State(state): State<ApiState>,
    _: Operator,
    Json(request): Json<SkipRequest>,
) -> Result<Json<DamageBody>, ApiError> {
    let SkipRequest { partition, to } = request;
    Ok(Json(state.maintenance.skip(Partition(partition), Position(to)).await?))
}
