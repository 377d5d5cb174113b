//! Reads nested values from their JSON without loss: whole numbers stay integers, doubles keep every bit, names keep
//! their order.

use std::borrow::Cow;
use std::fmt;

use model::Value;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// None when the text is not JSON or a number in it is too large.
pub(crate) fn from_json(text: &str) -> Option<Value<'static>> {
    serde_json::from_str::<&RawValue>(text).ok().and_then(read)
}

/// The members of an object in their order.
pub(crate) fn entries(text: &str) -> Option<Entries<'_>> {
    serde_json::from_str(text).ok()
}

pub(crate) fn read(raw: &RawValue) -> Option<Value<'static>> {
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
        _ if text.contains(['.', 'e', 'E']) => {
            Value::Double(text.parse().ok().filter(|number: &f64| number.is_finite())?)
        }
        _ => Value::Int(text.parse().ok()?),
    })
}

/// The entries of a JSON object in their order.
#[derive(Debug, Default)]
pub(crate) struct Entries<'de>(pub(crate) Vec<(String, &'de RawValue)>);

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
