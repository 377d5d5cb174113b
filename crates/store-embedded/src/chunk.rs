//! What a query looks at: records in memory and in files.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;

use crate::columns;
use crate::segment::Segment;

/// Records of one project in memory, sorted by (time, id), with the columns of [`crate::columns`]. Never empty.
#[derive(Debug)]
pub struct Chunk {
    pub batch: RecordBatch,
    /// Lowest and highest timestamp, nanoseconds since the Unix epoch.
    pub ts_min: i64,
    pub ts_max: i64,
    /// What it takes in memory.
    pub bytes: usize,
}

impl Chunk {
    /// Takes a batch that is sorted by (time, id) and has a row.
    pub(crate) fn new(batch: RecordBatch) -> Self {
        let times = batch.column(columns::TS).as_primitive::<Int64Type>();
        let (ts_min, ts_max) = (times.value(0), times.value(times.len() - 1));
        let bytes = batch.columns().iter().map(|column| column.get_array_memory_size()).sum();
        Self { ts_min, ts_max, bytes, batch }
    }

    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }
}

/// All records of one project at one moment. A record stands in exactly one of the parts; files of a snapshot stay
/// readable while it lives, whatever is compacted or expires meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub chunks: Vec<Arc<Chunk>>,
    pub segments: Vec<Arc<Segment>>,
}
