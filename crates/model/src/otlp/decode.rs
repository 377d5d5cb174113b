//! OTLP protobuf to records, borrowing from the payload.
//!
//! | OTLP | record |
//! |---|---|
//! | resource `service.name`, `host.name` | service, host; the rest is the resource |
//! | `time_unix_nano` | timestamp; 0 means `observed_time_unix_nano`, and 0 there when the message was received |
//! | `severity_number` | severity; 0 or unknown: the name in `severity_text`; a text that names no level is kept as `otel.severity_text` |
//! | `body` | message; other than text: its JSON, bytes as base64 |
//! | scope, `flags`, `event_name`, `dropped_attributes_count` | attributes `otel.scope.name`, `otel.scope.version`, `otel.scope.<attribute>`, `otel.flags`, `otel.event_name`, `otel.dropped_attributes_count`, after the record's own |

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::wire::{Malformed, Message};
use crate::clean::{self, Rejection};
use crate::level::Severity;
use crate::limits::Limits;
use crate::record::{Fields, Record, RecordId, SpanId, TraceId, UNKNOWN_SERVICE, Value, lookup};

const SERVICE_NAME: &str = "service.name";
const HOST_NAME: &str = "host.name";

/// What a message's records take from outside of it.
#[derive(Debug, Clone, Copy)]
pub struct DecodeContext<'c> {
    pub project: &'c str,
    /// When the message was received, in nanoseconds since the Unix epoch.
    pub received: i64,
    /// The origin of the records' ids.
    pub origin: u128,
    pub limits: &'c Limits,
}

/// The payload is not an `ExportLogsServiceRequest`; no record of it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf: {0}")]
pub struct DecodeError(pub &'static str);

impl From<Malformed> for DecodeError {
    fn from(reason: Malformed) -> Self {
        Self(reason)
    }
}

impl From<Malformed> for Rejection {
    fn from(reason: Malformed) -> Self {
        Self::Malformed(reason)
    }
}

/// Decodes a payload; `each` gets every record in order with its index, cleaned, or why it can't be accepted.
/// Returns the number of records seen.
///
/// # Errors
/// The outer structure can't be read; `each` was not called then. What is wrong inside of a resource, a scope or a
/// record rejects the records concerned.
pub fn decode<'a>(
    payload: &'a [u8],
    context: &DecodeContext<'a>,
    each: &mut dyn FnMut(u32, Result<Record<'a>, Rejection>),
) -> Result<u32, DecodeError> {
    count(payload)?;
    let mut index = 0;
    for_each_field::<DecodeError>(payload, 1, &mut |group| {
        let resource = Sender::decode(group, context);
        for_each_field::<DecodeError>(group, 2, &mut |scope_logs| {
            let scope = decode_scope(scope_logs, context.limits);
            for_each_field::<DecodeError>(scope_logs, 2, &mut |record| {
                let decoded = match (&resource, &scope) {
                    (Ok(sender), Ok(scope)) => decode_record(record, index, sender, scope, context),
                    (Err(rejection), _) | (_, Err(rejection)) => Err(rejection.clone()),
                };
                each(index, decoded);
                index += 1;
                Ok(())
            })
        })
    })?;
    Ok(index)
}

/// Counts the records of a payload without decoding them.
///
/// # Errors
/// The outer structure can't be read.
pub fn count(payload: &[u8]) -> Result<u32, DecodeError> {
    let mut count = 0_u32;
    for_each_field::<DecodeError>(payload, 1, &mut |group| {
        for_each_field::<DecodeError>(group, 2, &mut |scope_logs| {
            for_each_field::<DecodeError>(scope_logs, 2, &mut |_| {
                count = count.checked_add(1).ok_or("too many records")?;
                Ok(())
            })
        })
    })?;
    Ok(count)
}

/// Calls `each` with every occurrence of a field that holds a message.
fn for_each_field<'a, E: From<Malformed>>(
    message: &'a [u8],
    wanted: u32,
    each: &mut dyn FnMut(&'a [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut message = Message(message);
    while let Some((field, value)) = message.next()? {
        if field == wanted {
            each(value.bytes()?)?;
        }
    }
    Ok(())
}

/// What the records of one resource share.
struct Sender<'a> {
    service: Cow<'a, str>,
    host: Option<Cow<'a, str>>,
    resource: Fields<'a>,
}

impl<'a> Sender<'a> {
    fn decode(group: &'a [u8], context: &DecodeContext<'a>) -> Result<Self, Rejection> {
        match Self::decode_plain(group, context)? {
            Some(sender) => Ok(sender),
            None => Self::decode_any(group, context),
        }
    }

    /// The short way of nearly every resource, which matters where each record has one of its own: service and host
    /// are there once, as text. None for another.
    fn decode_plain(group: &'a [u8], context: &DecodeContext<'a>) -> Result<Option<Self>, Rejection> {
        let mut values = Values::new(context.limits);
        let (mut service, mut host, mut resource) = (None, None, Fields::new());
        for_each_field::<Rejection>(group, 1, &mut |message| {
            for_each_field::<Rejection>(message, 1, &mut |attribute| {
                let (name, value) = values.key_value(attribute, context.limits.nesting_max)?;
                let known = match &*name {
                    SERVICE_NAME => &mut service,
                    HOST_NAME => &mut host,
                    _ => {
                        resource.push((name, value));
                        return Ok(());
                    }
                };
                match value {
                    Value::String(text) if known.is_none() && !text.is_empty() => *known = Some(text),
                    _ => resource.push((name, value)),
                }
                Ok(())
            })
        })?;
        clean::clean_fields(&mut resource, context.limits)?;
        if lookup(&resource, SERVICE_NAME).is_some() || lookup(&resource, HOST_NAME).is_some() {
            return Ok(None);
        }
        let mut service = service.unwrap_or(Cow::Borrowed(UNKNOWN_SERVICE));
        clean::clean_text(&mut service);
        host.iter_mut().for_each(clean::clean_text);
        Ok(Some(Self { service, host, resource }))
    }

    fn decode_any(group: &'a [u8], context: &DecodeContext<'a>) -> Result<Self, Rejection> {
        let mut values = Values::new(context.limits);
        let mut record = Record::default();
        for_each_field::<Rejection>(group, 1, &mut |resource| {
            for_each_field::<Rejection>(resource, 1, &mut |attribute| {
                values.push_key_value(attribute, &mut record.resource)
            })
        })?;
        clean::clean_fields(&mut record.resource, context.limits)?;
        clean::name_sender(&mut record);
        Ok(Self { service: record.service, host: record.host, resource: record.resource })
    }
}

/// The attributes that a scope gives to its records.
fn decode_scope<'a>(scope_logs: &'a [u8], limits: &Limits) -> Result<Fields<'a>, Rejection> {
    let mut values = Values::new(limits);
    let (mut name, mut version) = ("", "");
    let mut attributes = Fields::new();
    for_each_field::<Rejection>(scope_logs, 1, &mut |scope| {
        let mut scope = Message(scope);
        while let Some((field, value)) = scope.next()? {
            match field {
                1 => name = values.text(value.bytes()?)?,
                2 => version = values.text(value.bytes()?)?,
                3 => values.push_key_value(value.bytes()?, &mut attributes)?,
                _ => {}
            }
        }
        Ok(())
    })?;
    let mut fields = Fields::new();
    for (field, text) in [("otel.scope.name", name), ("otel.scope.version", version)] {
        if !text.is_empty() {
            fields.push((field.into(), Value::String(text.into())));
        }
    }
    fields.extend(attributes.into_iter().map(|(name, value)| (format!("otel.scope.{name}").into(), value)));
    // Once here, not with each record that gets a copy: what is refused would cost its size times the records.
    clean::clean_fields(&mut fields, limits)?;
    Ok(fields)
}

fn decode_record<'a>(
    payload: &'a [u8],
    index: u32,
    sender: &Sender<'a>,
    scope: &Fields<'a>,
    context: &DecodeContext<'a>,
) -> Result<Record<'a>, Rejection> {
    let mut record = Record {
        id: RecordId { origin: context.origin, index },
        project: Cow::Borrowed(context.project),
        service: sender.service.clone(),
        host: sender.host.clone(),
        resource: sender.resource.clone(),
        // Room for what most records have, so that the list does not grow by steps.
        attributes: Fields::with_capacity(8 + scope.len()),
        ..Record::default()
    };
    let mut values = Values::new(context.limits);
    let mut head = Head::default();
    let mut message = Message(payload);
    while let Some((field, value)) = message.next()? {
        match field {
            1 => head.time = value.fixed64()?,
            // Protobuf cuts longer numbers off to an enumeration's 32 bits.
            2 => head.severity = value.varint()? as i32,
            3 => head.severity_text = values.text(value.bytes()?)?,
            5 => record.message = text_of(values.any(value.bytes()?, context.limits.nesting_max)?, context.limits)?,
            6 => values.push_key_value(value.bytes()?, &mut record.attributes)?,
            7 => head.dropped = value.varint()? as u32,
            8 => head.flags = value.fixed32()?,
            9 => record.trace_id = TraceId::from_bytes(value.bytes()?),
            10 => record.span_id = SpanId::from_bytes(value.bytes()?),
            11 => head.observed = value.fixed64()?,
            12 => head.event_name = values.text(value.bytes()?)?,
            _ => {}
        }
    }
    record.attributes.extend(scope.iter().cloned());
    head.apply(&mut record, context.received);
    clean::clean_fields(&mut record.attributes, context.limits)?;
    clean::clean_text(&mut record.message);
    clean::check(&record, context.limits)?;
    Ok(record)
}

/// What of a record's message is no member of the record as it stands.
#[derive(Default)]
struct Head<'a> {
    time: u64,
    observed: u64,
    severity: i32,
    severity_text: &'a str,
    event_name: &'a str,
    flags: u32,
    dropped: u32,
}

impl<'a> Head<'a> {
    fn apply(&self, record: &mut Record<'a>, received: i64) {
        let named = Severity::from_name(self.severity_text);
        record.severity = Severity::new(self.severity.into()).or(named);
        let severity_text = if named.is_none() { self.severity_text } else { "" };
        for (name, text) in [("otel.severity_text", severity_text), ("otel.event_name", self.event_name)] {
            if !text.is_empty() {
                record.attributes.push((name.into(), Value::String(text.into())));
            }
        }
        for (name, number) in [("otel.flags", self.flags), ("otel.dropped_attributes_count", self.dropped)] {
            if number != 0 {
                record.attributes.push((name.into(), Value::Int(number.into())));
            }
        }
        record.observed = i64::try_from(self.observed).ok().filter(|&time| time > 0).unwrap_or(received);
        match i64::try_from(self.time) {
            Ok(0) => record.timestamp = record.observed,
            Ok(time) => record.timestamp = time,
            Err(_) => clean::set_invalid_time(record, Value::String(self.time.to_string().into()), received),
        }
    }
}

/// A body as text.
fn text_of<'a>(mut body: Value<'a>, limits: &Limits) -> Result<Cow<'a, str>, Rejection> {
    clean::clean_value(&mut body, limits, limits.nesting_max)?;
    Ok(match body {
        Value::String(text) => text,
        Value::Null => Cow::Borrowed(""),
        value => Cow::Owned(value.to_json()),
    })
}

/// Decodes values within a budget, since many empty ones take far more memory than bytes on the wire.
struct Values<'l> {
    limits: &'l Limits,
    /// Bytes left, generous: what is over the limit by less is found when the record is checked.
    budget: usize,
}

impl<'l> Values<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self { limits, budget: limits.record_bytes_max.saturating_mul(4) }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Rejection> {
        let max = self.limits.record_bytes_max;
        let left = self.budget.checked_sub(bytes);
        self.budget = left.ok_or(Rejection::TooLarge { bytes: max.saturating_mul(4).saturating_add(bytes), max })?;
        Ok(())
    }

    fn text<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a str, Rejection> {
        self.spend(bytes.len())?;
        std::str::from_utf8(bytes).map_err(|_| Rejection::NotUtf8)
    }

    fn push_key_value<'a>(&mut self, payload: &'a [u8], fields: &mut Fields<'a>) -> Result<(), Rejection> {
        let pair = self.key_value(payload, self.limits.nesting_max)?;
        fields.push(pair);
        Ok(())
    }

    fn key_value<'a>(&mut self, payload: &'a [u8], levels: usize) -> Result<(Cow<'a, str>, Value<'a>), Rejection> {
        let (mut name, mut any) = ("", Value::Null);
        self.spend(8)?;
        let mut message = Message(payload);
        while let Some((field, value)) = message.next()? {
            match field {
                1 => name = self.text(value.bytes()?)?,
                2 => any = self.any(value.bytes()?, levels)?,
                _ => {}
            }
        }
        Ok((Cow::Borrowed(name), any))
    }

    /// An `AnyValue`; `levels` is how many arrays and maps may still stand in each other.
    fn any<'a>(&mut self, payload: &'a [u8], levels: usize) -> Result<Value<'a>, Rejection> {
        let mut any = Value::Null;
        self.spend(8)?;
        let mut message = Message(payload);
        while let Some((field, value)) = message.next()? {
            any = match field {
                1 => Value::String(Cow::Borrowed(self.text(value.bytes()?)?)),
                2 => Value::Bool(value.varint()? != 0),
                3 => Value::Int(value.varint()? as i64),
                4 => Value::Double(f64::from_bits(value.fixed64()?)),
                5 | 6 if levels == 0 => return Err(Rejection::TooDeep { max: self.limits.nesting_max }),
                5 => {
                    let mut items = Vec::new();
                    for_each_field::<Rejection>(value.bytes()?, 1, &mut |item| {
                        items.push(self.any(item, levels - 1)?);
                        Ok(())
                    })?;
                    Value::Array(items)
                }
                6 => {
                    let mut members = Fields::new();
                    for_each_field::<Rejection>(value.bytes()?, 1, &mut |member| {
                        members.push(self.key_value(member, levels - 1)?);
                        Ok(())
                    })?;
                    Value::Map(members)
                }
                7 => {
                    self.spend(value.bytes()?.len() * 4 / 3)?;
                    Value::String(Cow::Owned(STANDARD.encode(value.bytes()?)))
                }
                _ => any,
            };
        }
        Ok(any)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
