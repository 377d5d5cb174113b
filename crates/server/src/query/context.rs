//! A record with its neighbours in time.

use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use model::cursor::{Order, SortKey};
use model::query::{Field, Literal, Query, Test};
use model::{Record, RecordId};
use serde::{Deserialize, Serialize};
use store::{Scan, Search};
use utoipa::{IntoParams, ToSchema};

use crate::error::{ApiError, Code, Problem};
use crate::query::ApiState;
use crate::query::caller::Reader;
use crate::query::gate::within;
use crate::query::params::Params;
use crate::query::shapes::{RecordDoc, Records};

const NEIGHBOURS: usize = 10;
const NEIGHBOURS_MAX: usize = 1_000;

/// What `context` is asked.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ContextParams {
    #[param(default = 10, maximum = 1_000)]
    pub before: Option<u64>,
    #[param(default = 10, maximum = 1_000)]
    pub after: Option<u64>,
    /// Neighbours must share these with the record: `service`, `host` or both.
    pub same: Option<String>,
}

/// Everything in the order of time, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContextAnswer {
    #[schema(value_type = Vec<RecordDoc>)]
    pub before: Records,
    #[schema(value_type = RecordDoc)]
    pub record: Record<'static>,
    #[schema(value_type = Vec<RecordDoc>)]
    pub after: Records,
}

/// A record and what was logged around it
#[utoipa::path(get, path = "/api/v1/context/{id}", tag = "query",
    params(("id" = String, Path, description = "The record's id"), ContextParams),
    responses((status = 200, body = ContextAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn context(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Path(id): Path<String>,
    params: Params<ContextParams>,
) -> Result<Json<ContextAnswer>, ApiError> {
    let before = params.count("before", 0..=NEIGHBOURS_MAX)?.unwrap_or(NEIGHBOURS);
    let after = params.count("after", 0..=NEIGHBOURS_MAX)?.unwrap_or(NEIGHBOURS);
    let same = params.list("same")?;
    // An id that is none, an unknown and a foreign one answer alike.
    let unknown = || ApiError::new(Code::NotFound, "there is no record with this id");
    let id: RecordId = id.parse().map_err(|_| unknown())?;
    let _running = state.gate.enter().await?;
    let project = &caller.project;
    let record = within(state.limits, state.store.get(project, id, state.limits)).await?.ok_or_else(unknown)?;
    let query = Arc::new(shared(&record, &same)?);
    let key = SortKey { timestamp: record.timestamp, id };
    let neighbours = |range: Range<i64>, order: Order, limit: usize| {
        let scan = Scan { project: Arc::clone(project), range, query: Arc::clone(&query), limits: state.limits };
        let search = Search { scan, order, limit, after: Some(key) };
        let state = &state;
        async move {
            if limit == 0 {
                return Ok(Records::new());
            }
            Ok::<_, ApiError>(within(state.limits, state.store.search(search)).await?.records)
        }
    };
    let mut older = neighbours(i64::MIN..key.timestamp.saturating_add(1), Order::Descending, before).await?;
    older.reverse();
    let newer = neighbours(key.timestamp..i64::MAX, Order::Ascending, after).await?;
    Ok(Json(ContextAnswer { before: older, record, after: newer }))
}

/// The query that the record's like-minded neighbours match.
fn shared(record: &Record<'_>, same: &[String]) -> Result<Query, ApiError> {
    let mut conditions = Vec::new();
    for name in same {
        let (field, value) = match name.as_str() {
            "service" => (Field::Service, Some(&record.service)),
            "host" => (Field::Host, record.host.as_ref()),
            other => {
                return Err(ApiError::malformed(format!("`same` takes `service` and `host`, not `{other}`")));
            }
        };
        conditions.push(match value {
            Some(text) => Query::Field(field, Test::Equals(Literal::new(text))),
            None => Query::Not(Box::new(Query::Field(field, Test::Exists))),
        });
    }
    Ok(Query::all(conditions))
}
