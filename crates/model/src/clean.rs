//! How what a record may not be is mended, and what can't be mended is refused.
//!
//! The collector cleans every record before it is acknowledged, and the processor cleans the records of every message
//! again, since other producers write to the queue too. Cleaning a clean record changes nothing.

use std::borrow::Cow;

use crate::limits::Limits;
use crate::record::{Fields, Record, UNKNOWN_SERVICE, Value, lookup};

/// The attribute that keeps a time that couldn't be read or lay outside the range.
pub const INVALID_TIME: &str = "timestamp.invalid";

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
    #[error("the record has text that is not UTF-8")]
    NotUtf8,
    #[error("the record is malformed protobuf: {0}")]
    Malformed(&'static str),
}

/// Mends a record and holds it to the limits. `now` is in nanoseconds since the Unix epoch.
///
/// NUL becomes U+FFFD; maps among the fields are flattened with dots, nulls and empty maps dropped, doubles that are
/// no numbers become text; of equal names the last value wins at the first one's place, a null by taking it away. A time outside 1970-2262
/// becomes `now`, the original the attribute `timestamp.invalid`. `service.name` and `host.name` among the resource
/// are the service and the host, or an attribute where the record names another one.
///
/// # Errors
/// The first limit that the record breaks.
pub fn clean(record: &mut Record<'_>, limits: &Limits, now: i64) -> Result<(), Rejection> {
    if record.observed <= 0 {
        record.observed = now;
    }
    if record.timestamp <= 0 {
        set_invalid_time(record, Value::Int(record.timestamp), now);
    }
    clean_fields(&mut record.attributes, limits)?;
    clean_fields(&mut record.resource, limits)?;
    clean_text(&mut record.message);
    clean_text(&mut record.service);
    if let Some(host) = &mut record.host {
        clean_text(host);
    }
    name_sender(record);
    check(record, limits)
}

/// Gives a record the time `now`, because its own can't be read or lies outside the range, and keeps the original.
pub fn set_invalid_time<'a>(record: &mut Record<'a>, original: Value<'a>, now: i64) {
    record.timestamp = now;
    match record.attributes.iter_mut().find(|(name, _)| name == INVALID_TIME) {
        Some((_, value)) => *value = original,
        None => record.attributes.push((Cow::Borrowed(INVALID_TIME), original)),
    }
}

/// Puts U+FFFD for NUL, which PostgreSQL can't store.
pub fn clean_text(text: &mut Cow<'_, str>) {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        *text = Cow::Owned(text.replace('\0', "\u{FFFD}"));
    }
}

/// Takes service and host from the resource.
pub(crate) fn name_sender(record: &mut Record<'_>) {
    if record.service.is_empty() {
        record.service = Cow::Borrowed(UNKNOWN_SERVICE);
    }
    record.host.take_if(|host| host.is_empty());
    if let Some(name) = take(&mut record.resource, "service.name") {
        if record.service == UNKNOWN_SERVICE {
            record.service = name;
        } else {
            keep_other(&mut record.attributes, "service.name", name, &record.service);
        }
    }
    if let Some(name) = take(&mut record.resource, "host.name") {
        match &record.host {
            None => record.host = Some(name),
            Some(host) => keep_other(&mut record.attributes, "host.name", name, host),
        }
    }
}

/// Removes a field and returns its text, if that is not empty.
fn take<'a>(fields: &mut Fields<'a>, name: &str) -> Option<Cow<'a, str>> {
    let place = fields.iter().position(|(other, _)| other == name)?;
    let text = match fields.remove(place).1 {
        Value::String(text) => text,
        value => Cow::Owned(value.to_json()),
    };
    Some(text).filter(|text| !text.is_empty())
}

fn keep_other<'a>(fields: &mut Fields<'a>, name: &'static str, value: Cow<'a, str>, known: &str) {
    if value != known && lookup(fields, name).is_none() {
        fields.push((Cow::Borrowed(name), Value::String(value)));
    }
}

/// Holds a record whose fields are clean to the limits on count and size.
pub(crate) fn check(record: &Record<'_>, limits: &Limits) -> Result<(), Rejection> {
    let count = record.attributes.len() + record.resource.len();
    if count > limits.attributes_max {
        return Err(Rejection::TooManyAttributes { count, max: limits.attributes_max });
    }
    let host = record.host.as_ref().map_or(0, |host| host.len());
    let bytes = record.message.len()
        + record.service.len()
        + host
        + fields_bytes(&record.attributes)
        + fields_bytes(&record.resource);
    if bytes > limits.record_bytes_max {
        return Err(Rejection::TooLarge { bytes, max: limits.record_bytes_max });
    }
    Ok(())
}

fn fields_bytes(fields: &Fields<'_>) -> usize {
    fields.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &Value<'_>) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Null | Value::Int(_) | Value::Double(_) | Value::Bool(_) => 8,
        Value::Array(items) => 8 + items.iter().map(value_bytes).sum::<usize>(),
        Value::Map(fields) => 8 + fields_bytes(fields),
    }
}

/// Mends names and values, flattens maps, joins equal names, drops nulls.
pub(crate) fn clean_fields(fields: &mut Fields<'_>, limits: &Limits) -> Result<(), Rejection> {
    let (mut maps, mut nulls) = (false, false);
    for (name, value) in fields.iter_mut() {
        clean_text(name);
        clean_value(value, limits, limits.nesting_max)?;
        maps |= matches!(value, Value::Map(_));
        nulls |= matches!(value, Value::Null);
    }
    if maps {
        let nested = std::mem::take(fields);
        let mut flat = Flat { fields: Fields::with_capacity(nested.len()), name_bytes: 0, limits };
        for (name, value) in nested {
            flat.put(name, value)?;
        }
        *fields = flat.fields;
        nulls = true;
    }
    if fields.len() > fields_max(limits) {
        return Err(Rejection::TooManyAttributes { count: fields.len(), max: limits.attributes_max });
    }
    join_equal_names(fields);
    if nulls {
        // After joining: a null that comes last takes the values before it away.
        fields.retain(|(_, value)| !matches!(value, Value::Null));
    }
    match fields.iter().map(|(name, _)| name.len()).max() {
        Some(bytes) if bytes > limits.name_bytes_max => {
            Err(Rejection::NameTooLong { bytes, max: limits.name_bytes_max })
        }
        _ => Ok(()),
    }
}

/// Equal names are one attribute in the end; before they are joined, twice as many fields as attributes are borne with.
fn fields_max(limits: &Limits) -> usize {
    limits.attributes_max.saturating_mul(2)
}

/// Fields without maps. A name with dots repeats all that stands before them, so that a few bytes sent could become
/// many: the limits hold while the names are made, not only afterwards.
struct Flat<'a, 'l> {
    fields: Fields<'a>,
    /// Of the names that were made.
    name_bytes: usize,
    limits: &'l Limits,
}

impl<'a> Flat<'a, '_> {
    fn put(&mut self, name: Cow<'a, str>, value: Value<'a>) -> Result<(), Rejection> {
        let limits = self.limits;
        let Value::Map(members) = value else {
            if self.fields.len() >= fields_max(limits) {
                return Err(Rejection::TooManyAttributes { count: self.fields.len() + 1, max: limits.attributes_max });
            }
            self.fields.push((name, value));
            return Ok(());
        };
        for (member, value) in members {
            let bytes = name.len() + 1 + member.len();
            if bytes > limits.name_bytes_max {
                return Err(Rejection::NameTooLong { bytes, max: limits.name_bytes_max });
            }
            if !matches!(value, Value::Map(_)) {
                self.name_bytes += bytes;
            }
            if self.name_bytes > limits.record_bytes_max {
                return Err(Rejection::TooLarge { bytes: self.name_bytes, max: limits.record_bytes_max });
            }
            self.put(Cow::Owned(format!("{name}.{member}")), value)?;
        }
        Ok(())
    }
}

/// Mends a value; `levels` is how many arrays and maps may still stand in each other.
pub(crate) fn clean_value(value: &mut Value<'_>, limits: &Limits, levels: usize) -> Result<(), Rejection> {
    match value {
        Value::String(text) => clean_text(text),
        Value::Double(number) if !number.is_finite() => {
            *value = Value::String(Cow::Borrowed(match *number {
                f64::INFINITY => "Infinity",
                f64::NEG_INFINITY => "-Infinity",
                _ => "NaN",
            }));
        }
        Value::Null | Value::Int(_) | Value::Double(_) | Value::Bool(_) => {}
        Value::Array(_) | Value::Map(_) if levels == 0 => return Err(Rejection::TooDeep { max: limits.nesting_max }),
        Value::Array(items) => {
            for item in items {
                clean_value(item, limits, levels - 1)?;
            }
        }
        Value::Map(members) => {
            for (name, member) in members.iter_mut() {
                clean_text(name);
                if name.len() > limits.name_bytes_max {
                    return Err(Rejection::NameTooLong { bytes: name.len(), max: limits.name_bytes_max });
                }
                clean_value(member, limits, levels - 1)?;
            }
            join_equal_names(members);
        }
    }
    Ok(())
}

/// Up to here, comparing each name with each is faster than sorting.
const FEW: usize = 16;

fn join_equal_names(fields: &mut Fields<'_>) {
    if fields.len() <= FEW {
        let repeats = |at: usize| fields[..at].iter().any(|(name, _)| *name == fields[at].0);
        if !(1..fields.len()).any(repeats) {
            return;
        }
    }
    let mut order: Vec<usize> = (0..fields.len()).collect();
    order.sort_by(|&a, &b| fields[a].0.cmp(&fields[b].0));
    // The sort is stable: in each run of equal names the first and the last sent stand at the ends.
    let mut dropped = vec![false; fields.len()];
    let mut any = false;
    for pair in 0..order.len() {
        let run_starts = pair == 0 || fields[order[pair - 1]].0 != fields[order[pair]].0;
        if !run_starts {
            continue;
        }
        let first = order[pair];
        let last = order[pair..].iter().take_while(|&&at| fields[at].0 == fields[first].0).last().copied();
        if let Some(last) = last.filter(|&last| last != first) {
            fields.swap(first, last);
            any = true;
        }
    }
    if any {
        for pair in order.windows(2) {
            dropped[pair[1]] = fields[pair[0]].0 == fields[pair[1]].0;
        }
        let mut at = 0;
        fields.retain(|_| {
            at += 1;
            !dropped[at - 1]
        });
    }
}

#[cfg(test)]
#[path = "clean_tests.rs"]
pub(crate) mod tests;
