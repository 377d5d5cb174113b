//! Taking a batch: compare and set the position, publish the records, all in one step.

use std::sync::Arc;

use model::position::Position;
use store::{WriteBatch, WriteError};

use super::{Engine, now};
use crate::chunk::Chunk;
use crate::columns::batch_to_columns;
use crate::manifest::{Lane, Sums};
use crate::merge::merge_all;

/// Bytes of one project in one batch; Arrow's text columns end at 2 GiB.
const BATCH_BYTES_MAX: usize = 1 << 30;

impl Engine {
    /// Waits until there is room in memory.
    ///
    /// # Errors
    /// Unavailable when there is none and flushes fail.
    pub(crate) async fn wait_for_room(&self) -> Result<(), WriteError> {
        loop {
            let mut changed = std::pin::pin!(self.room.notified());
            changed.as_mut().enable();
            {
                let state = self.state.lock();
                if state.buffered_bytes < self.config.memory_bytes {
                    return Ok(());
                }
                if let Some(error) = &state.flush_error {
                    return Err(WriteError::Unavailable(error.clone()));
                }
            }
            self.metrics.write_waits.inc();
            self.flush_wake.wake();
            changed.await;
        }
    }

    /// Stores a batch, as [`store::Store::write`] says; blocks for the conversion to columns.
    ///
    /// # Errors
    /// As [`store::Store::write`].
    pub fn write(&self, batch: &WriteBatch) -> Result<(), WriteError> {
        let lane = Lane(batch.incarnation, batch.partition);
        if batch.next < batch.from {
            return Err(WriteError::Rejected { reason: "the batch ends before it begins".into(), row: None });
        }
        moved(self.state.lock().position(lane), batch.from)?;
        let chunks = to_chunks(batch)?;
        let bytes: usize = chunks.iter().map(|(_, chunk)| chunk.bytes).sum();
        let mut keys_evicted = 0;
        let full = {
            let mut state = self.state.lock();
            // Another writer may have come first while the lock was free.
            moved(state.position(lane), batch.from)?;
            let now = now();
            state.positions.insert(lane, batch.next);
            state.dirty_since.get_or_insert(now);
            for key in &batch.keys {
                keys_evicted += state.keys.insert(key, now);
                state.keys.fresh.push(key.clone());
            }
            for counts in &batch.counts {
                let project = counts.project.clone();
                state.ledger.entry((lane, project.clone())).or_insert_with(|| Sums::new(project)).add(counts);
            }
            for (project, chunk) in &chunks {
                state.add_chunk(project, chunk.clone());
            }
            self.metrics.buffered_bytes.set(state.buffered_bytes as i64);
            state.buffered_bytes >= self.config.flush_bytes
        };
        self.metrics.keys_evicted.inc_by(keys_evicted);
        self.metrics.written_rows.inc_by(batch.batches.iter().map(|batch| batch.len() as u64).sum());
        self.metrics.written_bytes.inc_by(bytes as u64);
        if full {
            self.flush_wake.wake();
        }
        for (project, _) in chunks {
            self.merge_chunks(&project);
        }
        Ok(())
    }

    /// Merges small chunks, so that queries and flushes never walk thousands.
    fn merge_chunks(&self, project: &str) {
        while let Some(parts) = { self.state.lock().begin_merge(project) } {
            let merged = merge_all(parts.iter().map(|part| part.batch.clone()).collect());
            let merged = match merged {
                Ok(batch) => Some(Arc::new(Chunk::new(batch))),
                Err(error) => {
                    tracing::error!(%error, "chunks could not be merged");
                    None
                }
            };
            let failed = merged.is_none();
            self.state.lock().end_merge(project, &parts, merged);
            if failed {
                return;
            }
        }
    }
}

fn moved(at: Position, from: Position) -> Result<(), WriteError> {
    if at == from { Ok(()) } else { Err(WriteError::Moved { at }) }
}

/// A project's records in memory.
type ProjectChunk = (Arc<str>, Arc<Chunk>);

fn to_chunks(batch: &WriteBatch) -> Result<Vec<ProjectChunk>, WriteError> {
    let mut chunks = Vec::with_capacity(batch.batches.len());
    for records in batch.batches.iter().filter(|records| !records.is_empty()) {
        if records.bytes() > BATCH_BYTES_MAX {
            let reason = format!("a batch of more than {BATCH_BYTES_MAX} bytes for one project; split it");
            return Err(WriteError::Rejected { reason, row: None });
        }
        let columns =
            batch_to_columns(records).map_err(|error| WriteError::Rejected { reason: error.to_string(), row: None })?;
        chunks.push((records.project.clone(), Arc::new(Chunk::new(columns))));
    }
    Ok(chunks)
}
