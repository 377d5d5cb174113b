//! `POST /v1/ingest`: one JSON object, an array of objects, or one object a line (NDJSON).
//!
//! The first byte tells: `[` begins an array, everything else is lines; an object that does not end on its first line
//! may be one object over many lines. A record that can't be accepted is named by its index, and the others are
//! accepted. An array is cut at its top-level commas before anything is parsed, so that one bad element does not spoil
//! the rest.

use bytes::Bytes;
use http::{HeaderMap, header};
use model::clean::{Rejection, clean};
use model::limits::Limits;
use model::otlp::Encoder;
use model::{Fields, Record};

use super::fields::Mapper;
use super::json::{JsonError, parse_object};
use super::{Decoded, HandOver, Rejected, plain, too_many_records};
use crate::error::{ApiError, Code};

/// The JSON text of a record may be this many times as long as a record: escapes and blanks take room, and a parsed
/// value takes a multiple of its text.
const TEXT_FACTOR: usize = 4;

/// Refuses what surely is no JSON: a form that a browser or `curl -d` sends by default.
///
/// # Errors
/// 415.
pub(super) fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let value = value.to_str().unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = kind.contains("json") || kind.starts_with("text/") || kind == "application/octet-stream";
    if is_json || kind.is_empty() {
        return Ok(());
    }
    let kind: String = kind.chars().take(64).collect();
    Err(ApiError::new(Code::UnsupportedMediaType, format!("`{kind}` is not JSON"))
        .with_hint("send `Content-Type: application/json`; with curl: -H 'content-type: application/json'"))
}

/// Decodes a body to one OTLP message.
///
/// # Errors
/// 400 when it is empty or its array is not closed, 413 when it has too many records.
pub(super) fn decode(body: &[u8], limits: &Limits, now: i64, hand_over: HandOver) -> Result<Decoded, ApiError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    let mut reader = Reader::new(body, limits, now, hand_over);
    match body.first() {
        None => return Err(ApiError::malformed("the body is empty").with_hint("send a JSON object, an array or lines")),
        Some(b'[') => reader.read_array()?,
        Some(_) => reader.read_lines()?,
    }
    Ok(reader.finish())
}

struct Reader<'a> {
    body: &'a [u8],
    /// The body as text if all of it is UTF-8; else each record is looked at.
    text: Option<&'a str>,
    limits: &'a Limits,
    now: i64,
    /// Kept from record to record, with its room.
    fields: Fields<'a>,
    record: Record<'a>,
    mapper: Mapper,
    encoder: Encoder,
    hand_over: HandOver,
    records: u32,
    rejected: Vec<Rejected>,
}

/// Why a record is rejected.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Json(JsonError),
    #[error(transparent)]
    Limit(#[from] Rejection),
    #[error("the record is empty")]
    Empty,
}

impl<'a> Reader<'a> {
    fn new(body: &'a [u8], limits: &'a Limits, now: i64, hand_over: HandOver) -> Self {
        Self {
            body,
            text: std::str::from_utf8(body).ok(),
            limits,
            now,
            fields: Fields::new(),
            record: Record { attributes: Fields::with_capacity(16), ..Record::default() },
            mapper: Mapper::default(),
            encoder: Encoder::with_capacity(body.len()),
            hand_over,
            records: 0,
            rejected: Vec::new(),
        }
    }

    fn finish(self) -> Decoded {
        let accepted = self.records - self.rejected.len() as u32;
        let payload = if accepted == 0 { Bytes::new() } else { self.encoder.finish().into() };
        Decoded { payload, accepted, rejected: self.rejected, records: self.hand_over.finish() }
    }

    fn read_lines(&mut self) -> Result<(), ApiError> {
        let mut start = 0;
        while start < self.body.len() {
            let rest = &self.body[start..];
            let end = start + memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let (line_start, line_end) = trim(self.body, start, end);
            if line_start < line_end {
                let result = self.read(line_start, line_end);
                let is_cut = matches!(&result, Err(Refusal::Json(error)) if error.is_cut());
                if is_cut && self.records == 0 && end < self.body.len() && self.read(0, self.body.len()).is_ok() {
                    return self.count(Ok(()));
                }
                self.count(result)?;
            }
            start = end + 1;
        }
        Ok(())
    }

    fn read_array(&mut self) -> Result<(), ApiError> {
        let mut start = 1;
        loop {
            let (end, closes) = element_end(self.body, start)?;
            let (from, to) = trim(self.body, start, end);
            // `[]` has no element; any other place between commas is one, even if nothing stands there.
            if from < to || !closes || self.records > 0 {
                let result = self.read(from, to);
                self.count(result)?;
            }
            start = end + 1;
            if closes {
                break;
            }
        }
        match self.body.get(start..).unwrap_or_default().trim_ascii() {
            [] => Ok(()),
            _ => Err(ApiError::malformed(format!("something follows the array at byte {start}"))),
        }
    }

    /// Reads one record into the message.
    fn read(&mut self, start: usize, end: usize) -> Result<(), Refusal> {
        let bytes_max = self.limits.record_bytes_max;
        if end - start > bytes_max.saturating_mul(TEXT_FACTOR) {
            return Err(Rejection::TooLarge { bytes: end - start, max: bytes_max }.into());
        }
        let text = match self.text {
            Some(text) => text.get(start..end),
            None => std::str::from_utf8(&self.body[start..end]).ok(),
        };
        let text = text.ok_or(Rejection::NotUtf8)?;
        if !plain::read(text, &mut self.record, self.now, self.limits) {
            self.read_any(text)?;
        }
        self.encoder.push(&self.record);
        self.hand_over.push(&self.record);
        Ok(())
    }

    fn read_any(&mut self, text: &'a str) -> Result<(), Refusal> {
        parse_object(text, self.limits.nesting_max, &mut self.fields).map_err(Refusal::Json)?;
        if self.fields.is_empty() {
            return Err(Refusal::Empty);
        }
        self.mapper.map(&mut self.fields, &mut self.record, self.now, self.limits)?;
        clean(&mut self.record, self.limits, self.now)?;
        Ok(())
    }

    fn count(&mut self, result: Result<(), Refusal>) -> Result<(), ApiError> {
        if self.records as usize >= self.limits.records_max {
            return Err(too_many_records(self.limits));
        }
        if let Err(refusal) = result {
            self.rejected.push(Rejected { index: self.records, reason: refusal.to_string() });
        }
        self.records += 1;
        Ok(())
    }
}

/// The range without blanks at its ends.
fn trim(body: &[u8], start: usize, end: usize) -> (usize, usize) {
    let trimmed = body[start..end].trim_ascii_start();
    let start = end - trimmed.len();
    (start, start + trimmed.trim_ascii_end().len())
}

/// Where the array's element that begins at `at` ends, and whether the array ends with it. Counts brackets and skips
/// strings, whatever stands between them.
fn element_end(body: &[u8], mut at: usize) -> Result<(usize, bool), ApiError> {
    let mut depth = 0_usize;
    while let Some(byte) = body.get(at) {
        match byte {
            b'"' => at = string_end(body, at + 1),
            b'{' | b'[' => depth += 1,
            b']' if depth == 0 => return Ok((at, true)),
            b'}' if depth == 0 => {
                return Err(ApiError::malformed(format!("a bracket is closed that was not opened, at byte {at}")));
            }
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return Ok((at, false)),
            _ => {}
        }
        at += 1;
    }
    Err(ApiError::malformed("the array is not closed").with_hint("the body may have been cut off"))
}

/// Where the string whose inside begins at `at` has its closing quote; the end of the body if it has none.
fn string_end(body: &[u8], mut at: usize) -> usize {
    while let Some(found) = body.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if body[at] == b'"' {
            return at;
        }
        at += 2;
    }
    body.len()
}

#[cfg(test)]
mod tests;
