//! Counts by time.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use model::{Value, time};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use store::{Bucket, Histogram};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Principal;
use crate::error::{ApiError, Problem};
use crate::query::ApiState;
use crate::query::caller::Reader;
use crate::query::params::{Params, field, interval};
use crate::query::shapes::StatsBody;

const BUCKETS: usize = 60;
const BUCKETS_MAX: usize = 10_000;
const GROUPS_MAX: usize = 100;

const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MILLISECOND;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Widths that people read easily; wider ones are whole multiples of ten days.
const WIDTHS: [i64; 33] = [
    MILLISECOND,
    2 * MILLISECOND,
    5 * MILLISECOND,
    10 * MILLISECOND,
    20 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    200 * MILLISECOND,
    500 * MILLISECOND,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    3 * DAY,
    4 * DAY,
    5 * DAY,
    7 * DAY,
    10 * DAY,
];

/// What `histogram` is asked.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct HistogramParams {
    pub q: Option<String>,
    #[param(default = "-1h")]
    pub from: Option<String>,
    #[param(default = "now")]
    pub to: Option<String>,
    /// At most this many buckets of a round width. Not together with `interval`.
    #[param(default = 60, minimum = 1, maximum = 10_000)]
    pub buckets: Option<u64>,
    /// The width of a bucket: `1m`, or milliseconds.
    pub interval: Option<String>,
    /// A field whose values are counted apart.
    pub group_by: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct HistogramAnswer {
    pub interval_ms: i64,
    /// Every bucket of the range, empty ones too.
    pub buckets: Vec<BucketBody>,
    pub stats: StatsBody,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct BucketBody {
    /// A multiple of the interval since the Unix epoch, RFC 3339.
    #[schema(format = DateTime)]
    pub start: String,
    pub count: u64,
    /// Counts by value, the 100 most frequent ones of the range. Records without the field are in `count` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<std::collections::BTreeMap<String, u64>>, nullable = false)]
    pub groups: Option<Map<String, serde_json::Value>>,
}

/// Matching records counted by time
#[utoipa::path(get, path = "/api/v1/histogram", tag = "query", params(HistogramParams),
    responses((status = 200, body = HistogramAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn histogram(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    params: Params<HistogramParams>,
) -> Result<Json<HistogramAnswer>, ApiError> {
    answer(&state, &caller, &params).await
}

/// As GET, with the parameters as members of a JSON object
#[utoipa::path(post, path = "/api/v1/histogram", tag = "query", request_body = HistogramParams,
    responses((status = 200, body = HistogramAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn histogram_by_post(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    params: Params<HistogramParams>,
) -> Result<Json<HistogramAnswer>, ApiError> {
    answer(&state, &caller, &params).await
}

async fn answer(
    state: &ApiState,
    caller: &Principal,
    params: &Params<HistogramParams>,
) -> Result<Json<HistogramAnswer>, ApiError> {
    let began = Instant::now();
    let scan = params.scan(state, &caller.project)?;
    let buckets = params.count("buckets", 1..=BUCKETS_MAX)?;
    let width = match (params.text("interval")?, buckets) {
        (Some(_), Some(_)) => return Err(ApiError::malformed("give `buckets` or `interval`, not both")),
        (Some(text), None) => interval(&text)?,
        (None, buckets) => width_for(&scan.range, buckets.unwrap_or(BUCKETS)),
    };
    if width % MILLISECOND != 0 || buckets_in(&scan.range, width) > BUCKETS_MAX as i64 {
        return Err(ApiError::malformed(format!("the interval makes more than {BUCKETS_MAX} buckets of this range"))
            .with_hint("ask for a wider interval or a shorter range"));
    }
    let group_by = params.text("group_by")?.map(|name| field(&name)).transpose()?;
    let grouped = group_by.is_some();
    let histogram = Histogram { scan, interval: width, group_by, groups_max: GROUPS_MAX };
    let (buckets, stats) = state.gate.run(state.limits, state.store.histogram(histogram)).await?;
    Ok(Json(HistogramAnswer {
        interval_ms: width / MILLISECOND,
        buckets: buckets.into_iter().map(|bucket| body(bucket, grouped)).collect(),
        stats: StatsBody::new(stats, began),
    }))
}

fn body(bucket: Bucket, grouped: bool) -> BucketBody {
    let mut groups = Map::new();
    for (value, count) in bucket.groups {
        match value {
            Value::Null => {}
            Value::String(text) => drop(groups.insert(text.into_owned(), count.into())),
            other => drop(groups.insert(other.to_json(), count.into())),
        }
    }
    BucketBody { start: time::format(bucket.start), count: bucket.count, groups: grouped.then_some(groups) }
}

/// The narrowest round width that needs at most `buckets_max` buckets.
fn width_for(range: &std::ops::Range<i64>, buckets_max: usize) -> i64 {
    let fits = |width: &i64| buckets_in(range, *width) <= buckets_max as i64;
    if let Some(width) = WIDTHS.into_iter().find(|width| fits(width)) {
        return width;
    }
    // One bucket can be impossible: an aligned bucket's edge may lie within the range however wide it is.
    let tens = |count: i64| count.saturating_mul(10 * DAY);
    (2..).map(tens).find(|width| fits(width) || *width > range.end.saturating_sub(range.start)).unwrap_or(i64::MAX)
}

/// How many aligned buckets a range touches.
fn buckets_in(range: &std::ops::Range<i64>, width: i64) -> i64 {
    if range.is_empty() {
        return 0;
    }
    (range.end - 1).div_euclid(width) - range.start.div_euclid(width) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_round_and_fit() {
        assert_eq!(width_for(&(0..HOUR), 60), MINUTE);
        assert_eq!(width_for(&(1..HOUR + 1), 60), 2 * MINUTE, "61 aligned minutes are touched");
        assert_eq!(width_for(&(0..DAY), 80), 30 * MINUTE);
        assert_eq!(width_for(&(0..0), 1), MILLISECOND);
        for buckets in [1, 2, 10, 9_999] {
            for range in [0..1, 5..i64::MAX / 2, 17..400 * DAY, HOUR - 1..HOUR + 1] {
                let width = width_for(&range, buckets);
                assert!(buckets_in(&range, width) <= (buckets as i64).max(2), "{range:?} {buckets} {width}");
            }
        }
    }
}
