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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Severity;

    #[test]
    fn members_stand_in_the_documented_order_and_absent_ones_are_left_out() {
        let mut record = Record {
            id: RecordId { origin: 0xab, index: 3 },
            timestamp: 1_795_341_600_123_456_789,
            observed: 1_795_341_600_000_000_000,
            project: "default".into(),
            service: "shop".into(),
            message: "a \"b\"".into(),
            ..Record::default()
        };
        let head = r#"{"id":"000000000000000000000000000000ab00000003","timestamp":"2026-11-22T10:00:00.123456789Z","observed_timestamp":"2026-11-22T10:00:00.000000000Z","project":"default","service":"shop","#;
        let json = |record: &Record<'_>| serde_json::to_string(record).expect("JSON");
        assert_eq!(json(&record), format!(r#"{head}"message":"a \"b\"","attributes":{{}},"resource":{{}}}}"#));

        record.host = Some("web-1".into());
        record.severity = Severity::new(18);
        record.trace_id = TraceId::from_bytes(&[0x4b; 16]);
        record.span_id = SpanId::from_bytes(&[0x0a; 8]);
        let items = vec![Value::Null, Value::Map(vec![("k".into(), Value::Bool(true))])];
        record.attributes =
            vec![("z".into(), Value::Int(1)), ("a".into(), Value::Double(500.0)), ("l".into(), Value::Array(items))];
        record.resource = vec![("r".into(), Value::String("s".into()))];
        let tail = r#""host":"web-1","level":"error","severity_number":18,"message":"a \"b\"","trace_id":"4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b","span_id":"0a0a0a0a0a0a0a0a","attributes":{"z":1,"a":500.0,"l":[null,{"k":true}]},"resource":{"r":"s"}}"#;
        assert_eq!(json(&record), format!("{head}{tail}"));
    }
}
