//! Records as comma-separated values, safe to open in a spreadsheet.

use std::borrow::Cow;

use model::json::Members;
use model::{Record, time};

use crate::error::ApiError;

/// A column for each record field.
pub(crate) const COLUMNS: [&str; 13] = [
    "id",
    "timestamp",
    "observed_timestamp",
    "project",
    "service",
    "host",
    "level",
    "severity_number",
    "message",
    "trace_id",
    "span_id",
    "attributes",
    "resource",
];

#[derive(Debug, Default)]
pub(crate) struct Csv {
    began: bool,
}

impl Csv {
    /// The lines of some records; the first page begins with the names of the columns.
    pub(crate) fn page(&mut self, records: &[Record<'_>]) -> Result<Vec<u8>, ApiError> {
        let mut lines = csv::Writer::from_writer(Vec::new());
        if !std::mem::replace(&mut self.began, true) {
            lines.write_record(COLUMNS).map_err(ApiError::internal)?;
        }
        for record in records {
            let cells = cells(record)?;
            lines.write_record(cells.iter().map(|cell| guarded(cell).into_owned())).map_err(ApiError::internal)?;
        }
        lines.into_inner().map_err(|error| ApiError::internal(error.error()))
    }
}

fn cells<'r>(record: &'r Record<'_>) -> Result<[Cow<'r, str>; 13], ApiError> {
    let members = |fields| serde_json::to_string(&Members(fields)).map(Cow::Owned).map_err(ApiError::internal);
    let text = |value: Option<String>| Cow::Owned(value.unwrap_or_default());
    Ok([
        Cow::Owned(record.id.to_string()),
        Cow::Owned(time::format(record.timestamp)),
        Cow::Owned(time::format(record.observed)),
        Cow::Borrowed(&*record.project),
        Cow::Borrowed(&*record.service),
        Cow::Borrowed(record.host.as_deref().unwrap_or_default()),
        Cow::Borrowed(record.severity.map_or("", |severity| severity.level().as_str())),
        text(record.severity.map(|severity| severity.number().to_string())),
        Cow::Borrowed(&*record.message),
        text(record.trace_id.map(|id| id.to_string())),
        text(record.span_id.map(|id| id.to_string())),
        members(&record.attributes)?,
        members(&record.resource)?,
    ])
}

/// A cell that a spreadsheet would run as a formula begins with an apostrophe.
fn guarded(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@']) { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}
