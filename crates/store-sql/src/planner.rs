//! From what the store is asked to statements.

use std::marker::PhantomData;
use std::ops::Bound;

use model::RecordId;
use model::cursor::Order;
use model::query::Field;
use store::{Aggregate, Histogram, Metric, MetricFn, Scan, Search};

use crate::condition::{all, condition};
use crate::dialect::{Cell, ClickHouse, Dialect, Numeric, Parts, Postgres};
use crate::statement::{Binder, Param, Statement};

/// Origins that one statement of [`Planner::count_by_origin`] may ask for; more make it too long.
pub const ORIGINS_MAX: usize = 1_000;

/// Plans the queries of one store. Every value that comes from outside is a bound parameter; every statement but `get`
/// and `count_by_origin` is bounded by project and time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Planner<D>(PhantomData<D>);

impl Planner<ClickHouse> {
    pub const fn clickhouse() -> Self {
        Self::new()
    }
}

impl Planner<Postgres> {
    pub const fn postgres() -> Self {
        Self::new()
    }
}

impl<D: Dialect> Planner<D> {
    pub const fn new() -> Self {
        Self(PhantomData)
    }

    /// One page of matching records, in the order of the answer; at most `search.limit` rows of
    /// [`Dialect::RECORD_COLUMNS`].
    pub fn search(&self, search: &Search) -> Statement {
        let mut binder = Binder::<D>::new();
        let mut conditions = vec![scan(&mut binder, &search.scan)];
        if let Some(after) = &search.after {
            conditions.push(D::after(&mut binder, after, search.order));
        }
        let direction = if search.order == Order::Ascending { "ASC" } else { "DESC" };
        let order: Vec<String> = D::sort_columns().iter().map(|column| format!("{column} {direction}")).collect();
        let limit = limit(&mut binder, search.limit);
        let sql = format!(
            "SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT {limit}",
            D::RECORD_COLUMNS.join(", "),
            D::TABLE,
            all(conditions),
            order.join(", "),
        );
        binder.finish(&sql)
    }

    /// The record with this id: one row of [`Dialect::RECORD_COLUMNS`], or none.
    pub fn get(&self, project: &str, id: RecordId) -> Statement {
        let mut binder = Binder::<D>::new();
        let project = binder.text(project);
        let id = D::id_equals(&mut binder, id);
        let columns = D::RECORD_COLUMNS.join(", ");
        let sql = format!("SELECT {columns} FROM {} WHERE {} = {project} AND {id} LIMIT 1", D::TABLE, D::PROJECT);
        binder.finish(&sql)
    }

    /// Counts by time and group: [`crate::rows::HistogramRow`]s in no order. The interval must be positive, which
    /// [`crate::answer::HistogramAnswer::new`] checks.
    pub fn histogram(&self, histogram: &Histogram) -> Statement {
        let mut binder = Binder::<D>::new();
        let condition = scan(&mut binder, &histogram.scan);
        let start = bucket::<D>(&mut binder, histogram.interval);
        let count = D::int64("count(*)");
        let table = D::TABLE;
        let Some(field) = &histogram.group_by else {
            let sql = format!(
                "SELECT {start} AS start, {zero} AS place, {zero} AS tag, '' AS text, {count} AS count FROM {table} \
                 WHERE {condition} GROUP BY start",
                zero = D::int64("0"),
            );
            return binder.finish(&sql);
        };
        let Cell { tag, text } = D::group_cell(&mut binder, field);
        let most = binder.bind(Param::Int(i64::try_from(histogram.groups_max).unwrap_or(i64::MAX)));
        let rows =
            format!("SELECT {start} AS start, {tag} AS tag, {text} AS text FROM {table} WHERE {condition}{}", D::FENCE);
        let counts = format!("SELECT start, tag, text, {count} AS n FROM ({rows}) r GROUP BY start, tag, text");
        let totals =
            format!("SELECT start, tag, text, n, sum(n) OVER (PARTITION BY tag, text) AS total FROM ({counts}) c");
        let places = format!(
            "SELECT start, tag, text, n, dense_rank() OVER (ORDER BY total DESC, CASE WHEN tag = 0 THEN 1 ELSE 0 END, \
             text, tag) AS rank FROM ({totals}) t"
        );
        let shown = format!(
            "SELECT start, CASE WHEN rank <= {most} THEN rank ELSE 0 END AS place, CASE WHEN rank <= {most} THEN tag \
             ELSE 0 END AS shown_tag, CASE WHEN rank <= {most} THEN text ELSE '' END AS shown_text, n FROM ({places}) p"
        );
        let sql = format!(
            "SELECT start, {} AS place, {} AS tag, shown_text AS text, {} AS count FROM ({shown}) s GROUP BY start, s.place, \
             shown_tag, shown_text",
            D::int64("s.place"),
            D::int64("shown_tag"),
            D::int64("sum(n)"),
        );
        binder.finish(&sql)
    }

    /// Metrics by group: [`crate::rows::GroupRow`]s in no order. At most one row more than `limits.rows`, by which
    /// [`crate::answer::aggregate`] sees that there are too many.
    pub fn aggregate(&self, aggregate: &Aggregate) -> Statement {
        let mut binder = Binder::<D>::new();
        let condition = scan(&mut binder, &aggregate.scan);
        let mut fields: Vec<&Field> = Vec::new();
        for field in
            aggregate.group_by.iter().chain(aggregate.metrics.iter().filter_map(|metric| metric.field.as_ref()))
        {
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
        let place = |field: &Field| fields.iter().position(|known| *known == field).unwrap_or_default();
        let start = aggregate.interval.map(|interval| bucket::<D>(&mut binder, interval));
        let mut columns = vec![format!("{} AS start", start.unwrap_or_else(|| D::int64("0")))];
        for (index, field) in fields.iter().enumerate() {
            let Cell { tag, text } = D::group_cell(&mut binder, field);
            columns.push(format!("{tag} AS t{index}, {text} AS x{index}"));
        }
        let rows = format!("SELECT {} FROM {} WHERE {condition}{}", columns.join(", "), D::TABLE, D::FENCE);
        let mut numeric: Vec<usize> = aggregate
            .metrics
            .iter()
            .filter(|metric| is_numeric(metric))
            .filter_map(|m| m.field.as_ref().map(place))
            .collect();
        numeric.sort_unstable();
        numeric.dedup();
        let source = if numeric.is_empty() {
            rows
        } else {
            let numbers: Vec<String> = numeric.iter().map(|index| D::number_columns(*index)).collect();
            format!("SELECT *, {} FROM ({rows}) r{}", numbers.join(", "), D::FENCE)
        };
        let mut keys: Vec<String> = aggregate.interval.iter().map(|_| "start".to_owned()).collect();
        for field in &aggregate.group_by {
            let index = place(field);
            keys.extend([format!("t{index}"), format!("x{index}")]);
        }
        let parts: Vec<Parts> = aggregate.metrics.iter().map(|metric| parts::<D>(metric, place)).collect();
        let groups = |letter: &str, cast: fn(&str) -> String| -> Vec<String> {
            aggregate.group_by.iter().map(|field| cast(&format!("{letter}{}", place(field)))).collect()
        };
        let lists = [
            D::list(&groups("t", D::int64), false),
            D::list(&groups("x", str::to_owned), true),
            D::list(&parts.iter().map(|part| D::int64(&part.count)).collect::<Vec<_>>(), false),
            D::list(&each(&parts, |part| part.doubles.as_deref().map(D::int64), || D::int64("0")), false),
            D::list(&each(&parts, |part| part.integers.clone(), || "''".to_owned()), true),
            D::list(&each(&parts, |part| part.numbers.clone(), || "''".to_owned()), true),
        ];
        let start = if aggregate.interval.is_some() { "start".to_owned() } else { D::int64("0") };
        let by = if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
        let limit = limit(&mut binder, aggregate.scan.limits.rows.saturating_add(1));
        let sql = format!(
            "SELECT {start} AS start, {} AS tags, {} AS texts, {} AS counts, {} AS doubles, {} AS integers, {} AS numbers \
             FROM ({source}) n{by} LIMIT {limit}",
            lists[0], lists[1], lists[2], lists[3], lists[4], lists[5],
        );
        binder.finish(&sql)
    }

    /// The fields of matching records: [`crate::rows::FieldRow`]s in no order.
    pub fn fields(&self, scanned: &Scan) -> Statement {
        let mut binder = Binder::<D>::new();
        let condition = scan(&mut binder, scanned);
        let sql = D::fields(&condition);
        binder.finish(&sql)
    }

    /// The most frequent values of a field: [`crate::rows::ValueRow`]s in the order of the answer, at most `most`.
    pub fn values(&self, scanned: &Scan, field: &Field, most: usize) -> Statement {
        let mut binder = Binder::<D>::new();
        let condition = scan(&mut binder, scanned);
        let Cell { tag, text } = D::group_cell(&mut binder, field);
        let limit = limit(&mut binder, most);
        let rows = format!("SELECT {tag} AS t0, {text} AS x0 FROM {} WHERE {condition}{}", D::TABLE, D::FENCE);
        let sql = format!(
            "SELECT {} AS tag, x0 AS text, {} AS count FROM ({rows}) r WHERE t0 <> 0 GROUP BY t0, x0 ORDER BY count DESC, \
             x0, t0 LIMIT {limit}",
            D::int64("t0"),
            D::int64("count(*)"),
        );
        binder.finish(&sql)
    }

    /// How many records the project has of each of these origins, at most [`ORIGINS_MAX`] at a time:
    /// [`crate::rows::OriginRow`]s in no order.
    pub fn count_by_origin(&self, project: &str, origins: &[u128]) -> Statement {
        let mut binder = Binder::<D>::new();
        let project = binder.text(project);
        let among = D::origin_among(&mut binder, origins);
        let sql = format!(
            "SELECT {} AS origin, {} AS count FROM {} WHERE {} = {project} AND {among} GROUP BY 1",
            D::origin_text(),
            D::int64("count(*)"),
            D::TABLE,
            D::PROJECT,
        );
        binder.finish(&sql)
    }
}

/// The condition of a scan: its project, its range and its query.
fn scan<D: Dialect>(binder: &mut Binder<D>, scan: &Scan) -> String {
    let project = format!("{} = {}", D::PROJECT, binder.text(&scan.project));
    let (start, end) = (Bound::Included(scan.range.start), Bound::Excluded(scan.range.end));
    let time = D::time_within(binder, &Field::Timestamp, start, end);
    let query = condition(binder, &scan.query);
    all(vec![project, time, query])
}

/// The start of a record's bucket. Times are never negative.
fn bucket<D: Dialect>(binder: &mut Binder<D>, interval: i64) -> String {
    let interval = binder.bind(Param::Int(interval));
    format!("({time} - {time} % {interval})", time = D::nanoseconds())
}

fn limit<D: Dialect>(binder: &mut Binder<D>, rows: usize) -> String {
    binder.bind(Param::Int(i64::try_from(rows).unwrap_or(i64::MAX)))
}

fn is_numeric(metric: &Metric) -> bool {
    !matches!(metric.function, MetricFn::Count | MetricFn::Distinct)
}

fn parts<D: Dialect>(metric: &Metric, place: impl Fn(&Field) -> usize) -> Parts {
    let Some(field) = &metric.field else {
        return Parts { count: "count(*)".to_owned(), ..Parts::default() };
    };
    let index = place(field);
    let numeric = match metric.function {
        MetricFn::Count => {
            return Parts { count: D::count_where(&format!("t{index} <> 0")), ..Parts::default() };
        }
        MetricFn::Distinct => return Parts { count: D::distinct(index), ..Parts::default() },
        MetricFn::Sum | MetricFn::Avg => Numeric::Sum,
        MetricFn::Min => Numeric::Min,
        MetricFn::Max => Numeric::Max,
        MetricFn::Percentile(percentile) => Numeric::Percentile(percentile),
    };
    D::number_parts(index, numeric)
}

fn each(parts: &[Parts], part: impl Fn(&Parts) -> Option<String>, absent: impl Fn() -> String) -> Vec<String> {
    parts.iter().map(|parts| part(parts).unwrap_or_else(&absent)).collect()
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
