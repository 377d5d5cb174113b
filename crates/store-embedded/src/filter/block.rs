//! The filter of one block by itself, for benchmarks; segment files write and read theirs in pieces.

use arrow::array::RecordBatch;
use store::StoreError;

use super::{Filter, Kind, Tokens, token};

/// The tokens that a block may hold.
#[derive(Debug)]
pub struct BlockFilter {
    filter: Filter,
    fingerprints: Vec<u8>,
}

impl BlockFilter {
    /// # Errors
    /// The columns are not those of [`crate::columns`].
    pub fn of(block: &RecordBatch) -> Result<Self, StoreError> {
        let mut tokens = Tokens::default();
        tokens.add_batch(block)?;
        let (filter, fingerprints) = tokens.take_filter();
        Ok(Self { filter, fingerprints })
    }

    pub fn bytes(&self) -> usize {
        self.fingerprints.len()
    }

    /// Whether a message of the block may have this folded word.
    pub fn holds_word(&self, folded: &[u8]) -> bool {
        self.filter.holds(token(Kind::Word, &[folded]), &self.fingerprints)
    }
}
