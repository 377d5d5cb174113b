//! Records that could not be stored: to be seen, sent again, or dropped.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use metadata::{DeadLetter, ListedDeadLetter};
use model::limits::Limits;
use model::otlp::{self, DecodeContext};
use model::position::Partition;
use model::{RecordId, origin, time};
use queue::{Headers, IdempotencyKey, Letter, Message, QueueError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::metadata_error;
use crate::error::{ApiError, Code, Problem};
use crate::query::caller::Operator;
use crate::query::cursor;
use crate::query::shapes::RecordDoc;
use crate::query::{ApiState, Params, now};

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;
const CURSOR_SCOPE: &str = "dead letters";

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeadLettersParams {
    #[param(default = 100, minimum = 1, maximum = 1_000)]
    pub limit: Option<u64>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLettersAnswer {
    /// The latest first.
    pub dead_letters: Vec<DeadLetterBody>,
    /// Null on the last page.
    pub next_cursor: Option<String>,
    /// All of them.
    pub count: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetterBody {
    /// The record's id, kept through any retry.
    pub id: String,
    pub project: String,
    pub reason: String,
    /// When it was given up.
    #[schema(format = DateTime)]
    pub at: String,
    /// When it was received.
    #[schema(format = DateTime)]
    pub received: String,
    /// Where its message stands in the queue.
    pub incarnation: String,
    pub partition: u32,
    pub position: u64,
    pub index: u32,
    pub payload_bytes: u64,
    /// Null if it can't be decoded, and in lists if it is large.
    #[schema(value_type = Option<RecordDoc>)]
    pub record: serde_json::Value,
    /// What can't be decoded, base64; only when one letter is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub payload: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct After {
    at: i64,
    id: String,
}

/// A page of the project's dead letters; of all projects with `project=*`
#[utoipa::path(get, path = "/api/v1/dead-letters", operation_id = "list_dead_letters", tag = "admin", params(DeadLettersParams),
    responses((status = 200, body = DeadLettersAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    operator: Operator,
    params: Params<DeadLettersParams>,
) -> Result<Json<DeadLettersAnswer>, ApiError> {
    let limit = params.count("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT);
    let after = params.text("cursor")?.map(|text| read_cursor(&text)).transpose()?;
    let project = operator.project.as_deref();
    let letters = state.metadata.dead_letters(project, after, limit as u32).await.map_err(metadata_error)?;
    let count = state.metadata.count_dead_letters(project).await.map_err(metadata_error)?;
    let next_cursor =
        letters.last().filter(|_| letters.len() >= limit).map(|ListedDeadLetter { letter: last, .. }| {
            let after = After { at: last.at, id: last.id.to_string() };
            cursor::seal(CURSOR_SCOPE, &serde_json::to_vec(&after).unwrap_or_default())
        });
    let dead_letters = letters.into_iter().map(|listed| body(&listed.letter, listed.payload_bytes)).collect();
    Ok(Json(DeadLettersAnswer { dead_letters, next_cursor, count }))
}

fn read_cursor(text: &str) -> Result<(i64, RecordId), ApiError> {
    let wrong = || ApiError::malformed("`cursor` is damaged or from another version");
    let body = cursor::open(CURSOR_SCOPE, text).ok_or_else(wrong)?;
    let after: After = serde_json::from_slice(&body).map_err(|_| wrong())?;
    Ok((after.at, after.id.parse().map_err(|_| wrong())?))
}

/// One dead letter, whole
#[utoipa::path(get, path = "/api/v1/dead-letters/{id}", operation_id = "show_dead_letter", tag = "admin", params(("id" = String, Path)),
    responses((status = 200, body = DeadLetterBody), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show(
    State(state): State<ApiState>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<Json<DeadLetterBody>, ApiError> {
    let letter = find(&state, &operator, &id).await?;
    let body = body(&letter, letter.payload.len() as u64);
    let payload = body.record.is_null().then(|| STANDARD.encode(&letter.payload));
    Ok(Json(DeadLetterBody { payload, ..body }))
}

/// Drops a dead letter for good; the ledger keeps count of it
#[utoipa::path(delete, path = "/api/v1/dead-letters/{id}", operation_id = "drop_dead_letter", tag = "admin", params(("id" = String, Path)),
    responses((status = 204, description = "Dropped"), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn discard(
    State(state): State<ApiState>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let letter = find(&state, &operator, &id).await?;
    show_gone(&state, letter.id).await?;
    delete(&state, &letter).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a dead letter through the processor again; it keeps its id
#[utoipa::path(post, path = "/api/v1/dead-letters/{id}/retry", operation_id = "retry_dead_letter", tag = "admin", params(("id" = String, Path)),
    responses((status = 202, description = "It is in the queue"), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn retry(
    State(state): State<ApiState>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let mut letter = find(&state, &operator, &id).await?;
    // The key names this failure, not only the record: a second try of the same failure is recognised, but a record
    // that failed again, and so comes from another position, can be sent again.
    let name = format!("retry {} {} {} {}", letter.id, letter.incarnation, letter.partition, letter.position);
    let key = origin::key_hash(&letter.project, &name);
    let headers = Headers {
        project: Arc::from(letter.project.as_str()),
        received: now(),
        records: 1,
        key: Some(IdempotencyKey { key, body: origin::body_hash(&letter.payload) }),
        retry_of: Some(letter.id),
        part: None,
    };
    // By the key's hash, so that a repeated retry meets the first one in its partition.
    let partition = Partition((key % u128::from(state.queue.partitions().max(1))) as u32);
    let message = Message::new(headers, Bytes::from(std::mem::take(&mut letter.payload)));
    // Before it is sent: it may fail again at once, and is shown again then.
    show_gone(&state, letter.id).await?;
    state.queue.append(partition, message).await.map_err(queue_error)?;
    delete(&state, &letter).await?;
    Ok(StatusCode::ACCEPTED)
}

/// The letter, if the caller may see it; an unknown and a foreign one answer alike.
async fn find(state: &ApiState, operator: &Operator, id: &str) -> Result<DeadLetter, ApiError> {
    let unknown = || ApiError::new(Code::NotFound, "there is no dead letter with this id");
    let id: RecordId = id.parse().map_err(|_| unknown())?;
    let letter = state.metadata.dead_letter(id).await.map_err(metadata_error)?.ok_or_else(unknown)?;
    match &operator.project {
        Some(project) if **project != *letter.project => Err(unknown()),
        _ => Ok(letter),
    }
}

async fn show_gone(state: &ApiState, id: RecordId) -> Result<(), ApiError> {
    state.queue.show_letters(&[Letter { id, body: None }]).await.map_err(queue_error)
}

async fn delete(state: &ApiState, letter: &DeadLetter) -> Result<(), ApiError> {
    state
        .metadata
        .delete_dead_letter(letter.id, letter.incarnation, letter.partition, letter.position)
        .await
        .map(|_| ())
        .map_err(metadata_error)
}

/// Without the payload's bytes; `payload_bytes` says how many there are.
fn body(letter: &DeadLetter, payload_bytes: u64) -> DeadLetterBody {
    DeadLetterBody {
        id: letter.id.to_string(),
        project: letter.project.clone(),
        reason: letter.reason.clone(),
        at: time::format(letter.at),
        received: time::format(letter.received),
        incarnation: letter.incarnation.to_string(),
        partition: letter.partition.0,
        position: letter.position.0,
        index: letter.index,
        payload_bytes,
        record: record(&letter.project, letter.id, letter.received, &letter.payload),
        payload: None,
    }
}

/// The one record of a payload, or null.
fn record(project: &str, id: RecordId, received: i64, payload: &[u8]) -> serde_json::Value {
    // The letter may be here because it is over a limit: show what there is.
    let limits = Limits {
        record_bytes_max: usize::MAX,
        attributes_max: usize::MAX,
        name_bytes_max: usize::MAX,
        ..Limits::default()
    };
    let context = DecodeContext { project, received, origin: id.origin, limits: &limits };
    let mut found = serde_json::Value::Null;
    let decoded = otlp::decode(payload, &context, &mut |index, record| {
        if let (0, Ok(mut record)) = (index, record) {
            record.id = id;
            found = serde_json::to_value(&record).unwrap_or_default();
        }
    });
    decoded.map_or(serde_json::Value::Null, |_| found)
}

fn queue_error(error: QueueError) -> ApiError {
    match error {
        QueueError::Unavailable { reason, retry_after } => {
            ApiError::unavailable("the queue takes no messages now", retry_after).with_internal(reason)
        }
        QueueError::TooLarge { .. } => ApiError::new(Code::Unprocessable, error.to_string()),
        other => {
            ApiError::unavailable("the queue did not take the message", Duration::from_secs(2)).with_internal(other)
        }
    }
}
