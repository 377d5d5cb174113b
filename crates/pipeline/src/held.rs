//! What the queue still holds of what was processed, for those who go over it again.

use std::time::Duration;

use model::position::{Partition, Position};
use queue::{Delivery, Queue, QueueError};

/// What keeps someone from going over it.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("queue: {0}")]
    Queue(#[from] QueueError),
    #[error("store: {0}")]
    Store(#[from] store::StoreError),
    #[error("metadata: {0}")]
    Metadata(#[from] metadata::MetadataError),
    #[error("writing: {0}")]
    Write(#[from] store::WriteError),
    #[error("a task failed: {0}")]
    Failed(#[from] tokio::task::JoinError),
}

/// Payload bytes of one read.
const READ_BYTES: usize = 8 << 20;

/// Reads a partition from its oldest message up to a position, piece by piece.
#[derive(Debug)]
pub(crate) struct Held<'q> {
    queue: &'q dyn Queue,
    partition: Partition,
    at: Position,
    end: Position,
    /// Messages that were passed over because they do not read.
    damaged: u64,
}

impl<'q> Held<'q> {
    /// `end`: where the store stands; what comes after is the processor's.
    pub(crate) async fn open(queue: &'q dyn Queue, partition: Partition, end: Position) -> Result<Self, QueueError> {
        let oldest = queue.state(partition).await?.oldest;
        Ok(Self { queue, partition, at: oldest, end, damaged: 0 })
    }

    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// The next messages; None at the end. Messages that retention takes away meanwhile are passed over, and those that
    /// do not read, which are counted.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Delivery>>, QueueError> {
        while self.at < self.end {
            match self.queue.read(self.partition, self.at, READ_BYTES, Duration::ZERO).await {
                Ok(mut deliveries) => {
                    deliveries.retain(|delivery| delivery.position < self.end);
                    let Some(last) = deliveries.last() else { return Ok(None) };
                    self.at = last.position.next();
                    return Ok(Some(deliveries));
                }
                Err(QueueError::Expired { oldest, .. }) => self.at = oldest,
                Err(QueueError::Damaged { to, .. }) => {
                    self.damaged += to.min(self.end).0.saturating_sub(self.at.0);
                    self.at = to;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
