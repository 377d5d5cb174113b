//! Dead letters as the queue shows them to others.

use bytes::Bytes;
use model::RecordId;
use model::position::{Incarnation, Partition, Position};

/// A record that could not be stored, or that it is no longer a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub id: RecordId,
    /// None: it was sent again or dropped.
    pub body: Option<LetterBody>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterBody {
    pub project: String,
    pub reason: String,
    /// When it was given up and when it was received, nanoseconds since the Unix epoch.
    pub at: i64,
    pub received: i64,
    /// The message that it came with.
    pub incarnation: Incarnation,
    pub partition: Partition,
    pub position: Position,
    /// An `ExportLogsServiceRequest` of the one record, or what did not read as one.
    pub payload: Bytes,
}
