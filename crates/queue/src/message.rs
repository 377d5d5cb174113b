//! What travels through a queue.

use std::sync::Arc;

use bytes::Bytes;
use model::origin::{origin_of_key, origin_of_position};
use model::position::{Incarnation, Partition, Position};
use model::{Batch, RecordId, otlp};
use parking_lot::Mutex;

use crate::QueueError;

/// One request of a client, or a part of one: an OTLP `ExportLogsServiceRequest` in protobuf, and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub headers: Headers,
    pub payload: Bytes,
    /// For a processor in the same process.
    pub records: Records,
}

/// The records of a message as its collector decoded them, in their order, without ids. One reader may take them; for
/// the others, and for all once the message comes from the disk or from a server, there is the payload, which says the
/// same. So two messages are equal whether they have them or not.
#[derive(Debug, Clone, Default)]
pub struct Records(Option<Arc<Mutex<Option<Batch>>>>);

impl Records {
    pub fn new(records: Batch) -> Self {
        Self(Some(Arc::new(Mutex::new(Some(records)))))
    }

    /// Roughly what they take in memory now.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |records| records.lock().as_ref().map_or(0, Batch::bytes))
    }

    /// None when there are none, or they were taken.
    pub fn take(&self) -> Option<Batch> {
        self.0.as_ref()?.lock().take()
    }
}

impl PartialEq for Records {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Records {}

/// Facts about a message that come from the credential and the collector, never from the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    pub project: Arc<str>,
    /// Nanoseconds since the Unix epoch.
    pub received: i64,
    /// How many log records the payload has.
    pub records: u32,
    pub key: Option<IdempotencyKey>,
    /// Set when a dead letter is sent again: the one record of the message keeps this id.
    pub retry_of: Option<RecordId>,
    /// Set when the request was too large for one message.
    pub part: Option<Part>,
}

/// Which part of a request a message is. All parts stand in one partition in their order, and readers see all of them
/// or none. Another message may stand between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// Random, the same in all parts. A request that is sent again gets another.
    pub request: u128,
    /// How many records stand in the parts before.
    pub first: u32,
    /// How many records the whole request has.
    pub of: u32,
}

/// A client's `Idempotency-Key` and the body it came with, both as hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// Of the project and the key.
    pub key: u128,
    /// Of the decoded body.
    pub body: u128,
}

/// A message as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub position: Position,
    pub message: Message,
}

impl Message {
    pub fn new(headers: Headers, payload: Bytes) -> Self {
        Self { headers, payload, records: Records::default() }
    }

    /// The message as parts with payloads of at most `bytes_max`.
    ///
    /// # Errors
    /// [`QueueError::TooLarge`] when it can't be cut so: a record is larger, or the payload is not OTLP.
    pub fn split(&self, bytes_max: usize) -> Result<Vec<Message>, QueueError> {
        let too_large = || QueueError::TooLarge { bytes: self.payload.len(), bytes_max };
        if self.headers.retry_of.is_some() {
            return Err(too_large());
        }
        let parts = otlp::split(&self.payload, bytes_max).ok().flatten().ok_or_else(too_large)?;
        let (request, of) = (random()?, parts.iter().map(|part| part.records).sum());
        let mut first = 0;
        let message = |part: otlp::split::Part| {
            let headers =
                Headers { records: part.records, part: Some(Part { request, first, of }), ..self.headers.clone() };
            first += part.records;
            Message::new(headers, Bytes::from(part.payload))
        };
        Ok(parts.into_iter().map(message).collect())
    }
}

impl Delivery {
    /// Where the ids of the message's records come from.
    pub fn origin(&self, incarnation: Incarnation, partition: Partition) -> u128 {
        match (self.message.headers.key, self.message.headers.part) {
            (Some(key), _) => origin_of_key(key.key, key.body),
            (None, Some(part)) => part.request,
            (None, None) => origin_of_position(incarnation, partition, self.position),
        }
    }

    /// The index in its request of the message's first record.
    pub fn first_index(&self) -> u32 {
        self.message.headers.part.map_or(0, |part| part.first)
    }
}

/// A number that nobody else draws.
///
/// # Errors
/// The system gives none.
pub fn random() -> Result<u128, QueueError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| QueueError::Io(std::io::Error::other(error.to_string())))?;
    Ok(u128::from_le_bytes(bytes))
}
