//! API keys.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use metadata::{KeyInfo, NewKey};
use model::time;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::metadata_error;
use crate::error::{ApiError, Code, Problem};
use crate::query::caller::Operator;
use crate::query::{ApiState, Params};

#[derive(Debug, Deserialize, IntoParams, ToSchema)]
pub struct NewKeyParams {
    pub name: String,
    /// The caller's own unless given; it must be there.
    pub project: Option<String>,
    /// `ingest`, `query`, `admin`.
    pub scopes: Vec<String>,
    /// RFC 3339 or epoch milliseconds; never unless given.
    pub expires_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct KeysAnswer {
    pub keys: Vec<KeyBody>,
}

/// A key without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyBody {
    pub id: String,
    pub name: String,
    pub project: String,
    pub scopes: Vec<&'static str>,
    /// The public part of the key, to tell keys apart.
    pub prefix: String,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// Within a minute.
    #[schema(format = DateTime)]
    pub last_used_at: Option<String>,
}

impl From<KeyInfo> for KeyBody {
    fn from(key: KeyInfo) -> Self {
        Self {
            id: key.id,
            name: key.name,
            project: key.project,
            scopes: key.scopes.iter().map(metadata::Scope::as_str).collect(),
            prefix: key.prefix,
            created_at: time::format(key.created_at),
            expires_at: key.expires_at.map(time::format),
            last_used_at: key.last_used_at.map(time::format),
        }
    }
}

/// A key just made.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewKeyBody {
    /// The key itself, told this once.
    pub key: String,
    #[serde(flatten)]
    pub info: KeyBody,
}

/// The keys of all projects
#[utoipa::path(get, path = "/api/v1/keys", operation_id = "list_keys", tag = "admin",
    responses((status = 200, body = KeysAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(State(state): State<ApiState>, _: Operator) -> Result<Json<KeysAnswer>, ApiError> {
    let keys = state.metadata.keys(None).await.map_err(metadata_error)?;
    Ok(Json(KeysAnswer { keys: keys.into_iter().map(KeyBody::from).collect() }))
}

/// Makes a key, for any project
#[utoipa::path(post, path = "/api/v1/keys", operation_id = "create_key", tag = "admin", request_body = NewKeyParams,
    responses((status = 201, body = NewKeyBody), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    operator: Operator,
    params: Params<NewKeyParams>,
) -> Result<Response, ApiError> {
    let new = NewKey {
        name: params.text("name")?.ok_or_else(|| ApiError::malformed("`name` is missing"))?,
        project: params.text("project")?.unwrap_or_else(|| operator.principal.project.to_string()),
        scopes: params
            .list("scopes")?
            .iter()
            .map(|scope| scope.parse::<metadata::Scope>())
            .collect::<Result<_, _>>()
            .map_err(metadata_error)?,
        expires_at: params.time("expires_at")?,
    };
    let (info, key) = state.metadata.create_key(&new).await.map_err(metadata_error)?;
    let body = NewKeyBody { key, info: info.into() };
    let secret = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, secret, Json(body)).into_response())
}

/// Revokes a key for good
#[utoipa::path(delete, path = "/api/v1/keys/{id}", operation_id = "revoke_key", tag = "admin",
    params(("id" = String, Path, description = "The key's id, not the key")),
    responses((status = 204, description = "Revoked"), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revoke(
    State(state): State<ApiState>,
    _: Operator,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    match state.metadata.revoke_key(&id).await.map_err(metadata_error)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::new(Code::NotFound, "there is no key with this id")),
    }
}
