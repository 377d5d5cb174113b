//! Reading a segment: only the column chunks asked for, each held against its checksum.

use std::sync::Arc;

use arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::RowSelection;
use store::StoreError;

use super::{SegmentEntry, SegmentMeta};
use crate::filter::Needs;

impl Segment {
    /// Rows, times and size; no I/O.
    pub fn entry(&self) -> &SegmentEntry;

    /// Schema and blocks, in rising time order. Reads the index and footer unless they are cached.
    pub fn meta(&self) -> Result<Arc<SegmentMeta>, StoreError>;

    /// The blocks that may hold what is needed, rising; reads filters unless they are cached.
    pub fn filter_blocks(&self, needs: &Needs) -> Result<Vec<usize>, StoreError>;

    /// Reads the columns of one block in the order of `columns` (indexes into the schema, each once; may be empty);
    /// with a selection (over the block's rows) only its rows.
    pub fn read(&self, block: usize, columns: &[usize], selection: Option<RowSelection>) -> Result<Block, StoreError>;
}

/// Rows of a block.
#[derive(Debug)]
pub struct Block {
    pub batch: RecordBatch,
    /// Bytes that were read from the file.
    pub bytes: u64,
}
