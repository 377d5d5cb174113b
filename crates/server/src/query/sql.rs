//! Read-only SQL over the caller's own records.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::{ApiError, Problem};
use crate::query::ApiState;
use crate::query::caller::Reader;
use crate::query::params::Params;
use crate::query::shapes::StatsBody;

#[derive(Debug, Deserialize, IntoParams, ToSchema)]
pub struct SqlParams {
    /// One `SELECT` over the view `logs`.
    pub sql: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SqlAnswerBody {
    pub columns: Vec<SqlColumn>,
    pub rows: Vec<Vec<serde_json::Value>>,
    pub stats: StatsBody,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SqlColumn {
    pub name: String,
    /// In the words of the store's dialect.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Runs one read-only statement over the project's `logs`
#[utoipa::path(post, path = "/api/v1/sql", tag = "query", request_body = SqlParams,
    responses((status = 200, body = SqlAnswerBody), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn sql(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    params: Params<SqlParams>,
) -> Result<Json<SqlAnswerBody>, ApiError> {
    let began = Instant::now();
    let Some(sql) = params.text("sql")?.filter(|sql| !sql.trim().is_empty()) else {
        return Err(ApiError::malformed("`sql` is missing").with_hint("send {\"sql\": \"SELECT count(*) FROM logs\"}"));
    };
    let query = state.store.sql(Arc::clone(&caller.project), &sql, state.limits);
    let answer = state.gate.run(state.limits, query).await?;
    Ok(Json(SqlAnswerBody {
        columns: answer.columns.into_iter().map(|(name, kind)| SqlColumn { name, kind }).collect(),
        rows: answer.rows,
        stats: StatsBody::new(answer.stats, began),
    }))
}
