//! Where records go that can't be stored.

use std::fmt;

use async_trait::async_trait;
use metadata::{DeadLetter, Metadata};

/// Keeps dead letters until somebody sends them again or drops them.
#[async_trait]
pub trait DeadLetters: Send + Sync + fmt::Debug {
    /// Keeps all of the letters or none, durably. One whose id is there already is replaced, so that a range that is
    /// processed again leaves each letter once.
    async fn put_many(&self, letters: &[DeadLetter]) -> Result<(), DeadLetterError>;
}

/// The letters could not be kept now.
#[derive(Debug, thiserror::Error)]
#[error("dead letters can't be kept now: {0}")]
pub struct DeadLetterError(pub String);

#[async_trait]
impl DeadLetters for Metadata {
    async fn put_many(&self, letters: &[DeadLetter]) -> Result<(), DeadLetterError> {
        self.put_dead_letters(letters).await.map_err(|error| DeadLetterError(error.to_string()))
    }
}
