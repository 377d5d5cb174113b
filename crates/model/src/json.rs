//! Records and values as JSON: members in a fixed order, attributes in the order in which they were sent, absent
//! members left out.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::record::{Record, RecordId, SpanId, TraceId, Value};
use crate::time;

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_map(None)?;
        record.serialize_entry("id", &self.id)?;
        record.serialize_entry("timestamp", time::Text::new(self.timestamp).as_str())?;
        record.serialize_entry("observed_timestamp", time::Text::new(self.observed).as_str())?;
        record.serialize_entry("project", &self.project)?;
        record.serialize_entry("service", &self.service)?;
        if let Some(host) = &self.host {
            record.serialize_entry("host", host)?;
        }
        if let Some(severity) = self.severity {
            record.serialize_entry("level", severity.level().as_str())?;
            record.serialize_entry("severity_number", &severity.number())?;
        }
        record.serialize_entry("message", &self.message)?;
        if let Some(id) = &self.trace_id {
            record.serialize_entry("trace_id", id)?;
        }
        if let Some(id) = &self.span_id {
            record.serialize_entry("span_id", id)?;
        }
        record.serialize_entry("attributes", &Members(&self.attributes))?;
        record.serialize_entry("resource", &Members(&self.resource))?;
        record.end()
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::String(text) => serializer.serialize_str(text),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Double(number) => serializer.serialize_f64(*number),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Array(items) => {
                let mut array = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    array.serialize_element(item)?;
                }
                array.end()
            }
            Value::Map(fields) => Members(fields).serialize(serializer),
        }
    }
}

impl Value<'_> {
    /// The value as JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Fields as an object.
#[derive(Debug)]
pub struct Members<'f, 'a>(pub &'f [(Cow<'a, str>, Value<'a>)]);

impl Serialize for Members<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            object.serialize_entry(name, value)?;
        }
        object.end()
    }
}

macro_rules! serialize_as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

serialize_as_text!(RecordId, TraceId, SpanId);
