//! How what a record may not be is mended.

use crate::limits::Limits;
use crate::record::{Record, Value};

/// Why a record can't be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("the record has {bytes} bytes, at most {max} are allowed")]
    TooLarge { bytes: usize, max: usize },
    #[error("the record has {count} attributes, at most {max} are allowed")]
    TooManyAttributes { count: usize, max: usize },
    #[error("an attribute's name has {bytes} bytes, at most {max} are allowed")]
    NameTooLong { bytes: usize, max: usize },
    #[error("objects and arrays stand more than {max} deep in each other")]
    TooDeep { max: usize },
    #[error("text that is not UTF-8")]
    NotUtf8,
    #[error("malformed protobuf: {0}")]
    Malformed(&'static str),
}

/// Mends a record and holds it to the limits. Doing it again changes nothing.
///
/// # Errors
/// The first limit that the record breaks.
pub fn clean(_record: &mut Record<'_>, _limits: &Limits, _now: i64) -> Result<(), Rejection> {
    Ok(())
}

/// Gives a record the time `now`, because its own can't be read or lies outside the range, and keeps the original.
pub fn set_invalid_time<'a>(record: &mut Record<'a>, original: Value<'a>, now: i64) {
    record.timestamp = now;
    record.attributes.push(("timestamp.invalid".into(), original));
}
