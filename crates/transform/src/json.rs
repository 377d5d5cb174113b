//! Messages that are one JSON object.
//!
//! Objects are flattened with dots, arrays kept with what stands in them. `null` and `{}` are dropped, of equal names
//! the last wins, whole numbers beyond 64 bits become text, NUL becomes U+FFFD: the same rules as for a record that
//! was sent as JSON. Text without escapes borrows from the message.

use std::borrow::Cow;
use std::fmt;

use model::{Fields, Value};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::bounds::{FIELD_BYTES_MAX, FIELDS_MAX, MESSAGE_BYTES_MAX, NAME_BYTES_MAX, NESTING_MAX};
use crate::merge::put_last;

/// Whether it is worth parsing: braces at both ends, and not too long.
pub(crate) fn looks_like(text: &str) -> bool {
    let bytes = text.as_bytes().trim_ascii();
    bytes.first() == Some(&b'{') && bytes.last() == Some(&b'}') && text.len() <= MESSAGE_BYTES_MAX
}

/// The fields of the object, or None when the text is not one JSON object or is past a bound.
pub(crate) fn parse(text: &str) -> Option<Fields<'_>> {
    let mut fields = Fields::new();
    let mut budget = Budget::default();
    let mut parser = serde_json::Deserializer::from_str(text);
    let root = Flatten { prefix: "", depth: 1, fields: &mut fields, budget: &mut budget };
    root.deserialize(&mut parser).ok()?;
    parser.end().ok()?;
    Some(fields)
}

/// What the fields of this message have taken so far.
#[derive(Debug, Default)]
struct Budget {
    fields: usize,
    bytes: usize,
}

impl Budget {
    fn take<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.fields += 1;
        self.bytes += bytes;
        if self.fields > FIELDS_MAX || self.bytes > FIELD_BYTES_MAX {
            return Err(E::custom("too many fields"));
        }
        Ok(())
    }
}

/// Reads an object into `fields`, names under `prefix`. Anything but an object is an error.
struct Flatten<'f, 'a> {
    prefix: &'f str,
    depth: usize,
    fields: &'f mut Fields<'a>,
    budget: &'f mut Budget,
}

impl<'a> DeserializeSeed<'a> for Flatten<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Flatten<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        check_depth(self.depth)?;
        while let Some(Text(key)) = map.next_key_seed(TextSeed)? {
            let name = if self.prefix.is_empty() { key } else { Cow::Owned(format!("{}.{key}", self.prefix)) };
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                return Err(A::Error::custom("a name has no length that a name may have"));
            }
            let Self { depth, fields: &mut ref mut fields, budget: &mut ref mut budget, .. } = self;
            map.next_value_seed(Member { name, depth, fields, budget })?;
        }
        Ok(())
    }
}

/// Reads what stands under a name: an object goes on flattening, anything else becomes a field.
struct Member<'f, 'a> {
    name: Cow<'a, str>,
    depth: usize,
    fields: &'f mut Fields<'a>,
    budget: &'f mut Budget,
}

impl<'a> Member<'_, 'a> {
    fn put<E: Error>(self, value: Value<'a>) -> Result<(), E> {
        self.budget.take(self.name.len() + text_bytes(&value))?;
        put_last(self.fields, self.name, value);
        Ok(())
    }
}

impl<'a> DeserializeSeed<'a> for Member<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Member<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.put(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.put(Value::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.put(whole(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.put(Value::Double(value))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'a str) -> Result<(), E> {
        self.put(Value::String(without_nul(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.put(Value::String(Cow::Owned(without_nul(value).into_owned())))
    }

    fn visit_map<A: MapAccess<'a>>(self, map: A) -> Result<(), A::Error> {
        Flatten { prefix: &self.name, depth: self.depth + 1, fields: self.fields, budget: self.budget }.visit_map(map)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, items: A) -> Result<(), A::Error> {
        let array = Nested { depth: self.depth + 1, budget: self.budget }.visit_seq(items)?;
        self.put(array)
    }
}

/// Reads a value inside an array as it stands.
struct Nested<'f> {
    depth: usize,
    budget: &'f mut Budget,
}

impl<'a> DeserializeSeed<'a> for Nested<'_> {
    type Value = Value<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Value<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Nested<'_> {
    type Value = Value<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value<'a>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value<'a>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value<'a>, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value<'a>, E> {
        Ok(whole(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value<'a>, E> {
        Ok(Value::Double(value))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'a str) -> Result<Value<'a>, E> {
        Ok(Value::String(without_nul(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value<'a>, E> {
        Ok(Value::String(Cow::Owned(without_nul(value).into_owned())))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<Value<'a>, A::Error> {
        check_depth(self.depth)?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Nested { depth: self.depth + 1, budget: self.budget })? {
            self.budget.take(text_bytes(&item))?;
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Value<'a>, A::Error> {
        check_depth(self.depth)?;
        let mut fields = Fields::new();
        while let Some(Text(name)) = map.next_key_seed(TextSeed)? {
            if name.len() > NAME_BYTES_MAX {
                return Err(A::Error::custom("a name is too long"));
            }
            let value = map.next_value_seed(Nested { depth: self.depth + 1, budget: self.budget })?;
            self.budget.take(name.len() + text_bytes(&value))?;
            put_last(&mut fields, name, value);
        }
        Ok(Value::Map(fields))
    }
}

/// A text that borrows where it has no escapes.
struct Text<'a>(Cow<'a, str>);

struct TextSeed;

impl<'a> DeserializeSeed<'a> for TextSeed {
    type Value = Text<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Text<'a>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for TextSeed {
    type Value = Text<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E: Error>(self, value: &'a str) -> Result<Text<'a>, E> {
        Ok(Text(without_nul(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Text<'a>, E> {
        Ok(Text(Cow::Owned(without_nul(value).into_owned())))
    }
}

fn check_depth<E: Error>(depth: usize) -> Result<(), E> {
    if depth > NESTING_MAX {
        return Err(E::custom("nested too deep"));
    }
    Ok(())
}

fn whole<'a>(value: u64) -> Value<'a> {
    i64::try_from(value).map_or_else(|_| Value::String(Cow::Owned(value.to_string())), Value::Int)
}

/// Text of the value's own; what stands in arrays and maps was counted when it was read.
fn text_bytes(value: &Value<'_>) -> usize {
    match value {
        Value::String(text) => text.len(),
        _ => 0,
    }
}

fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}
