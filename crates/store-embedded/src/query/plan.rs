//! What a query needs before a row is looked at: a range of times, and what a block must hold.
//!
//! Both only narrow. Every row that is left is held against the whole query.

use std::cmp::Reverse;
use std::ops::{Bound, Range};
use std::sync::Arc;

use model::query::{Field, Query, Test};
use model::{Level, RecordId, TraceId};
use store::{Scan, StoreError};

use super::filter::Predicate;
use super::unit::Unit;
use crate::filter::Needs;

/// A scan made ready to run.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) project: Arc<str>,
    /// Of timestamps; also narrowed by what the query says about them.
    pub(super) range: Range<i64>,
    pub(super) needs: Needs,
    pub(super) predicate: Predicate,
}

impl Plan {
    pub(super) fn new(scan: &Scan) -> Result<Self, StoreError> {
        let mut range = scan.range.clone();
        narrow_range(&scan.query, &mut range);
        Ok(Self {
            project: scan.project.clone(),
            range,
            needs: needs(&scan.query),
            predicate: Predicate::new(&scan.query, &scan.project),
        })
    }

    /// Whether every row of a unit matches, whatever it holds.
    pub(super) fn counts_all(&self, unit: &Unit) -> bool {
        matches!(self.predicate, Predicate::All) && unit.is_within(&self.range)
    }
}

fn narrow_range(query: &Query, range: &mut Range<i64>) {
    match query {
        Query::And(parts) => parts.iter().for_each(|part| narrow_range(part, range)),
        Query::Field(Field::Timestamp, Test::Time(low, high)) => {
            let start = match low {
                Bound::Included(time) => *time,
                Bound::Excluded(time) => time.saturating_add(1),
                Bound::Unbounded => i64::MIN,
            };
            let end = match high {
                Bound::Included(time) => time.saturating_add(1),
                Bound::Excluded(time) => *time,
                Bound::Unbounded => i64::MAX,
            };
            range.start = range.start.max(start);
            range.end = range.end.min(end);
        }
        _ => {}
    }
}

/// What a block must hold to have a match.
fn needs(query: &Query) -> Needs {
    match query {
        Query::And(parts) => all(parts.iter().map(needs)),
        Query::Or(parts) => any(parts.iter().map(needs)),
        Query::Message(text) => {
            let mut words = text.required_words();
            // The filters are asked in this order, and after a rare word only of few blocks.
            words.sort_by_key(|word| Reverse(word.len()));
            all(words.iter().map(|word| Needs::word(word.as_bytes())))
        }
        Query::Field(field, test) => field_needs(field, test),
        Query::All | Query::Not(_) => Needs::Nothing,
    }
}

fn field_needs(field: &Field, test: &Test) -> Needs {
    match (field, test) {
        (Field::Level, Test::Severity(low, high)) => severities(|number| {
            use std::ops::RangeBounds;
            (*low, *high).contains(&number)
        }),
        (Field::Level, Test::Equals(literal)) => {
            severities(|number| Level::ALL[usize::from((number - 1) / 4)].as_str().eq_ignore_ascii_case(&literal.text))
        }
        (Field::Service, Test::Equals(literal)) => Needs::service(&literal.text),
        (Field::Host, Test::Equals(literal)) => Needs::host(&literal.text),
        (Field::TraceId, Test::Equals(literal)) => {
            literal.text.parse::<TraceId>().map_or(Needs::Nothing, Needs::trace_id)
        }
        (Field::Id, Test::Equals(literal)) => literal.text.parse::<RecordId>().map_or(Needs::Nothing, Needs::id),
        (Field::Any(name) | Field::Attribute(name) | Field::Resource(name), Test::Equals(literal))
            if literal.number.is_none() && literal.boolean.is_none() =>
        {
            Needs::field(name, &literal.text)
        }
        _ => Needs::Nothing,
    }
}

fn severities(holds: impl Fn(u8) -> bool) -> Needs {
    any((1..=24).filter(|number| holds(*number)).map(Needs::severity))
}

fn all(parts: impl Iterator<Item = Needs>) -> Needs {
    let mut parts: Vec<_> = parts.filter(|needs| *needs != Needs::Nothing).collect();
    match parts.len() {
        0 => Needs::Nothing,
        1 => parts.remove(0),
        _ => Needs::All(parts),
    }
}

/// Nothing is needed where one of the parts needs nothing.
fn any(parts: impl Iterator<Item = Needs>) -> Needs {
    let parts: Vec<_> = parts.collect();
    if parts.contains(&Needs::Nothing) { Needs::Nothing } else { Needs::Any(parts) }
}
