//! The short way of a plain record: a JSON object read straight into the record.
//!
//! Most records are objects of text, numbers and booleans that pass every rule as they are: what [`super::json`],
//! [`super::fields`] and [`model::clean`] do beyond reading them changes nothing, yet takes most of the time. [`read`]
//! takes such a record in one pass and leaves everything else (arrays, null, `\u`, repeated names, two names for one
//! thing, what a field can't be read as, anything malformed) to the long way, by saying no. A property test holds both
//! ways to the same record.
//!
//! Text is scanned eight bytes at a time. `cargo test --release -p devlogs-server -- --ignored --nocapture
//! microseconds` measures both ways.

use std::borrow::Cow;

use model::limits::Limits;
use model::{Record, Severity, Value, time};

use super::fields::{Slot, meaning, reset};
use super::json::{INTEGERS_END, is_json_number};

/// Of a record's bytes that the text, and the names made of it, may have each. More goes the long way, which counts the
/// parts. The cheapest field, `"a":1,`, counts for less than twice its text.
const TEXT_SHARE: usize = 4;

/// How deep objects may stand in the record's.
const DEPTH_MAX: usize = 4;

/// Digits of an integer that surely fits 64 bits.
const DIGITS_MAX: usize = 18;

/// Reads an object into `record`, whose former contents are gone; absent times are `now`. False when it is not plain;
/// then the record holds a part of it.
pub(super) fn read<'a>(text: &'a str, record: &mut Record<'a>, now: i64, limits: &Limits) -> bool {
    text.len() <= limits.record_bytes_max / TEXT_SHARE
        && limits.nesting_max > DEPTH_MAX
        && read_object(text, record, now, limits).is_some()
        && record.attributes.len() <= limits.attributes_max
}

fn read_object<'a>(text: &'a str, record: &mut Record<'a>, now: i64, limits: &Limits) -> Option<()> {
    reset(record, now);
    let mut reading = Reading { text, at: 0, record, limits, slots: 0, names: 0, made_bytes: 0 };
    if reading.token()? != b'{' {
        return None;
    }
    reading.object("", 0)?;
    (reading.at == text.len()).then_some(())
}

/// A place in a JSON text, and the record so far.
struct Reading<'a, 'r> {
    text: &'a str,
    at: usize,
    record: &'r mut Record<'a>,
    limits: &'r Limits,
    /// The slots that are taken.
    slots: u32,
    /// The [`sketch`]es of the attributes' names.
    names: u64,
    /// Bytes of the names that were put together.
    made_bytes: usize,
}

impl<'a> Reading<'a, '_> {
    /// The object whose brace was just read; its names stand behind `prefix` and a dot, if there is one.
    fn object(&mut self, prefix: &str, depth: usize) -> Option<()> {
        loop {
            if self.token()? != b'"' {
                return None;
            }
            let name = self.name()?;
            if name.is_empty() || self.token()? != b':' {
                return None;
            }
            let first = self.token()?;
            if first == b'{' {
                let is_one = matches!(name, "message" | "msg" | "body" | "attributes" | "resource");
                if depth == DEPTH_MAX || prefix.is_empty() && is_one {
                    return None;
                }
                let name = self.full(prefix, name)?;
                self.object(&name, depth + 1)?;
            } else {
                let value = self.value(first)?;
                let name = self.full(prefix, name)?;
                self.put(name, value)?;
            }
            match self.token()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    fn full(&mut self, prefix: &str, name: &'a str) -> Option<Cow<'a, str>> {
        let full = match prefix {
            "" => Cow::Borrowed(name),
            prefix => {
                self.made_bytes += prefix.len() + 1 + name.len();
                let mut full = String::with_capacity(prefix.len() + 1 + name.len());
                full.extend([prefix, ".", name]);
                Cow::Owned(full)
            }
        };
        let is_within =
            full.len() <= self.limits.name_bytes_max && self.made_bytes <= self.limits.record_bytes_max / TEXT_SHARE;
        is_within.then_some(full)
    }

    /// Puts a field where it belongs. None when another has its place, or when it can't be read as what it should be.
    fn put(&mut self, name: Cow<'a, str>, value: Value<'a>) -> Option<()> {
        if let Some((slot, _)) = meaning(&name) {
            let bit = 1 << slot as u32;
            let is_taken = self.slots & bit != 0;
            self.slots |= bit;
            return if is_taken { None } else { fill(self.record, slot, value) };
        }
        let bit = 1 << sketch(&name);
        let repeats = || self.record.attributes.iter().any(|(known, _)| *known == name);
        // What an export has beside a sender's fields is for the long way.
        if name == "observed_timestamp" || self.names & bit != 0 && repeats() {
            return None;
        }
        self.names |= bit;
        self.record.attributes.push((name, value));
        Some(())
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The next byte that is no blank.
    fn token(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            self.at += 1;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
        }
    }

    /// The text after an opening quote up to the closing one, if it has no escapes.
    fn name(&mut self) -> Option<&'a str> {
        let start = self.at;
        let end = start + plain_bytes(self.rest());
        self.at = end + 1;
        if *self.text.as_bytes().get(end)? != b'"' {
            return None;
        }
        self.text.get(start..end)
    }

    /// The value that begins with `first`, which was just read.
    fn value(&mut self, first: u8) -> Option<Value<'a>> {
        match first {
            b'"' => self.string().map(Value::String),
            b't' => self.word("rue").map(|()| Value::Bool(true)),
            b'f' => self.word("alse").map(|()| Value::Bool(false)),
            b'-' | b'0'..=b'9' => {
                self.at -= 1;
                self.number()
            }
            _ => None,
        }
    }

    fn word(&mut self, rest: &str) -> Option<()> {
        let found = self.rest().starts_with(rest.as_bytes());
        self.at += rest.len();
        found.then_some(())
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        let end = start + plain_bytes(self.rest());
        match self.text.as_bytes().get(end)? {
            b'"' => {
                self.at = end + 1;
                self.text.get(start..end).map(Cow::Borrowed)
            }
            b'\\' => self.escaped(end).map(Cow::Owned),
            _ => None,
        }
    }

    /// The string here, whose first escape stands at `first`.
    fn escaped(&mut self, first: usize) -> Option<String> {
        let mut text = String::with_capacity((first - self.at) * 2 + 64);
        let mut end = first;
        loop {
            text.push_str(self.text.get(self.at..end)?);
            if *self.text.as_bytes().get(end)? == b'"' {
                self.at = end + 1;
                return Some(text);
            }
            text.push(match (self.text.as_bytes().get(end)?, self.text.as_bytes().get(end + 1)?) {
                (b'\\', escape @ (b'"' | b'\\' | b'/')) => char::from(*escape),
                (b'\\', b'n') => '\n',
                (b'\\', b't') => '\t',
                (b'\\', b'r') => '\r',
                (b'\\', b'b') => '\u{8}',
                (b'\\', b'f') => '\u{c}',
                _ => return None,
            });
            self.at = end + 2;
            end = self.at + plain_bytes(self.rest());
        }
    }

    fn number(&mut self) -> Option<Value<'a>> {
        let rest = self.rest();
        let is_part = |byte: &&u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.iter().take_while(is_part).count();
        let token = self.text.get(self.at..self.at + length)?;
        self.at += length;
        let digits = token.strip_prefix('-').unwrap_or(token).as_bytes();
        if digits.iter().all(u8::is_ascii_digit) {
            // Minus zero is a double; a leading zero is malformed.
            let is_odd = digits.first().is_none_or(|&first| first == b'0' && token.len() > 1);
            if is_odd || digits.len() > DIGITS_MAX {
                return None;
            }
            let number = digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
            return Some(Value::Int(if digits.len() < token.len() { -number } else { number }));
        }
        let number: f64 = is_json_number(token).then(|| token.parse().ok())??;
        (number.abs() < INTEGERS_END).then_some(Value::Double(number))
    }
}

/// A number below 64 for a name: names with different ones differ.
fn sketch(name: &str) -> u32 {
    let bytes = name.as_bytes();
    let [first, middle, last] = [0, bytes.len() / 2, bytes.len() - 1].map(|at| u32::from(bytes[at]));
    (first.wrapping_mul(7) ^ middle.wrapping_mul(31) ^ last.wrapping_mul(3) ^ bytes.len() as u32) % 64
}

/// Reads a value into the record's field. None when it is not what the field is by far most often.
fn fill<'a>(record: &mut Record<'a>, slot: Slot, value: Value<'a>) -> Option<()> {
    match (slot, value) {
        (Slot::Time, Value::String(text)) => record.timestamp = time::parse(&text)?,
        (Slot::Time, Value::Int(number)) => record.timestamp = time::from_epoch(number)?,
        (Slot::Message, Value::String(text)) => record.message = text,
        (Slot::Level, Value::String(text)) => record.severity = Some(Severity::from_name(&text)?),
        (Slot::Service, Value::String(text)) if !text.is_empty() => record.service = text,
        (Slot::Host, Value::String(text)) if !text.is_empty() => record.host = Some(text),
        (Slot::TraceId, Value::String(text)) => record.trace_id = Some(text.parse().ok()?),
        (Slot::SpanId, Value::String(text)) => record.span_id = Some(text.parse().ok()?),
        _ => return None,
    }
    Some(())
}

/// How many bytes stand before the first quote, backslash or control character.
fn plain_bytes(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let (chunks, tail) = bytes.as_chunks();
    for (index, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        // The lowest of the high bits that are set tells the first byte; higher ones may be set by a borrow.
        let is = |byte: u8| {
            let zero = word ^ (ONES * u64::from(byte));
            zero.wrapping_sub(ONES) & !zero
        };
        let found = (is(b'"') | is(b'\\') | word.wrapping_sub(ONES * 0x20) & !word) & HIGH;
        if found != 0 {
            return index * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    chunks.len() * 8 + tail.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\').unwrap_or(tail.len())
}

#[cfg(test)]
pub(super) mod tests;
