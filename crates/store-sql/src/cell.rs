//! Values as (text, tag): how both databases keep and return them.
//!
//! | tag | value | text |
//! |---|---|---|
//! | 0 | absent | empty |
//! | 1 | string | the string |
//! | 2 | integer | decimal |
//! | 3 | double | the shortest that reads back, as in JSON: `500.0`, `1e+21` |
//! | 4 | bool | `true`, `false` |
//! | 5 | array | its JSON |

use std::borrow::Cow;

use model::Value;
use model::number::Number;

pub const ABSENT: u8 = 0;
pub const STRING: u8 = 1;
pub const INT: u8 = 2;
pub const DOUBLE: u8 = 3;
pub const BOOL: u8 = 4;
pub const ARRAY: u8 = 5;

/// The text and the tag of an attribute or resource value. Top-level values are never null or a map; these two come
/// out as their JSON under [`ARRAY`].
pub fn encode<'v>(value: &'v Value<'_>) -> (Cow<'v, str>, u8) {
    match value {
        Value::String(text) => (Cow::Borrowed(&**text), STRING),
        Value::Int(number) => (Number::Int(*number).to_string().into(), INT),
        Value::Double(number) => (Number::Double(*number).to_string().into(), DOUBLE),
        Value::Bool(flag) => (Cow::Borrowed(if *flag { "true" } else { "false" }), BOOL),
        Value::Null | Value::Array(_) | Value::Map(_) => (value.to_json().into(), ARRAY),
    }
}

/// Reads what [`encode`] wrote; [`ABSENT`] is [`Value::Null`].
///
/// # Errors
/// The text is no value of this type: a row that something else wrote, or that is damaged.
pub fn decode(text: &str, tag: i64) -> Result<Value<'static>, CellError> {
    let error = || CellError { tag, text: start(text) };
    Ok(match u8::try_from(tag) {
        Ok(ABSENT) => Value::Null,
        Ok(STRING) => Value::String(Cow::Owned(text.to_owned())),
        Ok(INT) => Value::Int(text.parse().map_err(|_| error())?),
        Ok(DOUBLE) => Value::Double(text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(error)?),
        Ok(BOOL) => Value::Bool(text.parse().map_err(|_| error())?),
        Ok(ARRAY) => Value::from_json(text).ok_or_else(error)?,
        _ => return Err(error()),
    })
}

/// A stored value can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no value of type {tag}")]
pub struct CellError {
    tag: i64,
    text: String,
}

impl CellError {
    pub(crate) fn new(text: &str, tag: u8) -> Self {
        Self { tag: tag.into(), text: start(text) }
    }
}

/// Enough of a text to recognise it.
fn start(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_with_their_type_and_every_bit() {
        let nested = Value::Map(vec![("z".into(), Value::Double(1.0)), ("a".into(), Value::Null)]);
        for (value, text, tag) in [
            (Value::String("1".into()), "1", STRING),
            (Value::Int(i64::MIN), "-9223372036854775808", INT),
            (Value::Double(1.0), "1.0", DOUBLE),
            (Value::Double(5e-324), "5e-324", DOUBLE),
            (Value::Double(f64::MAX), "1.7976931348623157e+308", DOUBLE),
            (Value::Bool(true), "true", BOOL),
            (Value::Array(vec![Value::Int(1), nested]), r#"[1,{"z":1.0,"a":null}]"#, ARRAY),
        ] {
            assert_eq!(encode(&value), (text.into(), tag));
            assert_eq!(decode(text, tag.into()), Ok(value));
        }
        let negative = decode("-0.0", DOUBLE.into());
        assert!(matches!(negative, Ok(Value::Double(zero)) if zero.is_sign_negative()));
        assert_eq!(decode("", 0), Ok(Value::Null));
    }

    #[test]
    fn what_no_encoder_wrote_is_an_error() {
        for (text, tag) in [("x", 2), ("", 3), ("inf", 3), ("1", 4), ("[", 5), ("[1e999]", 5), ("", 6), ("", -1)] {
            assert!(decode(text, tag).is_err(), "{text} {tag}");
        }
    }
}
