//! Metrics by group.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use model::cursor::Order;
use model::{Value, time};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use store::{Aggregate, AggregateRow, Metric, MetricFn, SortBy};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Principal;
use crate::error::{ApiError, Problem};
use crate::query::ApiState;
use crate::query::caller::Reader;
use crate::query::params::{Params, field, interval, nearest};
use crate::query::shapes::StatsBody;

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 10_000;
const GROUPS_MAX: usize = 8;
const METRICS_MAX: usize = 20;
const FUNCTIONS: [&str; 6] = ["count", "sum", "avg", "min", "max", "distinct"];

/// What `aggregate` is asked.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct AggregateParams {
    pub q: Option<String>,
    #[param(default = "-1h")]
    pub from: Option<String>,
    #[param(default = "now")]
    pub to: Option<String>,
    /// Fields whose values make the groups, at most 8.
    pub group_by: Option<Vec<String>>,
    /// Also groups by time: `1m`, or milliseconds.
    pub interval: Option<String>,
    /// At most 20; `count` if none. In a URL: `count,p95(duration_ms)`.
    pub metrics: Option<Vec<MetricParam>>,
    /// A metric's or group's name or `start`, and `asc` or `desc`: `count desc`. Unless given: the first metric,
    /// falling.
    pub order: Option<String>,
    #[param(default = 100, minimum = 1, maximum = 10_000)]
    pub limit: Option<u64>,
}

/// A metric.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricParam {
    /// `count`, `sum`, `avg`, `min`, `max`, `distinct`, or `p1` to `p99`.
    #[serde(rename = "fn")]
    pub function: String,
    /// All but `count` need one; `count` then counts the records that have it.
    pub field: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AggregateAnswer {
    pub rows: Vec<AggregateRowBody>,
    pub stats: StatsBody,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AggregateRowBody {
    /// The value of each field of `group_by`; null for records without it. JSON types are kept.
    #[schema(value_type = Object)]
    pub group: Map<String, serde_json::Value>,
    /// With `interval`: RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    pub start: Option<String>,
    /// By name: `count`, `p95(duration_ms)`. Null where there was no value.
    #[schema(value_type = Object)]
    pub metrics: Map<String, serde_json::Value>,
}

/// Metrics of matching records by group
#[utoipa::path(get, path = "/api/v1/aggregate", tag = "query", params(AggregateParams),
    responses((status = 200, body = AggregateAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn aggregate(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    params: Params<AggregateParams>,
) -> Result<Json<AggregateAnswer>, ApiError> {
    answer(&state, &caller, &params).await
}

/// As GET, with the parameters as members of a JSON object
#[utoipa::path(post, path = "/api/v1/aggregate", tag = "query", request_body = AggregateParams,
    responses((status = 200, body = AggregateAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn aggregate_by_post(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    params: Params<AggregateParams>,
) -> Result<Json<AggregateAnswer>, ApiError> {
    answer(&state, &caller, &params).await
}

async fn answer(
    state: &ApiState,
    caller: &Principal,
    params: &Params<AggregateParams>,
) -> Result<Json<AggregateAnswer>, ApiError> {
    let began = Instant::now();
    let scan = params.scan(state, &caller.project)?;
    let groups = params.list("group_by")?;
    if groups.len() > GROUPS_MAX {
        return Err(ApiError::malformed(format!("`group_by` takes at most {GROUPS_MAX} fields")));
    }
    let metrics = metrics(params)?;
    let names: Vec<String> = metrics.iter().map(name).collect();
    let interval = params.text("interval")?.map(|text| interval(&text)).transpose()?;
    let order = params.text("order")?.map(|text| sort(&text, &groups, &names, interval.is_some())).transpose()?;
    let aggregate = Aggregate {
        scan,
        group_by: groups.iter().map(|name| field(name)).collect::<Result<_, _>>()?,
        interval,
        metrics: metrics.iter().map(metric).collect::<Result<_, _>>()?,
        order,
        limit: params.count("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT),
    };
    let (rows, stats) = state.gate.run(state.limits, state.store.aggregate(aggregate)).await?;
    let rows = rows.iter().map(|row| body(row, &groups, &names)).collect();
    Ok(Json(AggregateAnswer { rows, stats: StatsBody::new(stats, began) }))
}

fn body(row: &AggregateRow, groups: &[String], names: &[String]) -> AggregateRowBody {
    AggregateRowBody {
        group: groups.iter().cloned().zip(row.group.iter().map(json)).collect(),
        start: row.start.map(time::format),
        metrics: names.iter().cloned().zip(row.metrics.iter().map(json)).collect(),
    }
}

fn json(value: &Value<'_>) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// The metrics as a JSON list of objects, as JSON in a URL, or as `fn(field)` with commas.
fn metrics(params: &Params<AggregateParams>) -> Result<Vec<MetricParam>, ApiError> {
    let unreadable = |error: serde_json::Error| {
        ApiError::malformed(format!("`metrics` can't be read: {error}"))
            .with_hint("write [{\"fn\": \"p95\", \"field\": \"duration_ms\"}], or in a URL `count,p95(duration_ms)`")
    };
    let metrics: Vec<MetricParam> = match params.value("metrics") {
        None => Vec::new(),
        Some(serde_json::Value::String(text)) if text.trim_start().starts_with('[') => {
            serde_json::from_str(text).map_err(unreadable)?
        }
        Some(serde_json::Value::Array(items)) if items.iter().any(serde_json::Value::is_object) => {
            serde_json::from_value(serde_json::Value::Array(items.clone())).map_err(unreadable)?
        }
        Some(_) => params.list("metrics")?.iter().map(|text| short(text)).collect(),
    };
    match metrics.len() {
        0 => Ok(vec![MetricParam { function: "count".into(), field: None }]),
        1..=METRICS_MAX => Ok(metrics),
        _ => Err(ApiError::malformed(format!("`metrics` takes at most {METRICS_MAX}"))),
    }
}

/// `count` or `p95(duration_ms)`.
fn short(text: &str) -> MetricParam {
    match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        Some((function, field)) => MetricParam { function: function.into(), field: Some(field.into()) },
        None => MetricParam { function: text.into(), field: None },
    }
}

fn name(metric: &MetricParam) -> String {
    match &metric.field {
        Some(field) => format!("{}({field})", metric.function),
        None => metric.function.clone(),
    }
}

fn metric(metric: &MetricParam) -> Result<Metric, ApiError> {
    let function = match metric.function.as_str() {
        "count" => MetricFn::Count,
        "sum" => MetricFn::Sum,
        "avg" => MetricFn::Avg,
        "min" => MetricFn::Min,
        "max" => MetricFn::Max,
        "distinct" => MetricFn::Distinct,
        other => match other.strip_prefix('p').and_then(|rank| rank.parse().ok()) {
            Some(rank @ 1..=99) => MetricFn::Percentile(rank),
            _ => {
                let near = nearest(other, &FUNCTIONS).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                return Err(ApiError::malformed(format!("there is no metric `{other}`"))
                    .with_hint(format!("metrics are {} and p1 to p99{near}", FUNCTIONS.join(", "))));
            }
        },
    };
    if metric.field.is_none() && function != MetricFn::Count {
        return Err(ApiError::malformed(format!("the metric `{}` needs a `field`", metric.function)));
    }
    Ok(Metric { function, field: metric.field.as_deref().map(field).transpose()? })
}

/// `count desc`, `service`, `start asc`; metrics fall and the others rise unless told.
fn sort(text: &str, groups: &[String], metrics: &[String], by_time: bool) -> Result<SortBy, ApiError> {
    let (name, told) = match text.trim().rsplit_once(' ') {
        Some((name, "asc")) => (name.trim(), Some(Order::Ascending)),
        Some((name, "desc")) => (name.trim(), Some(Order::Descending)),
        _ => (text.trim(), None),
    };
    let (name, told) = match name.strip_prefix('-') {
        Some(name) => (name, Some(Order::Descending)),
        None => (name, told),
    };
    if let Some(index) = metrics.iter().position(|metric| metric == name) {
        return Ok(SortBy::Metric { index, order: told.unwrap_or(Order::Descending) });
    }
    if let Some(index) = groups.iter().position(|group| group == name) {
        return Ok(SortBy::Group { index, order: told.unwrap_or(Order::Ascending) });
    }
    match name {
        "start" if by_time => Ok(SortBy::Start { order: told.unwrap_or(Order::Ascending) }),
        "asc" => Ok(SortBy::Metric { index: 0, order: Order::Ascending }),
        "desc" => Ok(SortBy::Metric { index: 0, order: Order::Descending }),
        _ => Err(ApiError::malformed(format!("`order` names no metric or group of this request: `{name}`"))
            .with_hint("write the name of a metric, of a group or `start`, and `asc` or `desc`: `count desc`")),
    }
}
