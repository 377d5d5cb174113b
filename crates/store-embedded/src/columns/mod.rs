//! The Arrow columns that memory chunks and segment files share.
//!
//! | column | type | |
//! |---|---|---|
//! | `ts`, `observed` | Int64 | nanoseconds since the Unix epoch |
//! | `origin`, `idx` | FixedSizeBinary(16), UInt32 | the record's id; the origin is big-endian, so bytes order as ids do |
//! | `severity` | UInt8, nullable | 1 to 24 |
//! | `service` | text | |
//! | `host` | text, nullable | |
//! | `message` | Utf8 | never a dictionary |
//! | `trace_id`, `span_id` | FixedSizeBinary(16), FixedSizeBinary(8), nullable | |
//! | `a:s:NAME` … `r:j:NAME` | see [`Kind`], nullable | one column for each (scope, kind, name) |
//! | `overflow` | Utf8, nullable, last | JSON `{"a": {name: value}, "r": {…}}`; there only when some row needs it |
//!
//! "text" is Utf8 or Dictionary(Int32, Utf8), as it was cheaper; [`Strings`] reads both. A dictionary may have a value
//! twice. The fixed columns come
//! first, in the order above ([`FIXED`]), then the fields' by column name.
//!
//! A field stands in its own column or in `overflow`, never in both for one row; but a name that has a column may
//! still stand in `overflow` for other rows, so whoever looks for a name looks in both. The same name may have columns
//! of several kinds (`a:i:code` and `a:s:code`); a row has at most one of them. Fields come back ordered by name, not
//! as they were sent.

mod decode;
mod encode;
mod json;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, DictionaryArray, Int32Array, StringArray};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use model::Value;

pub use decode::{Overflow, RecordReader, overflow_fields};
pub use encode::batch_to_columns;
pub(crate) use encode::{choose_fields, encode};
pub use json::{from_json, to_json};

pub const TS: usize = 0;
pub const OBSERVED: usize = 1;
pub const ORIGIN: usize = 2;
pub const IDX: usize = 3;
pub const SEVERITY: usize = 4;
pub const SERVICE: usize = 5;
pub const HOST: usize = 6;
pub const MESSAGE: usize = 7;
pub const TRACE_ID: usize = 8;
pub const SPAN_ID: usize = 9;
/// The names of the columns that every batch has, by index.
pub const FIXED: [&str; 10] =
    ["ts", "observed", "origin", "idx", "severity", "service", "host", "message", "trace_id", "span_id"];
pub const OVERFLOW: &str = "overflow";
/// Columns of fields in one batch or file; what does not fit stands in `overflow`.
pub const FIELD_COLUMNS_MAX: usize = 256;

/// Where a field stands in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Attribute,
    Resource,
}

/// The type of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Bool,
    Double,
    Int,
    /// Arrays and what stands in them, as JSON text ([`from_json`]); Utf8.
    Json,
    String,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Bool, Self::Double, Self::Int, Self::Json, Self::String];

    pub fn of(value: &Value<'_>) -> Self {
        match value {
            Value::String(_) => Self::String,
            Value::Int(_) => Self::Int,
            Value::Double(_) => Self::Double,
            Value::Bool(_) => Self::Bool,
            Value::Null | Value::Array(_) | Value::Map(_) => Self::Json,
        }
    }

    fn letter(self) -> char {
        match self {
            Self::Bool => 'b',
            Self::Double => 'f',
            Self::Int => 'i',
            Self::Json => 'j',
            Self::String => 's',
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Double => DataType::Float64,
            Self::Int => DataType::Int64,
            Self::Json | Self::String => DataType::Utf8,
        }
    }
}

/// A column of a field: its scope, the type of its values, its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldColumn {
    pub scope: Scope,
    pub kind: Kind,
    pub name: Box<str>,
}

impl FieldColumn {
    /// Reads a column's name; None for the fixed columns and `overflow`.
    pub fn parse(column: &str) -> Option<Self> {
        let (scope, rest) = column.split_once(':')?;
        let (kind, name) = rest.split_once(':')?;
        let scope = match scope {
            "a" => Scope::Attribute,
            "r" => Scope::Resource,
            _ => return None,
        };
        let kind = match kind {
            "b" => Kind::Bool,
            "f" => Kind::Double,
            "i" => Kind::Int,
            "j" => Kind::Json,
            "s" => Kind::String,
            _ => return None,
        };
        Some(Self { scope, kind, name: name.into() })
    }

    pub fn column(&self) -> String {
        let scope = match self.scope {
            Scope::Attribute => 'a',
            Scope::Resource => 'r',
        };
        format!("{scope}:{}:{}", self.kind.letter(), self.name)
    }
}

/// The columns of a schema that may hold the field `name` of `scope`, as (index, kind); `overflow` may hold it too.
pub fn columns_of(schema: &Schema, scope: Scope, name: &str) -> Vec<(usize, Kind)> {
    fields_of(schema).filter(|(_, f)| f.scope == scope && *f.name == *name).map(|(i, f)| (i, f.kind)).collect()
}

/// Every field column of a schema with its index.
pub fn fields_of(schema: &Schema) -> impl Iterator<Item = (usize, FieldColumn)> {
    let fields = schema.fields().iter().enumerate().skip(FIXED.len());
    fields.filter_map(|(index, field)| Some((index, FieldColumn::parse(field.name())?)))
}

/// The index of `overflow`, if the schema has it.
pub fn overflow_of(schema: &Schema) -> Option<usize> {
    let last = schema.fields().len().checked_sub(1)?;
    (schema.field(last).name() == OVERFLOW).then_some(last)
}

pub(crate) fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The schema with these field columns, service and host as dictionaries, the fields' text plain.
pub(crate) fn schema(fields: &BTreeSet<FieldColumn>, overflow: bool) -> SchemaRef {
    let mut columns = vec![
        Field::new(FIXED[TS], DataType::Int64, false),
        Field::new(FIXED[OBSERVED], DataType::Int64, false),
        Field::new(FIXED[ORIGIN], DataType::FixedSizeBinary(16), false),
        Field::new(FIXED[IDX], DataType::UInt32, false),
        Field::new(FIXED[SEVERITY], DataType::UInt8, true),
        Field::new(FIXED[SERVICE], dictionary(), false),
        Field::new(FIXED[HOST], dictionary(), true),
        Field::new(FIXED[MESSAGE], DataType::Utf8, false),
        Field::new(FIXED[TRACE_ID], DataType::FixedSizeBinary(16), true),
        Field::new(FIXED[SPAN_ID], DataType::FixedSizeBinary(8), true),
    ];
    columns.extend(fields.iter().map(|f| Field::new(f.column(), f.kind.data_type(), true)));
    if overflow {
        columns.push(Field::new(OVERFLOW, DataType::Utf8, true));
    }
    Arc::new(Schema::new(columns))
}

/// The schema with another type of text for messages.
pub(crate) fn with_messages_as(schema: &Schema, text: DataType) -> SchemaRef {
    let mut fields = schema.fields().to_vec();
    fields[MESSAGE] = Arc::new(fields[MESSAGE].as_ref().clone().with_data_type(text));
    Arc::new(Schema::new(fields))
}

/// A text column, plain or dictionary-encoded.
#[derive(Debug, Clone, Copy)]
pub enum Strings<'a> {
    Plain(&'a StringArray),
    Dictionary { keys: &'a Int32Array, values: &'a StringArray },
}

impl<'a> Strings<'a> {
    /// None when the column is not text.
    pub fn new(column: &'a ArrayRef) -> Option<Self> {
        if let Some(plain) = column.as_any().downcast_ref::<StringArray>() {
            return Some(Self::Plain(plain));
        }
        let dictionary = column.as_any().downcast_ref::<DictionaryArray<Int32Type>>()?;
        let values = dictionary.values().as_any().downcast_ref::<StringArray>()?;
        Some(Self::Dictionary { keys: dictionary.keys(), values })
    }

    pub fn get(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Plain(values) => (!values.is_null(row)).then(|| values.value(row)),
            Self::Dictionary { keys, values } => {
                let key = (!keys.is_null(row)).then(|| keys.value(row) as usize)?;
                (!values.is_null(key)).then(|| values.value(key))
            }
        }
    }
}
