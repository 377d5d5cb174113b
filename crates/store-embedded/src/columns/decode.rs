//! Columns to records.

use std::borrow::Cow;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    UInt8Array, UInt32Array,
};
use arrow::datatypes::{Float64Type, Int64Type, UInt8Type, UInt32Type};
use model::{Fields, Record, RecordId, Severity, SpanId, TraceId, Value};
use store::StoreError;

use super::{FIXED, FieldColumn, Kind, Scope, Strings};

/// Makes records of the rows of a batch that has all columns (see the module's table).
#[derive(Debug)]
pub struct RecordReader<'a> {
    ts: &'a Int64Array,
    observed: &'a Int64Array,
    origin: &'a FixedSizeBinaryArray,
    idx: &'a UInt32Array,
    severity: &'a UInt8Array,
    service: Strings<'a>,
    host: Strings<'a>,
    message: &'a StringArray,
    trace_id: &'a FixedSizeBinaryArray,
    span_id: &'a FixedSizeBinaryArray,
    fields: Vec<(FieldColumn, Cells<'a>)>,
    overflow: Option<&'a StringArray>,
}

/// The values of a field column.
#[derive(Debug)]
enum Cells<'a> {
    Bool(&'a BooleanArray),
    Double(&'a Float64Array),
    Int(&'a Int64Array),
    Json(Strings<'a>),
    Text(Strings<'a>),
}

impl<'a> RecordReader<'a> {
    /// # Errors
    /// Corrupt, when a column is missing or of another type.
    pub fn new(batch: &'a RecordBatch) -> Result<Self, StoreError> {
        let column = |index: usize| -> Result<&'a ArrayRef, StoreError> {
            let name = FIXED[index];
            let found = batch.schema_ref().fields().get(index).is_some_and(|field| field.name() == name);
            found.then(|| batch.column(index)).ok_or_else(|| wrong(name))
        };
        let ids = |index: usize, size: i32| -> Result<&'a FixedSizeBinaryArray, StoreError> {
            let array = column(index)?.as_fixed_size_binary_opt().filter(|array| array.value_length() == size);
            array.ok_or_else(|| wrong(FIXED[index]))
        };
        let text = |index: usize| Strings::new(column(index)?).ok_or_else(|| wrong(FIXED[index]));
        let mut fields: Vec<(FieldColumn, Cells<'a>)> = Vec::new();
        for (index, field) in super::fields_of(batch.schema_ref()) {
            let cells = Cells::new(field.kind, batch.column(index)).ok_or_else(|| wrong(&field.column()))?;
            fields.push((field, cells));
        }
        fields.sort_by(|(a, _), (b, _)| (a.scope, &a.name).cmp(&(b.scope, &b.name)));
        let overflow = super::overflow_of(batch.schema_ref())
            .map(|index| batch.column(index).as_string_opt().ok_or_else(|| wrong(super::OVERFLOW)));
        Ok(Self {
            ts: column(super::TS)?.as_primitive_opt::<Int64Type>().ok_or_else(|| wrong("ts"))?,
            observed: column(super::OBSERVED)?.as_primitive_opt::<Int64Type>().ok_or_else(|| wrong("observed"))?,
            origin: ids(super::ORIGIN, 16)?,
            idx: column(super::IDX)?.as_primitive_opt::<UInt32Type>().ok_or_else(|| wrong("idx"))?,
            severity: column(super::SEVERITY)?.as_primitive_opt::<UInt8Type>().ok_or_else(|| wrong("severity"))?,
            service: text(super::SERVICE)?,
            host: text(super::HOST)?,
            message: column(super::MESSAGE)?.as_string_opt().ok_or_else(|| wrong("message"))?,
            trace_id: ids(super::TRACE_ID, 16)?,
            span_id: ids(super::SPAN_ID, 8)?,
            fields,
            overflow: overflow.transpose()?,
        })
    }

    pub fn id(&self, row: usize) -> RecordId {
        let origin = self.origin.value(row).try_into().map_or(0, u128::from_be_bytes);
        RecordId { origin, index: self.idx.value(row) }
    }

    /// # Errors
    /// Corrupt, when a nested value or `overflow` is not what this store writes.
    pub fn record(&self, row: usize, project: &str) -> Result<Record<'static>, StoreError> {
        let mut attributes = Fields::new();
        let mut resource = Fields::new();
        for (field, cells) in &self.fields {
            let Some(value) = cells.get(row)? else { continue };
            let fields = match field.scope {
                Scope::Attribute => &mut attributes,
                Scope::Resource => &mut resource,
            };
            fields.push((Cow::Owned(field.name.to_string()), value));
        }
        if let Some(overflow) = self.overflow.filter(|overflow| !overflow.is_null(row)) {
            let more = overflow_fields(overflow.value(row))?;
            for (fields, more) in [(&mut attributes, more.attributes), (&mut resource, more.resource)] {
                fields.extend(more);
                fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            }
        }
        let own = |text: &str| Cow::Owned(text.to_owned());
        Ok(Record {
            id: self.id(row),
            timestamp: self.ts.value(row),
            observed: self.observed.value(row),
            project: own(project),
            service: own(self.service.get(row).unwrap_or_default()),
            host: self.host.get(row).map(own),
            severity: (!self.severity.is_null(row))
                .then(|| Severity::new(i64::from(self.severity.value(row))))
                .flatten(),
            message: own(self.message.value(row)),
            trace_id: (!self.trace_id.is_null(row)).then(|| TraceId::from_bytes(self.trace_id.value(row))).flatten(),
            span_id: (!self.span_id.is_null(row)).then(|| SpanId::from_bytes(self.span_id.value(row))).flatten(),
            attributes,
            resource,
        })
    }
}

impl<'a> Cells<'a> {
    fn new(kind: Kind, column: &'a ArrayRef) -> Option<Self> {
        Some(match kind {
            Kind::Bool => Self::Bool(column.as_boolean_opt()?),
            Kind::Double => Self::Double(column.as_primitive_opt::<Float64Type>()?),
            Kind::Int => Self::Int(column.as_primitive_opt::<Int64Type>()?),
            Kind::Json => Self::Json(Strings::new(column)?),
            Kind::String => Self::Text(Strings::new(column)?),
        })
    }

    fn get(&self, row: usize) -> Result<Option<Value<'static>>, StoreError> {
        Ok(match self {
            Self::Bool(cells) => (!cells.is_null(row)).then(|| Value::Bool(cells.value(row))),
            Self::Double(cells) => (!cells.is_null(row)).then(|| Value::Double(cells.value(row))),
            Self::Int(cells) => (!cells.is_null(row)).then(|| Value::Int(cells.value(row))),
            Self::Json(cells) => cells.get(row).map(super::from_json).transpose()?,
            Self::Text(cells) => cells.get(row).map(|text| Value::String(Cow::Owned(text.to_owned()))),
        })
    }
}

/// What stands in an `overflow` cell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overflow {
    pub attributes: Fields<'static>,
    pub resource: Fields<'static>,
}

/// Reads an `overflow` cell.
///
/// # Errors
/// Corrupt, when it is not what this store writes.
pub fn overflow_fields(text: &str) -> Result<Overflow, StoreError> {
    let mut overflow = Overflow::default();
    for (scope, value) in super::json::fields_from_json(text)? {
        match (&*scope, value) {
            ("a", Value::Map(fields)) => overflow.attributes = fields,
            ("r", Value::Map(fields)) => overflow.resource = fields,
            _ => return Err(wrong(super::OVERFLOW)),
        }
    }
    Ok(overflow)
}

fn wrong(column: &str) -> StoreError {
    StoreError::Corrupt(format!("column {column} is missing or of another type"))
}
