//! Answers over a snapshot of one project.
//!
//! The way of a query: [`plan`] finds the range of times and what a block must hold; [`unit`] gives the chunks and
//! blocks that are left; [`filter`] holds their rows against the query, column by column, and [`messages`] these, with what
//! [`templates`] tell of them; [`search`], [`histogram`], [`aggregate`], [`fields`] and [`get`] make the answer, on all
//! cores ([`control`]). [`values`] reads a field as codes or numbers. Only [`sql`] goes through DataFusion.
//!
//! The caller gives the snapshot of the project that the query names.

mod aggregate;
mod automaton;
mod control;
mod fields;
mod filter;
mod get;
mod histogram;
mod messages;
mod plan;
mod search;
mod sql;
mod templates;
#[cfg(test)]
mod tests;
mod unit;
mod values;

use std::ops::Range;
use std::sync::Arc;

use model::query::Field;
use model::{Record, RecordId};
use store::aggregation::values::{value_counts, value_query};
use store::{
    Aggregate, AggregateRow, Bucket, FieldInfo, Histogram, Page, QueryLimits, Scan, Search, SqlAnswer, Stats,
    StoreError, ValueCount,
};

use crate::chunk::Snapshot;

/// As [`store::Store::search`].
pub async fn search(snapshot: Snapshot, query: Search) -> Result<Page, StoreError> {
    control::run(query.scan.limits, move |control| search::search(control, &snapshot, &query)).await
}

/// As [`store::Store::get`].
pub async fn get(
    snapshot: Snapshot,
    project: Arc<str>,
    id: RecordId,
    limits: QueryLimits,
) -> Result<Option<Record<'static>>, StoreError> {
    control::run(limits, move |control| get::get(control, &snapshot, project, id, limits)).await
}

/// As [`store::Store::histogram`].
pub async fn histogram(snapshot: Snapshot, query: Histogram) -> Result<(Vec<Bucket>, Stats), StoreError> {
    control::run(query.scan.limits, move |control| histogram::histogram(control, &snapshot, &query)).await
}

/// As [`store::Store::aggregate`].
pub async fn aggregate(snapshot: Snapshot, query: Aggregate) -> Result<(Vec<AggregateRow>, Stats), StoreError> {
    control::run(query.scan.limits, move |control| aggregate::aggregate(control, &snapshot, &query)).await
}

/// As [`store::Store::fields`].
pub async fn fields(snapshot: Snapshot, scan: Scan, limit: usize) -> Result<Vec<FieldInfo>, StoreError> {
    control::run(scan.limits, move |control| fields::fields(control, &snapshot, &scan, limit)).await
}

/// As [`store::Store::values`].
pub async fn values(snapshot: Snapshot, scan: Scan, field: Field, limit: usize) -> Result<Vec<ValueCount>, StoreError> {
    let (rows, _) = aggregate(snapshot, value_query(scan, field, limit)).await?;
    Ok(value_counts(rows, limit))
}

/// As [`store::Store::sql`].
pub async fn sql(
    snapshot: Snapshot,
    project: Arc<str>,
    text: &str,
    limits: QueryLimits,
) -> Result<SqlAnswer, StoreError> {
    sql::sql(snapshot, project, text, limits).await
}

/// Adds the rows of a unit that were held against the query.
fn add_scanned(stats: &mut Stats, run: &Range<usize>, matched: usize, bytes: u64) {
    let scanned = Stats { matched: Some(matched as u64), scanned_rows: run.len() as u64, scanned_bytes: bytes };
    add_stats(stats, &scanned);
}

fn add_stats(stats: &mut Stats, more: &Stats) {
    stats.matched = stats.matched.zip(more.matched).map(|(a, b)| a + b);
    stats.scanned_rows += more.scanned_rows;
    stats.scanned_bytes += more.scanned_bytes;
}
