//! The values of a field over the rows of a unit: as codes into a table of the different ones, for groups and facets,
//! and as numbers, for metrics.

use std::borrow::Cow;
use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Float64Type, Int64Type, UInt8Type, UInt32Type};
use memchr::memmem;
use model::number::Number;
use model::query::Field;
use model::record::lookup;
use model::{RecordId, Severity, SpanId, TraceId, Value};
use store::StoreError;
use store::aggregation::{accumulator, key};

use super::plan::Plan;
use super::unit::{Rows, Unit};
use crate::columns::{self, Kind, Overflow, Scope, Strings};
use crate::segment::{Coded, ValueCounts};

/// The code of rows that were not asked for.
pub(super) const UNASKED: u32 = u32::MAX;

/// The values of a field in a unit; some may come twice, and some of rows that were not asked for.
#[derive(Debug, Default)]
pub(super) struct Codes {
    /// For each row an index into `values`; [`UNASKED`] for rows outside the mask.
    pub(super) rows: Vec<u32>,
    pub(super) values: Vec<Value<'static>>,
}

/// A field of a unit, ready to be read row by row.
enum Source {
    Project(String),
    Time(ArrayRef),
    Id(ArrayRef, ArrayRef),
    Trace(ArrayRef),
    Span(ArrayRef),
    Level(ArrayRef),
    SeverityNumber(ArrayRef),
    Text(ArrayRef),
    Fields { layers: Vec<Layer>, name: String },
}

/// Where a name may stand, first come first served.
enum Layer {
    Column(ArrayRef, Kind),
    Overflow(ArrayRef, Scope),
}

impl Source {
    fn new(rows: &mut Rows<'_>, field: &Field, project: &str) -> Result<Self, StoreError> {
        Ok(match field {
            Field::Project => Self::Project(project.to_owned()),
            Field::Timestamp => Self::Time(rows.column(columns::TS)?),
            Field::ObservedTimestamp => Self::Time(rows.column(columns::OBSERVED)?),
            Field::Id => Self::Id(rows.column(columns::ORIGIN)?, rows.column(columns::IDX)?),
            Field::TraceId => Self::Trace(rows.column(columns::TRACE_ID)?),
            Field::SpanId => Self::Span(rows.column(columns::SPAN_ID)?),
            Field::Level => Self::Level(rows.column(columns::SEVERITY)?),
            Field::SeverityNumber => Self::SeverityNumber(rows.column(columns::SEVERITY)?),
            Field::Service => Self::Text(rows.column(columns::SERVICE)?),
            Field::Host => Self::Text(rows.column(columns::HOST)?),
            Field::Message => Self::Text(rows.column(columns::MESSAGE)?),
            Field::Any(name) => Self::fields(rows, &[Scope::Attribute, Scope::Resource], name)?,
            Field::Attribute(name) => Self::fields(rows, &[Scope::Attribute], name)?,
            Field::Resource(name) => Self::fields(rows, &[Scope::Resource], name)?,
        })
    }

    fn fields(rows: &mut Rows<'_>, scopes: &[Scope], name: &str) -> Result<Self, StoreError> {
        let quoted = serde_json::Value::from(name).to_string();
        let finder = memmem::Finder::new(quoted.as_bytes());
        let mut layers = Vec::new();
        for scope in scopes {
            for (index, kind) in columns::columns_of(rows.unit.schema(), *scope, name) {
                if rows.unit.has_values(index)? {
                    layers.push(Layer::Column(rows.column(index)?, kind));
                }
            }
            if let Some(index) = columns::overflow_of(rows.unit.schema())
                && rows.unit.has_values(index)?
            {
                let column = rows.column(index)?;
                let named = |text: &str| finder.find(text.as_bytes()).is_some();
                if column.as_string::<i32>().iter().flatten().any(named) {
                    layers.push(Layer::Overflow(column, *scope));
                }
            }
        }
        Ok(Self::Fields { layers, name: name.to_owned() })
    }

    /// The only column that the field can stand in, if it is text or a dictionary of texts.
    fn text(&self) -> Option<Strings<'_>> {
        match self {
            Self::Text(column) => Strings::new(column),
            Self::Fields { layers, .. } => match &layers[..] {
                [Layer::Column(column, Kind::String)] => Strings::new(column),
                _ => None,
            },
            _ => None,
        }
    }

    fn value(&self, row: usize) -> Result<Option<Value<'_>>, StoreError> {
        let string = |text: String| Value::String(Cow::Owned(text));
        Ok(match self {
            Self::Project(project) => Some(Value::String(Cow::Borrowed(project))),
            Self::Time(times) => Some(string(model::time::format(times.as_primitive::<Int64Type>().value(row)))),
            Self::Id(origins, indexes) => {
                let origin = origins.as_fixed_size_binary().value(row).try_into().map_or(0, u128::from_be_bytes);
                let index = indexes.as_primitive::<UInt32Type>().value(row);
                Some(string(RecordId { origin, index }.to_string()))
            }
            Self::Trace(ids) if ids.is_valid(row) => {
                TraceId::from_bytes(ids.as_fixed_size_binary().value(row)).map(|id| string(id.to_string()))
            }
            Self::Span(ids) if ids.is_valid(row) => {
                SpanId::from_bytes(ids.as_fixed_size_binary().value(row)).map(|id| string(id.to_string()))
            }
            Self::Level(column) if column.is_valid(row) => {
                severity(column, row).map(|severity| Value::String(Cow::Borrowed(severity.level().as_str())))
            }
            Self::SeverityNumber(column) if column.is_valid(row) => {
                severity(column, row).map(|severity| Value::Int(i64::from(severity.number())))
            }
            Self::Trace(_) | Self::Span(_) | Self::Level(_) | Self::SeverityNumber(_) => None,
            Self::Text(column) => {
                Strings::new(column).and_then(|texts| texts.get(row)).map(|text| Value::String(Cow::Borrowed(text)))
            }
            Self::Fields { layers, name } => {
                for layer in layers {
                    if let Some(value) = layer.value(row, name)? {
                        return Ok(Some(value));
                    }
                }
                None
            }
        })
    }
}

fn severity(column: &ArrayRef, row: usize) -> Option<Severity> {
    Severity::new(i64::from(column.as_primitive::<UInt8Type>().value(row)))
}

impl Layer {
    fn value(&self, row: usize, name: &str) -> Result<Option<Value<'_>>, StoreError> {
        match self {
            Self::Column(column, _) | Self::Overflow(column, _) if column.is_null(row) => Ok(None),
            Self::Column(column, kind) => Ok(match kind {
                Kind::Bool => Some(Value::Bool(column.as_boolean().value(row))),
                Kind::Int => Some(Value::Int(column.as_primitive::<Int64Type>().value(row))),
                Kind::Double => Some(Value::Double(column.as_primitive::<Float64Type>().value(row))),
                Kind::String => {
                    Strings::new(column).and_then(|texts| texts.get(row)).map(|text| Value::String(Cow::Borrowed(text)))
                }
                Kind::Json => {
                    Strings::new(column).and_then(|texts| texts.get(row)).map(columns::from_json).transpose()?
                }
            }),
            Self::Overflow(column, scope) => {
                let Overflow { attributes, resource } = columns::overflow_fields(column.as_string::<i32>().value(row))?;
                let fields = match scope {
                    Scope::Attribute => attributes,
                    Scope::Resource => resource,
                };
                Ok(lookup(&fields, name).cloned())
            }
        }
    }
}

/// The values of a field over all rows of a unit, each with its rows, null among them, when all rows are asked for and
/// the index tells; some value may come twice.
pub(super) fn counted(
    unit: &Unit,
    plan: &Plan,
    field: &Field,
) -> Result<Option<Vec<(Value<'static>, u64)>>, StoreError> {
    if !plan.counts_all(unit) {
        return Ok(None);
    }
    let column = match field {
        Field::Level | Field::SeverityNumber => columns::SEVERITY,
        Field::Service => columns::SERVICE,
        Field::Host => columns::HOST,
        _ => return Ok(None),
    };
    let severity = |number| match (Severity::new(i64::from(number)), field) {
        (Some(severity), Field::Level) => Value::String(Cow::Borrowed(severity.level().as_str())),
        (Some(severity), _) => Value::Int(i64::from(severity.number())),
        (None, _) => Value::Null,
    };
    let mut counts: Vec<(Value<'static>, u64)> = match unit.value_counts(column)? {
        Some(ValueCounts::Severities(counts)) => {
            counts.into_iter().map(|(number, rows)| (severity(number), rows)).collect()
        }
        Some(ValueCounts::Texts(counts)) => {
            counts.into_iter().map(|(text, rows)| (Value::String(Cow::Owned(text.to_string())), rows)).collect()
        }
        None => return Ok(None),
    };
    let with_value: u64 = counts.iter().map(|(_, rows)| rows).sum();
    if with_value < unit.rows() as u64 {
        counts.push((Value::Null, unit.rows() as u64 - with_value));
    }
    Ok(Some(counts))
}

/// The values of a field among the rows of a mask; null for rows without the field.
pub(super) fn codes(
    rows: &mut Rows<'_>,
    field: &Field,
    project: &str,
    mask: &BooleanBuffer,
) -> Result<Codes, StoreError> {
    if let Some((column, kind)) = only_column(rows.unit, field)?
        && let Some(coded) = rows.codes(column)?
    {
        return codes_of(&coded, field, kind, mask);
    }
    let source = Source::new(rows, field, project)?;
    let mut codes = Codes { rows: vec![UNASKED; mask.len()], values: Vec::new() };
    match source.text() {
        Some(Strings::Dictionary { keys, values }) => {
            let text =
                |value: Option<&str>| value.map_or(Value::Null, |text| Value::String(Cow::Owned(text.to_owned())));
            if mask.count_set_bits() == mask.len() && keys.null_count() == 0 && values.len() <= keys.len() {
                codes.values = values.iter().map(text).collect();
                codes.rows.clear();
                codes.rows.extend(keys.values().iter().map(|key| *key as u32));
                return Ok(codes);
            }
            // By key, nulls last: a large dictionary may have few values that were asked for.
            let mut code_of = vec![UNASKED; values.len() + 1];
            for row in mask.set_indices() {
                let key = if keys.is_null(row) { values.len() } else { keys.value(row) as usize };
                if code_of[key] == UNASKED {
                    code_of[key] = codes.values.len() as u32;
                    let value = (key < values.len() && values.is_valid(key)).then(|| values.value(key));
                    codes.values.push(text(value));
                }
                codes.rows[row] = code_of[key];
            }
            return Ok(codes);
        }
        Some(Strings::Plain(texts)) => {
            let mut seen: HashMap<Option<&str>, u32> = HashMap::new();
            for row in mask.set_indices() {
                let text = texts.is_valid(row).then(|| texts.value(row));
                codes.rows[row] = *seen.entry(text).or_insert_with(|| {
                    codes.values.push(text.map_or(Value::Null, |text| Value::String(Cow::Owned(text.to_owned()))));
                    codes.values.len() as u32 - 1
                });
            }
            return Ok(codes);
        }
        None => {}
    }
    if let Source::Level(column) | Source::SeverityNumber(column) = &source {
        severity_codes(&source, column, mask, &mut codes)?;
        return Ok(codes);
    }
    let mut seen: HashMap<Box<[u8]>, u32> = HashMap::new();
    let mut bytes = Vec::new();
    for row in mask.set_indices() {
        let value = source.value(row)?.unwrap_or(Value::Null);
        bytes.clear();
        key::encode(&value, &mut bytes);
        codes.rows[row] = match seen.get(&*bytes) {
            Some(code) => *code,
            None => {
                let code = codes.values.len() as u32;
                codes.values.push(value.into_owned());
                seen.insert(bytes.as_slice().into(), code);
                code
            }
        };
    }
    Ok(codes)
}

/// The column in which all values of a field stand, and their kind.
fn only_column(unit: &Unit, field: &Field) -> Result<Option<(usize, Kind)>, StoreError> {
    match field {
        Field::Level | Field::SeverityNumber => Ok(Some((columns::SEVERITY, Kind::Int))),
        Field::Service => Ok(Some((columns::SERVICE, Kind::String))),
        Field::Host => Ok(Some((columns::HOST, Kind::String))),
        _ => named_column(unit, field),
    }
}

/// The same of an attribute or resource value only.
fn named_column(unit: &Unit, field: &Field) -> Result<Option<(usize, Kind)>, StoreError> {
    let (scopes, name): (&[Scope], _) = match field {
        Field::Any(name) => (&[Scope::Attribute, Scope::Resource], name),
        Field::Attribute(name) => (&[Scope::Attribute], name),
        Field::Resource(name) => (&[Scope::Resource], name),
        _ => return Ok(None),
    };
    if let Some(overflow) = columns::overflow_of(unit.schema())
        && unit.has_values(overflow)?
    {
        return Ok(None);
    }
    let mut found = None;
    for scope in scopes {
        for (column, kind) in columns::columns_of(unit.schema(), *scope, name) {
            if unit.has_values(column)? {
                if found.is_some() {
                    return Ok(None);
                }
                found = Some((column, kind));
            }
        }
    }
    Ok(found)
}

/// The codes of a column that is written as such.
fn codes_of(coded: &Coded, field: &Field, kind: Kind, mask: &BooleanBuffer) -> Result<Codes, StoreError> {
    let stored = coded.values.clone();
    let source = match field {
        Field::Level => Source::Level(stored),
        Field::SeverityNumber => Source::SeverityNumber(stored),
        _ => Source::Fields { layers: vec![Layer::Column(stored, kind)], name: String::new() },
    };
    let mut values: Vec<Value<'static>> = Vec::with_capacity(coded.values.len() + 1);
    let mut code_of = Vec::with_capacity(coded.values.len());
    for at in 0..coded.values.len() {
        let value = source.value(at)?.unwrap_or(Value::Null).into_owned();
        // Several severities share a level.
        let known = matches!(field, Field::Level).then(|| values.iter().position(|known| *known == value)).flatten();
        code_of.push(known.unwrap_or(values.len()) as u32);
        if known.is_none() {
            values.push(value);
        }
    }
    let all = mask.count_set_bits() == mask.len();
    let code = |row: usize| code_of[coded.codes[row] as usize];
    let mut rows = Vec::new();
    match &coded.valid {
        None if all => rows.extend((0..mask.len()).map(code)),
        None => {
            rows.resize(mask.len(), UNASKED);
            mask.set_indices().for_each(|row| rows[row] = code(row));
        }
        Some(_) => {
            let null = values.len() as u32;
            values.push(Value::Null);
            rows.resize(mask.len(), if all { null } else { UNASKED });
            if !all {
                mask.set_indices().for_each(|row| rows[row] = null);
            }
            coded.for_each(|row, value| {
                if rows[row] == null {
                    rows[row] = code_of[value];
                }
            });
        }
    }
    Ok(Codes { rows, values })
}

/// One code for each severity that occurs. Several severities share a level, and then a code.
fn severity_codes(
    source: &Source,
    column: &ArrayRef,
    mask: &BooleanBuffer,
    codes: &mut Codes,
) -> Result<(), StoreError> {
    let severities = column.as_primitive::<UInt8Type>();
    let mut table = [UNASKED; 256];
    let mut code = |row: usize, number: u8, values: &mut Vec<Value<'static>>| -> Result<u32, StoreError> {
        let code = &mut table[usize::from(number)];
        if *code == UNASKED {
            let value = source.value(row)?.unwrap_or(Value::Null).into_owned();
            let known = values.iter().position(|known| *known == value);
            *code = known.unwrap_or_else(|| {
                values.push(value);
                values.len() - 1
            }) as u32;
        }
        Ok(*code)
    };
    if mask.count_set_bits() == mask.len() && column.null_count() == 0 {
        for (row, (severity, to)) in severities.values().iter().zip(&mut codes.rows).enumerate() {
            *to = code(row, *severity, &mut codes.values)?;
        }
        return Ok(());
    }
    for row in mask.set_indices() {
        let number = if column.is_null(row) { 0 } else { severities.value(row) };
        codes.rows[row] = code(row, number, &mut codes.values)?;
    }
    Ok(())
}

/// Calls `each` with the value of every row of the mask, in their order.
pub(super) fn for_each(
    rows: &mut Rows<'_>,
    field: &Field,
    project: &str,
    mask: &BooleanBuffer,
    mut each: impl FnMut(Option<Value<'_>>),
) -> Result<(), StoreError> {
    let source = Source::new(rows, field, project)?;
    mask.set_indices().try_for_each(|row| {
        each(source.value(row)?);
        Ok(())
    })
}

/// Calls `each` with every row of the mask that has a number in the field, and that number.
pub(super) fn numbers(
    rows: &mut Rows<'_>,
    field: &Field,
    project: &str,
    mask: &BooleanBuffer,
    mut each: impl FnMut(usize, Number),
) -> Result<(), StoreError> {
    if let Some((column, kind @ (Kind::Int | Kind::Double))) = named_column(rows.unit, field)?
        && let Some(coded) = rows.codes(column)?
    {
        let values: Vec<Number> = match kind {
            Kind::Int => coded.values.as_primitive::<Int64Type>().values().iter().copied().map(Number::Int).collect(),
            _ => coded.values.as_primitive::<Float64Type>().values().iter().copied().map(Number::Double).collect(),
        };
        coded.for_each(|row, value| {
            if mask.value(row) {
                each(row, values[value]);
            }
        });
        return Ok(());
    }
    let source = Source::new(rows, field, project)?;
    if let Source::Fields { layers, .. } = &source
        && let [Layer::Column(column, kind @ (Kind::Int | Kind::Double))] = &layers[..]
    {
        let present = column.nulls().map_or_else(|| mask.clone(), |nulls| mask & nulls.inner());
        if *kind == Kind::Int {
            let values = column.as_primitive::<Int64Type>();
            present.set_indices().for_each(|row| each(row, Number::Int(values.value(row))));
        } else {
            let values = column.as_primitive::<Float64Type>();
            present.set_indices().for_each(|row| each(row, Number::Double(values.value(row))));
        }
        return Ok(());
    }
    for row in mask.set_indices() {
        if let Some(number) = source.value(row)?.as_ref().and_then(accumulator::number) {
            each(row, number);
        }
    }
    Ok(())
}
