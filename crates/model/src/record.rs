//! One log record under the names that people type: the OpenTelemetry log data model.
//!
//! Strings are [`Cow`]s, so that a record can borrow from the message that it was decoded from on the hot path and
//! own its text where it must outlive it ([`Record::into_owned`]).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::level::Severity;

/// Attributes in the order in which they were sent. Names are unique; cleaning sees to that.
pub type Fields<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

/// A log record. Times are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Record<'a> {
    pub id: RecordId,
    pub timestamp: i64,
    /// When a collector received the record.
    pub observed: i64,
    pub project: Cow<'a, str>,
    pub service: Cow<'a, str>,
    pub host: Option<Cow<'a, str>>,
    pub severity: Option<Severity>,
    pub message: Cow<'a, str>,
    pub trace_id: Option<TraceId>,
    pub span_id: Option<SpanId>,
    pub attributes: Fields<'a>,
    /// What is true of the whole sender, without service and host.
    pub resource: Fields<'a>,
}

/// The service of a record that names none.
pub const UNKNOWN_SERVICE: &str = "unknown_service";

impl Default for Record<'_> {
    fn default() -> Self {
        Self {
            id: RecordId::default(),
            timestamp: 0,
            observed: 0,
            project: Cow::Borrowed(""),
            service: Cow::Borrowed(UNKNOWN_SERVICE),
            host: None,
            severity: None,
            message: Cow::Borrowed(""),
            trace_id: None,
            span_id: None,
            attributes: Vec::new(),
            resource: Vec::new(),
        }
    }
}

impl Record<'_> {
    pub fn into_owned(self) -> Record<'static> {
        Record {
            id: self.id,
            timestamp: self.timestamp,
            observed: self.observed,
            project: own(self.project),
            service: own(self.service),
            host: self.host.map(own),
            severity: self.severity,
            message: own(self.message),
            trace_id: self.trace_id,
            span_id: self.span_id,
            attributes: own_fields(self.attributes),
            resource: own_fields(self.resource),
        }
    }

    /// The attribute of this name, else the resource value of this name.
    pub fn field(&self, name: &str) -> Option<&Value<'_>> {
        lookup(&self.attributes, name).or_else(|| lookup(&self.resource, name))
    }
}

/// Finds a name among fields.
pub fn lookup<'f, 'a>(fields: &'f [(Cow<'a, str>, Value<'a>)], name: &str) -> Option<&'f Value<'a>> {
    fields.iter().find(|(n, _)| n == name).map(|(_, value)| value)
}

fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

fn own_fields(fields: Fields<'_>) -> Fields<'static> {
    fields.into_iter().map(|(name, value)| (own(name), value.into_owned())).collect()
}

/// An attribute value. Top-level values are never [`Value::Map`]: maps are flattened with dots, and only a map
/// inside an array stays one.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Only inside arrays and maps; a null attribute is dropped.
    Null,
    String(Cow<'a, str>),
    Int(i64),
    /// Finite.
    Double(f64),
    Bool(bool),
    Array(Vec<Value<'a>>),
    Map(Fields<'a>),
}

impl Value<'_> {
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::String(text) => Value::String(own(text)),
            Value::Int(number) => Value::Int(number),
            Value::Double(number) => Value::Double(number),
            Value::Bool(flag) => Value::Bool(flag),
            Value::Array(items) => Value::Array(items.into_iter().map(Value::into_owned).collect()),
            Value::Map(fields) => Value::Map(own_fields(fields)),
        }
    }

    /// The same value with its text borrowed from this one.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Value::Null => Value::Null,
            Value::String(text) => Value::String(Cow::Borrowed(text)),
            Value::Int(number) => Value::Int(*number),
            Value::Double(number) => Value::Double(*number),
            Value::Bool(flag) => Value::Bool(*flag),
            Value::Array(items) => Value::Array(items.iter().map(Value::borrowed).collect()),
            Value::Map(fields) => {
                Value::Map(fields.iter().map(|(name, value)| (Cow::Borrowed(&**name), value.borrowed())).collect())
            }
        }
    }
}

/// The stable identity of a record: the origin of its request and its index there. It is the same after any retry,
/// replay or restart. Text form: 32 + 8 hexadecimal digits; it orders bytewise, as the numbers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RecordId {
    pub origin: u128,
    pub index: u32,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}{:08x}", self.origin, self.index)
    }
}

/// The text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {digits} hexadecimal digits")]
pub struct IdError {
    digits: usize,
}

impl FromStr for RecordId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = IdError { digits: 40 };
        if text.len() != 40 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(error);
        }
        Ok(Self {
            origin: u128::from_str_radix(&text[..32], 16).map_err(|_| error)?,
            index: u32::from_str_radix(&text[32..], 16).map_err(|_| error)?,
        })
    }
}

/// A W3C trace id, never zero. Text form: 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(pub [u8; 16]);

/// A W3C span id, never zero. Text form: 16 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(pub [u8; 8]);

const NO_DIGIT: u8 = 0xff;

/// The value of each hexadecimal digit.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value] as usize] = value as u8;
        digits[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

macro_rules! hex_id {
    ($name:ident, $bytes:literal) => {
        impl $name {
            /// None for a wrong length and for zero, which means absent.
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                let bytes: [u8; $bytes] = bytes.try_into().ok()?;
                (bytes != [0; $bytes]).then_some(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; $bytes * 2];
                hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// Reads hexadecimal digits of either case.
            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = IdError { digits: $bytes * 2 };
                let mut bytes = [0; $bytes];
                if text.len() != bytes.len() * 2 {
                    return Err(error);
                }
                let mut seen = 0;
                for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                    let [high, low] = [pair[0], pair[1]].map(|digit| DIGITS[usize::from(digit)]);
                    *byte = high << 4 | low;
                    seen |= high | low;
                }
                if seen == NO_DIGIT { Err(error) } else { Self::from_bytes(&bytes).ok_or(error) }
            }
        }
    };
}

hex_id!(TraceId, 16);
hex_id!(SpanId, 8);
