//! Group values as bytes, which hash and compare fast, and how values order in answers.

use std::borrow::Cow;
use std::cmp::Ordering;

use model::Value;
use model::number::Number;

const NULL: u8 = 0;
const STRING: u8 = 1;
const INT: u8 = 2;
const DOUBLE: u8 = 3;
const BOOL: u8 = 4;
const ARRAY: u8 = 5;
const MAP: u8 = 6;

/// Appends a value so that equal values of one type have equal bytes. Zeros of either sign are equal.
pub fn encode(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(NULL),
        Value::String(text) => encode_text(text, out),
        Value::Int(number) => {
            out.push(INT);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::Double(number) => {
            out.push(DOUBLE);
            out.extend_from_slice(&(number + 0.0).to_bits().to_le_bytes());
        }
        Value::Bool(flag) => out.extend_from_slice(&[BOOL, u8::from(*flag)]),
        Value::Array(items) => {
            out.push(ARRAY);
            encode_length(items.len(), out);
            items.iter().for_each(|item| encode(item, out));
        }
        Value::Map(fields) => {
            out.push(MAP);
            encode_length(fields.len(), out);
            for (name, value) in fields {
                encode_text(name, out);
                encode(value, out);
            }
        }
    }
}

/// Appends a string value.
pub fn encode_text(text: &str, out: &mut Vec<u8>) {
    out.push(STRING);
    encode_length(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn encode_length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&(length as u32).to_le_bytes());
}

/// Reads what [`encode`] wrote and moves `bytes` behind it.
pub fn decode(bytes: &mut &[u8]) -> Value<'static> {
    match take::<1>(bytes)[0] {
        STRING => Value::String(Cow::Owned(decode_text(bytes))),
        INT => Value::Int(i64::from_le_bytes(take(bytes))),
        DOUBLE => Value::Double(f64::from_bits(u64::from_le_bytes(take(bytes)))),
        BOOL => Value::Bool(take::<1>(bytes)[0] != 0),
        ARRAY => Value::Array((0..decode_length(bytes)).map(|_| decode(bytes)).collect()),
        MAP => {
            let fields = decode_length(bytes);
            Value::Map((0..fields).map(|_| (Cow::Owned(decode_name(bytes)), decode(bytes))).collect())
        }
        _ => Value::Null,
    }
}

fn decode_name(bytes: &mut &[u8]) -> String {
    take::<1>(bytes);
    decode_text(bytes)
}

fn decode_text(bytes: &mut &[u8]) -> String {
    let length = decode_length(bytes);
    let (text, rest) = bytes.split_at(length);
    *bytes = rest;
    String::from_utf8_lossy(text).into_owned()
}

fn decode_length(bytes: &mut &[u8]) -> usize {
    u32::from_le_bytes(take(bytes)) as usize
}

fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (head, rest) = bytes.split_first_chunk().expect("keys are only read as they were written");
    *bytes = rest;
    *head
}

/// The order of group values in answers; see the decisions in [the module](super).
pub fn compare(a: &Value<'_>, b: &Value<'_>) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (a, b) => text(a).as_bytes().cmp(text(b).as_bytes()).then_with(|| rank(a).cmp(&rank(b))),
    }
}

/// A string as it is, anything else as JSON.
pub fn text<'v>(value: &'v Value<'_>) -> Cow<'v, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Int(number) => Cow::Owned(Number::Int(*number).to_string()),
        Value::Double(number) => Cow::Owned(Number::Double(*number).to_string()),
        other => Cow::Owned(other.to_json()),
    }
}

fn rank(value: &Value<'_>) -> u8 {
    match value {
        Value::Null => NULL,
        Value::String(_) => STRING,
        Value::Int(_) => INT,
        Value::Double(_) => DOUBLE,
        Value::Bool(_) => BOOL,
        Value::Array(_) => ARRAY,
        Value::Map(_) => MAP,
    }
}
