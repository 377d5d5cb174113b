//! What a request asks: parameters of the URL, or members of a JSON object with the same names.
//!
//! The names that an endpoint takes are those of its documented structure, so that an unknown one is an error that
//! names the nearest known one, and the reference can't differ from what is accepted.

use std::marker::PhantomData;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::{Method, header};
use model::cursor::Order;
use model::query::{Field, Query};
use model::{query, time};
use serde_json::{Map, Value};
use store::Scan;
use utoipa::IntoParams;

use crate::error::{ApiError, Code};
use crate::query::ApiState;
use crate::query::caller::url_pairs;

const HOUR: i64 = 3_600_000_000_000;

/// The documented parameters of an endpoint.
pub(crate) trait Doc: IntoParams + Send {}
impl<D: IntoParams + Send> Doc for D {}

/// The parameters of one request to an endpoint documented by `D`.
#[derive(Debug)]
pub struct Params<D> {
    values: Map<String, Value>,
    /// When the request came, nanoseconds since the Unix epoch; what relative times refer to.
    pub(crate) now: i64,
    doc: PhantomData<fn() -> D>,
}

impl<D: Doc> FromRequest<ApiState> for Params<D> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let mut values = Map::new();
        for (name, value) in url_pairs(request.uri().query().unwrap_or_default()) {
            let name = name.strip_suffix("[]").unwrap_or(&name);
            add(&mut values, name, Value::String(value));
        }
        // The project is chosen before, by who the caller is.
        values.remove("project");
        if request.method() == Method::POST {
            values.extend(read_object(request, state).await?);
        }
        let known = D::into_params(|| None);
        let known: Vec<&str> = known.iter().map(|parameter| parameter.name.as_str()).collect();
        if let Some(name) = values.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(unknown(name, &known));
        }
        Ok(Self { values, now: now(), doc: PhantomData })
    }
}

/// A name that comes again makes a list.
fn add(values: &mut Map<String, Value>, name: &str, value: Value) {
    match values.get_mut(name) {
        None => drop(values.insert(name.to_owned(), value)),
        Some(Value::Array(list)) => list.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

/// The JSON object in a request's body; an empty body is an empty object.
async fn read_object(request: Request, state: &ApiState) -> Result<Map<String, Value>, ApiError> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let json = kind.is_empty() || kind.split(';').next().is_some_and(|kind| kind.trim().ends_with("json"));
    if !json {
        return Err(ApiError::new(Code::UnsupportedMediaType, format!("the body is `{kind}`, not JSON"))
            .with_hint("send `Content-Type: application/json`"));
    }
    let body = Bytes::from_request(request, state).await.map_err(|rejection| {
        let code =
            if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE { Code::TooLarge } else { Code::Malformed };
        ApiError::new(code, rejection.body_text())
    })?;
    if body.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(&body)
        .map_err(|error| ApiError::malformed(format!("the body is not a JSON object: {error}")))
}

fn unknown(name: &str, known: &[&str]) -> ApiError {
    let error = ApiError::malformed(format!("there is no parameter `{name}`"));
    match nearest(name, known) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error.with_hint(format!("known parameters: {}", known.join(", "))),
    }
}

/// The known name nearest to `name` by single-character edits, if one is near enough to be meant.
pub(crate) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let best = known.iter().map(|near| (distance(name, near), *near)).min()?;
    (best.0 <= 1 + best.1.len() / 3).then_some(best.1)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

pub(crate) fn now() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

impl<D> Params<D> {
    /// A value as it came.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    /// A text; numbers and booleans as they are written.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
            Some(_) => Err(ApiError::malformed(format!("`{name}` must be one text"))),
        }
    }

    /// A whole number in a range.
    pub(crate) fn count(&self, name: &str, allowed: RangeInclusive<usize>) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match text.trim().parse() {
            Ok(number) if allowed.contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::malformed(format!(
                "`{name}` must be a whole number from {} to {}, not `{text}`",
                allowed.start(),
                allowed.end()
            ))),
        }
    }

    /// A list of texts, or one text with commas.
    pub(crate) fn list(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let wrong = || ApiError::malformed(format!("`{name}` must be a list of texts"));
        match self.value(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => {
                Ok(text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
            }
            Some(Value::Array(items)) => {
                items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    pub(crate) fn order(&self) -> Result<Option<Order>, ApiError> {
        match self.text("order")?.as_deref() {
            None => Ok(None),
            Some("desc") => Ok(Some(Order::Descending)),
            Some("asc") => Ok(Some(Order::Ascending)),
            Some(other) => Err(ApiError::malformed(format!("`order` must be `desc` or `asc`, not `{other}`"))),
        }
    }

    /// The time range: `from` is an hour ago and `to` is now unless they are given.
    pub(crate) fn range(&self) -> Result<Range<i64>, ApiError> {
        let from = self.time("from")?.unwrap_or(self.now - HOUR);
        let to = self.time("to")?.unwrap_or(self.now);
        if from > to {
            return Err(ApiError::malformed(format!(
                "`from` ({}) is after `to` ({})",
                time::format(from),
                time::format(to)
            ))
            .with_hint("`from` defaults to an hour ago and `to` to now"));
        }
        Ok(from..to)
    }

    /// A time as people type it, in nanoseconds since the Unix epoch.
    pub(crate) fn time(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        time::parse_query(&text, self.now).map(Some).ok_or_else(|| {
            ApiError::malformed(format!("`{name}` is no time: `{text}`"))
                .with_hint("write RFC 3339, epoch milliseconds, `now`, or `-15m`, `-1h`, `-7d`")
        })
    }

    /// The part of the store that `q`, `from` and `to` name.
    pub(crate) fn scan(&self, state: &ApiState, project: &Arc<str>) -> Result<Scan, ApiError> {
        let q = self.text("q")?.unwrap_or_default();
        Ok(Scan {
            project: Arc::clone(project),
            range: self.range()?,
            query: Arc::new(parse_query(&q, self.now)?),
            limits: state.limits,
        })
    }
}

/// Reads a query; 422 with the place and what to do.
pub(crate) fn parse_query(text: &str, now: i64) -> Result<Query, ApiError> {
    query::parse(text, now).map_err(|error| {
        let answer = ApiError::new(Code::InvalidQuery, error.message).with_position(error.position);
        match error.hint {
            Some(hint) => answer.with_hint(hint),
            None => answer,
        }
    })
}

/// The field of a name as people type it.
pub(crate) fn field(name: &str) -> Result<Field, ApiError> {
    if name.is_empty() {
        return Err(ApiError::malformed("a field's name is empty"));
    }
    Ok(Field::from_name(name))
}

/// A duration such as `1m`, or milliseconds, in nanoseconds.
pub(crate) fn interval(text: &str) -> Result<i64, ApiError> {
    let nanoseconds = match text.trim().parse::<i64>() {
        Ok(milliseconds) => milliseconds.checked_mul(1_000_000),
        Err(_) => time::parse_duration(text.trim()),
    };
    nanoseconds.filter(|interval| *interval > 0).ok_or_else(|| {
        ApiError::malformed(format!("`interval` is no duration: `{text}`"))
            .with_hint("write `30s`, `1m`, `1h`, `1d`, or milliseconds")
    })
}
