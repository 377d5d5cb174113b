//! Fields as `jsonb` and back; [the module above](super) says how.

use std::borrow::Cow;

use model::json::Entries;
use model::{Fields, Value};
use serde::{Serialize, Serializer};

use crate::cell::{self, CellError};

/// Fields as the JSON of a `jsonb` column and of its `…_texts` column (None for null).
pub fn fields_to_json(fields: &Fields<'_>) -> (String, Option<String>) {
    let plain = model::json::Members(fields);
    let texts: Vec<(&str, Text<'_>)> =
        fields.iter().filter_map(|(name, value)| Some((&**name, text(value)?))).collect();
    // Strings, numbers and lists of them always print.
    let print = |texts: &Vec<(&str, Text<'_>)>| serde_json::to_string(&Object(texts)).unwrap_or_default();
    (serde_json::to_string(&plain).unwrap_or_default(), (!texts.is_empty()).then(|| print(&texts)))
}

/// Reads what [`fields_to_json`] wrote, as the database prints it. Fields come in the database's order.
///
/// # Errors
/// A text is not what was written.
pub fn fields_from_json(plain: &str, texts: Option<&str>) -> Result<Fields<'static>, CellError> {
    let texts = match texts {
        Some(texts) => Entries::parse(texts).ok_or_else(|| CellError::new(texts, cell::ARRAY))?,
        None => Entries::default(),
    };
    let Entries(plain) = Entries::parse(plain).ok_or_else(|| CellError::new(plain, cell::ARRAY))?;
    let read = |(name, raw): (String, &serde_json::value::RawValue)| {
        let text = texts.0.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
        let value = match text {
            None => Value::from_raw(raw).ok_or_else(|| CellError::new(raw.get(), cell::INT)),
            Some(text) => lost(text).ok_or_else(|| CellError::new(text.get(), cell::DOUBLE)),
        };
        value.map(|value| (Cow::Owned(name), value))
    };
    plain.into_iter().map(read).collect()
}

fn lost(text: &serde_json::value::RawValue) -> Option<Value<'static>> {
    match Value::from_raw(text)? {
        Value::String(double) => cell::decode(&double, cell::DOUBLE.into()).ok(),
        Value::Map(members) => match model::record::lookup(&members, "json")? {
            Value::String(array) => Value::from_json(array),
            _ => None,
        },
        _ => None,
    }
}

/// What `jsonb` loses of a value.
enum Text<'v> {
    Double(Cow<'v, str>),
    Array { json: String, items: Vec<(u8, Cow<'v, str>)>, key: Option<String> },
}

fn text<'v>(value: &'v Value<'_>) -> Option<Text<'v>> {
    match value {
        Value::Double(_) => Some(Text::Double(cell::encode(value).0)),
        Value::Array(_) => {
            let mut items = Vec::new();
            collect(value, &mut items);
            let json = value.to_json();
            let key = json.contains("-0.0").then(|| unsigned_zeros(value).to_json()).filter(|key| *key != json);
            Some(Text::Array { json, items, key })
        }
        _ => None,
    }
}

fn collect<'v>(value: &'v Value<'_>, items: &mut Vec<(u8, Cow<'v, str>)>) {
    match value {
        Value::Null | Value::Map(_) => {}
        Value::Array(values) => values.iter().for_each(|value| collect(value, items)),
        scalar => {
            let (text, tag) = cell::encode(scalar);
            items.push((tag, text));
        }
    }
}

/// The value with every zero positive: those of either sign are equal in groups.
fn unsigned_zeros<'v>(value: &'v Value<'_>) -> Value<'v> {
    match value {
        Value::Double(number) => Value::Double(number + 0.0),
        Value::Array(items) => Value::Array(items.iter().map(unsigned_zeros).collect()),
        Value::Map(fields) => {
            Value::Map(fields.iter().map(|(name, value)| (Cow::Borrowed(&**name), unsigned_zeros(value))).collect())
        }
        other => other.borrowed(),
    }
}

struct Object<'o, 'v>(&'o [(&'v str, Text<'v>)]);

impl Serialize for Object<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, text)| (name, text)))
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        match self {
            Text::Double(text) => serializer.serialize_str(text),
            Text::Array { json, items, key } => {
                let mut members = serializer.serialize_map(None)?;
                members.serialize_entry("json", json)?;
                members.serialize_entry("items", items)?;
                if let Some(key) = key {
                    members.serialize_entry("key", key)?;
                }
                members.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_and_arrays_keep_their_text_beside_plain_json() {
        let nested = Value::Map(vec![("k".into(), Value::String("hidden".into()))]);
        let items = vec![Value::String("a".into()), Value::Array(vec![Value::Double(-0.0)]), Value::Null, nested];
        let fields: Fields<'_> = vec![
            ("status".into(), Value::Int(500)),
            ("duration_ms".into(), Value::Double(1e21)),
            ("tags".into(), Value::Array(items)),
            ("ok".into(), Value::Bool(true)),
        ];
        let (plain, texts) = fields_to_json(&fields);
        assert_eq!(plain, r#"{"status":500,"duration_ms":1e+21,"tags":["a",[-0.0],null,{"k":"hidden"}],"ok":true}"#);
        let json = r#"[\"a\",[-0.0],null,{\"k\":\"hidden\"}]"#;
        let key = json.replace("-0.0", "0.0");
        let items = r#"[[1,"a"],[3,"-0.0"]]"#;
        let expected = format!(r#"{{"duration_ms":"1e+21","tags":{{"json":"{json}","items":{items},"key":"{key}"}}}}"#);
        assert_eq!(texts.as_deref(), Some(&*expected));
        // As the database prints it: its own order, numbers written out.
        let stored = r#"{"ok": true, "tags": ["a", [-0.0], null, {"k": "hidden"}], "status": 500, "duration_ms": 1000000000000000000000}"#;
        let mut read = fields_from_json(stored, texts.as_deref()).expect("what was written");
        read.sort_by_key(|(name, _)| fields.iter().position(|(known, _)| known == name));
        assert_eq!(read, fields);
    }

    #[test]
    fn fields_without_doubles_and_arrays_need_no_second_column() {
        let fields: Fields<'_> = vec![("a".into(), Value::Int(1)), ("b".into(), Value::String("1.0".into()))];
        assert_eq!(fields_to_json(&fields), (r#"{"a":1,"b":"1.0"}"#.to_owned(), None));
        assert_eq!(fields_to_json(&Vec::new()), ("{}".to_owned(), None));
        assert_eq!(fields_from_json("{}", None), Ok(Vec::new()));
        assert!(fields_from_json("[]", None).is_err());
        assert!(fields_from_json(r#"{"a": 1}"#, Some(r#"{"a": 5}"#)).is_err());
    }
}
