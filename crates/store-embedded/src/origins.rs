//! How many records of a request are stored: a pass over the id columns alone.

use std::collections::{HashMap, HashSet};

use arrow::array::{AsArray, RecordBatch};
use store::StoreError;

use crate::chunk::Snapshot;
use crate::columns;

/// Counts the records of each of these origins.
pub(crate) fn count(snapshot: &Snapshot, origins: &HashSet<u128>) -> Result<HashMap<u128, u64>, StoreError> {
    let mut counts = HashMap::new();
    for chunk in &snapshot.chunks {
        add(&chunk.batch, columns::ORIGIN, origins, &mut counts);
    }
    for segment in &snapshot.segments {
        for block in 0..segment.meta()?.blocks.len() {
            let ids = segment.read(block, &[columns::ORIGIN], None)?.batch;
            add(&ids, 0, origins, &mut counts);
        }
    }
    Ok(counts)
}

fn add(batch: &RecordBatch, column: usize, origins: &HashSet<u128>, counts: &mut HashMap<u128, u64>) {
    for bytes in batch.column(column).as_fixed_size_binary().iter().flatten() {
        let origin = bytes.try_into().map_or(0, u128::from_be_bytes);
        if origins.contains(&origin) {
            *counts.entry(origin).or_default() += 1;
        }
    }
}
