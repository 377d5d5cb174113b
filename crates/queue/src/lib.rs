//! The durable queue between collectors and processors.
//!
//! - [`Queue`]: the seam that every backend stands behind; [`conformance`] holds each of them to it;
//! - [`message`]: what travels: OTLP bytes and headers that come only from the credential;
//! - [`letter`]: what is shown of records that could not be stored;
//! - [`embedded`]: partitioned segment files on local disk with group-commit fsync;
//! - [`pace`]: how far appends may run ahead of a processor in the same process;
//! - [`metrics`]: what the queue counts.

pub mod conformance;
pub mod embedded;
pub mod letter;
pub mod message;
pub mod metrics;
pub mod pace;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use model::position::{Incarnation, Partition, Position};
use tokio::sync::watch;

pub use letter::Letter;
pub use message::{Delivery, Headers, IdempotencyKey, Message, Part, Records};
pub use pace::Pace;

/// A durable, partitioned log of messages.
///
/// Within a partition messages are read in the order of their positions. Any number of tasks may append and read at
/// once. Consumer groups keep a position for lag and retention only: the store's position decides what is read next.
#[async_trait]
pub trait Queue: Send + Sync + std::fmt::Debug {
    /// The identity of what the queue holds; see [`Incarnation`].
    fn incarnation(&self) -> Incarnation;

    /// How many partitions there are, numbered from 0.
    fn partitions(&self) -> u32;

    /// Appends a message and returns its position once it is durable. After an error the message is not stored, save
    /// for [`QueueError::Unknown`]. Dropping the future does not take the message back.
    ///
    /// A request that is too large for one message is stored as [`Part`]s, all or none; the position is the last one's.
    async fn append(&self, partition: Partition, message: Message) -> Result<Position, QueueError>;

    /// Reads messages at `from` and after, in order, at most about `bytes_max` of payload but at least one if there is
    /// any; waits up to `wait` for the first. An empty answer means that nothing came. Reading below the oldest
    /// message kept is [`QueueError::Expired`]. Only durable messages are seen.
    async fn read(
        &self,
        partition: Partition,
        from: Position,
        bytes_max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError>;

    /// Where to go on when a read from `from` brought nothing: behind positions that no message has, or will have;
    /// `from` itself where a message may come.
    async fn passed(&self, partition: Partition, from: Position) -> Result<Position, QueueError> {
        let _ = partition;
        Ok(from)
    }

    /// Shows dead letters, or that they are gone, to whoever reads the queue with tools of its own. They are kept
    /// elsewhere; the same letter may be shown more than once. A backend that others do not read does nothing.
    async fn show_letters(&self, letters: &[Letter]) -> Result<(), QueueError> {
        let _ = letters;
        Ok(())
    }

    /// The partitions that this member of the group is to read, as they change. A backend whose partitions are all
    /// local gives all of them at once.
    async fn join(&self, group: &str) -> Result<watch::Receiver<BTreeSet<Partition>>, QueueError>;

    /// Records that the group has stored everything before `next`. Never moves back. What a group has not committed is
    /// kept by retention. Durable within a second, and on shutdown.
    async fn commit(&self, group: &str, partition: Partition, next: Position) -> Result<(), QueueError>;

    /// What the group committed last, or None.
    async fn committed(&self, group: &str, partition: Partition) -> Result<Option<Position>, QueueError>;

    /// What a partition holds now.
    async fn state(&self, partition: Partition) -> Result<PartitionState, QueueError>;

    /// Reads everything that is stored and says what is damaged, a sentence each. Readers and writers go on.
    async fn check(&self) -> Result<Vec<String>, QueueError>;

    /// Stops taking appends, waits for those under way and makes commits durable.
    async fn close(&self) -> Result<(), QueueError>;
}

/// What a partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionState {
    /// The oldest message kept; equal to `next` when there is none.
    pub oldest: Position,
    /// Where the next message will stand.
    pub next: Position,
    /// On disk, or an estimate.
    pub bytes: u64,
    /// Positions before `next` that were never given: from the first to before the second. Equal when there are none.
    pub gap: (Position, Position),
}

impl PartitionState {
    /// How many messages stand at `from` and after.
    pub fn waiting(&self, from: Position) -> u64 {
        let (gap_from, gap_to) = self.gap;
        let gap = gap_to.min(self.next).0.saturating_sub(gap_from.max(from).0);
        self.next.0.saturating_sub(from.0).saturating_sub(gap)
    }
}

/// Why a queue did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Full, or not to be reached now: try again after the time given.
    #[error("the queue takes no messages now: {reason}")]
    Unavailable { reason: String, retry_after: Duration },
    /// The message may or may not have been stored.
    #[error("the queue did not say whether the message was stored: {0}")]
    Unknown(String),
    #[error("the message has {bytes} bytes, the queue takes {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    /// Messages before `oldest` are gone.
    #[error("position {from} is gone, the oldest kept is {oldest}")]
    Expired { from: Position, oldest: Position },
    #[error("there is no partition {0}")]
    NoPartition(Partition),
    /// Messages that were stored do not read back: from `from`, which was asked for, to before `to`, where reading can
    /// go on or the next message will stand. `place` says where they are kept.
    #[error(
        "the queue's data is damaged: partition {partition}: positions from {from} to before {to} do not read ({place})"
    )]
    Damaged { partition: Partition, from: Position, to: Position, place: String },
    /// What was stored can't be right, and nobody can tell how far; says where.
    #[error("the queue's data is damaged: {0}")]
    Corrupt(String),
    #[error("the queue is closed")]
    Closed,
    #[error("queue input/output: {0}")]
    Io(#[from] std::io::Error),
}
