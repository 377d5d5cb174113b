//! Records to OTLP protobuf.

use super::wire::{
    framed_len, put_bytes, put_fixed64, put_framed, put_length, put_tagged_varint, put_text_pair, varint_len,
};
use crate::record::{Record, UNKNOWN_SERVICE, Value};

/// Room for the records of a group, until it turns out to be larger.
const GROUP_BYTES: usize = 4 << 10;

/// Writes an `ExportLogsServiceRequest`, grouping consecutive records of the same service, host and resource.
///
/// Takes clean records (see [`crate::clean`]); project and id are left to the queue's headers and positions.
#[derive(Debug, Default)]
pub struct Encoder {
    out: Vec<u8>,
    /// The open group: its `Resource` message and its `LogRecord` fields.
    resource: Vec<u8>,
    records: Vec<u8>,
    scratch: Vec<u8>,
    count: u32,
}

impl Encoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// With room for about `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        let (out, records) = (Vec::with_capacity(bytes), Vec::with_capacity(bytes.min(GROUP_BYTES)));
        Self { out, records, ..Self::default() }
    }

    pub fn push(&mut self, record: &Record<'_>) {
        self.scratch.clear();
        put_resource(&mut self.scratch, record);
        if self.scratch != self.resource {
            self.close_group();
            std::mem::swap(&mut self.scratch, &mut self.resource);
        }
        put_framed(&mut self.records, 2, |out| put_record(out, record));
        self.count += 1;
    }

    /// How many records were pushed.
    pub fn len(&self) -> u32 {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// At most what [`Encoder::finish`] would return now, to within the heads of one group.
    pub fn bytes(&self) -> usize {
        self.out.len() + self.resource.len() + self.records.len() + 32
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.close_group();
        self.out
    }

    fn close_group(&mut self) {
        if self.records.is_empty() {
            return;
        }
        put_length(&mut self.out, 1, framed_len(self.resource.len()) + framed_len(self.records.len()));
        put_bytes(&mut self.out, 1, &self.resource);
        put_bytes(&mut self.out, 2, &self.records);
        self.records.clear();
    }
}

fn put_resource(out: &mut Vec<u8>, record: &Record<'_>) {
    if record.service != UNKNOWN_SERVICE {
        put_text_pair(out, 1, "service.name", &record.service);
    }
    if let Some(host) = &record.host {
        put_text_pair(out, 1, "host.name", host);
    }
    for (name, value) in &record.resource {
        put_key_value(out, 1, name, value);
    }
}

fn put_record(out: &mut Vec<u8>, record: &Record<'_>) {
    put_fixed64(out, 1, record.timestamp as u64);
    if let Some(severity) = record.severity {
        put_tagged_varint(out, 2, severity.number().into());
    }
    if !record.message.is_empty() {
        put_length(out, 5, framed_len(record.message.len()));
        put_bytes(out, 1, record.message.as_bytes());
    }
    for (name, value) in &record.attributes {
        put_key_value(out, 6, name, value);
    }
    if let Some(id) = record.trace_id {
        put_bytes(out, 9, &id.0);
    }
    if let Some(id) = record.span_id {
        put_bytes(out, 10, &id.0);
    }
    put_fixed64(out, 11, record.observed as u64);
}

fn put_key_value(out: &mut Vec<u8>, field: u8, name: &str, value: &Value<'_>) {
    if let Value::String(text) = value {
        return put_text_pair(out, field, name, text);
    }
    put_length(out, field, key_value_len(name, value));
    put_bytes(out, 1, name.as_bytes());
    put_length(out, 2, value_len(value));
    put_value(out, value);
}

fn key_value_len(name: &str, value: &Value<'_>) -> usize {
    framed_len(name.len()) + framed_len(value_len(value))
}

/// The length of a value's `AnyValue` message.
fn value_len(value: &Value<'_>) -> usize {
    match value {
        Value::Null => 0,
        Value::String(text) => framed_len(text.len()),
        Value::Bool(_) => 2,
        Value::Int(number) => 1 + varint_len(*number as u64),
        Value::Double(_) => 9,
        Value::Array(_) | Value::Map(_) => framed_len(list_len(value)),
    }
}

/// The length of the `ArrayValue` or `KeyValueList` message of an array or a map.
fn list_len(value: &Value<'_>) -> usize {
    match value {
        Value::Array(items) => items.iter().map(|item| framed_len(value_len(item))).sum(),
        Value::Map(members) => members.iter().map(|(name, value)| framed_len(key_value_len(name, value))).sum(),
        _ => 0,
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Null => {}
        Value::String(text) => put_bytes(out, 1, text.as_bytes()),
        Value::Bool(flag) => put_tagged_varint(out, 2, u64::from(*flag)),
        Value::Int(number) => put_tagged_varint(out, 3, *number as u64),
        Value::Double(number) => put_fixed64(out, 4, number.to_bits()),
        Value::Array(items) => {
            put_length(out, 5, list_len(value));
            for item in items {
                put_length(out, 1, value_len(item));
                put_value(out, item);
            }
        }
        Value::Map(members) => {
            put_length(out, 6, list_len(value));
            for (name, member) in members {
                put_key_value(out, 1, name, member);
            }
        }
    }
}
