//! How a message is written as a Kafka record.
//!
//! The value is an OTLP `ExportLogsServiceRequest` in protobuf, as the OpenTelemetry Collector's Kafka exporter writes
//! it (`encoding: otlp_proto`); there is no key. Our own facts are headers, all of them text:
//!
//! ```text
//! devlogs-project     the project
//! devlogs-received    nanoseconds since the Unix epoch, decimal
//! devlogs-records     how many log records the value has, decimal
//! devlogs-key         64 hexadecimal digits: hash of project and idempotency key, hash of the body; may be absent
//! devlogs-retry-of    40 hexadecimal digits: the id of the one record; may be absent
//! devlogs-part        in a part of a request: the request's 32 hexadecimal digits, `:`, records in the parts
//!                     before, `:`, records in all
//! ```
//!
//! The parts of a request are one transaction: who reads committed records only sees all of them or none.
//!
//! A record without these headers comes from another producer.

use std::ffi::CStr;
use std::sync::Arc;

use bytes::Bytes;
use model::otlp;
use queue::letter::LetterBody;
use queue::{Headers, IdempotencyKey, Message, Part};
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Header, OwnedHeaders};

use crate::ffi;

const PROJECT: &CStr = c"devlogs-project";
const RECEIVED: &CStr = c"devlogs-received";
const RECORDS: &CStr = c"devlogs-records";
const KEY: &CStr = c"devlogs-key";
const RETRY_OF: &CStr = c"devlogs-retry-of";
const PART: &CStr = c"devlogs-part";

const NANOSECONDS_PER_MILLISECOND: i64 = 1_000_000;

/// The bytes that a message takes in memory until it is delivered, about.
pub(crate) fn bytes(message: &Message) -> usize {
    message.payload.len() + message.headers.project.len() + 512
}

pub(crate) fn headers(headers: &Headers) -> OwnedHeaders {
    let mut all = OwnedHeaders::new_with_capacity(6);
    all = add(all, PROJECT, &headers.project);
    all = add(all, RECEIVED, &headers.received.to_string());
    all = add(all, RECORDS, &headers.records.to_string());
    if let Some(key) = headers.key {
        all = add(all, KEY, &format!("{:032x}{:032x}", key.key, key.body));
    }
    if let Some(id) = headers.retry_of {
        all = add(all, RETRY_OF, &id.to_string());
    }
    if let Some(part) = headers.part {
        all = add(all, PART, &format!("{:032x}:{}:{}", part.request, part.first, part.of));
    }
    all
}

fn add(all: OwnedHeaders, name: &CStr, value: &str) -> OwnedHeaders {
    all.insert(Header { key: name.to_str().unwrap_or_default(), value: Some(value) })
}

/// Those of a dead letter.
pub(crate) fn letter_headers(letter: &LetterBody) -> OwnedHeaders {
    let pairs = [
        (PROJECT, letter.project.clone()),
        (c"devlogs-reason", letter.reason.clone()),
        (c"devlogs-at", letter.at.to_string()),
        (RECEIVED, letter.received.to_string()),
        (c"devlogs-incarnation", letter.incarnation.to_string()),
        (c"devlogs-partition", letter.partition.to_string()),
        (c"devlogs-position", letter.position.to_string()),
    ];
    let all = OwnedHeaders::new_with_capacity(pairs.len());
    pairs.into_iter().fold(all, |all, (name, value)| add(all, name, &value))
}

/// Reads a record. One that we did not write belongs to `foreign`; None if there is no such project.
pub(crate) fn decode(record: &BorrowedMessage<'_>, foreign: Option<&Arc<str>>) -> Option<Message> {
    let payload = record.payload().map(Bytes::copy_from_slice).unwrap_or_default();
    let headers = match ours(|name| ffi::header(record, name)) {
        Some(headers) => headers,
        None => theirs(foreign?, &payload, record.timestamp().to_millis()),
    };
    Some(Message::new(headers, payload))
}

/// None if a header is missing or does not read: then somebody else wrote the record.
fn ours<'a>(header: impl Fn(&CStr) -> Option<&'a [u8]>) -> Option<Headers> {
    let text = |name| header(name).and_then(|value| std::str::from_utf8(value).ok());
    let key = match text(KEY) {
        Some(hashes) => Some(parse_key(hashes)?),
        None => None,
    };
    let retry_of = match text(RETRY_OF) {
        Some(id) => Some(id.parse().ok()?),
        None => None,
    };
    let part = match text(PART) {
        Some(part) => Some(parse_part(part)?),
        None => None,
    };
    Some(Headers {
        project: Arc::from(text(PROJECT)?),
        received: text(RECEIVED)?.parse().ok()?,
        records: text(RECORDS)?.parse().ok()?,
        key,
        retry_of,
        part,
    })
}

fn parse_part(part: &str) -> Option<Part> {
    let mut fields = part.split(':');
    let request = u128::from_str_radix(fields.next()?, 16).ok()?;
    let part = Part { request, first: fields.next()?.parse().ok()?, of: fields.next()?.parse().ok()? };
    fields.next().is_none().then_some(part)
}

fn parse_key(hashes: &str) -> Option<IdempotencyKey> {
    if hashes.len() != 64 || !hashes.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let (key, body) = hashes.split_at(32);
    let number = |digits| u128::from_str_radix(digits, 16).ok();
    Some(IdempotencyKey { key: number(key)?, body: number(body)? })
}

/// A payload that does not read counts as one record, which the processor buries with the reason.
fn theirs(project: &Arc<str>, payload: &[u8], milliseconds: Option<i64>) -> Headers {
    Headers {
        project: Arc::clone(project),
        received: milliseconds.unwrap_or_default().saturating_mul(NANOSECONDS_PER_MILLISECOND),
        records: otlp::count(payload).unwrap_or(1),
        key: None,
        retry_of: None,
        part: None,
    }
}

#[cfg(test)]
mod tests {
    use model::RecordId;
    use proptest::prelude::*;
    use rdkafka::message::Headers as _;

    use super::*;

    fn look_up<'a>(all: &'a OwnedHeaders, name: &CStr) -> Option<&'a [u8]> {
        all.iter().find(|header| header.key.as_bytes() == name.to_bytes()).and_then(|header| header.value)
    }

    proptest! {
        #[test]
        fn headers_come_back(
            project in "\\PC{0,40}", received: i64, records: u32,
            key in proptest::option::of((any::<u128>(), any::<u128>())),
            retry_of in proptest::option::of((any::<u128>(), any::<u32>())),
            part in proptest::option::of((any::<u128>(), any::<u32>(), any::<u32>())),
        ) {
            let key = key.map(|(key, body)| IdempotencyKey { key, body });
            let retry_of = retry_of.map(|(origin, index)| RecordId { origin, index });
            let part = part.map(|(request, first, of)| Part { request, first, of });
            let sent = Headers { project: Arc::from(project), received, records, key, retry_of, part };
            let written = headers(&sent);
            prop_assert_eq!(ours(|name| look_up(&written, name)), Some(sent));
        }

        #[test]
        fn no_bytes_panic(values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 6)) {
            let names = [PROJECT, RECEIVED, RECORDS, KEY, RETRY_OF, PART];
            let find = |name: &CStr| names.iter().position(|known| *known == name).map(|at| &*values[at]);
            let _ = ours(find);
        }
    }

    #[test]
    fn half_a_set_of_headers_is_not_ours() {
        assert_eq!(ours(|name| (name == PROJECT).then_some(b"shop".as_slice())), None);
    }
}
