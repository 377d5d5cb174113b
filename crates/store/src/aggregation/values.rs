//! The value of a field of a record, for groups, metrics and facets.

use std::borrow::Cow;

use model::query::Field;
use model::record::lookup;
use model::{Record, Value};

use crate::read::{Aggregate, AggregateRow, Metric, MetricFn, QueryLimits, Scan, ValueCount};

/// The value of a field as the API shows it; none when the record has none. A name that is in both maps is the
/// attribute.
pub fn field_value<'r>(record: &'r Record<'_>, field: &Field) -> Option<Value<'r>> {
    match field {
        Field::Id => Some(text(&record.id)),
        Field::Timestamp => Some(Value::String(model::time::format(record.timestamp).into())),
        Field::ObservedTimestamp => Some(Value::String(model::time::format(record.observed).into())),
        Field::Project => Some(Value::String(Cow::Borrowed(&record.project))),
        Field::Service => Some(Value::String(Cow::Borrowed(&record.service))),
        Field::Host => record.host.as_deref().map(|host| Value::String(Cow::Borrowed(host))),
        Field::Level => record.severity.map(|severity| Value::String(Cow::Borrowed(severity.level().as_str()))),
        Field::SeverityNumber => record.severity.map(|severity| Value::Int(i64::from(severity.number()))),
        Field::Message => Some(Value::String(Cow::Borrowed(&record.message))),
        Field::TraceId => record.trace_id.as_ref().map(text),
        Field::SpanId => record.span_id.as_ref().map(text),
        Field::Any(name) => record.field(name).map(Value::borrowed),
        Field::Attribute(name) => lookup(&record.attributes, name).map(Value::borrowed),
        Field::Resource(name) => lookup(&record.resource, name).map(Value::borrowed),
    }
}

fn text(value: &impl ToString) -> Value<'static> {
    Value::String(Cow::Owned(value.to_string()))
}

/// The aggregate that lists the most frequent values of a field. It counts every value, however many there are, so
/// only memory bounds it. Records without the field form the group null, which [`value_counts`] leaves out.
pub fn value_query(scan: Scan, field: Field, limit: usize) -> Aggregate {
    let limits = QueryLimits { rows: usize::MAX, ..scan.limits };
    Aggregate {
        scan: Scan { limits, ..scan },
        group_by: vec![field],
        interval: None,
        metrics: vec![Metric { function: MetricFn::Count, field: None }],
        order: None,
        limit: limit.saturating_add(1),
    }
}

/// The answer of [`value_query`] as values and counts, at most `limit`.
pub fn value_counts(rows: Vec<AggregateRow>, limit: usize) -> Vec<ValueCount> {
    let present = rows.into_iter().filter_map(|mut row| match (row.group.pop()?, row.metrics.pop()?) {
        (Value::Null, _) => None,
        (value, Value::Int(count)) => Some(ValueCount { value, count: count.unsigned_abs() }),
        _ => None,
    });
    present.take(limit).collect()
}
