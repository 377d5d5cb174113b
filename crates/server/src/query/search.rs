//! Pages of records.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use model::cursor::SortKey;
use serde::{Deserialize, Serialize};
use store::{Scan, Search};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Principal;
use crate::error::{ApiError, Problem};
use crate::query::ApiState;
use crate::query::caller::Reader;
use crate::query::cursor::Cursor;
use crate::query::params::{Params, parse_query};
use crate::query::shapes::{RecordDoc, Records, StatsBody};

pub(crate) const LIMIT_MAX: usize = 10_000;
const LIMIT: usize = 100;

/// What `search` is asked.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct SearchParams {
    /// The query; empty matches everything.
    pub q: Option<String>,
    /// RFC 3339, epoch milliseconds, `now` or `-15m`. Included.
    #[param(default = "-1h")]
    pub from: Option<String>,
    /// As `from`. Excluded.
    #[param(default = "now")]
    pub to: Option<String>,
    #[param(default = 100, minimum = 1, maximum = 10_000)]
    pub limit: Option<u64>,
    /// `desc` (newest first) or `asc`.
    #[param(default = "desc")]
    pub order: Option<String>,
    /// The `next_cursor` of the page before. It brings the query, the order and the absolute times of page one.
    pub cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SearchAnswer {
    #[schema(value_type = Vec<RecordDoc>)]
    pub records: Records,
    /// Null on the last page.
    pub next_cursor: Option<String>,
    pub stats: StatsBody,
}

/// One page of matching records, by time, then id
#[utoipa::path(get, path = "/api/v1/search", tag = "query", params(SearchParams),
    responses((status = 200, body = SearchAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn search(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    params: Params<SearchParams>,
) -> Result<Json<SearchAnswer>, ApiError> {
    answer(&state, &caller, &params).await
}

/// As GET, with the parameters as members of a JSON object
#[utoipa::path(post, path = "/api/v1/search", tag = "query", request_body = SearchParams,
    responses((status = 200, body = SearchAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn search_by_post(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    params: Params<SearchParams>,
) -> Result<Json<SearchAnswer>, ApiError> {
    answer(&state, &caller, &params).await
}

async fn answer(
    state: &ApiState,
    caller: &Principal,
    params: &Params<SearchParams>,
) -> Result<Json<SearchAnswer>, ApiError> {
    let began = Instant::now();
    let limit = params.count("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT);
    let (query, now, range, order, after) = match params.text("cursor")? {
        Some(text) => {
            let cursor = Cursor::decode(&caller.project, &text)?;
            check_same(params, &cursor)?;
            (cursor.query, cursor.now, cursor.range, cursor.order, Some(cursor.after))
        }
        None => {
            let order = params.order()?.unwrap_or_default();
            (params.text("q")?.unwrap_or_default(), params.now, params.range()?, order, None)
        }
    };
    let scan = Scan {
        project: Arc::clone(&caller.project),
        range: range.clone(),
        query: Arc::new(parse_query(&query, now)?),
        limits: state.limits,
    };
    let page = state.gate.run(state.limits, state.store.search(Search { scan, order, limit, after })).await?;
    let last = page.records.last().filter(|_| page.records.len() >= limit);
    let next_cursor = last.map(|record| {
        let after = SortKey { timestamp: record.timestamp, id: record.id };
        Cursor { query, now, range, order, after }.encode(&caller.project)
    });
    Ok(Json(SearchAnswer { records: page.records, next_cursor, stats: StatsBody::new(page.stats, began) }))
}

/// With a cursor the query and order may be said again, but not changed. Times may differ: relative ones move on.
fn check_same(params: &Params<SearchParams>, cursor: &Cursor) -> Result<(), ApiError> {
    let query_differs = params.text("q")?.is_some_and(|q| q != cursor.query);
    let order_differs = params.order()?.is_some_and(|order| order != cursor.order);
    if query_differs || order_differs {
        return Err(ApiError::malformed("`cursor` belongs to another query or order")
            .with_hint("ask without `cursor` for the first page of a new query"));
    }
    Ok(())
}
