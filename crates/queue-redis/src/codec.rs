//! A message as the fields of a stream entry, and back.

use std::sync::Arc;

use bytes::Bytes;
use model::RecordId;
use model::position::Position;
use queue::{Delivery, Headers, IdempotencyKey, Message, Part};
use redis::Value;

/// What an append script takes for one message, in its order.
#[derive(Debug)]
pub(crate) struct Fields {
    pub(crate) project: Arc<str>,
    pub(crate) received: i64,
    pub(crate) records: u32,
    /// Empty, or 32 hexadecimal digits.
    pub(crate) key: String,
    pub(crate) body: String,
    /// Empty, or the origin's 32 digits, `:` and the index.
    pub(crate) retry: String,
    /// Empty, or the request's 32 digits, `:`, the records in the parts before, `:` and those in all.
    pub(crate) part: String,
    pub(crate) payload: Bytes,
}

impl Fields {
    pub(crate) fn of(message: Message) -> Self {
        let Headers { project, received, records, key, retry_of, part } = message.headers;
        let hex = |number: u128| format!("{number:032x}");
        Self {
            project,
            received,
            records,
            key: key.map(|key| hex(key.key)).unwrap_or_default(),
            body: key.map(|key| hex(key.body)).unwrap_or_default(),
            retry: retry_of.map(|id| format!("{:032x}:{}", id.origin, id.index)).unwrap_or_default(),
            part: part.map(|part| format!("{:032x}:{}:{}", part.request, part.first, part.of)).unwrap_or_default(),
            payload: message.payload,
        }
    }

    /// As the scripts count it: about what Redis keeps for it.
    pub(crate) fn bytes(&self) -> usize {
        self.project.len() + self.payload.len() + 64
    }
}

/// An entry as `XRANGE` gives it. The error says what is wrong with it.
pub(crate) fn delivery(entry: Value) -> Result<Delivery, String> {
    let (id, fields) = match entry {
        Value::Array(parts) => match <[Value; 2]>::try_from(parts) {
            Ok([id, Value::Array(fields)]) => (text(id).ok_or("the id of an entry is not text")?, fields),
            _ => return Err("an entry is not an id and its fields".to_owned()),
        },
        _ => return Err("an entry is not a list".to_owned()),
    };
    let position = position(&id).ok_or_else(|| format!("entry {id} was not written by this program"))?;
    let message = message(fields).ok_or_else(|| format!("entry {id} lacks fields or has unknown ones"))?;
    Ok(Delivery { position, message })
}

/// The position of an entry id.
pub(crate) fn position(id: &str) -> Option<Position> {
    id.strip_suffix("-1")?.parse().ok().map(Position)
}

/// Two positions, as the scripts keep a gap.
pub(crate) fn gap(text: &str) -> (Position, Position) {
    let positions = text.split_once(' ').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    positions.map(|(from, to)| (Position(from), Position(to))).unwrap_or_default()
}

fn message(fields: Vec<Value>) -> Option<Message> {
    let (mut project, mut received, mut records, mut payload) = (None, None, None, None);
    let (mut key, mut body, mut retry, mut part) = (String::new(), String::new(), String::new(), String::new());
    let mut fields = fields.into_iter();
    while let Some(name) = fields.next() {
        let value = fields.next()?;
        match text(name)?.as_str() {
            "project" => project = Some(Arc::from(text(value)?)),
            "received" => received = Some(text(value)?.parse().ok()?),
            "records" => records = Some(text(value)?.parse().ok()?),
            "key" => key = text(value)?,
            "body" => body = text(value)?,
            "retry" => retry = text(value)?,
            "part" => part = text(value)?,
            "payload" => payload = Some(blob(value)?),
            _ => return None,
        }
    }
    let hex = |digits: &str| u128::from_str_radix(digits, 16).ok();
    let key = match key.as_str() {
        "" => None,
        key => Some(IdempotencyKey { key: hex(key)?, body: hex(&body)? }),
    };
    let retry_of = match retry.as_str() {
        "" => None,
        id => {
            let (origin, index) = id.split_once(':')?;
            Some(RecordId { origin: hex(origin)?, index: index.parse().ok()? })
        }
    };
    let part = match part.as_str() {
        "" => None,
        part => {
            let (request, records) = part.split_once(':')?;
            let (first, of) = records.split_once(':')?;
            Some(Part { request: hex(request)?, first: first.parse().ok()?, of: of.parse().ok()? })
        }
    };
    let headers = Headers { project: project?, received: received?, records: records?, key, retry_of, part };
    Some(Message::new(headers, payload?))
}

/// The text of an answer; numbers too.
pub(crate) fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

fn blob(value: Value) -> Option<Bytes> {
    match value {
        Value::BulkString(bytes) => Some(Bytes::from(bytes)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(id: &str, fields: &Fields) -> Value {
        let bulk = |text: String| Value::BulkString(text.into_bytes());
        let pairs = [
            ("project", bulk(fields.project.to_string())),
            ("received", bulk(fields.received.to_string())),
            ("records", bulk(fields.records.to_string())),
            ("key", bulk(fields.key.clone())),
            ("body", bulk(fields.body.clone())),
            ("retry", bulk(fields.retry.clone())),
            ("part", bulk(fields.part.clone())),
            ("payload", Value::BulkString(fields.payload.to_vec())),
        ];
        let fields = pairs.into_iter().flat_map(|(name, value)| [bulk(name.to_owned()), value]).collect();
        Value::Array(vec![bulk(id.to_owned()), Value::Array(fields)])
    }

    proptest! {
        #[test]
        fn a_message_comes_back_as_it_was(
            project in ".{0,20}",
            (received, records) in any::<(i64, u32)>(),
            key in any::<Option<(u128, u128)>>(),
            retry in any::<Option<(u128, u32)>>(),
            part in any::<Option<(u128, u32, u32)>>(),
            payload in any::<Vec<u8>>(),
        ) {
            let key = key.map(|(key, body)| IdempotencyKey { key, body });
            let retry_of = retry.map(|(origin, index)| RecordId { origin, index });
            let part = part.map(|(request, first, of)| Part { request, first, of });
            let headers = Headers { project: Arc::from(project), received, records, key, retry_of, part };
            let message = Message::new(headers, Bytes::from(payload));
            let read = delivery(entry("7-1", &Fields::of(message.clone())));
            prop_assert_eq!(read, Ok(Delivery { position: Position(7), message }));
        }
    }

    #[test]
    fn foreign_entries_are_named() {
        let fields = Fields::of(queue::conformance::message(1, 10));
        let error = delivery(entry("1700000000000-0", &fields)).unwrap_err();
        assert!(error.contains("1700000000000-0"), "{error}");
        let bulk = |text: &str| Value::BulkString(text.into());
        let foreign = Value::Array(vec![bulk("3-1"), Value::Array(vec![bulk("hello"), bulk("world")])]);
        assert!(delivery(foreign).unwrap_err().contains("3-1"));
        assert!(delivery(Value::Nil).is_err());
    }
}
