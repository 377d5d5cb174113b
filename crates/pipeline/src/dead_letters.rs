//! Where records go that can't be stored. They are kept in the metadata, and shown by the queue where it has a place for
//! them.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use metadata::{DeadLetter, Metadata, MetadataError};
use model::RecordId;
use model::position::{Incarnation, Partition, Position};
use queue::letter::{Letter, LetterBody};

/// Keeps dead letters until somebody sends them again or drops them.
#[async_trait]
pub trait DeadLetters: Send + Sync + fmt::Debug {
    /// Keeps all of the letters or none, durably. One whose id is there already is replaced, so that a range that is
    /// processed again leaves each letter once.
    async fn put_many(&self, letters: &[DeadLetter]) -> Result<(), DeadLetterError>;

    /// The letters that [`Self::discard_from`] would forget.
    async fn kept_from(
        &self,
        incarnation: Incarnation,
        partition: Partition,
        from: Position,
    ) -> Result<Vec<RecordId>, DeadLetterError>;

    /// Forgets the letters of messages at `from` and after: their range was never finished, and may end otherwise when
    /// it is processed again (a store does not name the record that it refuses each time).
    async fn discard_from(
        &self,
        incarnation: Incarnation,
        partition: Partition,
        from: Position,
    ) -> Result<(), DeadLetterError>;
}

/// The letters could not be kept now. Nothing is passed over: processing waits until they can be.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// There are as many as may be, until somebody sends some again or drops them.
    #[error("{0}")]
    Full(String),
    #[error("dead letters can't be kept now: {0}")]
    Unavailable(String),
}

#[async_trait]
impl DeadLetters for Metadata {
    async fn put_many(&self, letters: &[DeadLetter]) -> Result<(), DeadLetterError> {
        self.put_dead_letters(letters).await.map_err(|error| match error {
            MetadataError::Full(reason) => DeadLetterError::Full(reason),
            error => DeadLetterError::Unavailable(error.to_string()),
        })
    }

    async fn kept_from(
        &self,
        incarnation: Incarnation,
        partition: Partition,
        from: Position,
    ) -> Result<Vec<RecordId>, DeadLetterError> {
        let kept = self.dead_letters_from(incarnation, partition, from).await;
        kept.map_err(|error| DeadLetterError::Unavailable(error.to_string()))
    }

    async fn discard_from(
        &self,
        incarnation: Incarnation,
        partition: Partition,
        from: Position,
    ) -> Result<(), DeadLetterError> {
        let discarded = self.delete_dead_letters_from(incarnation, partition, from).await;
        discarded.map(drop).map_err(|error| DeadLetterError::Unavailable(error.to_string()))
    }
}

/// The letter as the queue shows it.
pub(crate) fn shown(letter: &DeadLetter) -> Letter {
    let body = LetterBody {
        project: letter.project.clone(),
        reason: letter.reason.clone(),
        at: letter.at,
        received: letter.received,
        incarnation: letter.incarnation,
        partition: letter.partition,
        position: letter.position,
        payload: Bytes::copy_from_slice(&letter.payload),
    };
    Letter { id: letter.id, body: Some(body) }
}
