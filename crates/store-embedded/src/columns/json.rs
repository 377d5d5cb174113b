//! Nested values as JSON text and back, without loss: whole numbers stay integers, doubles keep every bit (a double
//! always prints with a `.` or an exponent), names keep their order.

use std::borrow::Cow;
use std::fmt;

use model::{Fields, Value};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use store::StoreError;

/// The JSON text of a value.
pub fn to_json(value: &Value<'_>) -> String {
    serde_json::to_string(&Json(value)).unwrap_or_default()
}

/// Reads what [`to_json`] wrote.
///
/// # Errors
/// Corrupt, when the text is something else.
pub fn from_json(text: &str) -> Result<Value<'static>, StoreError> {
    serde_json::from_str::<&RawValue>(text).ok().and_then(read).ok_or_else(|| corrupt(text))
}

/// Reads a JSON object of fields.
pub(super) fn fields_from_json(text: &str) -> Result<Fields<'static>, StoreError> {
    match from_json(text)? {
        Value::Map(fields) => Ok(fields),
        _ => Err(corrupt(text)),
    }
}

fn corrupt(text: &str) -> StoreError {
    let start: String = text.chars().take(40).collect();
    StoreError::Corrupt(format!("a nested value is not JSON: {start:?}"))
}

/// Prints a value as JSON.
pub(super) struct Json<'v>(pub(super) &'v Value<'v>);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::String(text) => serializer.serialize_str(text),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Double(number) => serializer.serialize_f64(*number),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Array(items) => {
                let mut array = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| array.serialize_element(&Json(item)))?;
                array.end()
            }
            Value::Map(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(name, value)| map.serialize_entry(name, &Json(value)))?;
                map.end()
            }
        }
    }
}

/// serde_json's own number reading may be off by the last bit, so numbers are read from their text.
fn read(raw: &RawValue) -> Option<Value<'static>> {
    let text = raw.get();
    Some(match text.as_bytes().first()? {
        b'n' => Value::Null,
        b't' => Value::Bool(true),
        b'f' => Value::Bool(false),
        b'"' => Value::String(Cow::Owned(serde_json::from_str(text).ok()?)),
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            Value::Array(items.into_iter().map(read).collect::<Option<_>>()?)
        }
        b'{' => {
            let Entries(entries) = serde_json::from_str(text).ok()?;
            let fields = entries.into_iter().map(|(name, raw)| Some((Cow::Owned(name), read(raw)?)));
            Value::Map(fields.collect::<Option<_>>()?)
        }
        _ if text.contains(['.', 'e', 'E']) => Value::Double(text.parse().ok()?),
        _ => Value::Int(text.parse().ok()?),
    })
}

/// The entries of a JSON object in their order.
struct Entries<'de>(Vec<(String, &'de RawValue)>);

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
