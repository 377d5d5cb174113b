//! Records and values as JSON: members in a fixed order, attributes in the order in which they were sent, absent
//! members left out. Values come back without loss: whole numbers stay integers, doubles keep every bit (a double always
//! prints with a `.` or an exponent), names keep their order.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;

use crate::limits::NESTING_MAX;
use crate::record::{Record, RecordId, SpanId, TraceId, Value};
use crate::time;

/// How deep a value that is read may be: as deep as in any record, within what a store wraps it in.
const LEVELS_MAX: usize = NESTING_MAX + 4;

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

impl Value<'static> {
    /// Reads what [`Value::to_json`] wrote. None when the text is something else: no JSON, a number beyond 64 bits or
    /// the doubles, or deeper than any record.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().and_then(Self::from_raw)
    }

    /// As [`Value::from_json`], of a part of a larger text.
    pub fn from_raw(raw: &RawValue) -> Option<Self> {
        read(raw, LEVELS_MAX)
    }
}

/// `levels` is how many arrays and objects may still stand in each other. Numbers are read from their text: serde_json
/// would make a double of a large integer.
fn read(raw: &RawValue, levels: usize) -> Option<Value<'static>> {
    let text = raw.get();
    Some(match text.as_bytes().first()? {
        b'n' => Value::Null,
        b't' => Value::Bool(true),
        b'f' => Value::Bool(false),
        b'"' => Value::String(Cow::Owned(serde_json::from_str(text).ok()?)),
        b'[' => {
            let levels = levels.checked_sub(1)?;
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            Value::Array(items.into_iter().map(|item| read(item, levels)).collect::<Option<_>>()?)
        }
        b'{' => {
            let levels = levels.checked_sub(1)?;
            let entries = Entries::parse(text)?.0.into_iter();
            let fields = entries.map(|(name, raw)| Some((Cow::Owned(name), read(raw, levels)?)));
            Value::Map(fields.collect::<Option<_>>()?)
        }
        _ if text.contains(['.', 'e', 'E']) => {
            Value::Double(text.parse().ok().filter(|number: &f64| number.is_finite())?)
        }
        _ => Value::Int(text.parse().ok()?),
    })
}

/// The entries of a JSON object in their order, with their values unread.
#[derive(Debug, Default)]
pub struct Entries<'de>(pub Vec<(String, &'de RawValue)>);

impl<'de> Entries<'de> {
    /// None when the text is no object.
    pub fn parse(text: &'de str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object)
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
    fn values_come_back_as_they_went() {
        for text in
            [r#"[9223372036854775807,1.0,-0.0,5e-324,{"b":null,"a":["\u0000ä"],"b":true}]"#, "null", r#""""#, "-1"]
        {
            assert_eq!(Value::from_json(text).expect(text).to_json(), text);
        }
        for wrong in ["", "[", "{\"a\"}", "nul", "9223372036854775808", "1e999", "[-1e999]", "1 2", "\"\\ud800\""] {
            assert_eq!(Value::from_json(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn depth_is_bounded_whoever_wrote_the_text() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(Value::from_json(&nested(LEVELS_MAX)).is_some());
        assert_eq!(Value::from_json(&nested(LEVELS_MAX + 1)), None);
        assert_eq!(Value::from_json(&nested(100_000)), None);
    }

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
