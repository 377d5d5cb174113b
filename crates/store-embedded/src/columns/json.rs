//! Nested values as JSON text and back, by [`model::json`].

use model::{Fields, Value};
use store::StoreError;

/// The JSON text of a value.
pub fn to_json(value: &Value<'_>) -> String {
    value.to_json()
}

/// Reads what [`to_json`] wrote.
///
/// # Errors
/// Corrupt, when the text is something else.
pub fn from_json(text: &str) -> Result<Value<'static>, StoreError> {
    Value::from_json(text).ok_or_else(|| corrupt(text))
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
