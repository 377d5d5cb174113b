//! Which fields matching records have, of which type, how often.
//!
//! Listed are the record fields that a user may look into (service, host, level, severity_number, message, trace_id,
//! span_id), then every name in attributes or resource, once. A name that would be taken for a record field is listed
//! as `attributes.NAME` or `resource.NAME`, which is how a query reaches it.

use std::collections::HashMap;

use model::{Record, Value};

use crate::StoreError;
use crate::read::{FieldInfo, QueryLimits};

/// What a name costs beside its text, bytes.
const NAME_BYTES: usize = 64;

/// The types seen under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(u8);

impl Kinds {
    pub const STRING: Self = Self(1);
    pub const INT: Self = Self(2);
    pub const DOUBLE: Self = Self(4);
    pub const BOOL: Self = Self(8);
    pub const ARRAY: Self = Self(16);

    pub fn of(value: &Value<'_>) -> Self {
        match value {
            Value::String(_) => Self::STRING,
            Value::Int(_) => Self::INT,
            Value::Double(_) => Self::DOUBLE,
            Value::Bool(_) => Self::BOOL,
            Value::Array(_) => Self::ARRAY,
            Value::Null | Value::Map(_) => Self::default(),
        }
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// `double` where integers and doubles mix, `mixed` for any other mixture.
    fn name(self) -> &'static str {
        match self {
            Self::STRING => "string",
            Self::INT => "int",
            Self::BOOL => "bool",
            Self::ARRAY => "array",
            Self(4 | 6) => "double",
            _ => "mixed",
        }
    }
}

/// Which of the two maps a name is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    Attributes,
    Resource,
}

/// Counts of records by field.
#[derive(Debug)]
pub struct FieldTally {
    fields: HashMap<String, (u64, Kinds)>,
    records: u64,
    bytes: usize,
    limits: QueryLimits,
}

impl FieldTally {
    pub fn new(limits: QueryLimits) -> Self {
        Self { fields: HashMap::new(), records: 0, bytes: 0, limits }
    }

    /// Counts records, which coverage is a share of.
    pub fn add_records(&mut self, records: u64) {
        self.records += records;
    }

    /// Counts `rows` records that have a field under this listed name.
    ///
    /// # Errors
    /// [`StoreError::Limit`] when the names take more memory than the query may.
    pub fn add(&mut self, name: &str, kinds: Kinds, rows: u64) -> Result<(), StoreError> {
        if rows == 0 {
            return Ok(());
        }
        if let Some((count, seen)) = self.fields.get_mut(name) {
            *count += rows;
            *seen = seen.union(kinds);
            return Ok(());
        }
        self.bytes += name.len() + NAME_BYTES;
        if self.bytes > self.limits.memory_bytes {
            return Err(StoreError::Limit(format!(
                "the names of the fields take more than the query's {} MiB of memory; narrow the query or its time range",
                self.limits.memory_bytes >> 20
            )));
        }
        self.fields.insert(name.to_owned(), (rows, kinds));
        Ok(())
    }

    /// Counts one record and its fields.
    ///
    /// # Errors
    /// As [`FieldTally::add`].
    pub fn add_record(&mut self, record: &Record<'_>) -> Result<(), StoreError> {
        self.add_records(1);
        self.add("service", Kinds::STRING, 1)?;
        self.add("message", Kinds::STRING, 1)?;
        self.add("host", Kinds::STRING, u64::from(record.host.is_some()))?;
        self.add("level", Kinds::STRING, u64::from(record.severity.is_some()))?;
        self.add("severity_number", Kinds::INT, u64::from(record.severity.is_some()))?;
        self.add("trace_id", Kinds::STRING, u64::from(record.trace_id.is_some()))?;
        self.add("span_id", Kinds::STRING, u64::from(record.span_id.is_some()))?;
        for (name, value) in &record.attributes {
            self.add(&listed_name(Map::Attributes, name), Kinds::of(value), 1)?;
        }
        for (name, value) in &record.resource {
            let listed = listed_name(Map::Resource, name);
            let counted = listed == **name && record.attributes.iter().any(|(attribute, _)| attribute == name);
            if counted {
                self.widen(&listed, Kinds::of(value));
            } else {
                self.add(&listed, Kinds::of(value), 1)?;
            }
        }
        Ok(())
    }

    /// Adds a type to a name without counting a record.
    pub fn widen(&mut self, name: &str, kinds: Kinds) {
        if let Some((_, seen)) = self.fields.get_mut(name) {
            *seen = seen.union(kinds);
        }
    }

    /// # Errors
    /// As [`FieldTally::add`].
    pub fn merge(&mut self, other: Self) -> Result<(), StoreError> {
        self.records += other.records;
        for (name, (count, kinds)) in other.fields {
            self.add(&name, kinds, count)?;
        }
        Ok(())
    }

    /// By falling coverage, then name; at most `limit`.
    pub fn finish(self, limit: usize) -> Vec<FieldInfo> {
        let mut fields: Vec<_> = self.fields.into_iter().collect();
        fields.sort_by(|a, b| b.1.0.cmp(&a.1.0).then_with(|| a.0.cmp(&b.0)));
        fields.truncate(limit);
        let records = self.records.max(1) as f64;
        fields
            .into_iter()
            .map(|(name, (count, kinds))| FieldInfo { name, kind: kinds.name(), coverage: count as f64 / records })
            .collect()
    }
}

/// The name under which a query reaches what stands in a map under `name`.
pub fn listed_name(map: Map, name: &str) -> std::borrow::Cow<'_, str> {
    let taken = RECORD_FIELDS.contains(&name) || name.starts_with("attributes.") || name.starts_with("resource.");
    match map {
        Map::Attributes if taken => format!("attributes.{name}").into(),
        Map::Resource if taken => format!("resource.{name}").into(),
        Map::Attributes | Map::Resource => name.into(),
    }
}

const RECORD_FIELDS: [&str; 11] = [
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
];
