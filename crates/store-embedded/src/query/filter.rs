//! Holds the rows of a unit against a query, column by column.
//!
//! A mask has a bit for each row. Every part of a query is asked only about rows that the parts before it left open,
//! and cheap parts are asked first, so that messages are read for few rows. The model's matchers have the last word
//! on every value. Two-valued: a row without the field is not in the mask, and NOT then has it.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, FixedSizeBinaryArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{Float64Type, Int64Type, UInt8Type, UInt32Type};
use memchr::memmem;
use model::query::eval::TestMatcher;
use model::query::{Field, Query, Test};
use model::record::lookup;
use model::{RecordId, Severity, SpanId, TraceId};
use store::StoreError;

use super::messages;
use super::templates::Message;
use super::unit::{Rows, run_mask};
use crate::columns::{self, Kind, Scope, Strings};

/// A query made ready to be held against units.
#[derive(Debug)]
pub(super) enum Predicate {
    All,
    Nothing,
    /// Cheapest first.
    And(Vec<Predicate>),
    Or(Vec<Predicate>),
    Not(Box<Predicate>),
    Message(Box<Message>),
    Field(Field, FieldTest),
}

/// A test and what it can be asked without a look at each value.
#[derive(Debug)]
pub(super) struct FieldTest {
    matcher: TestMatcher,
    exists: bool,
    /// The text of an equality.
    text: Option<String>,
}

impl Predicate {
    pub(super) fn new(query: &Query, project: &str) -> Self {
        let parts = |parts: &[Query]| {
            let mut parts: Vec<_> = parts.iter().map(|part| Self::new(part, project)).collect();
            parts.sort_by_key(Self::cost);
            parts
        };
        match query {
            Query::All => Self::All,
            Query::And(and) => Self::And(parts(and)),
            Query::Or(or) => Self::Or(parts(or)),
            Query::Not(part) => Self::Not(Box::new(Self::new(part, project))),
            Query::Message(text) => Self::Message(Box::new(Message::new(text))),
            Query::Field(Field::Project, test) => {
                if TestMatcher::new(test).matches_str(project) {
                    Self::All
                } else {
                    Self::Nothing
                }
            }
            Query::Field(field, test) => Self::Field(field.clone(), FieldTest::new(test)),
        }
    }

    fn cost(&self) -> u32 {
        match self {
            Self::All | Self::Nothing => 0,
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::cost).sum(),
            Self::Not(part) => part.cost(),
            Self::Message(_) | Self::Field(Field::Message, _) => 100,
            Self::Field(Field::Any(_) | Field::Attribute(_) | Field::Resource(_), _) => 5,
            Self::Field(Field::Id | Field::TraceId | Field::SpanId, _) => 3,
            Self::Field(..) => 1,
        }
    }

    /// How many rows of a run match.
    pub(super) fn count(&self, rows: &mut Rows<'_>, run: &Range<usize>) -> Result<usize, StoreError> {
        match self {
            Self::All => Ok(run.len()),
            Self::Message(message) if run.len() == rows.len() => messages::count(rows, message),
            _ => Ok(self.mask(rows, &run_mask(run, rows.len()))?.count_set_bits()),
        }
    }

    /// Those of the rows `within` that match.
    pub(super) fn mask(&self, rows: &mut Rows<'_>, within: &BooleanBuffer) -> Result<BooleanBuffer, StoreError> {
        if within.count_set_bits() == 0 {
            return Ok(within.clone());
        }
        match self {
            Self::All => Ok(within.clone()),
            Self::Nothing => Ok(BooleanBuffer::new_unset(within.len())),
            Self::And(parts) => parts.iter().try_fold(within.clone(), |left, part| part.mask(rows, &left)),
            Self::Or(parts) => {
                let mut open = within.clone();
                for part in parts {
                    let matched = part.mask(rows, &open)?;
                    open = &open & &!&matched;
                }
                Ok(within & &!&open)
            }
            Self::Not(part) => Ok(within & &!&part.mask(rows, within)?),
            Self::Message(message) => messages::mask(rows, within, message),
            Self::Field(field, test) => test.mask(field, rows, within),
        }
    }
}

/// The rows `within` for which `holds`.
pub(super) fn pick(within: &BooleanBuffer, mut holds: impl FnMut(usize) -> bool) -> BooleanBuffer {
    if within.count_set_bits() == within.len() {
        return BooleanBuffer::collect_bool(within.len(), holds);
    }
    let mut mask = BooleanBufferBuilder::new(within.len());
    mask.append_n(within.len(), false);
    for row in within.set_indices() {
        if holds(row) {
            mask.set_bit(row, true);
        }
    }
    mask.finish()
}

impl FieldTest {
    fn new(test: &Test) -> Self {
        let text = match test {
            Test::Equals(literal) => Some(literal.text.clone()),
            _ => None,
        };
        Self { matcher: TestMatcher::new(test), exists: matches!(test, Test::Exists), text }
    }

    fn mask(&self, field: &Field, rows: &mut Rows<'_>, within: &BooleanBuffer) -> Result<BooleanBuffer, StoreError> {
        let matcher = &self.matcher;
        match field {
            Field::Timestamp => {
                let times = rows.timestamps()?;
                Ok(pick(within, |row| matcher.matches_int(times.value(row))))
            }
            Field::ObservedTimestamp => {
                let times = rows.column(columns::OBSERVED)?;
                let times = times.as_primitive::<Int64Type>();
                Ok(pick(within, |row| matcher.matches_int(times.value(row))))
            }
            // Decided when the predicate was made.
            Field::Project => Ok(within.clone()),
            Field::Service => by_value(rows, columns::SERVICE, within, |column, within| self.strings(column, within)),
            Field::Host => by_value(rows, columns::HOST, within, |column, within| self.strings(column, within)),
            Field::Message => messages::whole_mask(rows, within, |message| matcher.matches_str(message)),
            Field::Level => {
                let holds = |severity: Severity| matcher.matches_level(severity);
                by_value(rows, columns::SEVERITY, within, |column, within| Ok(severities(column, within, holds)))
            }
            Field::SeverityNumber => {
                let holds = |severity: Severity| matcher.matches_int(severity.number().into());
                by_value(rows, columns::SEVERITY, within, |column, within| Ok(severities(column, within, holds)))
            }
            Field::Id => self.ids(rows, within),
            Field::TraceId => {
                let wanted = self.text.as_ref().map(|text| text.parse::<TraceId>().ok().map(|id| id.0.to_vec()));
                let print = |bytes: &[u8]| TraceId::from_bytes(bytes).map(|id| id.to_string());
                self.hex(&rows.column(columns::TRACE_ID)?, within, wanted, print)
            }
            Field::SpanId => {
                let wanted = self.text.as_ref().map(|text| text.parse::<SpanId>().ok().map(|id| id.0.to_vec()));
                let print = |bytes: &[u8]| SpanId::from_bytes(bytes).map(|id| id.to_string());
                self.hex(&rows.column(columns::SPAN_ID)?, within, wanted, print)
            }
            Field::Any(name) => self.fields(rows, within, &[Scope::Attribute, Scope::Resource], name),
            Field::Attribute(name) => self.fields(rows, within, &[Scope::Attribute], name),
            Field::Resource(name) => self.fields(rows, within, &[Scope::Resource], name),
        }
    }

    fn ids(&self, rows: &mut Rows<'_>, within: &BooleanBuffer) -> Result<BooleanBuffer, StoreError> {
        let origins = rows.column(columns::ORIGIN)?;
        let indexes = rows.column(columns::IDX)?;
        let (origins, indexes) = (origins.as_fixed_size_binary(), indexes.as_primitive::<UInt32Type>());
        let id = |row: usize| RecordId {
            origin: origins.value(row).try_into().map_or(0, u128::from_be_bytes),
            index: indexes.value(row),
        };
        if let Some(text) = &self.text {
            let wanted = text.parse::<RecordId>().ok().filter(|id| id.to_string() == *text);
            return Ok(wanted.map_or_else(
                || BooleanBuffer::new_unset(within.len()),
                |wanted| pick(within, |row| id(row) == wanted),
            ));
        }
        Ok(pick(within, |row| self.matcher.matches_str(&id(row).to_string())))
    }

    /// `wanted`: the bytes to equal, if the test is an equality; its inner None is text that no id has.
    fn hex(
        &self,
        column: &ArrayRef,
        within: &BooleanBuffer,
        wanted: Option<Option<Vec<u8>>>,
        print: impl Fn(&[u8]) -> Option<String>,
    ) -> Result<BooleanBuffer, StoreError> {
        let ids: &FixedSizeBinaryArray = column.as_fixed_size_binary();
        if self.exists {
            return Ok(intersect(within, column.nulls()));
        }
        Ok(match wanted {
            Some(wanted) => {
                let same_case = |bytes: &Vec<u8>| print(bytes) == self.text;
                match wanted.filter(same_case) {
                    Some(wanted) => present(within, column.nulls(), |row| ids.value(row) == wanted),
                    None => BooleanBuffer::new_unset(within.len()),
                }
            }
            None => present(within, column.nulls(), |row| {
                print(ids.value(row)).is_some_and(|text| self.matcher.matches_str(&text))
            }),
        })
    }

    fn strings(&self, column: &ArrayRef, within: &BooleanBuffer) -> Result<BooleanBuffer, StoreError> {
        if self.exists {
            return Ok(intersect(within, column.nulls()));
        }
        match Strings::new(column) {
            Some(Strings::Plain(values)) => {
                Ok(present(within, column.nulls(), |row| self.matcher.matches_str(values.value(row))))
            }
            Some(Strings::Dictionary { keys, values }) => {
                let table: Vec<bool> =
                    values.iter().map(|value| value.is_some_and(|value| self.matcher.matches_str(value))).collect();
                if !table.contains(&true) {
                    return Ok(BooleanBuffer::new_unset(within.len()));
                }
                Ok(present(within, keys.nulls(), |row| table[keys.value(row) as usize]))
            }
            None => Err(StoreError::Corrupt("a text column holds something else".to_owned())),
        }
    }

    /// Attribute and resource values under a name: typed columns first, then what stands in `overflow`.
    fn fields(
        &self,
        rows: &mut Rows<'_>,
        within: &BooleanBuffer,
        scopes: &[Scope],
        name: &str,
    ) -> Result<BooleanBuffer, StoreError> {
        let mut matched = BooleanBuffer::new_unset(within.len());
        for scope in scopes {
            for (index, kind) in columns::columns_of(rows.unit.schema(), *scope, name) {
                if rows.unit.has_values(index)? {
                    let typed = |column: &_, within: &_| self.typed(column, kind, within);
                    matched = &matched | &by_value(rows, index, within, typed)?;
                }
            }
        }
        if let Some(index) = columns::overflow_of(rows.unit.schema())
            && rows.unit.has_values(index)?
        {
            let column = rows.column(index)?;
            let open = &(within & &!&matched) & &intersect(within, column.nulls());
            if open.count_set_bits() > 0 {
                matched = &matched | &self.overflow(&column, &open, scopes, name)?;
            }
        }
        Ok(matched)
    }

    fn typed(&self, column: &ArrayRef, kind: Kind, within: &BooleanBuffer) -> Result<BooleanBuffer, StoreError> {
        if self.exists {
            return Ok(intersect(within, column.nulls()));
        }
        let (nulls, matcher) = (column.nulls(), &self.matcher);
        Ok(match kind {
            Kind::String => return self.strings(column, within),
            Kind::Bool => {
                let values: &BooleanArray = column.as_boolean();
                let table = [matcher.matches_bool(false), matcher.matches_bool(true)];
                present(within, nulls, |row| table[usize::from(values.value(row))])
            }
            Kind::Int => {
                let values = column.as_primitive::<Int64Type>();
                // Codes and sizes: the next row often has the same.
                let mut last = None;
                present(within, nulls, |row| match last {
                    Some((value, matches)) if value == values.value(row) => matches,
                    _ => {
                        let matches = matcher.matches_int(values.value(row));
                        last = Some((values.value(row), matches));
                        matches
                    }
                })
            }
            Kind::Double => {
                let values = column.as_primitive::<Float64Type>();
                present(within, nulls, |row| matcher.matches_double(values.value(row)))
            }
            Kind::Json => {
                let values = Strings::new(column)
                    .ok_or_else(|| StoreError::Corrupt("a text column holds something else".to_owned()))?;
                let mut failed = None;
                let mask = present(within, nulls, |row| match values.get(row).map(columns::from_json) {
                    Some(Ok(value)) => matcher.matches_value(&value),
                    Some(Err(error)) => {
                        failed = Some(error);
                        false
                    }
                    None => false,
                });
                failed.map_or(Ok(mask), Err)?
            }
        })
    }

    fn overflow(
        &self,
        column: &ArrayRef,
        open: &BooleanBuffer,
        scopes: &[Scope],
        name: &str,
    ) -> Result<BooleanBuffer, StoreError> {
        let texts = column.as_string::<i32>();
        let quoted = serde_json::Value::from(name).to_string();
        let finder = memmem::Finder::new(quoted.as_bytes());
        let mut failed = None;
        let mask = pick(open, |row| {
            let text = texts.value(row);
            if finder.find(text.as_bytes()).is_none() {
                return false;
            }
            match columns::overflow_fields(text) {
                Ok(fields) => scopes.iter().any(|scope| {
                    let fields = match scope {
                        Scope::Attribute => &fields.attributes,
                        Scope::Resource => &fields.resource,
                    };
                    lookup(fields, name).is_some_and(|value| self.matcher.matches_value(value))
                }),
                Err(error) => {
                    failed = Some(error);
                    false
                }
            }
        });
        failed.map_or(Ok(mask), Err)
    }
}

/// The rows `within` for which a test of a column holds: where the column is written so, each of its values is tested
/// once, and no row.
fn by_value(
    rows: &mut Rows<'_>,
    column: usize,
    within: &BooleanBuffer,
    test: impl Fn(&ArrayRef, &BooleanBuffer) -> Result<BooleanBuffer, StoreError>,
) -> Result<BooleanBuffer, StoreError> {
    match rows.codes(column)? {
        Some(coded) => {
            Ok(within & &coded.rows_with(&test(&coded.values, &BooleanBuffer::new_set(coded.values.len()))?))
        }
        None => test(&rows.column(column)?, within),
    }
}

fn severities(column: &ArrayRef, within: &BooleanBuffer, holds: impl Fn(Severity) -> bool) -> BooleanBuffer {
    let mut table = [false; 256];
    for (number, entry) in table.iter_mut().enumerate() {
        *entry = Severity::new(number as i64).is_some_and(&holds);
    }
    let severities = column.as_primitive::<UInt8Type>();
    present(within, column.nulls(), |row| table[usize::from(severities.value(row))])
}

/// The rows `within` that have a value and for which it `holds`.
fn present(within: &BooleanBuffer, nulls: Option<&NullBuffer>, holds: impl FnMut(usize) -> bool) -> BooleanBuffer {
    pick(&intersect(within, nulls), holds)
}

/// The rows `within` that have a value.
fn intersect(within: &BooleanBuffer, nulls: Option<&NullBuffer>) -> BooleanBuffer {
    match nulls.filter(|nulls| nulls.null_count() > 0) {
        Some(nulls) => within & nulls.inner(),
        None => within.clone(),
    }
}
