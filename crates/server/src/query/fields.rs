//! Which fields records have, and which values.

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::{ApiError, Problem};
use crate::query::ApiState;
use crate::query::caller::Reader;
use crate::query::params::{Params, field};

const LIMIT_MAX: usize = 10_000;
const FIELDS: usize = 1_000;
const VALUES: usize = 100;

/// What `fields` and `values` are asked.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FieldsParams {
    pub q: Option<String>,
    #[param(default = "-1h")]
    pub from: Option<String>,
    #[param(default = "now")]
    pub to: Option<String>,
    /// 1 000 fields or 100 values unless given.
    #[param(minimum = 1, maximum = 10_000)]
    pub limit: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FieldsAnswer {
    /// By falling coverage, then name.
    pub fields: Vec<FieldBody>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FieldBody {
    pub name: String,
    /// `string`, `int`, `double`, `bool`, `array` or `mixed`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The share of matching records that have it, 0 to 1.
    pub coverage: f64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ValuesAnswer {
    /// By falling count, then value.
    pub values: Vec<ValueBody>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ValueBody {
    /// With its JSON type.
    pub value: serde_json::Value,
    pub count: u64,
}

/// The fields of matching records
#[utoipa::path(get, path = "/api/v1/fields", tag = "query", params(FieldsParams),
    responses((status = 200, body = FieldsAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn fields(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    params: Params<FieldsParams>,
) -> Result<Json<FieldsAnswer>, ApiError> {
    let scan = params.scan(&state, &caller.project)?;
    let limit = params.count("limit", 1..=LIMIT_MAX)?.unwrap_or(FIELDS);
    let fields = state.gate.run(state.limits, state.store.fields(scan, limit)).await?;
    let fields =
        fields.into_iter().map(|field| FieldBody { name: field.name, kind: field.kind, coverage: field.coverage });
    Ok(Json(FieldsAnswer { fields: fields.collect() }))
}

/// The most frequent values of a field
#[utoipa::path(get, path = "/api/v1/fields/{name}/values", operation_id = "field_values", tag = "query",
    params(("name" = String, Path, description = "A record field, or the name of an attribute or resource value"), FieldsParams),
    responses((status = 200, body = ValuesAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn values(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    Path(name): Path<String>,
    params: Params<FieldsParams>,
) -> Result<Json<ValuesAnswer>, ApiError> {
    let scan = params.scan(&state, &caller.project)?;
    let limit = params.count("limit", 1..=LIMIT_MAX)?.unwrap_or(VALUES);
    let values = state.gate.run(state.limits, state.store.values(scan, field(&name)?, limit)).await?;
    let values = values
        .into_iter()
        .map(|found| ValueBody { value: serde_json::to_value(&found.value).unwrap_or_default(), count: found.count });
    Ok(Json(ValuesAnswer { values: values.collect() }))
}
