//! All matching records as a stream: pages of search under the hood, one in memory at a time.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::header;
use model::Record;
use model::cursor::SortKey;
use serde::Deserialize;
use store::Search;
use utoipa::IntoParams;

use crate::error::{ApiError, Problem};
use crate::query::caller::Reader;
use crate::query::gate::{Running, within};
use crate::query::params::{Params, nearest};
use crate::query::{ApiState, csv, parquet};

/// The first page is small, so that the answer starts at once.
const FIRST_PAGE: usize = 500;
const PAGE: usize = 5_000;
const FORMATS: [&str; 3] = ["ndjson", "csv", "parquet"];

/// What `export` is asked.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportParams {
    pub q: Option<String>,
    #[param(default = "-1h")]
    pub from: Option<String>,
    #[param(default = "now")]
    pub to: Option<String>,
    /// `ndjson`, `csv` or `parquet`.
    #[param(default = "ndjson")]
    pub format: Option<String>,
    /// `desc` (newest first) or `asc`.
    #[param(default = "desc")]
    pub order: Option<String>,
}

/// Streams every matching record
///
/// CSV has a column for each record field, attributes and resource as JSON, and a `'` before cells that a spreadsheet
/// would take for a formula. If the store fails on the way, the connection is broken off, so that a part is never
/// taken for the whole.
#[utoipa::path(get, path = "/api/v1/export", tag = "query", params(ExportParams),
    responses(
        (status = 200, description = "The records", content((String = "application/x-ndjson"), (String = "text/csv"), (String = "application/vnd.apache.parquet"))),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn export(
    State(state): State<ApiState>,
    Reader(caller): Reader,
    params: Params<ExportParams>,
) -> Result<Response, ApiError> {
    let mut encoder = match params.text("format")?.as_deref() {
        None | Some("ndjson") => Encoder::Ndjson,
        Some("csv") => Encoder::Csv(csv::Csv::default()),
        Some("parquet") => Encoder::Parquet(Box::new(parquet::Parquet::new()?)),
        Some(other) => {
            let near = nearest(other, &FORMATS).unwrap_or("ndjson");
            return Err(ApiError::malformed(format!("there is no format `{other}`"))
                .with_hint(format!("formats are {}; did you mean `{near}`?", FORMATS.join(", "))));
        }
    };
    let scan = params.scan(&state, &caller.project)?;
    let order = params.order()?.unwrap_or_default();
    let running = state.gate.enter().await?;
    let (kind, ending) = encoder.kind();
    let head = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}.{ending}\"", caller.project)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    let mut pages =
        Pages { search: Some(Search { scan, order, limit: FIRST_PAGE, after: None }), state, _running: running };
    // Before the head is sent, so that a store that can't answer at all gives an error and not an empty file.
    let first = pages.next(&mut encoder).await?;
    let rest = stream::try_unfold((pages, encoder, first), |(mut pages, mut encoder, ready)| async move {
        if let Some(bytes) = ready {
            return Ok(Some((bytes, (pages, encoder, None))));
        }
        match pages.next(&mut encoder).await {
            Ok(Some(bytes)) => Ok(Some((bytes, (pages, encoder, None)))),
            Ok(None) => Ok(None),
            Err(error) => {
                tracing::warn!(%error, internal = error.internal_message(), "export broken off");
                Err(error)
            }
        }
    });
    Ok((head, Body::from_stream(rest)).into_response())
}

/// The pages still to come. Dropping it, as a closed connection does, ends the query.
struct Pages {
    /// None when all is said.
    search: Option<Search>,
    state: ApiState,
    _running: Running,
}

impl Pages {
    /// The next bytes; None at the end.
    async fn next(&mut self, encoder: &mut Encoder) -> Result<Option<Bytes>, ApiError> {
        let Some(mut search) = self.search.take() else { return Ok(None) };
        let page = within(self.state.limits, self.state.store.search(search.clone())).await?;
        let mut bytes = encoder.page(&page.records)?;
        match page.records.last().filter(|_| page.records.len() >= search.limit) {
            Some(last) => {
                search.after = Some(SortKey { timestamp: last.timestamp, id: last.id });
                search.limit = PAGE;
                self.search = Some(search);
            }
            None => bytes.extend(encoder.finish()?),
        }
        Ok(Some(bytes.into()))
    }
}

enum Encoder {
    Ndjson,
    Csv(csv::Csv),
    Parquet(Box<parquet::Parquet>),
}

impl Encoder {
    fn kind(&self) -> (&'static str, &'static str) {
        match self {
            Encoder::Ndjson => ("application/x-ndjson", "ndjson"),
            Encoder::Csv(_) => ("text/csv; charset=utf-8; header=present", "csv"),
            Encoder::Parquet(_) => ("application/vnd.apache.parquet", "parquet"),
        }
    }

    fn page(&mut self, records: &[Record<'_>]) -> Result<Vec<u8>, ApiError> {
        match self {
            Encoder::Ndjson => {
                let mut lines = Vec::new();
                for record in records {
                    serde_json::to_writer(&mut lines, record).map_err(ApiError::internal)?;
                    lines.push(b'\n');
                }
                Ok(lines)
            }
            Encoder::Csv(csv) => csv.page(records),
            Encoder::Parquet(parquet) => parquet.page(records),
        }
    }

    fn finish(&mut self) -> Result<Vec<u8>, ApiError> {
        match self {
            Encoder::Ndjson | Encoder::Csv(_) => Ok(Vec::new()),
            Encoder::Parquet(parquet) => parquet.finish(),
        }
    }
}
