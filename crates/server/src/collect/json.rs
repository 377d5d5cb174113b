//! One JSON object to the fields of a record: one parse, text borrowed from the body wherever it has no escapes.
//!
//! JSON that is legal but has no place in a record is mended, on a slow path that rewrites the object: a lone surrogate
//! becomes U+FFFD, and a number that fits neither 64 bits nor a double becomes text. Depth is bounded while parsing.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use model::clean::Rejection;
use model::{Fields, Value};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// No double of this size or above is read without asking whether an integer was meant.
pub(super) const INTEGERS_END: f64 = 9_223_372_036_854_775_808.0;

/// Parses an object into `fields`, in the order as sent, equal names and all.
///
/// # Errors
/// Why it can't be read, for the client, with the place.
pub(super) fn parse_object<'a>(text: &'a str, nesting_max: usize, fields: &mut Fields<'a>) -> Result<(), JsonError> {
    fields.clear();
    let oversize = Cell::new(false);
    let result = parse(text, nesting_max, fields, &oversize);
    if result.is_ok() && !oversize.get() {
        return Ok(());
    }
    let Some(mended) = mend(text) else { return result };
    fields.clear();
    let mut borrowed = Fields::new();
    parse(&mended, nesting_max, &mut borrowed, &oversize)?;
    fields.extend(borrowed.into_iter().map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned())));
    Ok(())
}

fn parse<'a>(
    text: &'a str,
    nesting_max: usize,
    fields: &mut Fields<'a>,
    oversize: &Cell<bool>,
) -> Result<(), JsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let object = ObjectVisitor { fields, rest: Rest { nesting_left: nesting_max, nesting_max, oversize } };
    deserializer.deserialize_map(object)?;
    deserializer.end()?;
    Ok(())
}

/// Why an object can't be read.
#[derive(Debug)]
pub(super) struct JsonError(serde_json::Error);

impl JsonError {
    /// Whether the text ended before the object did.
    pub(super) fn is_cut(&self) -> bool {
        self.0.is_eof()
    }
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for JsonError {
    /// Like "expected value at byte 17": a record has no lines that a sender would know of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let place = format!(" at line {} column {}", self.0.line(), self.0.column());
        match text.strip_suffix(&place) {
            Some(reason) if self.0.line() <= 1 => write!(f, "{reason} at byte {}", self.0.column()),
            Some(reason) => write!(f, "{reason} at line {}, byte {}", self.0.line(), self.0.column()),
            None => f.write_str(&text),
        }
    }
}

/// What all levels of a parse share.
#[derive(Clone, Copy)]
struct Rest<'c> {
    /// How many more levels may open.
    nesting_left: usize,
    nesting_max: usize,
    /// Set when a number may have been an integer beyond 64 bits.
    oversize: &'c Cell<bool>,
}

impl Rest<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        match self.nesting_left.checked_sub(1) {
            Some(nesting_left) => Ok(Self { nesting_left, ..self }),
            None => Err(E::custom(Rejection::TooDeep { max: self.nesting_max })),
        }
    }
}

struct ObjectVisitor<'f, 'a, 'c> {
    fields: &'f mut Fields<'a>,
    rest: Rest<'c>,
}

impl<'a> Visitor<'a> for ObjectVisitor<'_, 'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let rest = self.rest.deeper()?;
        while let Some(name) = map.next_key_seed(NameSeed)? {
            let value = map.next_value_seed(ValueSeed(rest))?;
            self.fields.push((name, value));
        }
        Ok(())
    }
}

struct NameSeed;

impl<'a> DeserializeSeed<'a> for NameSeed {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for NameSeed {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

struct ValueSeed<'c>(Rest<'c>);

impl<'a> DeserializeSeed<'a> for ValueSeed<'_> {
    type Value = Value<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for ValueSeed<'_> {
    type Value = Value<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(number).map_or_else(|_| Value::String(number.to_string().into()), Value::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        if number.abs() >= INTEGERS_END {
            self.0.oversize.set(true);
        }
        Ok(Value::Double(number))
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Self::Value, E> {
        Ok(Value::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let rest = self.0.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(ValueSeed(rest))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'a>>(self, map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::new();
        ObjectVisitor { fields: &mut fields, rest: self.0 }.visit_map(map)?;
        Ok(Value::Map(fields))
    }
}

/// The object with its lone surrogates replaced and its oversize numbers in quotes; None when it has neither.
fn mend(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut mended = String::new();
    let mut copied = 0;
    let mut at = 0;
    let mut in_string = false;
    while let Some(&byte) = bytes.get(at) {
        let (end, replacement) = match byte {
            b'"' => {
                in_string = !in_string;
                (at + 1, None)
            }
            b'\\' if in_string => escape(text, at),
            b'-' | b'0'..=b'9' if !in_string => number(text, at),
            _ => (at + 1, None),
        };
        if let Some(replacement) = replacement {
            mended.push_str(text.get(copied..at)?);
            mended.push_str(&replacement);
            copied = end;
        }
        at = end;
    }
    if copied == 0 {
        return None;
    }
    mended.push_str(text.get(copied..)?);
    Some(mended)
}

/// Where the escape at `at` ends, and what stands for it if it is a lone surrogate.
fn escape(text: &str, at: usize) -> (usize, Option<Cow<'static, str>>) {
    let unit = |at: usize| {
        let digits = text.as_bytes().get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    match unit(at) {
        None => (at + 2, None),
        Some(0xd800..=0xdbff) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => (at + 12, None),
        Some(0xd800..=0xdfff) => (at + 6, Some("\\ufffd".into())),
        Some(_) => (at + 6, None),
    }
}

/// Where the number at `at` ends, and its text in quotes if it is too large for its type.
fn number(text: &str, at: usize) -> (usize, Option<Cow<'static, str>>) {
    let rest = &text.as_bytes()[at..];
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
    let end = at + rest.iter().take_while(|byte| is_part(byte)).count();
    let token = &text[at..end];
    let too_large = if token.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        is_json_number(token) && token.parse().is_ok_and(f64::is_infinite)
    } else {
        is_json_number(token) && token.parse::<i64>().is_err()
    };
    (end, too_large.then(|| format!("\"{token}\"").into()))
}

/// `-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?`, so that mending never makes bad JSON good.
pub(super) fn is_json_number(token: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let token = token.strip_prefix('-').unwrap_or(token);
    let (mantissa, exponent) = match token.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix(['+', '-']).unwrap_or(exponent)),
        None => (token, "0"),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && digits(fraction) && digits(exponent)
}

#[cfg(test)]
mod tests;
