//! What travels through a queue.

use std::sync::Arc;

use bytes::Bytes;
use model::RecordId;
use model::position::Position;

/// One request of a client, or a part of one: an OTLP `ExportLogsServiceRequest` in protobuf, and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub headers: Headers,
    pub payload: Bytes,
}

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
