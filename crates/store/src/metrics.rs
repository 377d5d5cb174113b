//! What every store that writes to a server counts of its writes.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::{WriteBatch, WriteError};

/// Writes that were done, and those that failed.
#[derive(Debug, Clone)]
pub struct WriteMetrics {
    rows: Counter,
    bytes: Counter,
    seconds: Histogram,
    errors: Counter,
}

impl Default for WriteMetrics {
    fn default() -> Self {
        Self {
            rows: Counter::default(),
            bytes: Counter::default(),
            seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            errors: Counter::default(),
        }
    }
}

impl WriteMetrics {
    /// Counts what became of a write. One that came too late is no error.
    pub fn count(&self, range: &WriteBatch, took: Duration, written: &Result<(), WriteError>) {
        match written {
            Ok(()) => {
                self.rows.inc_by(range.batches.iter().map(|batch| batch.len() as u64).sum());
                self.bytes.inc_by(range.batches.iter().map(|batch| batch.bytes() as u64).sum());
                self.seconds.observe(took.as_secs_f64());
            }
            Err(WriteError::Moved { .. }) => {}
            Err(WriteError::Rejected { .. } | WriteError::Unavailable(_)) => {
                self.errors.inc();
            }
        }
    }

    /// `store`: the registry of the prefix `devlogs_store`.
    pub fn register(&self, store: &mut Registry) {
        store.register("written_rows", "Records written", self.rows.clone());
        let written = "Bytes of records written, as they stand in memory";
        store.register_with_unit("written", written, Unit::Bytes, self.bytes.clone());
        store.register_with_unit("write", "Time of a write", Unit::Seconds, self.seconds.clone());
        let errors = "Writes that failed, without those that came too late";
        store.register("write_errors", errors, self.errors.clone());
    }
}
