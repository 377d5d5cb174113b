//! What a processor hands over.

use std::sync::Arc;

use model::Batch;
use model::position::{Incarnation, Partition, Position};

/// A range of one partition, ready to store.
#[derive(Debug, Clone)]
pub struct WriteBatch {
    pub incarnation: Incarnation,
    pub partition: Partition,
    /// Where the partition must stand.
    pub from: Position,
    /// Where it stands afterwards.
    pub next: Position,
    /// One or several for each project.
    pub batches: Vec<Batch>,
    pub keys: Vec<SeenKey>,
    /// At most one for each project.
    pub counts: Vec<Counts>,
}

/// An idempotency key that was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenKey {
    pub project: Arc<str>,
    pub key: u128,
    pub body: u128,
    /// When the request was received, nanoseconds since the Unix epoch; the key is forgotten 24 h later.
    pub received: i64,
}

/// What became of the records that a range received for a project:
/// `received = stored + dead_lettered + deduplicated + dropped`; `lost` stands apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    pub project: Arc<str>,
    pub received: u64,
    pub stored: u64,
    pub dead_lettered: u64,
    pub deduplicated: u64,
    /// By a rule of the operator.
    pub dropped: u64,
    /// Records that the queue held but can't give any more, so that they were never received: dropped unread, or passed
    /// over by the operator's word because they are damaged. Nobody can tell their number or project: messages are
    /// counted instead, and the project is empty.
    pub lost: u64,
}

impl Counts {
    /// Nothing yet.
    pub fn new(project: Arc<str>) -> Self {
        Self { project, ..Self::default() }
    }

    /// A range of messages that can't be read.
    pub fn of_lost(messages: u64) -> Self {
        Self { lost: messages, ..Self::default() }
    }
}

/// How far a partition was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Everything before is visible to queries; the next batch begins here.
    pub written: Position,
    /// Everything before survives a crash of the store; the queue may forget it.
    pub durable: Position,
}

/// The sums of [`Counts`] over all ranges of a partition, and what happened to stored records since.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LedgerRow {
    pub project: Arc<str>,
    #[serde(serialize_with = "as_text")]
    pub incarnation: Incarnation,
    #[serde(serialize_with = "as_number")]
    pub partition: Partition,
    pub received: u64,
    pub stored: u64,
    pub dead_lettered: u64,
    pub deduplicated: u64,
    pub dropped: u64,
    /// As [`Counts::lost`]: in rows with an empty project.
    pub lost: u64,
    /// Stored rows that retention removed since. A store that can't say from which partition they came gives them in a
    /// row of their own for each project, with incarnation 0 and partition 0.
    pub expired: u64,
}

impl LedgerRow {
    /// Nothing yet.
    pub fn new(project: Arc<str>, incarnation: Incarnation, partition: Partition) -> Self {
        Self {
            project,
            incarnation,
            partition,
            received: 0,
            stored: 0,
            dead_lettered: 0,
            deduplicated: 0,
            dropped: 0,
            lost: 0,
            expired: 0,
        }
    }

    pub fn add(&mut self, counts: &Counts) {
        self.received += counts.received;
        self.stored += counts.stored;
        self.dead_lettered += counts.dead_lettered;
        self.deduplicated += counts.deduplicated;
        self.dropped += counts.dropped;
        self.lost += counts.lost;
    }

    /// received = stored + dead-lettered + deduplicated + dropped.
    pub fn is_balanced(&self) -> bool {
        self.received == self.stored + self.dead_lettered + self.deduplicated + self.dropped
    }
}

fn as_text<S: serde::Serializer>(value: &Incarnation, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn as_number<S: serde::Serializer>(value: &Partition, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(value.0)
}
