//! The collector's work on a body without a server around it, for benchmarks and load generators.

use bytes::Bytes;
use model::Fields;
use model::limits::Limits;

use super::decoded::HandOver;
use super::ingest;
use super::json::parse_object;
use crate::error::{ApiError, Code};

/// The message that `POST /v1/ingest` puts in the queue for a body received at `received` (nanoseconds since the Unix
/// epoch). Records that break a rule are left out.
///
/// # Errors
/// As the request's.
pub fn to_otlp(body: &[u8], limits: &Limits, received: i64) -> Result<Bytes, ApiError> {
    Ok(ingest::decode(body, limits, received, HandOver::default())?.payload)
}

/// The part of that work which is parsing JSON: each line to fields that borrow from it. Returns how many there were.
///
/// # Errors
/// A line is not a JSON object.
pub fn parse(lines: &[u8], limits: &Limits) -> Result<usize, ApiError> {
    let text = std::str::from_utf8(lines).map_err(|error| ApiError::new(Code::Malformed, error.to_string()))?;
    let mut fields = Fields::new();
    let mut count = 0;
    for line in text.lines() {
        parse_object(line, limits.nesting_max, &mut fields)
            .map_err(|error| ApiError::new(Code::Malformed, error.to_string()))?;
        count += fields.len();
    }
    Ok(count)
}
